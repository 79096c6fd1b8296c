"""Headers of configuration space: type 0 of functions, type 1 of bridges.

PCI Local Bus 3.0, chapter 6.1 and 6.2; PCI-to-PCI Bridge Architecture 1.2, chapter 3.2. Not modelled: parity and system
errors (their bits stay clear), self test, bridges' decoding of VGA and ISA addresses.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ratite.hw.model import RO, RW, W1C, Register
from ratite.hw.pci.bar import Bar, Claim, Space
from ratite.hw.pci.config import ConfigBlock

_ROM_ENABLED = 1
_MULTIFUNCTION = 0x80
_IO_UNIT, _MEMORY_UNIT = 1 << 12, 1 << 20    # granularity of a bridge's windows


class Identity(NamedTuple):
    """What a function says it is. `class_code` is base class, subclass and programming interface, of 8 bits each."""

    vendor: int
    device: int
    class_code: int
    revision: int = 0
    subsystem_vendor: int = 0x1AF4
    subsystem: int = 0x1100


class Status(Register):
    """The status of a function, or of a bridge's other side: who resets errors writes ones."""

    interrupt = RO(3)
    capabilities = RO(4)
    fast_clock, fast_back_to_back = RO(5), RO(7)
    data_parity_error = W1C(8)
    signalled_target_abort, received_target_abort = W1C(11), W1C(12)
    received_master_abort = W1C(13)
    signalled_system_error = W1C(14)
    parity_error = W1C(15)


class BaseAddress(Register):
    """Base address registers of a header; which of their bits exist, the function's bars say."""

    def on_write(self, block: Header) -> None:
        self.value = self.value & block.bar_masks[self.index] | block.bar_bits[self.index]
        block.device.decoding_changed()


class Header(ConfigBlock, size=0x40, width=2):
    """What both types have in common."""

    kind = 0
    bar_count = 6

    bar: Any
    rom: Any

    class vendor(Register, offset=0x00, mode="ro"):
        pass

    class device_id(Register, offset=0x02, mode="ro"):
        pass

    class command(Register, offset=0x04):
        io, memory, master = RW(0), RW(1), RW(2)
        system_error = RW(8)
        interrupt_off = RW(10)

        def on_write(self, block: Header) -> None:
            block.device.command_changed()

    class status(Status, offset=0x06):
        pass

    class revision(Register, offset=0x08, width=4, mode="ro"):
        number, class_code = RO(7, 0), RO(31, 8)

    class cache_line(Register, offset=0x0C, width=1):
        pass

    class latency(Register, offset=0x0D, width=1, mode="ro"):
        pass

    class header_type(Register, offset=0x0E, width=1, mode="ro"):
        pass

    class self_test(Register, offset=0x0F, width=1, mode="ro"):
        pass

    class capabilities(Register, offset=0x34, width=1, mode="ro"):
        pass

    class interrupt_line(Register, offset=0x3C, width=1):
        pass

    class interrupt_pin(Register, offset=0x3D, width=1, mode="ro"):
        pass

    def __init__(self, device: Any) -> None:
        self.bar_masks, self.bar_bits = [0] * self.bar_count, [0] * self.bar_count
        self.rom_mask = 0
        super().__init__(device)

    def fill(self) -> None:
        device, identity = self.device, self.device.identity
        self.vendor.value, self.device_id.value = identity.vendor, identity.device
        self.revision.value = identity.class_code << 8 | identity.revision
        self.header_type.value = self.kind | _MULTIFUNCTION * device.multifunction
        self.capabilities.value = device.config.first_capability
        self.status.capabilities = int(bool(self.capabilities.value))
        self.interrupt_pin.value = device.interrupt_pin
        for register, bits in zip(self.bar, self.bar_bits, strict=True):
            register.value = bits

    def add_bar(self, bar: Bar) -> None:
        """Give a base address register its size."""
        for index, mask in enumerate(bar.masks(), bar.index):
            self.bar_masks[index] = mask
        self.bar_bits[bar.index] = bar.kind_bits

    def decodes(self, space: Space) -> bool:
        """Whether the function answers in a space at all."""
        return bool(self.command.io if space is Space.IO else self.command.memory)

    def words(self, bar: Bar) -> list[int]:
        """What the registers of a bar hold."""
        return [register.value for register in self.bar[bar.index:bar.index + 1 + bar.wide]]


