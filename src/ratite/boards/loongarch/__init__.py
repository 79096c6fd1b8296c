"""LoongArch boards."""

from ratite.boards.loongarch import virt

__all__ = ["virt"]
