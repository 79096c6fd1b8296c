"""Message signalled interrupts (PCI Local Bus 3.0, chapter 6.8.1): an interrupt is a write to an address of the guest's."""

from __future__ import annotations

from typing import Any

from ratite.errors import DefinitionError
from ratite.hw.model import RO, RW, Register
from ratite.hw.pci.config import Capability


class Msi(Capability, size=0x18):
    """The capability, with 64-bit addresses and a mask for each of `vectors` messages (a power of two up to 32)."""

    number = 0x05

    class control(Register, offset=0x02, width=2):
        enable = RW(0)
        capable = RO(3, 1)
        chosen = RW(6, 4)
        wide, maskable = RO(7, reset=1), RO(8, reset=1)

        def on_write(self, block: Msi) -> None:
            self.chosen = min(self.chosen, self.capable)
            block.device.update_interrupt()
            block.send_pending()

    class address(Register, offset=0x04):
        value_ = RW(31, 2)

    class address_high(Register, offset=0x08):
        pass

    class data(Register, offset=0x0C, width=2):
        pass

    class mask(Register, offset=0x10):
        def on_write(self, block: Msi) -> None:
            self.value &= (1 << block.vectors) - 1
            block.send_pending()

    class pending(Register, offset=0x14, mode="ro"):
        pass

    def __init__(self, device: Any, vectors: int = 1) -> None:
        if vectors not in (1, 2, 4, 8, 16, 32):
            raise DefinitionError(f"a function has 1 to 32 messages, a power of two, not {vectors}")
        self.vectors = vectors
        super().__init__(device)

    def fill(self) -> None:
        self.control.capable = self.vectors.bit_length() - 1

    @property
    def enabled(self) -> bool:
        """Whether the guest wants messages."""
        return bool(self.control.enable)

    def notify(self, vector: int) -> None:
        """Send a message; a masked one stays pending. The guest may have asked for fewer than there are."""
        if not self.enabled or vector >= self.vectors:
            return
        vector &= (1 << self.control.chosen) - 1
        if self.mask.value >> vector & 1:
            self.pending.value |= 1 << vector
        else:
            self.device.send_message(self.address_high.value << 32 | self.address.value, self.data.value | vector)

    def send_pending(self) -> None:
        """Send what is no longer masked."""
        ready = self.pending.value & ~self.mask.value if self.enabled else 0
        self.pending.value &= ~ready
        for vector in range(self.vectors):
            if ready >> vector & 1:
                self.notify(vector)

    def reset_messages(self) -> None:
        """All of its state is in configuration space."""

    def save_messages(self) -> dict[str, Any]:
        """The same."""
        return {}

    def restore_messages(self, saved: dict[str, Any]) -> None:
        """The same."""
