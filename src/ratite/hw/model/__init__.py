"""The device model: everything that a file in `ratite.hw` needs to declare a device."""

from ratite.hw.model.block import RegisterBlock
from ratite.hw.model.bus import Bus
from ratite.hw.model.clock import SECOND, Clock, CountedClock, RealClock, Timer, VirtualClock
from ratite.hw.model.device import DEVICES, SYSTEM_BUS, Device, find_device
from ratite.hw.model.line import Line, Output, Outputs, Sink
from ratite.hw.model.platform import BlockBackend, CharBackend, CharEvent, Platform
from ratite.hw.model.properties import (
    BOOL,
    INT32,
    INT64,
    SIZE,
    STR,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    Link,
    Links,
    Property,
    PropertyOwner,
    one_of,
)
from ratite.hw.model.register import RC, RO, RW, W0C, W1C, W1S, WO, Register, Window

__all__ = [
    "BOOL",
    "DEVICES",
    "INT32",
    "INT64",
    "RC",
    "RO",
    "RW",
    "SECOND",
    "SIZE",
    "STR",
    "SYSTEM_BUS",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "W0C",
    "W1C",
    "W1S",
    "WO",
    "BlockBackend",
    "Bus",
    "CharBackend",
    "CharEvent",
    "Clock",
    "CountedClock",
    "Device",
    "Line",
    "Link",
    "Links",
    "Output",
    "Outputs",
    "Platform",
    "Property",
    "PropertyOwner",
    "RealClock",
    "Register",
    "RegisterBlock",
    "Sink",
    "Timer",
    "VirtualClock",
    "Window",
    "find_device",
    "one_of",
]
