"""The stencil tier as an engine of conformance tests: instructions run as machine code in a bare machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratite.isa.arch import Arch
from ratite.testing.conformance import CODE, DATA, DATA_SIZE, Case, Outcome, window

_PAGE = 0x1000
_CODE_SIZE = 8 << 20
#: Where the machine goes with every exception: an instruction that halts it.
PARK = 0x0030_0000


@dataclass(frozen=True)
class Handles:
    """What is particular about an instruction set in a bare machine.

    park: bytes of an instruction that halts. filler: a short instruction that raises an exception, to be put around
    the one under test. prepare: makes the state ready to run it in the most privileged mode, exceptions going to
    `PARK`. trapped: the address and the event of the exception that has been taken.
    """

    park: bytes
    filler: bytes
    prepare: Callable[[Any], None]
    trapped: Callable[[Any], tuple[int, str]]


class NativePeer:
    """Runs cases in a machine of one vCPU."""

    name = "stencils"

    def __init__(self, arch: Arch, handles: Handles) -> None:
        from ratite.cpu.engine import Engine
        from ratite.cpu.vcpu import Vcpu
        from ratite.memory import AddressSpace, RamBlock

        self.arch, self._handles = arch, handles
        self._initial = window()
        self._space = AddressSpace()
        for name, at, size in (("code", CODE, _PAGE), ("data", DATA, DATA_SIZE), ("park", PARK, _PAGE)):
            self._space.add_ram(at, RamBlock(name, size))
        self._space.dma_write(DATA, self._initial)
        self._space.dma_write(PARK, handles.park)
        self._vcpu = Vcpu(Engine(arch, self._space, code_size=_CODE_SIZE))

    def run(self, cases: Sequence[Case]) -> Sequence[Outcome]:
        """The outcome of each case."""
        return [self._one(case) for case in cases]

    def close(self) -> None:
        """Keep what has been compiled."""
        self._vcpu.finish()

    def _one(self, case: Case) -> Outcome:
        state = self._vcpu.state
        code = case.word.to_bytes(case.insn.length, "little")
        self._space.dma_write(CODE, (code + self._handles.filler * (_PAGE // len(self._handles.filler)))[:_PAGE])
        self._set(case)
        while self._vcpu.run().kind != "halt":
            pass
        pc, event = self._handles.trapped(state)
        registers = {file: tuple(getattr(state, file)) for file in case.registers}
        fields = {name: getattr(state, name) for name in case.fields}
        return Outcome(pc, registers, fields, self._changes(), event if pc == CODE else "")

    def _set(self, case: Case) -> None:
        state = self._vcpu.state
        self._handles.prepare(self._vcpu)
        for file, values in case.registers.items():
            view = getattr(state, file)
            for n, value in enumerate(values):
                view[n] = value
        for name, value in case.fields.items():
            setattr(state, name, value)
        self._vcpu.set_fp_round(case.fields.get("frm", case.fields.get("fp_round", 0)))
        state.next_pc = CODE

    def _changes(self) -> Mapping[int, int]:
        data = self._space.dma_read(DATA, DATA_SIZE)
        if data == self._initial:
            return {}
        self._space.dma_write(DATA, self._initial)
        return {DATA + n: new for n, (old, new) in enumerate(zip(self._initial, data, strict=True)) if old != new}
