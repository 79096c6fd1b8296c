"""Tables that machine code looks into: how large they are, and where those lie that every vCPU has for itself, behind its state."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.isa.arch import Arch

#: Size of a jump cache in entries of 16 bytes {guest address, host address}, and of a translation cache in entries of 32 bytes.
JUMP_ENTRIES = 4096
TLB_ENTRIES = 1024
#: Where they lie, from the state pointer.
JUMP_BASE = 8192
JUMP_SIZE = JUMP_ENTRIES * 16
TLB_SIZE = TLB_ENTRIES * 32
PAGE_BITS = 12

#: A bit for every page number modulo 4096 that is in a jump cache.
JUMP_PAGES = 7680

#: Size of the table of translated entries.
ENTRY_BITS = 18

#: How constant data of stencils is cut out and placed.
CONSTANT_ALIGNMENT, CONSTANT_SIZE = 32, 96

#: Numbers of atomic operations that are kept, and how many low bits of an address share one.
RESERVATIONS, RESERVATION_BITS = 1 << 16, 4

#: Bits of the field `traced`.
TRACE_WALKS, TRACE_EXCEPTIONS = 1, 2


def tlb_base(arch: Arch) -> int:
    """Offset of the first translation cache from the state pointer."""
    return JUMP_BASE + arch.contexts * JUMP_SIZE


def state_size(arch: Arch) -> int:
    """Bytes after the state pointer."""
    return tlb_base(arch) + arch.mmu_modes * TLB_SIZE
