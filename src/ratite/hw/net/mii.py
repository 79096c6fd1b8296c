"""A copper transceiver behind a management interface (IEEE 802.3, clause 22; Marvell 88E1011 for the registers above 15).

It has one partner, with which it agrees on 1000 Mbit/s full duplex at once. Not modelled: forced speeds, loopback,
cable tests, pages of registers.
"""

from __future__ import annotations

from ratite.hw.model import RO, RW, Register, RegisterBlock

_WIDTH = 2


class Transceiver(RegisterBlock, size=64, width=_WIDTH, access=(2, 2)):
    """32 registers of 16 bits; register n is at 2 * n."""

    def __init__(self, label: str) -> None:
        self.owner_label = label
        self.link_up = True
        self._build_map()

    @property
    def label(self) -> str:
        return f"{self.owner_label}: transceiver"

    class control(Register, offset=0):
        speed_high, collision_test = RW(6, reset=1), RW(7)
        full_duplex, restart = RW(8, reset=1), RW(9)
        isolate, power_down = RW(10), RW(11)
        negotiate, speed_low = RW(12, reset=1), RW(13)
        loopback, reset_ = RW(14), RW(15)

        def on_write(self, block: Transceiver) -> None:
            if self.reset_:
                block.reset_registers()
            self.restart = self.reset_ = 0    # both are over when the write returns

    class status(Register, offset=1 * _WIDTH):
        extended = RO(0, reset=1)
        link, can_negotiate = RO(2), RO(3, reset=1)
        negotiated = RO(5)
        no_preamble, extended_status = RO(6, reset=1), RO(8, reset=1)
        abilities = RO(15, 11, reset=0b01111)    # 100 and 10 Mbit/s, full and half duplex

        def on_read(self, block: Transceiver) -> None:
            self.link = self.negotiated = int(block.link_up)

    class identifier(Register, offset=2 * _WIDTH, mode="ro", reset=0x0141):
        pass

    class identifier_2(Register, offset=3 * _WIDTH, mode="ro", reset=0x0C20):
        pass

    class advertisement(Register, offset=4 * _WIDTH, reset=0x0DE1):
        pass

    class partner(Register, offset=5 * _WIDTH, mode="ro"):
        def on_read(self, block: Transceiver) -> None:
            self.value = 0x45E1 if block.link_up else 0

    class expansion(Register, offset=6 * _WIDTH, mode="ro", reset=0x0001):
        pass

    class next_page(Register, offset=7 * _WIDTH, reset=0x2001):
        pass

    class gigabit_control(Register, offset=9 * _WIDTH, reset=0x0E00):
        pass

    class gigabit_status(Register, offset=10 * _WIDTH, mode="ro"):
        def on_read(self, block: Transceiver) -> None:
            self.value = 0x3C00 if block.link_up else 0

    class extended_status(Register, offset=15 * _WIDTH, mode="ro", reset=0x3000):
        pass

    class specific_control(Register, offset=16 * _WIDTH, reset=0x0360):
        pass

    class specific_status(Register, offset=17 * _WIDTH, mode="ro"):
        link, resolved = RO(10), RO(11)
        full_duplex, speed = RO(13), RO(15, 14)

        def on_read(self, block: Transceiver) -> None:
            self.link = self.resolved = self.full_duplex = int(block.link_up)
            self.speed = 2 if block.link_up else 0    # 1000 Mbit/s

    class interrupt_enable(Register, offset=18 * _WIDTH):
        pass

    class interrupt_status(Register, offset=19 * _WIDTH, mode="rc"):
        pass

    class further_control(Register, offset=20 * _WIDTH, reset=0x0D60):
        pass

    class error_count(Register, offset=21 * _WIDTH, mode="rc"):
        pass

    class page(Register, offset=29 * _WIDTH):
        pass

    class page_data(Register, offset=30 * _WIDTH):
        pass
