"""What all virtio devices share (Virtual I/O Device 1.2, chapter 2): status, features, queues, configuration space.

A device declares its feature bits as an enum, the properties that offer them with `FeatureProperty`, its queues in
`make_queues`, and its configuration space as registers: offset 0 of the device is offset 0 of the space. A transport,
`virtio-mmio` for one, is what the guest's driver talks to; it is plugged in with `attach_transport`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar, Protocol

from ratite.hw.model import Device
from ratite.hw.virtio.features import LEGACY_ONLY, MODERN_ONLY, Feature, FeatureProperty, unsupported
from ratite.hw.virtio.queue import Queue

BUS = "virtio-bus"
_MOMENT = 50_000    # nanoseconds in which others get the machine's lock


class Status(IntEnum):
    """Bits of the device status (2.1)."""

    ACKNOWLEDGE = 1
    DRIVER = 2
    DRIVER_OK = 4
    FEATURES_OK = 8
    NEEDS_RESET = 64
    FAILED = 128


_DRIVER_OK = int(Status.DRIVER_OK)


class Transport(Protocol):
    """How a virtio device is reached by the guest."""

    @property
    def legacy(self) -> bool:
        """Whether the guest sees the interface from before version 1.0."""

    def used_buffer_interrupt(self, queue: Queue) -> None:
        """Buffers of a queue were used."""

    def config_interrupt(self) -> None:
        """The configuration space, or the status, has changed."""


class VirtioDevice(Device, bus=BUS, access=(1, 4), abstract=True):
    """Base of the devices. Not modelled: packed virtqueues, an IOMMU in front of the device, administration queues."""

    virtio_id: ClassVar[int]

    indirect_desc = FeatureProperty(Feature.RING_INDIRECT_DESC, True, "chains may lie in a table of their own")
    event_idx = FeatureProperty(Feature.RING_EVENT_IDX, True, "notifications may be asked for by ring index")
    notify_on_empty = FeatureProperty(Feature.NOTIFY_ON_EMPTY, True, "legacy: interrupt when a queue runs empty")
    any_layout = FeatureProperty(Feature.ANY_LAYOUT, True, "legacy: requests may be cut into any descriptors")
    queue_reset = FeatureProperty(Feature.RING_RESET, True, "queues can be reset one by one")
    packed = unsupported("packed")
    iommu_platform = unsupported("iommu_platform")

    def setup(self) -> None:
        self.transport: Transport | None = None
        self.queues: list[Queue] = []
        self.status = 0
        self.generation = 0
        self.broken = False
        self._set_driver_features(0)

    # --- hooks for the device's author

    def make_queues(self) -> list[int]:
        """The size of each queue, for drivers that do not choose one."""
        raise NotImplementedError

    def adjust_features(self, features: int) -> int:
        """Add to what the properties offer, or take from it, what depends on more than one property."""
        return features

    def handle_queue(self, queue: Queue) -> None:
        """The guest says that there are buffers in `queue`."""

    def started(self) -> None:
        """The driver is ready (DRIVER_OK)."""

    # --- for the device

    def has(self, feature: int) -> bool:
        """Whether this feature bit was negotiated."""
        return bool(self.driver_features >> feature & 1)

    @property
    def modern(self) -> bool:
        """Whether the driver follows version 1.0 or later."""
        return self.has(Feature.VERSION_1)

    def interrupt(self, queue: Queue) -> None:
        """Tell the guest that buffers of a queue were used."""
        if self.transport is not None:
            self.transport.used_buffer_interrupt(queue)

    def config_changed(self) -> None:
        """Tell the guest that the configuration space has changed."""
        self.generation = (self.generation + 1) & 0xFFFFFFFF
        if self.transport is not None and self.status & Status.DRIVER_OK:
            self.transport.config_interrupt()

    def fail(self, reason: str) -> None:
        """The guest broke the rules: stop until it resets the device."""
        if self.broken:
            return
        self.broken = True
        self.guest_error(f"{reason}; the device stops until it is reset")
        if self.modern:
            self.status |= Status.NEEDS_RESET
            if self.transport is not None:
                self.transport.config_interrupt()

    def continue_later(self) -> None:
        """Look at the queues again in a moment, when others have had the machine's lock."""
        self._later.after(_MOMENT)

    # --- for transports

    def attach_transport(self, transport: Transport) -> None:
        """Become reachable."""
        self.transport = transport

    def offered_features(self) -> int:
        """What the driver may choose from."""
        switches = [prop for prop in self.properties.values() if isinstance(prop, FeatureProperty)]
        offered = sum(1 << prop.feature for prop in switches if self.__dict__[prop.attribute])
        offered = self.adjust_features(offered)
        if self.transport is not None and self.transport.legacy:
            return offered & ~MODERN_ONLY & 0xFFFFFFFF
        return (offered | 1 << Feature.VERSION_1) & ~LEGACY_ONLY

    def accept_features(self, features: int) -> None:
        """The driver's choice; changes after FEATURES_OK or DRIVER_OK are ignored."""
        if self.status & (Status.FEATURES_OK | Status.DRIVER_OK):
            self.guest_error("features were changed too late")
            return
        self._set_driver_features(features)

    def set_status(self, value: int) -> None:
        """The driver writes the device status; zero resets."""
        if value == 0:
            self.reset()
            return
        new = value & 0xFF | self.status & Status.NEEDS_RESET
        if new & ~self.status & Status.FEATURES_OK and not self._features_fit():
            self.guest_error(f"the driver's features {self.driver_features:#x} do not fit")
            new &= ~Status.FEATURES_OK
        begins = new & ~self.status & Status.DRIVER_OK
        self.status = new
        if begins:
            self._set_driver_features(self.driver_features & self.offered_features())
            self.started()
            self._look_at_queues()

    def notify_queue(self, index: int) -> None:
        """The driver has added buffers to a queue."""
        if index >= len(self.queues):
            self.guest_error(f"there is no queue {index}")
            return
        queue = self.queues[index]
        if queue.ready and not self.broken and (self.status & _DRIVER_OK or self._early_driver()):
            self.handle_queue(queue)

    def reset_queue(self, queue: Queue) -> None:
        """Take one queue back to the state after a device reset. Overriders finish what is under way first."""
        queue.reset()

    # --- the life of a device

    def realized(self) -> None:
        self.memory.on_change(self._memory_changed)
        self._later = self.clock.timer(self._look_at_queues)
        self.queues = [Queue(self, index, size) for index, size in enumerate(self.make_queues())]

    def _memory_changed(self) -> None:
        for queue in self.queues:
            queue.memory_changed()

    def reset(self) -> None:
        super().reset()
        self.status, self.broken = 0, False
        self._set_driver_features(0)
        for queue in self.queues:
            queue.reset()

    def save(self) -> dict[str, Any]:
        return super().save() | {
            "status": self.status,
            "driver_features": self.driver_features,
            "generation": self.generation,
            "broken": self.broken,
            "queues": [queue.save() for queue in self.queues],
        }

    def restore(self, saved: dict[str, Any]) -> None:
        self._set_driver_features(int(saved["driver_features"]))
        self.status, self.generation = int(saved["status"]) & 0xFF, int(saved["generation"])
        self.broken = False
        for queue, state in zip(self.queues, saved["queues"], strict=True):
            queue.load(state)
        self.broken = bool(saved["broken"])
        super().restore(saved)

    def loaded(self) -> None:
        """Overriders call this too: what the guest had queued is taken up again."""
        self.continue_later()

    # --- inside

    def _look_at_queues(self) -> None:
        for queue in self.queues:
            if queue.ready:
                self.notify_queue(queue.index)

    def _set_driver_features(self, features: int) -> None:
        self.driver_features = features
        self.uses_event_idx = self.has(Feature.RING_EVENT_IDX)
        self.uses_indirect = self.has(Feature.RING_INDIRECT_DESC)
        self.uses_notify_on_empty = self.has(Feature.NOTIFY_ON_EMPTY)

    def _early_driver(self) -> bool:
        """Legacy drivers may use queues before they set DRIVER_OK."""
        return self.transport is not None and self.transport.legacy

    def _features_fit(self) -> bool:
        return not self.driver_features & ~self.offered_features() and self.modern
