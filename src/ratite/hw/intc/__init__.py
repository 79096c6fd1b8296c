"""Interrupt controllers, and timers that are one with them."""

from ratite.hw.intc import loongarch_extioi, loongarch_ipi, loongarch_pch_pic, riscv_aclint, sifive_plic

__all__ = ["loongarch_extioi", "loongarch_ipi", "loongarch_pch_pic", "riscv_aclint", "sifive_plic"]
