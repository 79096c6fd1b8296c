"""Virtio devices as PCI functions (Virtual I/O Device 1.2, chapter 4.1; the legacy interface is 4.1.4.10).

A function is a transport with its device inside: it has the properties of both. What the guest sees of version 1.0 and
later is in base address register 4; the messages' table is in 1, the legacy interface in I/O space at 0.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar

from ratite.errors import UsageError
from ratite.hw.model import BOOL, UINT32, Clock, Platform, Property, Register, RegisterBlock, Window, one_of
from ratite.hw.pci.bar import Bar, Space
from ratite.hw.pci.config import Capability
from ratite.hw.pci.device import PciDevice
from ratite.hw.pci.express import Express, PortType
from ratite.hw.pci.header import Identity
from ratite.hw.pci.msix import MOST_VECTORS, MessageBar, Msix
from ratite.hw.pci.power import PowerManagement
from ratite.hw.virtio.blk import VirtioBlk
from ratite.hw.virtio.console import VirtioSerial
from ratite.hw.virtio.device import VirtioDevice
from ratite.hw.virtio.features import unsupported
from ratite.hw.virtio.net import VirtioNet
from ratite.hw.virtio.queue import Queue
from ratite.hw.virtio.rng import VirtioRng
from ratite.memory import AddressSpace

_VENDOR, _SUBSYSTEM = 0x1AF4, 0x1100
_MODERN_ID = 0x1040
_LEGACY_IDS = {1: 0x1000, 2: 0x1001, 3: 0x1003, 4: 0x1005}    # by virtio number (4.1.2.1)
_NO_VECTOR = 0xFFFF
_AUTOMATIC = 0xFFFF_FFFF
_USED_BUFFER, _CONFIG_CHANGE = 1, 2    # interrupt status
_LEGACY_BAR, _MESSAGE_BAR, _MODERN_BAR = 0, 1, 4
_PAGE = 4096
_ISR, _DEVICE, _NOTIFY, _END = 0x1000, 0x2000, 0x3000, 0x4000
_NOTIFY_STRIDE = 4
_CONFIG_VECTOR, _QUEUE_VECTOR = 0x10, 0x1A


class Part(IntEnum):
    """What a vendor-specific capability leads to (4.1.4)."""

    COMMON = 1
    NOTIFY = 2
    ISR = 3
    DEVICE = 4
    CONFIG_ACCESS = 5


class PartCapability(Capability, size=16):
    """Says where a part of the interface is (4.1.4)."""

    number = 0x09

    class length(Register, offset=2, width=1, mode="ro"):
        pass

    class part(Register, offset=3, width=1, mode="ro"):
        pass

    class bar(Register, offset=4, width=1, mode="ro"):
        pass

    class start(Register, offset=8, mode="ro"):
        pass

    class extent(Register, offset=12, mode="ro"):
        pass

    def __init__(self, device: Any, part: Part, start: int) -> None:
        super().__init__(device)
        self._values = part, start

    def fill(self) -> None:
        self.length.value = self.size
        self.part.value, self.start.value = self._values
        self.bar.value, self.extent.value = _MODERN_BAR, _PAGE


class NotifyCapability(PartCapability, size=20):
    """Where notifications go: queues' places are `multiplier` bytes apart (4.1.4.4)."""

    class multiplier(Register, offset=16, mode="ro", reset=_NOTIFY_STRIDE):
        pass


