"""The process that compiles the forms of instructions that a machine waits for, while its processors go on.

An order is

    (forms, instructions)

forms: keys, as plain tuples. instructions: those of which the free bits are asked, as (name, mask, value). The answer is

    (seconds of processor time since the last one, stencils, free bits, why)

stencils, free bits: as `ratite.codegen.library` keeps them. why: that forms could not be compiled, or empty.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

from ratite.codegen.forms import key_from
from ratite.codegen.library import plain
from ratite.codegen.stencil import Job, block_of, compile_stencils, texts
from ratite.cpu.service import Service
from ratite.cpu.words import free_bits
from ratite.isa.arch import Arch

#: Most seconds of processor time for one order.
SECONDS = 20.0
#: Python's collector looks for garbage after so many new objects: nobody waits for this process to be small.
YOUNG = 20_000


def serve(parent: int) -> None:
    """The whole life of the process that the process `parent` has started."""
    service = Service(parent, SECONDS, nice=0)
    gc.freeze()
    gc.set_threshold(YOUNG)
    forms = _Forms(service.arch)
    while (order := service.next_order()) is not None:
        number, content = order
        found = forms.answer(*content)
        service.answer(number, (service.seconds(), *found))


class _Forms:
    """Compiles what it is asked for."""

    def __init__(self, arch: Arch) -> None:
        self._arch, self._texts = arch, texts(arch)
        self._insns = {(insn.name, insn.mask, insn.value): insn for insn in arch.decoder.insns}

    def answer(self, forms: Sequence[Any], instructions: Sequence[Any]) -> tuple[dict[Any, Any], dict[Any, Any], str]:
        """Stencils, free bits, and why there are no stencils."""
        bits = {insn: free_bits(self._insns[insn], self._arch.decoder.insns) for insn in instructions}
        try:
            return compile_plain(self._arch, [self._job(form) for form in forms]), bits, ""
        except Exception as error:
            return {}, bits, f"{type(error).__name__}: {error}"

    def _job(self, form: Any) -> Job:
        key = key_from(form)
        insn = self._texts[key.form.name]
        return Job(key, insn, block_of(insn, self._arch, key.form))


def compile_plain(arch: Arch, jobs: Sequence[Job]) -> dict[Any, Any]:
    """Compile forms; keys and stencils as plain tuples."""
    return {plain(key): plain(stencil) for key, stencil in compile_stencils(arch, jobs).items()} if jobs else {}
