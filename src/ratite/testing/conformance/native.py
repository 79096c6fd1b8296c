"""Machine code as engines of conformance tests: instructions run in a bare machine, as stencils, as regions, and with their
state saved in one machine and restored in another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ratite.isa.arch import Arch
from ratite.testing.conformance.cases import CODE, DATA, DATA_SIZE, Case, Outcome, changes, window

if TYPE_CHECKING:
    from ratite.cpu.stateview import StateView

_PAGE = 0x1000
_CODE_SIZE = 8 << 20
#: Names of the engines here.
MACHINES = ("stencils", "regions", "restored")
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


class _Machine:
    """A vCPU with memory: code, the window, and where it halts. region: see `ratite.cpu.engine.Tuning`."""

    def __init__(self, arch: Arch, handles: Handles, region: str) -> None:
        from ratite.cpu.engine import Engine, Tuning
        from ratite.cpu.vcpu import Vcpu
        from ratite.memory import AddressSpace, RamBlock

        self._handles, self._initial = handles, window()
        self._space = AddressSpace()
        for name, at, size in (("code", CODE, _PAGE), ("data", DATA, DATA_SIZE), ("park", PARK, _PAGE)):
            self._space.add_ram(at, RamBlock(name, size))
        self._space.dma_write(DATA, self._initial)
        self._space.dma_write(PARK, handles.park)
        self.vcpu = Vcpu(Engine(arch, self._space, code_size=_CODE_SIZE, tuning=Tuning(region=region)))

    @property
    def regions(self) -> int:
        """How many regions have been compiled."""
        found = self.vcpu.engine.regions
        return 0 if found is None else found.compiled

    def put(self, case: Case) -> None:
        """Write the instruction among fillers."""
        code = case.word.to_bytes(case.insn.length, "little")
        self._space.dma_write(CODE, (code + self._handles.filler * (_PAGE // len(self._handles.filler)))[:_PAGE])

    def set(self, case: Case) -> None:
        """Bring the processor into the state before a case."""
        state = self.vcpu.state
        self._handles.prepare(self.vcpu)
        for file, values in case.registers.items():
            view = getattr(state, file)
            for n, value in enumerate(values):
                view[n] = value
        for name, value in case.fields.items():
            setattr(state, name, value)
        self.vcpu.set_fp_round(case.fields.get("frm", case.fields.get("fp_round", 0)))
        state.next_pc = CODE

    def run(self) -> None:
        """Execute until an exception has halted it."""
        while self.vcpu.run().kind != "halt":
            pass

    def changes(self) -> Mapping[int, int]:
        """Bytes of the window that have changed; it is as before then."""
        found = changes(self._initial, self._space.dma_read(DATA, DATA_SIZE))
        if found:
            self._space.dma_write(DATA, self._initial)
        return found


class NativePeer:
    """Runs cases as stencils."""

    name = "stencils"
    region = "off"

    def __init__(self, arch: Arch, handles: Handles) -> None:
        self._handles = handles
        self._machine = _Machine(arch, handles, self.region)

    def run(self, cases: Sequence[Case]) -> Sequence[Outcome | str]:
        """The outcome of each case, or why it is not run."""
        return [self._one(case) for case in cases]

    def close(self) -> None:
        """Keep what has been compiled."""
        self._machine.vcpu.finish()

    def _one(self, case: Case) -> Outcome | str:
        self._machine.put(case)
        self._machine.set(case)
        self._machine.run()
        return self._outcome(case, self._machine.vcpu.state)

    def _outcome(self, case: Case, state: StateView) -> Outcome:
        pc, event = self._handles.trapped(state)
        registers = {file: tuple(getattr(state, file)) for file in case.registers}
        fields = {name: getattr(state, name) for name in case.fields}
        return Outcome(pc, registers, fields, self._machine.changes(), event if pc == CODE else "")


class RegionPeer(NativePeer):
    """Runs cases as regions, each compiled for its case."""

    name = "regions"
    region = "always"

    def _one(self, case: Case) -> Outcome | str:
        before = self._machine.regions
        outcome = super()._one(case)
        return outcome if self._machine.regions > before else "regions leave it to stencils"


class RestoredPeer(NativePeer):
    """Runs cases as stencils in a machine that gets the state before from another one by saving and restoring; that one gets
    the state after back, and shows it."""

    name = "restored"

    def __init__(self, arch: Arch, handles: Handles) -> None:
        super().__init__(arch, handles)
        self._origin = _Machine(arch, handles, "off")

    def _one(self, case: Case) -> Outcome | str:
        first, second = self._origin.vcpu, self._machine.vcpu
        self._machine.put(case)
        self._origin.set(case)
        second.state.load(first.state.save())
        second.settle()
        self._machine.run()
        first.state.load(second.state.save())
        return self._outcome(case, first.state)