class ConfigAccessCapability(Capability, size=20):
    """Another way to the modern interface, for guests that cannot map memory (4.1.4.9)."""

    number = 0x09

    class length(Register, offset=2, width=1, mode="ro", reset=20):
        pass

    class part(Register, offset=3, width=1, mode="ro", reset=Part.CONFIG_ACCESS):
        pass

    class bar(Register, offset=4, width=1):
        pass

    class start(Register, offset=8):
        pass

    class extent(Register, offset=12):
        pass

    class data(Register, offset=16):
        def on_read(self, block: ConfigAccessCapability) -> None:
            if block.valid():
                self.value = block.device.mmio_read(block.start.value, block.extent.value)

        def on_write(self, block: ConfigAccessCapability) -> None:
            if block.valid():
                size = block.extent.value
                block.device.mmio_write(block.start.value, size, self.value & (1 << 8 * size) - 1)

    def valid(self) -> bool:
        """Whether the guest means an access to the modern interface, of a size that there is."""
        start, size = self.start.value, self.extent.value
        return self.bar.value == _MODERN_BAR and size in (1, 2, 4) and not start % size and start + size <= _END


class LegacyPorts(RegisterBlock, access=(1, 4)):
    """The interface from before version 1.0, in I/O space. While messages are in use, it has two registers more."""

    def __init__(self, owner: VirtioPci) -> None:
        self.owner = owner
        size = 0x18 + owner.backend.size
        self.size = 1 << (size - 1).bit_length()
        self._build_map()

    @property
    def label(self) -> str:
        return f"{self.owner.label}: legacy interface"

    class features(Register, offset=0x00, mode="ro"):
        def on_read(self, block: LegacyPorts) -> None:
            self.value = block.owner.backend.offered_features() & 0xFFFF_FFFF

    class accepted(Register, offset=0x04):
        def on_read(self, block: LegacyPorts) -> None:
            self.value = block.owner.backend.driver_features & 0xFFFF_FFFF

        def on_write(self, block: LegacyPorts) -> None:
            block.owner.backend.accept_features(self.written)

    class page(Register, offset=0x08):
        def on_read(self, block: LegacyPorts) -> None:
            queue = block.owner.queue
            self.value = 0 if queue is None else queue.desc // _PAGE & 0xFFFF_FFFF

        def on_write(self, block: LegacyPorts) -> None:
            if (queue := block.owner.queue) is not None:
                queue.place_legacy(self.written * _PAGE, _PAGE)

    class size_of_queue(Register, offset=0x0C, width=2, mode="ro"):
        def on_read(self, block: LegacyPorts) -> None:
            self.value = 0 if block.owner.queue is None else block.owner.queue.size

    class queue_select(Register, offset=0x0E, width=2):
        def on_read(self, block: LegacyPorts) -> None:
            self.value = block.owner.queue_select.value

        def on_write(self, block: LegacyPorts) -> None:
            block.owner.queue_select.value = self.written

    class notify(Register, offset=0x10, width=2, mode="wo"):
        def on_write(self, block: LegacyPorts) -> None:
            block.owner.backend.notify_queue(self.written)

    class status(Register, offset=0x12, width=1):
        def on_read(self, block: LegacyPorts) -> None:
            self.value = block.owner.backend.status

        def on_write(self, block: LegacyPorts) -> None:
            block.owner.set_status(self.written, legacy=True)

    class isr(Register, offset=0x13, width=1, mode="ro"):
        def on_read(self, block: LegacyPorts) -> None:
            self.value = block.owner.mmio_read(_ISR, 1)

    class rest(Window, offset=0x14, length=0x400):
        def read(self, block: LegacyPorts, offset: int, size: int) -> int:
            owner = block.owner
            if not owner.uses_messages:
                return owner.backend.mmio_read(offset, size)
            if offset < 4:
                words = owner.mmio_read(_CONFIG_VECTOR, 2) | owner.mmio_read(_QUEUE_VECTOR, 2) << 16
                return words >> 8 * offset & (1 << 8 * size) - 1
            return owner.backend.mmio_read(offset - 4, size)

        def write(self, block: LegacyPorts, offset: int, size: int, value: int) -> None:
            owner = block.owner
            if not owner.uses_messages:
                owner.backend.mmio_write(offset, size, value)
            elif offset >= 4:
                owner.backend.mmio_write(offset - 4, size, value)
            elif size == 2 and not offset & 1:
                owner.mmio_write(_QUEUE_VECTOR if offset else _CONFIG_VECTOR, 2, value)


