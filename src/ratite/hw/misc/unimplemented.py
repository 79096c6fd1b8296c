"""A place-holder for hardware that a board has and Ratite does not model."""

from __future__ import annotations

from ratite.hw.model import SIZE, STR, Device, Property


class Unimplemented(Device, name="unimplemented-device"):
    """Reads give zero, writes are ignored, and both appear in the log under `unimp`. Models nothing by intent."""

    size_ = Property(SIZE, 0x1000, "bytes of address space").named("size")
    label = Property(STR, "unimplemented", "what the hardware is called in the board's manual").named("name")

    def setup(self) -> None:
        self.size = self.size_
        self.id = self.label

    def mmio_read(self, offset: int, size: int) -> int:
        self.unimplemented(f"read of {size} bytes at offset {offset:#x}")
        return 0

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        self.unimplemented(f"write of {value:#x} ({size} bytes) at offset {offset:#x}")
