"""Exceptions by number (LoongArch Reference Manual, volume 1, v1.10, chapter 7.4.6, table 21)."""

from __future__ import annotations

from enum import IntEnum


class Cause(IntEnum):
    """Exceptions as `s.trap` takes them: ESTAT.Ecode, and from bit 16 on ESTAT.EsubCode."""

    LOAD_PAGE = 0x1
    """PIL: load from a page that is not there."""
    STORE_PAGE = 0x2
    """PIS: store to a page that is not there."""
    FETCH_PAGE = 0x3
    """PIF: fetch from a page that is not there."""
    MODIFIED = 0x4
    """PME: store to a page that is not marked as written."""
    NOT_READABLE = 0x5
    """PNR."""
    NOT_EXECUTABLE = 0x6
    """PNX."""
    PRIVILEGE_LEVEL = 0x7
    """PPI: the page is for other privilege levels."""
    FETCH_ADDRESS = 0x8
    """ADEF: fetch from an address that can not be."""
    MEMORY_ADDRESS = 0x1_0008
    """ADEM: load or store at an address that can not be."""
    ALIGNMENT = 0x9
    """ALE."""
    BOUND_CHECK = 0xA
    """BCE."""
    SYSTEM_CALL = 0xB
    """SYS."""
    BREAKPOINT = 0xC
    """BRK."""
    ILLEGAL = 0xD
    """INE: the instruction does not exist."""
    PRIVILEGED = 0xE
    """IPE: the instruction is for a more privileged level."""
    FP_DISABLED = 0xF
    """FPD."""
    NO_LSX = 0x10
    """SXD: vectors of 128 bits are switched off."""
    NO_LASX = 0x11
    """ASXD: vectors of 256 bits are switched off."""
    FLOATING_POINT = 0x12
    """FPE: an enabled floating-point exception."""
    VECTOR_FLOATING_POINT = 0x1_0012
    """VFPE: the same of a vector instruction."""
    TLB_REFILL = 0x3F
    """TLBR: there is no translation."""
