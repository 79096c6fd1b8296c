"""Interrupts and mail from core to core in Loongson processors."""

from __future__ import annotations

from collections.abc import Sequence

from ratite.errors import UsageError
from ratite.hw.model import UINT32, Device, Outputs, Property, Register
from ratite.memory import AddressSpace
from ratite.memory.space import BusError

CORE_LIMIT = 256

#: Registers of core n are at n * BLOCK; those that send follow the last one.
BLOCK, BLOCK_SIZE = 0x100, 0x40
SEND_SIZE = 0x100
#: The last register that sends, with one of another device between.
ANY_SEND, ANY_SEND_SIZE = 0x118, 8

_MAILBOXES = 0x20


class LoongArchIpi(Device, name="loongarch_ipi", size=0x10_0000):
    """Inter-processor interrupts (Loongson 3A5000/3B5000 processor reference manual, v1.03, chapters 10.2 and 10.3).

    A core sees its own block at IOCSR 0x1000 and the sending registers, which are the same for all, at 0x1040. A core's
    line is high while a bit of its status is set that is enabled. Writes that another core sends to a register
    (`any_send`) go through the address space of that core, which the board puts into `cores`.
    """

    num_cpu = Property(UINT32, 1, "number of cores")
    irqs = Outputs("interrupt of each core", "num_cpu")

    class status(Register, offset=0x00, count="num_cpu", stride=BLOCK, mode="ro"):
        """Actions that were asked for."""

    class enable(Register, offset=0x04, count="num_cpu", stride=BLOCK):
        def on_write(self, dev: LoongArchIpi) -> None:
            dev.update(self.index)

    class set_status(Register, offset=0x08, count="num_cpu", stride=BLOCK, mode="wo"):
        def on_write(self, dev: LoongArchIpi) -> None:
            dev.change(self.index, self.written, 0)

    class clear_status(Register, offset=0x0C, count="num_cpu", stride=BLOCK, mode="wo"):
        def on_write(self, dev: LoongArchIpi) -> None:
            dev.change(self.index, 0, self.written)

    class mailbox(Register, offset=_MAILBOXES, width=8, count=("num_cpu", 4), stride=(BLOCK, 8)):
        """Four doublewords."""

    class ipi_send(Register, offset=CORE_LIMIT * BLOCK, mode="wo"):
        """Ask another core for an action."""

        def on_write(self, dev: LoongArchIpi) -> None:
            dev.send(self.written >> 16 & 0x3FF, 1 << (self.written & 31))

    class mail_send(Register, offset=CORE_LIMIT * BLOCK + 0x08, width=8, mode="wo"):
        """Write a word of another core's mailboxes."""

        def on_write(self, dev: LoongArchIpi) -> None:
            word = self.written
            dev.write_at(word >> 16 & 0x3FF, 0x1000 + _MAILBOXES + (word & 0x1C), word)

    class any_send(Register, offset=CORE_LIMIT * BLOCK + ANY_SEND, width=8, mode="wo"):
        """Write a word of another core's registers."""

        def on_write(self, dev: LoongArchIpi) -> None:
            dev.write_at(self.written >> 16 & 0x3FF, self.written & 0xFFFC, self.written)

    def setup(self) -> None:
        if not 0 < self.num_cpu <= CORE_LIMIT:
            raise UsageError(f"{self.name}: property 'num-cpu': {self.num_cpu} is not within 1 to {CORE_LIMIT}")
        self.cores: Sequence[AddressSpace] = ()

    def reset(self) -> None:
        super().reset()
        for line in self.irqs:
            line.lower()

    def send(self, core: int, actions: int) -> None:
        """Ask a core for actions, a bit each."""
        if core < self.num_cpu:
            self.change(core, actions, 0)
        else:
            self.guest_error(f"there is no core {core}")

    def change(self, core: int, set_: int, clear: int) -> None:
        """Set and clear bits of a core's status."""
        self.status[core].value = (self.status[core].value | set_) & ~clear & 0xFFFF_FFFF
        self.update(core)

    def update(self, core: int) -> None:
        """Drive a core's line."""
        self.irqs[core].set(bool(self.status[core].value & self.enable[core].value))

    def write_at(self, core: int, address: int, word: int) -> None:
        """Write the upper half of `word` to a core's register, but for the bytes that bits 30:27 hold back."""
        if core >= len(self.cores):
            self.guest_error(f"there is no core {core}")
            return
        held, data, space = word >> 27 & 0xF, word >> 32, self.cores[core]
        try:
            if not held:
                space.write(address, 4, data)
                return
            for n in range(4):
                if not held >> n & 1:
                    space.write(address + n, 1, data >> 8 * n & 0xFF)
        except BusError:
            self.guest_error(f"core {core} has no register at {address:#x}")
