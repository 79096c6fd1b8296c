"""What a virtual processor consists of: its state in memory, the tables beside it, and the native helpers that work on both."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from ratite import log
from ratite.bits import mask
from ratite.codegen.host_x86_64 import MXCSR
from ratite.codegen.tables import JUMP_BASE, TLB_ENTRIES, TLB_SIZE, state_size, tlb_base
from ratite.cpu.codepage import PAGE
from ratite.cpu.hostmem import HostBuffer
from ratite.cpu.stateview import StateView
from ratite.isa.dsl.state import ISA_BASE, RegFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.cpu.engine import Engine

#: Distance of the state pointer from the start of its memory.
BASE = 4096


class Core:
    """The memory of one virtual processor, and what looks things up in it. state: the declared state. words, bytes: all of it, from `base8` and
    `base` on. env: its host address, as native code has it. tables: further ones that the instruction set declares."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        arch = engine.arch
        self._memory = HostBuffer(BASE + state_size(arch))
        self.bytes = self._memory.view
        self.words = self.bytes.cast("Q")
        self.base, self.base8 = BASE, BASE // 8
        self.env = self._memory.address + BASE
        self.state = StateView(self)
        self._tlb = tlb_base(arch)
        self._mask = mask(arch.word)
        self._mode_changed = engine.function("mode_changed", None, ctypes.c_void_p)
        self._natives: dict[str, Callable[..., int]] = {}
        self.tables = {name: HostBuffer(size) for name, size in arch.tables.items()}
        self._prepare()

    def _word(self, name: str) -> int:
        """Index in `words` of a field."""
        return self.base8 + self.engine.arch.layout.slots[name].offset // 8

    def _prepare(self) -> None:
        """Fill in what native code needs to find its tables."""
        engine, s = self.engine, self.state
        clock = ctypes.CDLL(None).clock_gettime
        for name, value in (
            ("ram_table", engine.ram_table.address),
            ("entry_table", engine.entry_table.address),
            ("reservations", engine.reservations.address),
            ("clock_gettime", ctypes.cast(clock, ctypes.c_void_p).value or 0),
            ("large_mask", mask(64)),
            ("tlb_dirty", mask(64)),
        ):
            setattr(s, name, value)
        s.traced = 3 if log.enabled("mmu") or log.enabled("int") else 0
        s.mxcsr = 0
        self.words[self._word("mxcsr")] = MXCSR
        if engine.user is not None:
            s.tlb, s.jump_cache = engine.user.base, self.env + JUMP_BASE
        else:
            self._mode_changed(self.env)
        for name, table in self.tables.items():
            setattr(s, name, table.address)
        for slot in engine.arch.layout.slots.values():
            if slot.offset >= ISA_BASE and not isinstance(slot.decl, RegFile) and slot.decl.reset:
                setattr(s, slot.name, slot.decl.reset)

    # --- native helpers -------------------------------------------------------------------------------------------------------------
    def call(self, name: str, *args: int) -> int:
        """Call a native helper with this vCPU's state."""
        f = self._natives.get(name)
        if f is None:
            f = self._natives[name] = self._native(name, len(args))
        return f(self.env, *args)

    def _native(self, name: str, arguments: int) -> Callable[..., int]:
        """A native helper as a function; those of the engine take and give 64 bits, those of the ISA the register width."""
        types: dict[int, Any] = {8: ctypes.c_uint8, 32: ctypes.c_uint32, 64: ctypes.c_uint64}
        helper, word = self.engine.arch.helpers.get(name), self.engine.arch.word
        width = 64 if helper is None else word
        result = 64 if helper is None else helper.result(word)
        return self.engine.function(name, types[result], ctypes.c_void_p, *[types[width]] * arguments)

    # --- rounding -------------------------------------------------------------------------------------------------------------------
    @property
    def fp_round(self) -> int:
        """Rounding mode of dynamic floating-point operations."""
        return int(self.state.fp_round)

    def set_fp_round(self, mode: int) -> None:
        """Set the rounding mode, for native code too."""
        self.state.fp_round = mode
        self.words[self._word("mxcsr")] = MXCSR | (0b10_01_11_00 >> 2 * mode & 3) << 13 if mode < 4 else MXCSR

    # --- addresses ------------------------------------------------------------------------------------------------------------------
    def physical(self, va: int, access: int) -> int | None:
        """Guest-physical address of `va` for a load (0), store (1), fetch (2) or look (3); None where that faults."""
        status = self.call("translate", va & self._mask, access)
        return int(self.state.walk_pa) if status < 16 else None

    def _tlb_entry(self, va: int, table: int) -> int:
        """Index in `words` of the place in a translation cache that a page has if it is there."""
        return self.base8 + (self._tlb + table * TLB_SIZE + ((va >> 7) & ((TLB_ENTRIES - 1) * 32))) // 8

    def page_key(self, pc: int) -> tuple[int, int, int] | None:
        """Host address, guest address and context of the page from which `pc` is fetched; None where that faults or is not RAM."""
        page = pc & -PAGE
        if self.engine.user is not None:
            return page, page, 0
        context = int(self.state.context_index)
        at = self._tlb_entry(page, context)
        if self.words[at + 2] != page and (self._walk(pc, 2) or self.words[at + 2] != page):
            return None
        return (self.words[at + 3] + page) & mask(64), page, context

    def fetched_from(self, page: int, context: int) -> int | None:
        """Host address of the page that the translation cache has for fetches from a guest page; from any thread."""
        at = self._tlb_entry(page, context)
        return (self.words[at + 3] + page) & mask(64) if self.words[at + 2] == page else None

    def _hits(self, va: int, write: int) -> bool:
        """Whether the translation cache has the page for such an access now."""
        return self.words[self._tlb_entry(va, int(self.state.mmu_index)) + write] == va & -PAGE & mask(64)

    def _walk(self, va: int, access: int) -> int:
        """Walk the page tables natively for a load (0), store (1) or fetch (2), and log what came of it."""
        status = self.call("mmu_fill", va & self._mask, access)
        if log.enabled("mmu"):
            result = f"fault {status - 16}" if status >= 16 else "in Python" if status else f"to {self.physical(va, 3) or 0:#x}"
            log.write("mmu", f"{('load', 'store', 'fetch')[access]} {va:#x} at {self.state.pc:#x}: {result}")
        return status