class _Inside:
    """The machine as the device inside sees it: its memory is what the guest lets the function have."""

    def __init__(self, function: PciDevice) -> None:
        self.memory: AddressSpace = function.memory
        self.clock: Clock = function.clock
        self._platform: Platform = function.platform

    @property
    def lock(self) -> Any:
        return self._platform.lock

    def request_shutdown(self, status: int = 0) -> None:
        self._platform.request_shutdown(status)

    def request_reset(self) -> None:
        self._platform.request_reset()


class VirtioPci(PciDevice, abstract=True, size=_END):
    """Base of the functions. `backend` is the class of the device inside, `class_code` what kind of function it is.

    As in QEMU, a function on the root bus is transitional unless `disable-legacy=on`, and one behind a port is not
    unless `disable-legacy=off`. Not modelled: a page for each queue's notifications, address translation services.
    """

    backend_type: ClassVar[type[VirtioDevice]]
    inner_properties: ClassVar[dict[str, Property[Any]]]
    """Properties of the device inside, before anybody changed a default."""
    class_code: ClassVar[int]
    usual_vectors: ClassVar[int | None] = None
    """How many messages there are when the user does not say; one for each queue and one by default."""

    disable_legacy = Property(one_of("auto", "on", "off"), "auto", "leave out the interface from before version 1.0")
    disable_modern = Property(BOOL, False, "leave out the interface of version 1.0 and later")
    vectors = Property(UINT32, _AUTOMATIC, "interrupt messages, 0 for none; as many as make sense by default")
    ats, aer, page_per_vq = unsupported("ats"), unsupported("aer"), unsupported("page-per-vq")

    state = ("legacy", "queue_vectors", "own_config_vector", "device_features_word", "driver_features_word")

    def __init_subclass__(
        cls, backend: type[VirtioDevice] | None = None, class_code: int | None = None, **keywords: Any,
    ) -> None:
        super().__init_subclass__(**keywords)
        if backend is not None:
            cls.backend_type = backend
            cls.inner_properties = dict(backend.properties)
            cls.properties = {**cls.properties, **backend.properties}
        if class_code is not None:
            cls.class_code = class_code

    # --- life

    def setup(self) -> None:
        if self.disable_modern and self.disable_legacy == "on":
            raise UsageError(f"{self.name}: neither interface is left with disable-modern=on and disable-legacy=on")
        self.backend = self.make_backend()
        self.buses += self.backend.buses
        self.queue_limit = len(self.backend.make_queues())
        self.message_count = self._choose_vectors()
        self.legacy = self.disable_modern
        self._forget()

    def make_backend(self) -> VirtioDevice:
        """The device inside. What nobody has set is left to it: `-global` may have changed defaults of either."""
        chosen = {
            prop.attribute: self.__dict__[prop.attribute] for name, prop in self.inner_properties.items()
            if self.properties[name] is not prop or self.__dict__[prop.attribute] != prop.default
        }
        return self.backend_type(**chosen)

    def _choose_vectors(self) -> int:
        count = self.vectors
        if count == _AUTOMATIC:
            count = self.queue_limit + 1 if self.usual_vectors is None else self.usual_vectors
        if count > MOST_VECTORS:
            raise UsageError(f"{self.name}: vectors is 0 to {MOST_VECTORS}, not {count}")
        return count

    def realized(self) -> None:
        self.backend.id, self.backend.path = self.id, self.path
        self.backend.attach_transport(self)
        self.backend.realize(_Inside(self))
        legacy = self.disable_legacy == "off" or self.disable_modern
        legacy = legacy or (self.disable_legacy == "auto" and not self.on_express_link)
        self.identity = self._identify(legacy)
        if legacy:
            self.ports = LegacyPorts(self)
            self.add_bar(Bar(_LEGACY_BAR, self.ports.size, self.ports, Space.IO))
        if not self.disable_modern:
            self._add_modern()
        if self.message_count:
            half = max(0x800, 1 << (16 * self.message_count - 1).bit_length())
            self.msix = self.config.add_capability(Msix(self, self.message_count, bar=_MESSAGE_BAR, pending=half))
            table = MessageBar(self.msix)
            self.add_bar(Bar(_MESSAGE_BAR, table.size, table))
        if self.on_express_link:
            self.express = self.config.add_capability(Express(self, PortType.ENDPOINT))
            self.power = self.config.add_capability(PowerManagement(self))

    def _identify(self, legacy: bool) -> Identity:
        number = self.backend.virtio_id
        if legacy:
            return Identity(_VENDOR, _LEGACY_IDS[number], self.class_code, 0, _VENDOR, number)
        return Identity(_VENDOR, _MODERN_ID + number, self.class_code, 1, _VENDOR, _SUBSYSTEM)

    def _add_modern(self) -> None:
        self.add_bar(Bar(_MODERN_BAR, self.size, self, wide=True, prefetchable=True))
        for part, start in ((Part.COMMON, 0), (Part.ISR, _ISR), (Part.DEVICE, _DEVICE)):
            self.config.add_capability(PartCapability(self, part, start))
        self.config.add_capability(NotifyCapability(self, Part.NOTIFY, _NOTIFY))
        self.config.add_capability(ConfigAccessCapability(self))

    def reset(self) -> None:
        self.backend.reset()
        super().reset()
        self.legacy = self.disable_modern
        self._forget()

    def _forget(self) -> None:
        """The driver has reset the device."""
        self.queue_vectors = [_NO_VECTOR] * self.queue_limit
        self.own_config_vector = _NO_VECTOR
        self.device_features_word = self.driver_features_word = 0

    def save(self) -> dict[str, Any]:
        return super().save() | {"backend": self.backend.save()}

    def restore(self, saved: dict[str, Any]) -> None:
        super().restore(saved)
        self.backend.load(saved["backend"])

    # --- Transport

    legacy: bool
    """Whether the driver, as far as it is known, uses the legacy interface."""

    def used_buffer_interrupt(self, queue: Queue) -> None:
        self._interrupt(self.queue_vectors[queue.index], _USED_BUFFER)

    def config_interrupt(self) -> None:
        self._interrupt(self.own_config_vector, _CONFIG_CHANGE)

    def _interrupt(self, vector: int, bits: int) -> None:
        if self.msix is not None and self.msix.enabled:
            if vector != _NO_VECTOR:
                self.msix.notify(vector)
        else:
            self.isr.value |= bits
            self.set_interrupt(True)

    # --- helpers of the registers

    @property
    def uses_messages(self) -> bool:
        """Whether interrupts are messages."""
        return self.msix is not None and self.msix.enabled

    @property
    def queue(self) -> Queue | None:
        """The queue that the guest has selected."""
        index = self.queue_select.value
        return self.backend.queues[index] if index < len(self.backend.queues) else None

    def idle_queue(self) -> Queue | None:
        """The same when its addresses and size may be changed."""
        queue = self.queue
        return queue if queue is not None and not queue.ready else None

    def set_status(self, value: int, *, legacy: bool) -> None:
        """The driver writes the device status through one of the interfaces; that is the one it uses."""
        self.legacy = legacy
        self.backend.set_status(value)
        if not value:
            self._forget()
            self.isr.value = 0
            self.set_interrupt(False)

    def vector(self, wanted: int) -> int:
        """A vector if there is such a one; none else, which tells the driver."""
        return wanted if wanted < self.message_count else _NO_VECTOR

    # --- the modern interface: common configuration (4.1.4.3)

    class device_feature_select(Register, offset=0x00):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = dev.device_features_word

        def on_write(self, dev: VirtioPci) -> None:
            dev.device_features_word = self.value

    class device_feature(Register, offset=0x04, mode="ro"):
        def on_read(self, dev: VirtioPci) -> None:
            offered, word = dev.backend.offered_features(), dev.device_features_word
            self.value = offered >> 32 * word & 0xFFFF_FFFF if word < 2 else 0

    class driver_feature_select(Register, offset=0x08):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = dev.driver_features_word

        def on_write(self, dev: VirtioPci) -> None:
            dev.driver_features_word = self.value

    class driver_feature(Register, offset=0x0C):
        def on_read(self, dev: VirtioPci) -> None:
            word = dev.driver_features_word
            self.value = dev.backend.driver_features >> 32 * word & 0xFFFF_FFFF if word < 2 else 0

        def on_write(self, dev: VirtioPci) -> None:
            if dev.driver_features_word < 2:
                shift = 32 * dev.driver_features_word
                others = dev.backend.driver_features & ~(0xFFFF_FFFF << shift)
                dev.backend.accept_features(others | self.value << shift)

    class config_vector(Register, offset=_CONFIG_VECTOR, width=2, live=True):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = dev.own_config_vector

        def on_write(self, dev: VirtioPci) -> None:
            dev.own_config_vector = dev.vector(self.value)

    class queue_count(Register, offset=0x12, width=2, mode="ro"):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = dev.queue_limit

    class device_status(Register, offset=0x14, width=1, live=True):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = dev.backend.status

        def on_write(self, dev: VirtioPci) -> None:
            dev.set_status(self.written, legacy=False)

    class config_generation(Register, offset=0x15, width=1, mode="ro"):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = dev.backend.generation & 0xFF

    class queue_select(Register, offset=0x16, width=2):
        pass

    class queue_length(Register, offset=0x18, width=2, live=True):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = 0 if dev.queue is None else dev.queue.size & 0xFFFF

        def on_write(self, dev: VirtioPci) -> None:
            if (queue := dev.idle_queue()) is not None:
                queue.size = self.value

    class queue_vector(Register, offset=_QUEUE_VECTOR, width=2, live=True):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = _NO_VECTOR if dev.queue is None else dev.queue_vectors[dev.queue.index]

        def on_write(self, dev: VirtioPci) -> None:
            if dev.queue is not None:
                dev.queue_vectors[dev.queue.index] = dev.vector(self.value)

    class queue_enable(Register, offset=0x1C, width=2, live=True):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = int(dev.queue is not None and dev.queue.ready)

        def on_write(self, dev: VirtioPci) -> None:
            queue = dev.idle_queue()
            if self.value == 1 and queue is not None:
                queue.start()
            elif self.value != 1:
                dev.guest_error("a driver cannot disable a queue by writing 0")

    class queue_notify_offset(Register, offset=0x1E, width=2, mode="ro"):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = 0 if dev.queue is None else dev.queue.index

    class queue_desc(Register, offset=0x20, width=8, live=True):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = 0 if dev.queue is None else dev.queue.desc

        def on_write(self, dev: VirtioPci) -> None:
            if (queue := dev.idle_queue()) is not None:
                queue.desc = self.value

    class queue_driver(Register, offset=0x28, width=8, live=True):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = 0 if dev.queue is None else dev.queue.avail

        def on_write(self, dev: VirtioPci) -> None:
            if (queue := dev.idle_queue()) is not None:
                queue.avail = self.value

    class queue_device(Register, offset=0x30, width=8, live=True):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = 0 if dev.queue is None else dev.queue.used

        def on_write(self, dev: VirtioPci) -> None:
            if (queue := dev.idle_queue()) is not None:
                queue.used = self.value

    class queue_notify_data(Register, offset=0x38, width=2, mode="ro"):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = 0 if dev.queue is None else dev.queue.index

    class queue_restart(Register, offset=0x3A, width=2):
        def on_read(self, dev: VirtioPci) -> None:
            self.value = 0    # a reset is complete when the write returns

        def on_write(self, dev: VirtioPci) -> None:
            if self.value == 1 and dev.queue is not None:
                dev.backend.reset_queue(dev.queue)

    # --- interrupt status, the device's configuration, notifications

    class isr(Register, offset=_ISR, width=1, mode="rc"):
        def on_read(self, dev: VirtioPci) -> None:
            dev.set_interrupt(False)

    class device_config(Window, offset=_DEVICE, length=_PAGE):
        def read(self, dev: VirtioPci, offset: int, size: int) -> int:
            return dev.backend.mmio_read(offset, size)

        def write(self, dev: VirtioPci, offset: int, size: int, value: int) -> None:
            dev.backend.mmio_write(offset, size, value)

    class notification(Register, offset=_NOTIFY, width=2, count="queue_limit", stride=_NOTIFY_STRIDE, mode="wo"):
        def on_write(self, dev: VirtioPci) -> None:
            dev.backend.notify_queue(self.index)


