"""Interrupt controllers, and timers that are one with them."""

from ratite.hw.intc import riscv_aclint, sifive_plic

__all__ = ["riscv_aclint", "sifive_plic"]
