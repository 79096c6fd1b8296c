"""`virtio-mmio`: a virtio device in memory (Virtual I/O Device 1.2, chapter 4.2; the legacy interface is 4.2.4)."""

from __future__ import annotations

from typing import cast

from ratite.hw.model import BOOL, Bus, Device, Output, Property, Register, Window
from ratite.hw.virtio.device import BUS, VirtioDevice
from ratite.hw.virtio.queue import MAX_SIZE, Queue

_MAGIC = 0x7472_6976      # "virt"
_VENDOR = 0x554D_4551     # "QEMU", which guests expect of this board
_NO_REGION = 0xFFFF_FFFF  # length words of a shared memory region that does not exist
_USED_BUFFER, _CONFIG_CHANGE = 1, 2


class VirtioMmio(Device, name="virtio-mmio", size=0x200, access=(1, 4)):
    """A slot for one virtio device. An empty slot has device ID 0.

    With `force-legacy` (the default, as QEMU's) it is version 1 of the interface, else version 2. Not modelled: shared
    memory regions.
    """

    force_legacy = Property(BOOL, True, "show the interface from before virtio 1.0 (version 1)")
    irq = Output("interrupt request")
    state = ("device_features_word", "driver_features_word", "page_size", "alignment")

    def setup(self) -> None:
        self.device: VirtioDevice | None = None
        self.bus_ = Bus(BUS, "virtio-mmio-bus", capacity=1, plugged=self._plugged)
        self.buses.append(self.bus_)

    def realized(self) -> None:
        slot = self.id.rpartition(".")[2]
        if slot.isdecimal():
            self.bus_.name = f"virtio-mmio-bus.{slot}"

    def reset(self) -> None:
        super().reset()
        self.device_features_word = self.driver_features_word = 0
        self.page_size, self.alignment = 0, 4096
        self.irq.lower()

    def _plugged(self, device: Device) -> None:
        self.device = cast(VirtioDevice, device)
        self.device.attach_transport(self)

    # --- Transport

    @property
    def legacy(self) -> bool:
        return self.force_legacy

    def used_buffer_interrupt(self, queue: Queue) -> None:
        self.raise_interrupt(_USED_BUFFER)

    def config_interrupt(self) -> None:
        self.raise_interrupt(_CONFIG_CHANGE)

    def raise_interrupt(self, bits: int) -> None:
        """Set bits of the interrupt status."""
        self.interrupt_status.value |= bits
        self.irq.raise_()

    def clear_interrupts(self) -> None:
        """The device was reset. Page size and selectors stay: drivers choose those once, before they reset it."""
        self.interrupt_status.value = 0
        self.irq.lower()

    # --- helpers of the registers

    @property
    def queue(self) -> Queue | None:
        """The queue that the guest has selected."""
        queues = self.device.queues if self.device is not None else []
        index = self.queue_sel.value
        return queues[index] if index < len(queues) else None

    def selected(self, *, modern: bool) -> Queue | None:
        """The same for a register that exists in one version only, and not for a queue in use."""
        if modern == self.legacy:
            self.guest_error(f"a register of version {2 if modern else 1} in version {1 if self.legacy else 2}")
            return None
        return self.queue

    # --- the device as a whole

    class magic_value(Register, offset=0x000, mode="ro", reset=_MAGIC):
        pass

    class version(Register, offset=0x004, mode="ro"):
        def on_read(self, dev: VirtioMmio) -> None:
            self.value = 1 if dev.legacy else 2

    class device_id(Register, offset=0x008, mode="ro"):
        def on_read(self, dev: VirtioMmio) -> None:
            self.value = 0 if dev.device is None else dev.device.virtio_id

    class vendor_id(Register, offset=0x00C, mode="ro", reset=_VENDOR):
        pass

    class device_features(Register, offset=0x010, mode="ro"):
        def on_read(self, dev: VirtioMmio) -> None:
            offered = 0 if dev.device is None else dev.device.offered_features()
            self.value = offered >> 32 * dev.device_features_word & 0xFFFF_FFFF if dev.device_features_word < 2 else 0

    class device_features_sel(Register, offset=0x014, mode="wo"):
        def on_write(self, dev: VirtioMmio) -> None:
            dev.device_features_word = self.written

    class driver_features(Register, offset=0x020, mode="wo"):
        def on_write(self, dev: VirtioMmio) -> None:
            if dev.device is None or dev.driver_features_word > 1:
                return
            shift = 32 * dev.driver_features_word
            features = dev.device.driver_features & ~(0xFFFF_FFFF << shift) | self.written << shift
            dev.device.accept_features(features)

    class driver_features_sel(Register, offset=0x024, mode="wo"):
        def on_write(self, dev: VirtioMmio) -> None:
            dev.driver_features_word = self.written

    class interrupt_status(Register, offset=0x060, mode="ro"):
        pass

    class interrupt_ack(Register, offset=0x064, mode="wo"):
        def on_write(self, dev: VirtioMmio) -> None:
            dev.interrupt_status.value &= ~self.written
            if not dev.interrupt_status.value:
                dev.irq.lower()

    class status(Register, offset=0x070):
        def on_read(self, dev: VirtioMmio) -> None:
            self.value = 0 if dev.device is None else dev.device.status

        def on_write(self, dev: VirtioMmio) -> None:
            if dev.device is None:
                return
            dev.device.set_status(self.written)
            if not self.written:
                dev.clear_interrupts()

    class config_generation(Register, offset=0x0FC, mode="ro"):
        def on_read(self, dev: VirtioMmio) -> None:
            self.value = 0 if dev.device is None or dev.legacy else dev.device.generation

    # --- queues

    class queue_sel(Register, offset=0x030, mode="rw"):
        pass

    class queue_num_max(Register, offset=0x034, mode="ro"):
        def on_read(self, dev: VirtioMmio) -> None:
            self.value = 0 if dev.queue is None else MAX_SIZE    # whatever size the device would choose

    class queue_num(Register, offset=0x038, mode="wo"):
        def on_write(self, dev: VirtioMmio) -> None:
            if (queue := dev.queue) is not None and not queue.ready:
                queue.size = self.written

    class queue_notify(Register, offset=0x050, mode="wo"):
        def on_write(self, dev: VirtioMmio) -> None:
            if dev.device is not None:
                dev.device.notify_queue(self.written)

    class queue_ready(Register, offset=0x044):
        def on_read(self, dev: VirtioMmio) -> None:
            self.value = int((queue := dev.queue) is not None and queue.ready and not dev.legacy)

        def on_write(self, dev: VirtioMmio) -> None:
            if (queue := dev.selected(modern=True)) is None:
                return
            if not self.written & 1:
                queue.stop()
            elif not queue.ready:
                queue.start()

    class queue_reset(Register, offset=0x0C0):
        def on_read(self, dev: VirtioMmio) -> None:
            self.value = 0    # a reset is complete when the write returns

        def on_write(self, dev: VirtioMmio) -> None:
            queue = dev.selected(modern=True)
            if queue is not None and self.written & 1 and dev.device is not None:
                dev.device.reset_queue(queue)

    # --- the legacy interface: one page number for all three rings

    class guest_page_size(Register, offset=0x028, mode="wo"):
        def on_write(self, dev: VirtioMmio) -> None:
            dev.page_size = self.written

    class queue_align(Register, offset=0x03C, mode="wo"):
        def on_write(self, dev: VirtioMmio) -> None:
            dev.alignment = self.written

    class queue_pfn(Register, offset=0x040):
        def on_read(self, dev: VirtioMmio) -> None:
            queue = dev.queue if dev.legacy else None
            self.value = queue.desc // dev.page_size & 0xFFFF_FFFF if queue is not None and dev.page_size else 0

        def on_write(self, dev: VirtioMmio) -> None:
            if (queue := dev.selected(modern=False)) is not None and dev.device is not None:
                dev.place_legacy(queue, self.written)

    def place_legacy(self, queue: Queue, page: int) -> None:
        """Put the rings one behind the other at a page (2.7.2); page 0 takes the queue away."""
        if page and (not self.alignment or self.alignment & (self.alignment - 1) or not self.page_size):
            self.guest_error(f"queue alignment {self.alignment} or page size {self.page_size} makes no sense")
            return
        queue.place_legacy(page * self.page_size, self.alignment)

    # --- the modern one: an address for each ring

    class queue_desc(Register, offset=0x080, count=2, stride=4, mode="wo"):
        def on_write(self, dev: VirtioMmio) -> None:
            if (queue := dev.selected(modern=True)) is not None and not queue.ready:
                queue.desc = _with_word(queue.desc, self.index, self.written)

    class queue_driver(Register, offset=0x090, count=2, stride=4, mode="wo"):
        def on_write(self, dev: VirtioMmio) -> None:
            if (queue := dev.selected(modern=True)) is not None and not queue.ready:
                queue.avail = _with_word(queue.avail, self.index, self.written)

    class queue_device(Register, offset=0x0A0, count=2, stride=4, mode="wo"):
        def on_write(self, dev: VirtioMmio) -> None:
            if (queue := dev.selected(modern=True)) is not None and not queue.ready:
                queue.used = _with_word(queue.used, self.index, self.written)

    # --- shared memory: there is none

    class shm_sel(Register, offset=0x0AC, mode="wo"):
        pass

    class shm_len(Register, offset=0x0B0, count=2, stride=4, mode="ro", reset=_NO_REGION):
        pass

    class shm_base(Register, offset=0x0B8, count=2, stride=4, mode="ro", reset=_NO_REGION):
        pass

    # --- the device's configuration space

    class config(Window, offset=0x100, length=0x100):
        def read(self, dev: VirtioMmio, offset: int, size: int) -> int:
            return 0 if dev.device is None else dev.device.mmio_read(offset, size)

        def write(self, dev: VirtioMmio, offset: int, size: int, value: int) -> None:
            if dev.device is not None:
                dev.device.mmio_write(offset, size, value)


def _with_word(address: int, index: int, word: int) -> int:
    """Replace the low (0) or high (1) 32 bits."""
    shift = 32 * index
    return address & ~(0xFFFF_FFFF << shift) | word << shift
