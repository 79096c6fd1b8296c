"""The process that compiles forms of instructions before a machine asks for them (`ratite.codegen.likely`). It stands back for the host's other
processes, so it works above all where there is a processor that nobody else wants.

What it is told is

    (forms, place, known)

forms: keys, as plain tuples, that somebody waits for, which another process compiles. place: where they were missing: a page that is being
translated, as (bytes, offset, context), or None. known: keys of what had been compiled before all that; None: it has been told. It confirms that with
an answer as `ratite.cpu.form_server` gives it, without any stencils; those are in answers with number 0.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from typing import Any

from ratite.codegen.forms import key_from
from ratite.codegen.likely import Likely
from ratite.cpu.form_server import SECONDS, YOUNG, compile_plain
from ratite.cpu.service import Service

#: Forms that are compiled together.
_TOGETHER = 6
#: How far it stands back for others where there is more than one processor. Not as far as can be: a host is rarely idle for long, and a machine whose
#: forms are there in time needs less of it.
_NICE = 5


def serve(parent: int) -> None:
    """The whole life of the process that the process `parent` has started."""
    service = Service(parent, SECONDS, nice=_NICE if len(os.sched_getaffinity(0)) > 1 else 19)
    gc.freeze()
    gc.set_threshold(YOUNG)
    foresight = _Foresight(service)
    while True:
        if foresight.has_work and not service.has_order():
            foresight.work()
            continue
        order = service.next_order()
        if order is None:
            return
        number, content = order
        foresight.hear(*content)
        service.answer(number, (service.seconds(), {}, {}, ""))


class _Foresight:
    """What there is to be done."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._likely = Likely(service.arch)
        self.has_work = False

    def hear(self, forms: Sequence[Any], place: tuple[bytes, int, int] | None, known: Sequence[Any] | None) -> None:
        """Something is missing, or known."""
        likely = self._likely
        if known is not None:
            likely.known.update(map(key_from, known))
            if not known:
                likely.begin()
        for key in map(key_from, forms):
            likely.known.add(key)
            likely.needed(key)
        if place is not None:
            likely.page(*place)
        self.has_work = True

    def work(self) -> None:
        """Do a little of what nobody has asked for."""
        if self._likely.looking:
            self._likely.look()
            return
        jobs = self._likely.next(_TOGETHER)
        self.has_work = bool(jobs)
        try:
            found = compile_plain(self._service.arch, jobs)
        except Exception:  # whoever needs one of them will see what is wrong
            return
        if found:
            self._service.answer(0, (self._service.seconds(), found, {}, ""))
