"""RISC-V boards."""

from ratite.boards.riscv import virt

__all__ = ["virt"]
