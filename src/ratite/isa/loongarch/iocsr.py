"""Registers of the core's surroundings (LoongArch Reference Manual, volume 1, v1.10, chapter 4.2.2).

Native code leaves with `Exit.BOARD`; who owns the vCPU answers: `owner.iocsr_read(address, size)` and
`owner.iocsr_write(address, size, value)`, with an access of 1, 2, 4 or 8 bytes.
"""

from __future__ import annotations

from typing import Any

from ratite.bits import mask, signed

#: Their addresses have this many bits.
ADDRESS_BITS = 32


def access(cpu: Any) -> None:
    """Do the rest of the instruction that `iocsr_word` is."""
    state = cpu.state
    word, address = state.iocsr_word, state.iocsr_address & mask(ADDRESS_BITS)
    rd, size = word & 31, 1 << (word >> 10 & 3)
    if word >> 12 & 1:
        cpu.owner.iocsr_write(address, size, state.r[rd] & mask(8 * size))
        return
    value = cpu.owner.iocsr_read(address, size)
    if rd:
        state.r[rd] = signed(value, 8 * size) & mask(64)
