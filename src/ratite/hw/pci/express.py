"""The PCI Express capability (PCI Express Base 3.0, chapter 7.8), version 2.

Links are always up; their speed and width are what the function says. Not modelled: errors, hot plug, power budgets,
completion timeouts, the extended capabilities (none is listed).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ratite.hw.model import RO, RW, W1C, Register
from ratite.hw.pci.config import Capability

_ROLE_BASED_ERRORS, _FUNCTION_RESET = 1 << 15, 1 << 28
_ENDPOINT_LINK, _PORT_LINK = 1 | 1 << 4, 4 | 32 << 4    # 2.5 GT/s with one lane, 16 GT/s with 32
_SLEEPS = 1 << 10                                       # the link may enter L0s


class PortType(IntEnum):
    """What kind of function it is."""

    ENDPOINT = 0
    ROOT_PORT = 4
    TO_CONVENTIONAL = 7
    INTEGRATED_ENDPOINT = 9


class Express(Capability, size=0x3C):
    """The capability of a function, or of a port with the slot number `slot`."""

    number = 0x10

    class flags(Register, offset=0x02, width=2, mode="ro"):
        version, port_type, slot = RO(3, 0, reset=2), RO(7, 4), RO(8)

    class device_capabilities(Register, offset=0x04, mode="ro"):
        pass

    class device_control(Register, offset=0x08, width=2):
        low, function_reset = RW(14, 0), RW(15)

        def on_write(self, block: Express) -> None:
            if self.function_reset and block.resettable:
                block.device.reset()
            self.function_reset = 0

    class device_status(Register, offset=0x0A, width=2):
        errors = W1C(3, 0)

    class link_capabilities(Register, offset=0x0C, mode="ro"):
        pass

    class link_control(Register, offset=0x10, width=2):
        power, common_clock = RW(1, 0), RW(6)

    class link_status(Register, offset=0x12, width=2, mode="ro"):
        pass

    class slot_capabilities(Register, offset=0x14, mode="ro"):
        pass

    class slot_control(Register, offset=0x18, width=2):
        interrupts = RW(5, 0)

    class slot_status(Register, offset=0x1A, width=2):
        events, present = W1C(4, 0), RO(6)

        def on_read(self, block: Express) -> None:
            self.present = int(block.occupied)

    class root_control(Register, offset=0x1C, width=2):
        enables = RW(3, 0)

    class root_capabilities(Register, offset=0x1E, width=2, mode="ro"):
        pass

    class root_status(Register, offset=0x20):
        event = W1C(16)

    class device_capabilities_2(Register, offset=0x24, mode="ro"):
        pass

    class device_control_2(Register, offset=0x28, width=2):
        pass

    class link_capabilities_2(Register, offset=0x2C, mode="ro"):
        pass

    class link_control_2(Register, offset=0x30, width=2):
        speed = RW(3, 0)

    class link_status_2(Register, offset=0x32, width=2, mode="ro"):
        pass

    def __init__(self, device: Any, kind: PortType, *, port: int = 0, slot: int | None = None) -> None:
        self.kind, self.port, self.slot = kind, port, slot
        super().__init__(device)

    @property
    def resettable(self) -> bool:
        """Whether it can be reset alone."""
        return self.kind in (PortType.ENDPOINT, PortType.INTEGRATED_ENDPOINT)

    @property
    def occupied(self) -> bool:
        """Whether there is something behind the port."""
        below = self.device.secondary
        return self.slot is not None and below is not None and bool(below.functions)

    def fill(self) -> None:
        self.flags.port_type, self.flags.slot = self.kind, int(self.slot is not None)
        self.device_capabilities.value = _ROLE_BASED_ERRORS | (_FUNCTION_RESET if self.resettable else 0)
        link = _PORT_LINK if self.kind is PortType.ROOT_PORT else _ENDPOINT_LINK
        self.link_capabilities.value = link | _SLEEPS | self.port << 24
        self.link_status.value = link
        if self.slot is not None:
            self.slot_capabilities.value = self.slot << 19
