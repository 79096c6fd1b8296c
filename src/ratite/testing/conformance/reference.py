"""The reference evaluator as an engine of conformance tests: one instruction at a time on a flat memory window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ratite.bits import mask, signed
from ratite.codegen.endings import GuestTrap, Leave
from ratite.codegen.reference import Evaluator, evaluator
from ratite.isa.arch import Arch
from ratite.isa.dsl import Insn
from ratite.isa.dsl.record import record
from ratite.isa.dsl.state import ISA_END
from ratite.testing.conformance.cases import AT_TARGET, CODE, DATA, DATA_SIZE, FAULT, Case, Outcome, changes, window

#: Where the state pointer points in the state's bytes: files may lie up to 128 bytes before it.
_BASE = 128

_AMO = {
    "xchg": lambda old, new, width: new,
    "add": lambda old, new, width: (old + new) & mask(width),
    "and": lambda old, new, width: old & new,
    "or": lambda old, new, width: old | new,
    "xor": lambda old, new, width: old ^ new,
    "min": lambda old, new, width: min(old, new, key=lambda v: signed(v, width)),
    "max": lambda old, new, width: max(old, new, key=lambda v: signed(v, width)),
    "umin": lambda old, new, width: min(old, new),
    "umax": lambda old, new, width: max(old, new),
}


class _OutsideWindow(Exception):
    """An access to memory that is not there."""


class FlatCpu:
    """What evaluators need of a vCPU: the state, memory that is one window, and `natives` in the place of helpers. The clock
    stands still.
    """

    def __init__(self, arch: Arch, memory: bytes) -> None:
        self.arch = arch
        self.base, self.base8 = _BASE, _BASE // 8
        self.state = bytearray(_BASE + ISA_END)
        self.bytes = memoryview(self.state)
        self.words = memoryview(self.state).cast("Q")
        self.memory = bytearray(memory)
        self.natives: dict[str, Callable[..., int]] = {"time_ns": lambda *_: 0}

    def get(self, name: str, index: int = 0) -> int:
        """An element of the state by its declared name."""
        offset, width = self._place(name, index)
        return self.bytes[offset] if width == 8 else int.from_bytes(self.bytes[offset : offset + width // 8], "little")

    def set(self, name: str, value: int, index: int = 0) -> None:
        """Write an element of the state."""
        offset, width = self._place(name, index)
        if width == 8:
            self.bytes[offset] = value
        else:
            self.bytes[offset : offset + width // 8] = value.to_bytes(width // 8, "little")

    def _place(self, name: str, index: int) -> tuple[int, int]:
        slot = self.arch.layout.slots[name]
        return self.base + slot.at(index), slot.width if slot.count == 1 else max(slot.width, 64)

    # --- what evaluators call ---------------------------------------------------------------------------------------

    def load(self, address: int, size: int) -> int:
        at = self._offset(address, size)
        return int.from_bytes(self.memory[at : at + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        at = self._offset(address, size)
        self.memory[at : at + size] = value.to_bytes(size, "little")

    def amo(self, operation: str, address: int, size: int, value: int) -> int:
        old = self.load(address, size)
        self.store(address, size, _AMO[operation](old, value, 8 * size))
        return old

    def cas(self, address: int, size: int, expected: int, new: int) -> int:
        old = self.load(address, size)
        if old == expected:
            self.store(address, size, new)
        return old

    def load_reserved(self, address: int, size: int) -> int:
        value = self.load(address, size)
        self.set("reserve_addr", address)
        self.set("reserve_value", value)
        return value

    def store_conditional(self, address: int, size: int, new: int) -> int:
        if self.load(address, size) != self.get("reserve_value") & mask(8 * size):
            return 0
        self.store(address, size, new)
        return 1

    def call(self, name: str, *args: int) -> int:
        return self.natives[name](*args)

    def raise_fp_flags(self, flags: int) -> None:
        self.set("fp_flags", self.get("fp_flags") | flags)

    @property
    def fp_round(self) -> int:
        return self.get("frm" if "frm" in self.arch.layout.slots else "fp_round")

    def set_fp_round(self, mode: int) -> None:
        self.set("fp_round", mode)

    def _offset(self, address: int, size: int) -> int:
        if not DATA <= address <= DATA + DATA_SIZE - size:
            raise _OutsideWindow
        return address - DATA


class ReferenceEngine:
    """Runs cases in the reference evaluator. `events`: what exceptions mean, by cause."""

    name = "reference"

    def __init__(self, arch: Arch, events: Mapping[int, str]) -> None:
        self.arch, self.events = arch, events
        self._initial = window()
        self._evaluators: dict[Any, Evaluator] = {}

    def run(self, cases: Sequence[Case]) -> Sequence[Outcome]:
        """The outcome of each case."""
        return [self._one(case) for case in cases]

    def _one(self, case: Case) -> Outcome:
        cpu = self._prepared(case)
        insn, word = case.insn, case.word
        statics, regs, imms = ([get(word) for get in getters] for getters in insn.getters)
        event, pc = "", CODE
        try:
            pc = self._evaluator(insn, tuple(statics))(cpu, CODE, CODE + insn.length, *regs, *imms)
        except GuestTrap as trap:
            event = self.events[trap.cause]
            pc = trap.value if event == AT_TARGET else CODE
        except _OutsideWindow:
            event = FAULT
        except Leave as leave:
            pc = leave.to
        return Outcome(pc, self._registers(cpu, case), {n: cpu.get(n) for n in case.fields}, changes(self._initial, cpu.memory), event)

    def _prepared(self, case: Case) -> FlatCpu:
        cpu = FlatCpu(self.arch, self._initial)
        for slot in self.arch.layout.slots.values():
            if reset := getattr(slot.decl, "reset", 0):
                cpu.set(slot.name, reset)
        for file, values in case.registers.items():
            for n, value in enumerate(values):
                cpu.set(file, value, n)
        for name, value in case.fields.items():
            cpu.set(name, value)
        cpu.set("reserve_addr", mask(64))
        return cpu

    def _evaluator(self, insn: Insn, statics: tuple[int, ...]) -> Evaluator:
        key = insn.text, statics
        if key not in self._evaluators:
            block = record(insn.text, self.arch.layout, self.arch.config, statics, 0)
            self._evaluators[key] = evaluator(block, insn, self.arch.layout)
        return self._evaluators[key]

    def _registers(self, cpu: FlatCpu, case: Case) -> dict[str, tuple[int, ...]]:
        return {file: tuple(cpu.get(file, n) for n in range(len(v))) for file, v in case.registers.items()}