class VirtioBlkPci(VirtioPci, name="virtio-blk-pci", alias="virtio-blk", backend=VirtioBlk, class_code=0x01_0000):
    """A disk (virtio-blk-device) as a PCI function."""


class VirtioBlkPciTransitional(VirtioBlkPci, name="virtio-blk-pci-transitional"):
    """A disk as a PCI function, with both interfaces wherever it is."""

    disable_legacy = Property(one_of("off"), "off", "off alone: this function has both interfaces")


class VirtioBlkPciNonTransitional(VirtioBlkPci, name="virtio-blk-pci-non-transitional"):
    """A disk as a PCI function, without the legacy interface."""

    disable_legacy = Property(one_of("on"), "on", "on alone: this function has no legacy interface")


class VirtioNetPci(VirtioPci, name="virtio-net-pci", alias="virtio-net", backend=VirtioNet, class_code=0x02_0000):
    """A network card (virtio-net-device) as a PCI function."""


class VirtioNetPciTransitional(VirtioNetPci, name="virtio-net-pci-transitional"):
    """A network card as a PCI function, with both interfaces wherever it is."""

    disable_legacy = Property(one_of("off"), "off", "off alone: this function has both interfaces")


class VirtioNetPciNonTransitional(VirtioNetPci, name="virtio-net-pci-non-transitional"):
    """A network card as a PCI function, without the legacy interface."""

    disable_legacy = Property(one_of("on"), "on", "on alone: this function has no legacy interface")


