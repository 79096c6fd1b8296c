"""What all virtio devices share (Virtual I/O Device 1.2, chapter 2): status, features, queues, configuration space.

A device declares its feature bits as an enum, the properties that offer them with `FeatureProperty`, its queues in
`make_queues`, and its configuration space as registers: offset 0 of the device is offset 0 of the space. A transport,
`virtio-mmio` for one, is what the guest's driver talks to; it is plugged in with `attach_transport`.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Any, ClassVar, Protocol

from ratite import log
from ratite.hw.model import Device
from ratite.hw.virtio.features import LEGACY_ONLY, MODERN_ONLY, Feature, FeatureProperty, unsupported
from ratite.hw.virtio.queue import Queue

BUS = "virtio-bus"


class Status(IntFlag):
    """Bits of the device status (2.1)."""

    ACKNOWLEDGE = 1
    DRIVER = 2
    DRIVER_OK = 4
    FEATURES_OK = 8
    NEEDS_RESET = 64
    FAILED = 128


class Transport(Protocol):
    """How a virtio device is reached by the guest."""

    @property
    def legacy(self) -> bool:
        """Whether the guest sees the interface from before version 1.0."""

    def used_buffer_interrupt(self) -> None:
        """Buffers were used."""

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
        self.status = Status(0)
        self.driver_features = 0
        self.generation = 0
        self.broken = False

    # --- hooks for the device's author

    def make_queues(self) -> list[int]:
        """The greatest size of each queue."""
        raise NotImplementedError

    def further_features(self) -> int:
        """Feature bits that no property of their own switches."""
        return 0

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

    def interrupt(self) -> None:
        """Tell the guest that buffers were used."""
        if self.transport is not None:
            self.transport.used_buffer_interrupt()

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

    # --- for transports

    def attach_transport(self, transport: Transport) -> None:
        """Become reachable."""
        self.transport = transport

    def offered_features(self) -> int:
        """What the driver may choose from."""
        offered = self.further_features()
        for prop in self.properties.values():
            if isinstance(prop, FeatureProperty) and getattr(self, f"offer_{prop.attribute}", True):
                offered |= int(self.__dict__[prop.attribute]) << prop.feature
        if self.transport is not None and self.transport.legacy:
            return offered & ~MODERN_ONLY & 0xFFFFFFFF
        return (offered | 1 << Feature.VERSION_1) & ~LEGACY_ONLY
