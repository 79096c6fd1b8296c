"""Unicorn as an engine of conformance tests: QEMU's translators as a library, no program around the instruction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ratite.testing.conformance.cases import CODE, DATA, DATA_SIZE, FAULT, ILLEGAL, Case, Outcome, changes, window

_PAGE = 0x1000


@dataclass(frozen=True)
class Binding:
    """How Unicorn names an instruction set.

    arch, mode: its constants. registers: numbers by register file; None stands for one that cannot be written. pc:
    number of the program counter. events: what interrupt numbers mean. prepare: brings a new machine into the mode
    under test. write, read: carry fields of the state over, from a case and into its outcome.
    """

    arch: int
    mode: int
    registers: Mapping[str, Sequence[int | None]]
    pc: int
    events: Mapping[int, str]
    prepare: Callable[[Any], None]
    write: Callable[[Any, Mapping[str, int]], None]
    read: Callable[[Any, Mapping[str, int]], dict[str, int]]


class UnicornPeer:
    """Runs cases in one Unicorn machine."""

    name = "unicorn"

    def __init__(self, binding: Binding) -> None:
        unicorn: Any = import_module("unicorn")
        self._binding, self._unicorn = binding, unicorn
        self._initial = window()
        self._machine = machine = unicorn.Uc(binding.arch, binding.mode)
        self._interrupt: int | None = None
        machine.mem_map(CODE, _PAGE)
        machine.mem_map(DATA, DATA_SIZE)
        machine.mem_write(DATA, self._initial)
        machine.hook_add(unicorn.UC_HOOK_INTR, self._interrupted)
        binding.prepare(machine)

    def run(self, cases: Sequence[Case]) -> Sequence[Outcome]:
        """The outcome of each case."""
        return [self._one(case) for case in cases]

    def _interrupted(self, machine: Any, number: int, _: object) -> None:
        self._interrupt = number
        machine.emu_stop()

    def _one(self, case: Case) -> Outcome:
        machine, binding = self._machine, self._binding
        self._load(case)
        event = self._execute()
        pc = CODE if event else machine.reg_read(binding.pc)
        registers = {
            file: tuple(0 if number is None else machine.reg_read(number) for number in numbers) for file, numbers in binding.registers.items()
        }
        return Outcome(pc, registers, binding.read(machine, case.fields), self._changes(), event)

    def _load(self, case: Case) -> None:
        machine, binding = self._machine, self._binding
        machine.mem_write(CODE, case.word.to_bytes(case.insn.length, "little"))
        machine.ctl_remove_cache(CODE, CODE + 16)
        for file, numbers in binding.registers.items():
            for number, value in zip(numbers, case.registers[file], strict=True):
                if number is not None:
                    machine.reg_write(number, value)
        binding.write(machine, case.fields)

    def _execute(self) -> str:
        """Run the one instruction; the event, "" if it went on."""
        uc = self._unicorn
        self._interrupt = None
        try:
            self._machine.emu_start(CODE, -1 & 0xFFFF_FFFF, count=1)
        except uc.UcError as error:
            if error.errno in (uc.UC_ERR_FETCH_UNMAPPED, uc.UC_ERR_FETCH_PROT):
                return ""  # it went on to where nothing is
            return ILLEGAL if error.errno in (uc.UC_ERR_INSN_INVALID, uc.UC_ERR_EXCEPTION) else FAULT
        return "" if self._interrupt is None else self._binding.events[self._interrupt]

    def _changes(self) -> dict[int, int]:
        found = changes(self._initial, self._machine.mem_read(DATA, DATA_SIZE))
        if found:
            self._machine.mem_write(DATA, self._initial)
        return found
