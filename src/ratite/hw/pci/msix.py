"""Interrupt messages from a table in memory space (MSI-X; PCI Local Bus 3.0, chapter 6.8.2)."""

from __future__ import annotations

from typing import Any

from ratite.errors import DefinitionError
from ratite.hw.model import RO, RW, Register, RegisterBlock
from ratite.hw.pci.config import Capability

MOST_VECTORS = 2048
_ENTRY = 16


class MessageTable(RegisterBlock, access=(4, 8)):
    """The table: for each vector an address, data, and a mask bit, which is set after a reset."""

    def __init__(self, owner: Msix) -> None:
        self.owner, self.vectors = owner, owner.vectors
        self.size = _ENTRY * self.vectors
        self._build_map()

    @property
    def label(self) -> str:
        return f"{self.owner.label}: MSI-X table"

    class address(Register, offset=0x0, count="vectors", stride=_ENTRY):
        value_ = RW(31, 2)

    class address_high(Register, offset=0x4, count="vectors", stride=_ENTRY):
        pass

    class data(Register, offset=0x8, count="vectors", stride=_ENTRY):
        pass

    class control(Register, offset=0xC, count="vectors", stride=_ENTRY):
        masked = RW(0, reset=1)

        def on_write(self, block: MessageTable) -> None:
            block.owner.send_pending(self.index)


class PendingBits(RegisterBlock, access=(4, 8)):
    """The pending bit array: messages that were masked when they should have gone."""

    def __init__(self, owner: Msix) -> None:
        self.owner = owner
        self.words = (owner.vectors + 63) // 64 * 2
        self.size = 4 * self.words
        self._build_map()

    @property
    def label(self) -> str:
        return f"{self.owner.label}: MSI-X pending bits"

    class bits(Register, offset=0, count="words", stride=4, mode="ro"):
        pass


class Msix(Capability, size=12):
    """The capability. Table and pending bits are in base address register `bar`, at these offsets."""

    number = 0x11

    class control(Register, offset=2, width=2):
        last = RO(10, 0)
        masked, enable = RW(14), RW(15)

        def on_write(self, block: Msix) -> None:
            block.device.update_interrupt()
            for vector in range(block.vectors):
                block.send_pending(vector)

    class table_place(Register, offset=4, mode="ro"):
        pass

    class pending_place(Register, offset=8, mode="ro"):
        pass

    def __init__(self, device: Any, vectors: int, *, bar: int, table: int = 0, pending: int | None = None) -> None:
        if not 0 < vectors <= MOST_VECTORS:
            raise DefinitionError(f"a function has 1 to {MOST_VECTORS} messages, not {vectors}")
        self.vectors = vectors
        self._bar, self.table_offset = bar, table
        self.pending_offset = table + _ENTRY * vectors if pending is None else pending
        super().__init__(device)
        self.table, self.pending = MessageTable(self), PendingBits(self)

    @property
    def end(self) -> int:
        """How many bytes of the base address register are needed."""
        return max(self.table_offset + self.table.size, self.pending_offset + self.pending.size)

    def fill(self) -> None:
        self.control.last = self.vectors - 1
        self.table_place.value = self.table_offset | self._bar
        self.pending_place.value = self.pending_offset | self._bar

    # --- what the base address register shows

    def mmio_at(self, offset: int) -> tuple[RegisterBlock, int] | None:
        """The part that answers at an offset of the base address register, and the offset in it."""
        for part, start in ((self.table, self.table_offset), (self.pending, self.pending_offset)):
            if start <= offset < start + part.size:
                return part, offset - start
        return None

    # --- messages

    @property
    def enabled(self) -> bool:
        """Whether the guest wants messages."""
        return bool(self.control.enable)

    def notify(self, vector: int) -> None:
        """Send a message; a masked one stays pending. A vector that does not exist sends nothing."""
        if not self.enabled or vector >= self.vectors:
            return
        if self.control.masked or self.table.control[vector].masked:
            self.pending.bits[vector >> 5].value |= 1 << (vector & 31)
        else:
            high, low = self.table.address_high[vector].value, self.table.address[vector].value
            self.device.send_message(high << 32 | low, self.table.data[vector].value)

    def send_pending(self, vector: int) -> None:
        """Send a pending message if it is no longer masked."""
        word, bit = self.pending.bits[vector >> 5], 1 << (vector & 31)
        if word.value & bit and self.enabled and not self.control.masked and not self.table.control[vector].masked:
            word.value &= ~bit
            self.notify(vector)

    # --- state beside configuration space

    def reset_messages(self) -> None:
        """Take the state after power-on."""
        self.table.reset_registers()
        self.pending.reset_registers()

    def save_messages(self) -> dict[str, Any]:
        """Table and pending bits."""
        return {"table": self.table.save_registers(), "pending": self.pending.save_registers()}

    def restore_messages(self, saved: dict[str, Any]) -> None:
        """Take over what `save_messages` gave."""
        self.table.restore_registers(saved["table"])
        self.pending.restore_registers(saved["pending"])


class MessageBar:
    """A base address register that holds nothing but an MSI-X table and its pending bits."""

    def __init__(self, msix: Msix) -> None:
        self.msix = msix
        self.size = max(4096, 1 << (msix.end - 1).bit_length())

    def mmio_read(self, offset: int, size: int) -> int:
        """Part of the table."""
        place = self.msix.mmio_at(offset)
        return 0 if place is None else place[0].mmio_read(place[1], size)

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        """Change the table."""
        place = self.msix.mmio_at(offset)
        if place is not None:
            place[0].mmio_write(place[1], size, value)
