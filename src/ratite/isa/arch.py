"""What the engine needs to know about an instruction set; everything else stays in the ISA's folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from ratite.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.isa.dsl import Decoder, Insn, Layout, Native


class Exit:
    """Reasons for leaving native code, as `s.exit(reason)` and the engine's helpers give them."""

    TRANSLATE = 1  #: no machine code for next_pc yet
    INTERPRET = 2  #: run the instruction at next_pc in the reference evaluator
    INTERRUPT = 3  #: host_attention was set
    TRAP = 4  #: exception that is not delivered by native code (user mode): trap_cause, trap_value
    HALT = 5  #: wait for interrupt
    CODE_WRITE = 6  #: store to a page that holds translated code: trap_value is its guest address
    CODE_SYNC = 7  #: instruction fetch must see earlier stores (user mode)
    FIRMWARE = 8  #: call to firmware that Ratite provides
    FAULT = 9  #: host fault in user mode
    STRADDLE = 10  #: an instruction across two pages whose second page may have changed
    MISS = 11  #: a traced access found no translation: trap_value is its guest address, trap_cause whether it writes
    POLL = 12  #: traced: there may be an interrupt
    DEVICE = 13  #: an access to what is not RAM, at device_address; access_record tells instructions apart
    EXPIRED = 14  #: counted: the instructions from next_pc on do not fit into the budget
    ALARM = 16  #: no native alarm: Python has to ring at alarm_at
    BOARD = 15  #: registers around the core, which are no memory: the hook for this reason does the rest of the instruction

    @classmethod
    def names(cls) -> dict[int, str]:
        """Every reason with its name."""
        return {value: name for name, value in vars(cls).items() if isinstance(value, int)}


class Arch(Record):
    """One configured instruction set.

    name: as in program names ("riscv64"). word: register width. config: the CPU's properties, read by instruction texts; its `key` names the
    variant in caches. user: machine code is for user mode (memory is host memory, traps leave native code). contexts: number of
    privilege modes that the decoder tells apart. mmu_modes: number of translation caches. helpers: native helpers by name; a system
    needs `mmu_fill(va, access)`, `take_trap(cause, value)`, `wakeup()`, which tells whether a processor that waits has to go on, `timer_look()`,
    which follows a change of the clock or of a timer, and `poll()`; the last two give 1 when Python has to ring the alarm. long: for every
    first 16-bit unit of an instruction, how many units it has (a table of 65,536 bytes). instructions: makes the decoder, and the
    pseudo-instruction, with the instruction word as its operand, for words that mean nothing; asked when there is something new to translate.
    fetch_fault, access_faults: exceptions for memory that nothing answers (fetch; load, store, fetch). syscall_cause: the exception
    by which a user program calls its system. frame: register file, number of the frame pointer, and number of the return address register, for
    profiles (`ratite.codegen.sampling` says what a frame looks like). check_access: asked, with the vCPU, physical address, size and kind, where
    the page walk can not decide for a whole page. tables: memory of a vCPU that is too big for its state, in bytes, by the field that holds its
    host address.
    """

    name: str
    word: int
    config: Any
    layout: Layout
    user: bool
    long: bytes
    instructions: Callable[[], tuple[Decoder, Insn]]
    contexts: int = 1
    mmu_modes: int = 1
    fetch_fault: int = 1
    access_faults: tuple[int, int, int] = (5, 7, 1)
    syscall_cause: int = 8
    frame: tuple[str, int, int] | None = None
    check_access: Callable[[Any, int, int, int], bool] | None = None
    helpers: dict[str, Native] = {}
    tables: dict[str, int] = {}
    register_name: Callable[[str, int], str] = lambda file, n: f"{file}{n}"
    modules: tuple[str, ...] = ()

    @cached_property
    def _instructions(self) -> tuple[Decoder, Insn]:
        return self.instructions()

    @property
    def decoder(self) -> Decoder:
        """Finds the instruction of a word."""
        return self._instructions[0]

    @property
    def illegal(self) -> Insn:
        """The pseudo-instruction for words that mean nothing."""
        return self._instructions[1]
