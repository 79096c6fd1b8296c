"""The power management capability (PCI Bus Power Management Interface 1.2, chapter 3.2).

A function that is not in D0 answers to configuration accesses alone. Not modelled: power management events, data.
"""

from __future__ import annotations

from ratite.hw.model import RO, RW, Register
from ratite.hw.pci.config import Capability


class PowerManagement(Capability, size=8):
    """States D0 and D3; coming back does not reset the function."""

    number = 0x01

    class capabilities(Register, offset=2, width=2, mode="ro"):
        version = RO(2, 0, reset=3)

    class control(Register, offset=4, width=2):
        state = RW(1, 0)
        no_soft_reset = RO(3, reset=1)

        def on_write(self, block: PowerManagement) -> None:
            if self.state in (1, 2):    # no such states: the write is taken as one of D0
                self.state = 0
            block.device.command_changed()

    class bridge(Register, offset=6, width=2, mode="ro"):
        pass

    @property
    def awake(self) -> bool:
        """Whether the function is in D0."""
        return self.control.state == 0
