"""The instruction table of LoongArch; the `la_*` files fill it."""

from ratite.isa.dsl import Table

LOONGARCH = Table("loongarch")
