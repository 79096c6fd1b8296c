"""Who compiles regions: a process beside that of a machine, or the thread that looks for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ratite.codegen.regions import Compiled, Plan, compile_region
from ratite.cpu.companion import Companion
from ratite.isa.arch import Arch

#: Seconds that a region may take, others' use of the processors included.
_LIMIT = 60.0


class Answer(NamedTuple):
    """What has become of a plan. seconds: of processor time, the start of the process included. why: that there is no code."""

    number: int
    compiled: Compiled | None
    seconds: float
    why: str


class Compilers(Protocol):
    """busy: how many plans have no answer yet. lost: no more plans are taken."""

    @property
    def busy(self) -> int: ...

    @property
    def lost(self) -> bool: ...

    def order(self, plan: Plan) -> int:
        """Have a plan compiled; its number."""

    def answers(self) -> list[Answer]:
        """What has been answered since the last time."""

    def close(self) -> None:
        """Compile no more."""


class OwnThread:
    """Compiles at once, on the thread that asks."""

    busy, lost = 0, False

    def __init__(self, arch: Arch) -> None:
        self._arch = arch
        self._answers: list[Answer] = []
        self._numbers = 0

    def order(self, plan: Plan) -> int:
        """Compile a plan."""
        self._numbers += 1
        begin = time.thread_time()
        compiled = compile_region(self._arch, plan)
        why = "" if compiled is not None else "most of it is left to stencils"
        self._answers.append(Answer(self._numbers, compiled, time.thread_time() - begin, why))
        return self._numbers

    def answers(self) -> list[Answer]:
        """What has been compiled since the last time."""
        found, self._answers = self._answers, []
        return found

    def close(self) -> None:
        """Nothing is left to be done."""


class OwnProcess:
    """Has a process of its own compile (`ratite.cpu.region_server`), as long as there is one."""

    def __init__(self, arch: Arch, key: str, program: str = "", now: Callable[[], float] = time.monotonic) -> None:
        """See `Companion`."""
        self.companion = Companion(arch, key, "ratite.cpu.region_server", _LIMIT, _read, program, now)

    @property
    def busy(self) -> int:
        """How many plans have no answer yet."""
        return self.companion.busy

    @property
    def lost(self) -> bool:
        """Whether the process has ended more often than it is started."""
        return self.companion.lost

    def order(self, plan: Plan) -> int:
        """Send a plan."""
        return self.companion.order(tuple(plan))

    def answers(self) -> list[Answer]:
        """What has been answered since the last time, and what has been given up."""
        found = []
        for number, content, why in self.companion.answers():
            found.append(Answer(number, None, 0.0, why) if content is None else Answer(number, *content))
        return found

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self.companion.close()


def _read(content: Any) -> tuple[Compiled | None, float, str]:
    """What the process has answered: see `ratite.cpu.region_server`."""
    seconds, fields, why = content
    return None if fields is None else Compiled(*fields), seconds, why
