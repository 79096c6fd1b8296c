"""What the engine and its CPUs count: blocks, bytes, seconds of the compiler, exits by cause, misses of the translation cache.

A statistic is a row of `ENGINE` or `VCPU`: name, what it means, unit, kind. Kinds and units are those of QMP's `query-stats` (QEMU 7.1,
qapi/stats.json): values are integers, and seconds come as nanoseconds (base 10, exponent -9). Reading costs microseconds, and nothing is
counted for it on paths that are not rare anyway; so hits of the translation cache are not known, nor how many guest instructions have run.

    for name, value in statistics.read(engine).engine.items(): ...

A CPU's counts begin when it is made; of a thread that has ended nothing is left.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ratite.isa.arch import Exit

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.vcpu import Vcpu

CUMULATIVE, INSTANT, PEAK = "cumulative", "instant", "peak"
BYTES, SECONDS, COUNT = "bytes", "seconds", ""

_S = TypeVar("_S")


@dataclass(frozen=True)
class Statistic(Generic[_S]):
    """One thing that is counted.

    kind: "cumulative" only grows, "instant" goes up and down, "peak" is the highest so far. unit: "bytes", "seconds" (the value counts
    nanoseconds) or "" for a plain number.
    """

    name: str
    meaning: str
    kind: str
    unit: str
    read: Callable[[_S], int]

    @property
    def exponent(self) -> int:
        """The power of ten by which the value is to be multiplied to have the unit."""
        return -9 if self.unit == SECONDS else 0


@dataclass(frozen=True)
class Statistics:
    """Values at one moment, by name: of the engine, and of each CPU in the order in which they were made."""

    engine: dict[str, int]
    vcpus: list[dict[str, int]]

    def exits(self) -> dict[str, int]:
        """Exits from native code by cause, of all CPUs together, the most frequent first."""
        total = {name: sum(vcpu[name] for vcpu in self.vcpus) for name in EXITS}
        return {name.removeprefix(_EXIT): n for name, n in sorted(total.items(), key=lambda item: -item[1]) if n}


def _at(path: str) -> Callable[[Engine], int]:
    """The value at a path of attributes."""
    return attrgetter(path)


def _forms(engine: Engine) -> int:
    return len(engine.library.stencils)


def _distinct(engine: Engine) -> int:
    return len({key[0] for key in list(engine.pages)})


def _region_time(engine: Engine) -> int:
    return 0 if engine.regions is None else int(engine.regions.seconds * 1e9)


def _all_exits(vcpu: Vcpu) -> int:
    return sum(vcpu.exits)


def _regions(name: str) -> Callable[[Engine], int]:
    return lambda engine: 0 if engine.regions is None else int(getattr(engine.regions, name))


def _resident(_: Engine) -> int:
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


ENGINE: Sequence[Statistic[Engine]] = (
    Statistic("units", "pieces of machine code placed, those of earlier runs included", CUMULATIVE, COUNT, _at("translator.placed")),
    Statistic("instructions", "guest instructions translated in this run", CUMULATIVE, COUNT, _at("translator.instructions")),
    Statistic("pages", "guest pages that have translations now", INSTANT, COUNT, lambda e: len(e.pages)),
    Statistic("pages-distinct", "of these, different pages of guest memory: the rest are the same at other addresses", INSTANT, COUNT, _distinct),
    Statistic("pages-restored", "pages whose translations came from disk", CUMULATIVE, COUNT, _at("store.restored")),
    Statistic("translation-time", "looking for, restoring and making translations, LLVM included", CUMULATIVE, SECONDS,
              _at("translation_ns")),
    Statistic("forms-compiled", "forms of instructions that LLVM has compiled", CUMULATIVE, COUNT, _at("library.compiled")),
    Statistic("compile-time", "LLVM's time for them and for the native helpers", CUMULATIVE, SECONDS, _at("library.compile_ns")),
    Statistic("forms", "compiled forms that are known", INSTANT, COUNT, _forms),
    Statistic("code-bytes", "code memory in use", INSTANT, BYTES, _at("memory.used")),
    Statistic("code-bytes-peak", "the most code memory that was in use", PEAK, BYTES, _at("memory.peak")),
    Statistic("code-size", "code memory that there is", INSTANT, BYTES, _at("memory.size")),
    Statistic("code-flushes", "code memory was full, and everything was forgotten", CUMULATIVE, COUNT, _at("code_flushes")),
    Statistic("invalidations", "translations forgotten because guest code changed or went", CUMULATIVE, COUNT, _at("invalidations")),
    Statistic("exclusive-sections", "all processors were kept out of native code for a moment", CUMULATIVE, COUNT, _at("exclusive.sections")),
    Statistic("regions", "hot loops compiled as a whole", CUMULATIVE, COUNT, _regions("compiled")),
    Statistic("regions-restored", "hot loops whose code came from disk", CUMULATIVE, COUNT, _regions("restored")),
    Statistic("region-instructions", "guest instructions in them", CUMULATIVE, COUNT, _regions("instructions")),
    Statistic("region-bytes", "their machine code", CUMULATIVE, BYTES, _regions("bytes")),
    Statistic("region-time", "choosing and compiling them, beside the CPUs", CUMULATIVE, SECONDS, _region_time),
    Statistic("memory", "host memory that the emulator has", INSTANT, BYTES, _resident),
    Statistic("memory-peak", "the most host memory that it had", PEAK, BYTES,
              lambda e: max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10, _resident(e))),
)  # fmt: skip
"""What is counted for an engine."""

_EXIT = "exits-"

_CAUSES = {
    "TRANSLATE": "code that has not been translated",
    "INTERPRET": "the reference evaluator's: device accesses and rare instructions",
    "INTERRUPT": "somebody asked for the CPU: its turn ends, a signal, a sample",
    "TRAP": "exceptions that Python delivers, in user mode system calls",
    "HALT": "the guest waits for an interrupt, and not in native code, or somebody asked for the CPU meanwhile",
    "ALARM": "timers of the guest that Python keeps",
    "CODE_WRITE": "a store into a page with translated code",
    "CODE_SYNC": "the guest asks that changed code be seen",
    "FIRMWARE": "calls to the firmware that Ratite provides",
    "FAULT": "faults on the host",
    "STRADDLE": "an instruction across pages whose second page changed",
    "MISS": "translation-cache misses that are logged",
    "POLL": "interrupts that are logged",
    "DEVICE": "accesses to devices",
    "EXPIRED": "instructions that no longer fit into the budget",
    "BOARD": "accesses to registers around the core",
}


def _field(name: str) -> Callable[[Vcpu], int]:
    return lambda vcpu: int(getattr(vcpu.state, name))


def _exit(number: int) -> Callable[[Vcpu], int]:
    return lambda vcpu: vcpu.exits[number]


def _exit_name(name: str) -> str:
    return _EXIT + name.lower().replace("_", "-")


VCPU: Sequence[Statistic[Vcpu]] = (
    Statistic("exits", "returns from native code to Python", CUMULATIVE, COUNT, _all_exits),
    *(Statistic(_exit_name(name), _CAUSES.get(name, "see Exit"), CUMULATIVE, COUNT, _exit(number)) for number, name in Exit.names().items()),
    Statistic("jump-misses", "jumps whose target the jump cache did not have", CUMULATIVE, COUNT, _field("jump_misses")),
    Statistic("tlb-fills", "translations put into the translation caches", CUMULATIVE, COUNT, _field("tlb_fills")),
    Statistic("tlb-flushes", "the translation caches were emptied", CUMULATIVE, COUNT, _field("tlb_flushes")),
)  # fmt: skip
"""What is counted for each CPU. In user mode there is no translation cache, and its counts stay zero."""

EXITS = tuple(_exit_name(name) for name in Exit.names().values())


def read(engine: Engine) -> Statistics:
    """All values of an engine and its CPUs now; from any thread. Each is right by itself; they are not of one instant."""
    return Statistics(
        {row.name: row.read(engine) for row in ENGINE},
        [{row.name: row.read(vcpu) for row in VCPU} for vcpu in list(engine.vcpus)],
    )


def listing(values: Statistics) -> str:
    """Text for people: one line for each value that is not zero, CPUs added up."""
    return "\n".join(line for row, value in _rows(values) if value for line in [f"{row.name:<22}{shown(row, value):>16}  {row.meaning}"])


def _rows(values: Statistics) -> list[tuple[Statistic[Any], int]]:
    own = [(row, values.engine[row.name]) for row in ENGINE]
    return own + [(row, sum(vcpu[row.name] for vcpu in values.vcpus)) for row in VCPU]


def shown(row: Statistic[Any], value: int) -> str:
    """A value with its unit, as people read it."""
    if row.unit == SECONDS:
        return f"{value / 1e9:.3f} s"
    if row.unit == BYTES:
        return f"{value / 2**20:.2f} MiB"
    return f"{value:,}"
