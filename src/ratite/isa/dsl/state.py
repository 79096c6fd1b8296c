"""The declaration of a processor's state: register files and fields, from which native layout, save/restore and listings follow.

    class RiscvState(State):
        x = RegFile(32, WORD, zero=0, pinned=(15, 14, 10), near=True)
        mepc = Field(WORD)

`WORD` stands for the register width of the configured ISA (32 or 64). Every element takes a slot of eight bytes, wider ones a multiple.
Offsets are relative to the state pointer that native code holds in a register; the file marked `near` lies around it, so that the host
reaches its registers with one-byte displacements.
"""

from __future__ import annotations

from collections.abc import Sequence

from ratite.errors import DefinitionError
from ratite.record import Record

#: The register width of the configured ISA.
WORD = 0

#: Offset of the first byte that belongs to the ISA; what lies between the near file and here is the engine's.
ISA_BASE = 512
#: Where files of registers wider than 64 bits lie: behind all displacements that vector instructions of the host can shorten to a byte, which
#: counts units of their operand's size then. So numbers of registers are found in their code as in any other.
WIDE_BASE = 4096
#: End of the part that is saved and restored.
ISA_END = 7680


class RegFile(Record, frozen=True):
    """`count` registers of `width` bits.

    zero: the register that reads as zero and ignores writes.
    pinned: registers that native code keeps in host registers, most wanted first.
    near: placed around the state pointer; one file of at most 256 bytes.
    names: ABI names for listings.
    within: the file, declared before, whose lower bits these registers are; writing one leaves the bits above it alone.
    """

    count: int
    width: int
    zero: int | None = None
    pinned: Sequence[int] = ()
    near: bool = False
    names: Sequence[str] = ()
    within: str = ""


class Field(Record, frozen=True):
    """One word of state. `reset` is its value after reset, `doc` goes to the generated pages."""

    width: int
    reset: int = 0
    doc: str = ""


#: What the engine keeps beside the ISA's state: name -> (offset, width in bits, meaning). Width 0 is the register width.
#: Native helpers use them like fields of the state (`s.next_pc`).
ENGINE_FIELDS: dict[str, tuple[int, int, str]] = {
    "next_pc": (128, WORD, "guest address at which execution goes on; in helpers also that of the instruction at fault"),
    "attention": (136, 8, "the ISA's poll helper has something to look at: an interrupt may be deliverable"),
    "host_attention": (137, 8, "the run loop is asked to return to Python"),
    "fp_flags": (138, 8, "sticky floating-point flags: 1 invalid, 2 division by zero, 4 overflow, 8 underflow, 16 inexact"),
    "fp_round": (139, 8, "host rounding: 0 nearest even, 1 to zero, 2 down, 3 up"),
    "reason": (144, 64, "why native code was left"),
    "trap_cause": (152, 64, "exception raised by an instruction"),
    "trap_value": (160, 64, "the value that goes with it"),
    "mmu_index": (168, 64, "which translation cache loads and stores use"),
    "context_index": (176, 64, "which translation context executes (the privilege mode, as the decoder sees it)"),
    "tlb": (184, 64, "host address of the current translation cache"),
    "jump_cache": (192, 64, "host address of the jump cache of the current context"),
    "ram_table": (200, 64, "host address of the table of RAM regions"),
    "entry_table": (208, 64, "host address of the table of translated entry points"),
    "clock_offset": (216, 64, "what to add to the host's monotonic clock to get guest nanoseconds"),
    "scratch": (224, 64, "miss address and record, for the engine's own helpers"),
    "mxcsr": (232, 32, "host floating-point control while guest code runs"),
    "host_mxcsr": (236, 32, "host floating-point control of the caller"),
    "large_base": (240, 64, "start of the range that large-page translations cover"),
    "large_mask": (248, 64, "its alignment mask; all ones when there is none"),
    "user_base": (256, 64, "host address of guest address 0 in user mode"),
    "clock_frozen": (264, 64, "not zero: guest nanoseconds stand still at this value"),
    "reserve_addr": (272, 64, "address of the load reservation"),
    "reserve_value": (280, 64, "value read by the load reservation"),
    "clock_gettime": (288, 64, "host address of the C library's clock_gettime"),
    "tlb_dirty": (296, 64, "bit n: translation cache n has entries; bit 32 + n: jump cache n has"),
    "fault_pc": (304, 64, "host address of the instruction at which user-mode code faulted"),
    "stack_pointer": (312, 64, "host stack pointer at the entry of every stencil"),
    "device_address": (328, 64, "guest-physical address of the access for which the translation cache has no RAM"),
    "access_record": (336, 64, "host address of the record of that access, which its instruction has for itself"),
    "reserve_version": (384, 32, "number of atomic operations on reserved memory when the reservation was made"),
    "reservations": (392, 64, "host address of the numbers of atomic operations, by host address (`ratite.codegen.lower`)"),
    "alarm": (352, 64, "file descriptor of the host's timer that rings the alarm; 0: there is none, and Python keeps the time"),
    "alarm_at": (360, 64, "guest nanoseconds at which Python has to ring the alarm; 0: nothing was asked, or it knows"),
    "asleep": (368, 32, "whether the thread sleeps in native code (`ratite.codegen.alarms`)"),
    "alarm_rang": (376, 8, "the alarm has rung, and the ISA's poll helper has not looked why"),
    "awaiting": (377, 8, "1: what is to be executed is being compiled; the thread sleeps in native code until that is done, or interrupts come"),
    "frame_pointer": (496, 64, "host frame pointer there"),
    "in_region": (344, 64, "not zero: a region was left because somebody asked for the CPU"),
    "tlb_fills": (456, 64, "how often a translation was put into a translation cache"),
    "tlb_flushes": (464, 64, "how often all translation caches were emptied"),
    "jump_misses": (472, 64, "how often a jump cache did not have an address"),
    "traced": (320, 64, "what is Python's to do; bit 0: page walks and interrupts, which it logs; bit 1: exceptions, which it also counts"),
    "counting": (400, 64, "1: instructions are counted, and time goes by their number (`ratite.cpu.icount`)"),
    "budget": (408, 64, "counted: how many instructions may still be executed"),
    "budget_end": (416, 64, "counted: how many instructions the machine will have executed when the budget is used up"),
    "count_others": (424, 64, "counted: how many of them others have executed"),
    "count_shift": (432, 64, "counted: an instruction takes 2 to the power of this nanoseconds"),
    "count_base": (440, 64, "counted: nanoseconds that passed without instructions"),
    "run": (448, 64, "counted: number of the run of instructions that was entered last; 0 when it is settled"),
}


