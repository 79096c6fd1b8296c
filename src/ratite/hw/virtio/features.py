"""Feature bits (Virtual I/O Device 1.2, chapter 6 and the legacy sections) and the properties that switch them."""

from __future__ import annotations

from enum import IntEnum

from ratite.errors import UsageError
from ratite.hw.model import BOOL, Property
from ratite.hw.model.properties import Kind


class Feature(IntEnum):
    """Bits that every kind of device may have."""

    NOTIFY_ON_EMPTY = 24    # legacy
    ANY_LAYOUT = 27         # legacy
    RING_INDIRECT_DESC = 28
    RING_EVENT_IDX = 29
    VERSION_1 = 32
    RING_RESET = 40


LEGACY_ONLY = 1 << Feature.NOTIFY_ON_EMPTY | 1 << Feature.ANY_LAYOUT
MODERN_ONLY = 1 << Feature.VERSION_1 | 1 << Feature.RING_RESET


class FeatureProperty(Property[bool]):
    """A property, named as QEMU's, that decides whether a feature bit is offered."""

    def __init__(self, feature: IntEnum, default: bool, description: str) -> None:
        super().__init__(BOOL, default, description)
        self.feature = feature

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name
        super().__set_name__(owner, name)


def _only_off(text: str) -> bool:
    if text not in ("off", "no", "false", "n"):
        raise UsageError(text)
    return False


OFF: Kind[bool] = Kind("bool", "off alone: there is no support for it yet", _only_off, lambda value: value is False,
                       lambda value: "off")
"""A switch of QEMU's that cannot be turned on."""


def unsupported(name: str) -> Property[bool]:
    """Declare such a switch under its name."""
    return Property(OFF, False, "not supported; off is accepted").named(name)
