"""Configuration space of a function: blocks of registers, and the list of capabilities (PCI Local Bus 3.0, chapter 6).

Offsets are dealt out in words of 32 bits; what no block covers reads as zero and ignores writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ratite.errors import DefinitionError
from ratite.hw.model import Register, RegisterBlock

if TYPE_CHECKING:
    from ratite.hw.pci.device import PciDevice

CONVENTIONAL, EXTENDED = 256, 4096
"""Bytes of configuration space, without and with PCI Express."""
_FIRST_CAPABILITY = 0x40


class ConfigBlock(RegisterBlock, access=(1, 4)):
    """Some registers of a function's configuration space."""

    def __init__(self, device: PciDevice) -> None:
        self.device = device
        self._build_map()

    @property
    def label(self) -> str:
        return self.device.label

    def reset(self) -> None:
        """Take the state after power-on."""
        self.reset_registers()
        self.fill()

    def fill(self) -> None:
        """Set what the function decides and no declaration knows: identity, sizes."""


class Capability(ConfigBlock):
    """An entry of the capabilities list (6.7): its number, the place of the next one, and what is its own.

    A subclass states its `number`, and its `size` including these two bytes.
    """

    number: ClassVar[int]

    class capability_id(Register, offset=0, width=1, mode="ro"):
        pass

    class next_capability(Register, offset=1, width=1, mode="ro"):
        pass

    def __init__(self, device: PciDevice) -> None:
        super().__init__(device)
        self.next = 0

    def reset(self) -> None:
        super().reset()
        self.capability_id.value, self.next_capability.value = self.number, self.next


B = TypeVar("B", bound=ConfigBlock)
C = TypeVar("C", bound=Capability)


class ConfigSpace:
    """All of a function's configuration space."""

    def __init__(self, size: int = CONVENTIONAL) -> None:
        self.size = size
        self.first_capability = 0
        self._blocks: dict[int, ConfigBlock] = {}
        self._words: dict[int, tuple[ConfigBlock, int]] = {}    # by word: the block, and where it begins
        self._free = _FIRST_CAPABILITY

    def add(self, block: B, offset: int) -> B:
        """Put a block at an offset. Raises DefinitionError where it overlaps another one or does not fit."""
        words = range(offset >> 2, offset + block.size + 3 >> 2)
        if offset & 3 or offset + block.size > self.size or any(word in self._words for word in words):
            raise DefinitionError(f"{block.label}: {type(block).__name__} does not fit at {offset:#x}")
        self._blocks[offset] = block
        self._words.update((word, (block, offset)) for word in words)
        return block

    def add_capability(self, capability: C, offset: int = 0) -> C:
        """Put a capability at the head of the list; without an offset, behind the one added before."""
        offset = offset or self._free
        self.add(capability, offset)
        self._free = offset + capability.size + 3 & ~3
        capability.next, self.first_capability = self.first_capability, offset
        return capability

    def blocks(self) -> Iterator[tuple[int, ConfigBlock]]:
        """All blocks with their offsets."""
        return iter(self._blocks.items())

    # --- accesses by the guest

    def read(self, offset: int, size: int) -> int:
        """Read 1, 2 or 4 bytes; ones where there is no such space."""
        if offset + size > self.size:
            return (1 << 8 * size) - 1
        if (offset & 3) + size > 4:
            return sum(self.read(offset + i, 1) << 8 * i for i in range(size))
        block, start = self._words.get(offset >> 2, (None, 0))
        return 0 if block is None else block.mmio_read(offset - start, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write 1, 2 or 4 bytes."""
        if offset + size > self.size:
            return
        if (offset & 3) + size > 4:
            for i in range(size):
                self.write(offset + i, 1, value >> 8 * i & 0xFF)
            return
        block, start = self._words.get(offset >> 2, (None, 0))
        if block is not None:
            block.mmio_write(offset - start, size, value)

    # --- state

    def reset(self) -> None:
        """Take the state after power-on."""
        for block in self._blocks.values():
            block.reset()

    def save(self) -> dict[str, Any]:
        """The registers of all blocks, by offset."""
        return {f"{offset:#x}": block.save_registers() for offset, block in self._blocks.items()}

    def restore(self, saved: dict[str, Any]) -> None:
        """Take over what `save` gave."""
        for offset, block in self._blocks.items():
            block.restore_registers(saved[f"{offset:#x}"])
