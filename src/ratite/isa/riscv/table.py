"""The instruction table of RISC-V; the `rv_*` files fill it."""

from ratite.isa.dsl import Table

RISCV = Table("riscv")