class VirtioSerialPci(VirtioPci, name="virtio-serial-pci", alias="virtio-serial", backend=VirtioSerial, class_code=0x07_8000):
    """A controller of serial ports (virtio-serial-device) as a PCI function."""

    usual_vectors = 2


class VirtioSerialPciTransitional(VirtioSerialPci, name="virtio-serial-pci-transitional"):
    """A controller of serial ports as a PCI function, with both interfaces wherever it is."""

    disable_legacy = Property(one_of("off"), "off", "off alone: this function has both interfaces")


class VirtioSerialPciNonTransitional(VirtioSerialPci, name="virtio-serial-pci-non-transitional"):
    """A controller of serial ports as a PCI function, without the legacy interface."""

    disable_legacy = Property(one_of("on"), "on", "on alone: this function has no legacy interface")


class VirtioRngPci(VirtioPci, name="virtio-rng-pci", alias="virtio-rng", backend=VirtioRng, class_code=0x00_FF00):
    """An entropy source (virtio-rng-device) as a PCI function."""


class VirtioRngPciTransitional(VirtioRngPci, name="virtio-rng-pci-transitional"):
    """An entropy source as a PCI function, with both interfaces wherever it is."""

    disable_legacy = Property(one_of("off"), "off", "off alone: this function has both interfaces")


class VirtioRngPciNonTransitional(VirtioRngPci, name="virtio-rng-pci-non-transitional"):
    """An entropy source as a PCI function, without the legacy interface."""

    disable_legacy = Property(one_of("on"), "on", "on alone: this function has no legacy interface")
