"""What all PCI functions share (PCI Local Bus 3.0; PCI Express Base 3.0 where the bus is one).

A function declares its identity, adds base address registers and capabilities in `realized`, and raises interrupts with
`set_interrupt` (a pin) or through its `msix`. Its own registers are what its first base address register shows, unless
it says otherwise. `memory` is guest memory as far as the guest lets the function have it (bus mastering).

Not modelled: hot plug, power states beyond "answers" and "does not", error reporting, IOMMUs, memory of its own in a
base address register.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ratite.errors import HostError, ImageError, UsageError
from ratite.hw.model import BOOL, STR, UINT32, Device, Platform, Property
from ratite.hw.pci.bar import Bar, Claim, RomImage, Space
from ratite.hw.pci.bus import ADDRESS, BUS, PINS, PciBus
from ratite.hw.pci.config import CONVENTIONAL, EXTENDED, ConfigSpace
from ratite.hw.pci.express import Express
from ratite.hw.pci.header import FunctionHeader, Header, Identity
from ratite.hw.pci.msi import Msi
from ratite.hw.pci.msix import Msix
from ratite.hw.pci.power import PowerManagement
from ratite.memory import BusMaster

_LARGEST_ROM = 16 << 20


class PciDevice(Device, bus=BUS, abstract=True):
    """Base of the functions."""

    identity: Identity
    """Vendor, device and class; a class constant, or set in `setup` or `realized`."""
    header_type: ClassVar[type[Header]] = FunctionHeader
    interrupt_pin: int = 1
    """1 for INTA#, 0 for none."""

    addr = Property(ADDRESS, -1, "device and function number on the bus; the next free device by default")
    multifunction = Property(BOOL, False, "whether there are further functions with this device number")
    romfile = Property(STR, "", "file with the expansion ROM; none by default")
    rombar = Property(UINT32, 1, "0 hides the expansion ROM")

    slot = 0
    """Device number * 8 + function number."""
    secondary: PciBus | None = None
    """The bus behind a bridge."""
    conventional_bus = False
    """Whether that is a conventional one, with wires of its own."""
    memory: BusMaster
    _pin_wanted = _pin_level = False

    # --- for the function's author

    def add_bar(self, bar: Bar) -> None:
        """Show something in memory or I/O space; called in `realized`."""
        self.bars.append(bar)
        self.header.add_bar(bar)

    def set_interrupt(self, level: bool) -> None:
        """Drive the interrupt pin; it is kept low while messages are in use or the guest has switched it off."""
        if level != self._pin_wanted:
            self._pin_wanted = level
            self.update_interrupt()

    @property
    def messages(self) -> Msix | Msi | None:
        """Whichever kind of interrupt messages the guest has switched on."""
        for kind in (self.msix, self.msi):
            if kind is not None and kind.enabled:
                return kind
        return None

    def send_message(self, address: int, data: int) -> None:
        """Interrupt by a write to memory."""
        if self.parent is not None and self.memory.enabled:
            self.parent.host.deliver(self, address, data)

    # --- life

    def realize(self, platform: Platform) -> None:
        self.platform, self.clock = platform, platform.clock
        self.memory = BusMaster(platform.memory)
        self._build_config()
        self.realized()
        self._add_rom()
        self.reset()

    @property
    def parent(self) -> PciBus | None:
        """The bus that it is on."""
        bus = self.parent_bus
        return bus if isinstance(bus, PciBus) else None

    @property
    def on_express_link(self) -> bool:
        """Whether it is an endpoint of PCI Express; on the root bus functions are integrated, and conventional."""
        return self.parent is not None and self.parent.express and not self.parent.is_root

    def _build_config(self) -> None:
        self.bars: list[Bar] = []
        self.msix: Msix | None = None
        self.msi: Msi | None = None
        self.express: Express | None = None
        self.power: PowerManagement | None = None
        self._rom: RomImage | None = None
        self.config = ConfigSpace(EXTENDED if self.extended else CONVENTIONAL)
        self.header = self.config.add(self.header_type(self), 0)

    @property
    def extended(self) -> bool:
        """Whether it has 4096 bytes of configuration space."""
        return self.on_express_link

    def _add_rom(self) -> None:
        if not self.romfile:
            return
        try:
            with open(self.romfile, "rb") as file:
                content = file.read(_LARGEST_ROM + 1)
        except OSError as error:
            raise HostError(f"{self.name}: romfile '{self.romfile}': {error.strerror}") from None
        if not 0 < len(content) <= _LARGEST_ROM:
            raise ImageError(f"{self.name}: romfile '{self.romfile}' is empty or larger than {_LARGEST_ROM >> 20} MiB")
        if self.rombar > 1:
            raise UsageError(f"{self.name}: rombar is 0 or 1, not {self.rombar}")
        if self.rombar:
            self._rom = RomImage(content)
            self.header.rom_mask = -self._rom.size & 0xFFFF_FFFF

    def reset(self) -> None:
        super().reset()
        self.config.reset()
        for table in (self.msix, self.msi):
            if table is not None:
                table.reset_messages()
        self._pin_wanted = False
        self.command_changed()

    # --- what the guest's configuration does

    def command_changed(self) -> None:
        """The command register or the power state has changed."""
        self.decoding_changed()
        self.memory.enabled = bool(self.header.command.master) and self.awake
        self.update_interrupt()

    def decoding_changed(self) -> None:
        """Where it answers may have changed."""
        if self.parent is not None:
            self.parent.host.decoding_changed()

    @property
    def awake(self) -> bool:
        """Whether it is in a power state in which it works."""
        return self.power is None or self.power.awake

    def claims(self, space: Space) -> Iterator[Claim]:
        """Where it answers at present."""
        if not self.header.decodes(space) or not self.awake:
            return
        for bar in self.bars:
            if bar.space is space and (claim := bar.claim(self.header.words(bar))) is not None:
                yield claim
        rom = self.header.rom.value
        if self._rom is not None and space is Space.MEMORY and rom & 1 and rom & self.header.rom_mask:
            start = rom & self.header.rom_mask
            yield Claim(start, start + self._rom.size, 0, self._rom)

    def routes(self, bus: int) -> bool:
        """Whether configuration accesses to this bus go through it; bridges say so."""
        return False

    def reset_secondary(self) -> None:
        """The guest resets what is behind it; bridges do."""

    def update_interrupt(self) -> None:
        """Let the pin be what function and guest want."""
        self.header.status.interrupt = int(self._pin_wanted)
        level = self._pin_wanted and not self.header.command.interrupt_off and self.messages is None
        if level != self._pin_level:
            self._pin_level = level
            self._drive_pin()

    def _drive_pin(self) -> None:
        if self.parent is not None and self.interrupt_pin:
            self.parent.interrupt(self, self.slot, (self.interrupt_pin - 1) % PINS, self._pin_level)

    # --- saved state

    def save(self) -> dict[str, Any]:
        tables = {name: table.save_messages() for name in ("msix", "msi") if (table := getattr(self, name)) is not None}
        return super().save() | {"config": self.config.save(), "pin": self._pin_wanted, **tables}

    def restore(self, saved: dict[str, Any]) -> None:
        self.config.restore(saved["config"])
        for name in ("msix", "msi"):
            if (table := getattr(self, name)) is not None:
                table.restore_messages(saved[name])
        self._pin_wanted = bool(saved["pin"])
        self.memory.enabled = bool(self.header.command.master) and self.awake    # before what restores queues
        super().restore(saved)

    def loaded(self) -> None:
        """Overriders call this too."""
        super().loaded()
        self.command_changed()
