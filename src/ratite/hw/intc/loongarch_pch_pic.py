"""The interrupt controller of the Loongson 7A1000 bridge chip, and its port for message-signalled interrupts."""

from __future__ import annotations

from functools import partial

from ratite.hw.model import UINT32, Device, Outputs, Property, Register, Sink

SOURCES = 64
_ALL = (1 << SOURCES) - 1


class LoongArchPchPic(Device, name="loongarch_pch_pic", size=0x1000, width=8):
    """PCH-PIC (Loongson 7A1000 bridge user manual, v2.00, chapter 5): 64 inputs, each of which sends a message with a
    vector of its own to the processor.

    A level-triggered input is wanted while it is high, an edge-triggered one from its rise until it is cleared; either
    sends when it is wanted and not masked. Not modelled: delivery without messages, and choice of processors.
    """

    irqs = Outputs("message for each vector", 256)
    state = ("levels", "edges", "sent")

    class identity(Register, offset=0x00, mode="ro", reset=(SOURCES - 1 << 16 | 1) << 32 | 0x0700_0000):
        """Kind, version and number of inputs."""

    class masked(Register, offset=0x20, reset=_ALL):
        def on_write(self, dev: LoongArchPchPic) -> None:
            dev.update()

    class message_enable(Register, offset=0x40):
        """Inputs that send messages."""

    class edge(Register, offset=0x60):
        """Inputs that are edge-triggered."""

        def on_write(self, dev: LoongArchPchPic) -> None:
            dev.update()

    class clear(Register, offset=0x80, mode="wo"):
        """Forget edges."""

        def on_write(self, dev: LoongArchPchPic) -> None:
            dev.edges &= ~self.written
            dev.update()

    class auto_control(Register, offset=0xC0, count=2, stride=0x20):
        """Choice among processors."""

    class route(Register, offset=0x100, width=1, count=SOURCES, stride=1, reset=1):
        """Outputs for inputs that send no messages."""

    class vector(Register, offset=0x200, width=1, count=SOURCES, stride=1):
        """Vector of each input's message."""

    class request(Register, offset=0x380, mode="ro", live=True):
        """Inputs that want attention."""

        def on_read(self, dev: LoongArchPchPic) -> None:
            self.value = dev.wanted()

    class status(Register, offset=0x3A0, mode="ro", live=True):
        """Inputs that want attention and are not masked."""

        def on_read(self, dev: LoongArchPchPic) -> None:
            self.value = dev.wanted() & ~dev.masked.value

    class polarity(Register, offset=0x3E0):
        """Inputs that are active when they are low; devices here drive all of them high."""

    def setup(self) -> None:
        self.levels = self.edges = self.sent = 0

    def reset(self) -> None:
        super().reset()
        self.edges = self.sent = 0
        for line in self.irqs:
            line.lower()

    def input(self, source: int) -> Sink:
        """An input, to connect a device's line to. Raises ValueError outside 0 to 63."""
        if not 0 <= source < SOURCES:
            raise ValueError(f"{self.name} has no input {source}")
        return partial(self._set_level, 1 << source)

    def wanted(self) -> int:
        """Inputs that want attention, as bits."""
        edge = self.edge.value
        return self.edges & edge | self.levels & ~edge

    def _set_level(self, bit: int, level: bool) -> None:
        if not level:
            self.levels &= ~bit
        elif not self.levels & bit:
            self.levels |= bit
            self.edges |= bit & self.edge.value
        self.update()

    def update(self) -> None:
        """Send messages for inputs that have become wanted."""
        now = self.wanted() & ~self.masked.value
        changed, self.sent = now ^ self.sent, now
        while changed:
            bit = changed & -changed
            changed ^= bit
            vector = self.vector[bit.bit_length() - 1].value
            self.irqs[vector].set(bool(now & bit))


class LoongArchPchMsi(Device, name="loongarch_pch_msi", size=8):
    """The port to which devices write messages: the low byte is the vector (Loongson 7A1000 bridge user manual, v2.00,
    chapters 5.3 and 22.3). Vectors below `msi-irq-base` belong to others.
    """

    msi_irq_base = Property(UINT32, 64, "first vector")
    irqs = Outputs("message for each vector", 256)

    class message(Register, offset=0, mode="wo"):
        def on_write(self, dev: LoongArchPchMsi) -> None:
            vector = self.written & 0xFF
            if vector >= dev.msi_irq_base:
                dev.irqs[vector].pulse()
            else:
                dev.guest_error(f"vector {vector} is not for messages")