class Slot(Record, frozen=True):
    """Where an element lies: byte offset of the first element from the state pointer, distance of elements, bit width."""

    name: str
    offset: int
    stride: int
    width: int
    count: int
    decl: RegFile | Field

    def at(self, index: int) -> int:
        """Offset of element `index`."""
        if not 0 <= index < self.count:
            raise DefinitionError(f"{self.name}[{index}]: there are {self.count}")
        return self.offset + index * self.stride


class State:
    """Base of state declarations; the class body lists `RegFile` and `Field` attributes."""


class Layout(Record):
    """The native layout of a state declaration for one register width."""

    word: int
    slots: dict[str, Slot] = {}
    end: int = ISA_BASE
    wide_end: int = WIDE_BASE

    @classmethod
    def of(cls, state: type[State], word: int) -> Layout:
        """Place every element of `state`, in the order of declaration."""
        layout = cls(word)
        for name, (offset, width, doc) in ENGINE_FIELDS.items():
            layout.slots[name] = Slot(name, offset, 8, width or word, 1, Field(width, 0, doc))
        for base in reversed(state.__mro__):
            for name, decl in vars(base).items():
                if isinstance(decl, RegFile | Field):
                    layout._place(name, decl)
        if layout.end > (WIDE_BASE if layout.wide_end > WIDE_BASE else ISA_END) or layout.wide_end > ISA_END:
            raise DefinitionError(f"{state.__name__}: state up to {layout.end} and {layout.wide_end}; {WIDE_BASE} and {ISA_END} fit")
        return layout

    def _place(self, name: str, decl: RegFile | Field) -> None:
        width = decl.width or self.word
        stride = max(8, width // 8)
        count = decl.count if isinstance(decl, RegFile) else 1
        if isinstance(decl, RegFile) and decl.near:
            if stride * count > 256:
                raise DefinitionError(f"{name}: a near file has at most 256 bytes")
            self.slots[name] = Slot(name, -128, stride, width, count, decl)
            return
        if isinstance(decl, RegFile) and decl.within:
            whole = self.slots[decl.within]
            if width > whole.width or count > whole.count:
                raise DefinitionError(f"{name}: {decl.within} has {whole.count} registers of {whole.width} bits")
            self.slots[name] = Slot(name, whole.offset, whole.stride, width, count, decl)
            return
        if width > 64:
            self.slots[name] = Slot(name, self.wide_end, stride, width, count, decl)
            self.wide_end += stride * count
            return
        start = -(-self.end // min(stride, 64)) * min(stride, 64)
        self.slots[name] = Slot(name, start, stride, width, count, decl)
        self.end = start + stride * count

    def file(self, name: str) -> RegFile:
        """The declaration of register file `name`."""
        decl = self.slots[name].decl
        assert isinstance(decl, RegFile)
        return decl

    @property
    def pinned(self) -> list[tuple[str, int]]:
        """The registers kept in host registers, in the order of the host registers."""
        return [(s.name, r) for s in self.slots.values() if isinstance(s.decl, RegFile) for r in s.decl.pinned]