class RomAddress(Register):
    """The expansion ROM's base address register: bit 0 makes the ROM answer."""

    def on_write(self, block: Header) -> None:
        self.value &= block.rom_mask | (_ROM_ENABLED if block.rom_mask else 0)
        block.device.decoding_changed()


class FunctionHeader(Header, width=2):
    """Type 0: any function but a bridge."""

    class bar(BaseAddress, offset=0x10, width=4, count=6, stride=4):
        pass

    class cardbus(Register, offset=0x28, width=4, mode="ro"):
        pass

    class subsystem_vendor(Register, offset=0x2C, mode="ro"):
        pass

    class subsystem(Register, offset=0x2E, mode="ro"):
        pass

    class rom(RomAddress, offset=0x30, width=4):
        pass

    class timing(Register, offset=0x3E, mode="ro"):
        pass

    def fill(self) -> None:
        super().fill()
        self.subsystem_vendor.value = self.device.identity.subsystem_vendor
        self.subsystem.value = self.device.identity.subsystem


class WindowRegister(Register):
    """Part of the description of what a bridge passes on."""

    def on_write(self, block: Header) -> None:
        block.device.decoding_changed()


class BridgeHeader(Header, width=2):
    """Type 1: a bridge. All its windows are there, with 16-bit I/O and 64-bit prefetchable addresses."""

    kind = 1
    bar_count = 2

    class bar(BaseAddress, offset=0x10, width=4, count=2, stride=4):
        pass

    class primary(Register, offset=0x18, width=1):
        pass

    class secondary(Register, offset=0x19, width=1):
        pass

    class subordinate(Register, offset=0x1A, width=1):
        pass

    class secondary_latency(Register, offset=0x1B, width=1):
        pass

    class io_base(WindowRegister, offset=0x1C, width=1):
        page = RW(7, 4)

    class io_limit(WindowRegister, offset=0x1D, width=1):
        page = RW(7, 4)

    class secondary_status(Status, offset=0x1E):
        pass

    class memory_base(WindowRegister, offset=0x20):
        page = RW(15, 4)

    class memory_limit(WindowRegister, offset=0x22):
        page = RW(15, 4)

    class prefetchable_base(WindowRegister, offset=0x24):
        kind, page = RO(3, 0, reset=1), RW(15, 4)

    class prefetchable_limit(WindowRegister, offset=0x26):
        kind, page = RO(3, 0, reset=1), RW(15, 4)

    class prefetchable_base_high(WindowRegister, offset=0x28, width=4):
        pass

    class prefetchable_limit_high(WindowRegister, offset=0x2C, width=4):
        pass

    class io_high(Register, offset=0x30, width=4, mode="ro"):
        pass

    class rom(RomAddress, offset=0x38, width=4):
        pass

    class control(Register, offset=0x3E):
        parity, system_error, isa, vga, vga_16 = RW(0), RW(1), RW(2), RW(3), RW(4)
        master_abort, secondary_reset = RW(5), RW(6)

        def on_write(self, block: BridgeHeader) -> None:
            if self.secondary_reset:
                block.device.reset_secondary()

    def fill(self) -> None:
        super().fill()
        if self.device.conventional_bus:
            for status in (self.status, self.secondary_status):
                status.fast_clock = status.fast_back_to_back = 1
        else:    # a port passes nothing on until it is told to
            self.io_base.page, self.memory_base.page, self.prefetchable_base.page = 0xF, 0xFFF, 0xFFF

    def ranges(self, space: Space) -> list[tuple[int, int]]:
        """The addresses that are passed on to the secondary bus: (first, one after the last); none where first is
        above last.
        """
        if space is Space.IO:
            return [(self.io_base.page << 12, (self.io_limit.page << 12) + _IO_UNIT)]
        base = self.prefetchable_base_high.value << 32 | self.prefetchable_base.page << 20
        limit = self.prefetchable_limit_high.value << 32 | self.prefetchable_limit.page << 20
        plain = self.memory_base.page << 20, (self.memory_limit.page << 20) + _MEMORY_UNIT
        return [plain, (base, limit + _MEMORY_UNIT)]

    def passes(self, claim: Claim, space: Space) -> list[Claim]:
        """The parts of a claim behind the bridge that can be reached through it."""
        parts = (claim.clipped(*window) for window in self.ranges(space))
        return [part for part in parts if part is not None]
