"""The 16550A serial port, as memory-mapped in most boards."""

from __future__ import annotations

from collections import deque

from ratite.hw.model import (
    RC,
    RO,
    RW,
    SECOND,
    UINT8,
    UINT32,
    CharBackend,
    CharEvent,
    Device,
    Link,
    Output,
    Property,
    Register,
)

FIFO_DEPTH = 16
TRIGGER_LEVELS = (1, 4, 8, 14)
BREAK = 0x100    # marks a character in the receive FIFO that came with a break condition
BYTES = [bytes([value]) for value in range(256)]

# Interrupt identification, in order of priority
LINE_STATUS, DATA_AVAILABLE, TIMEOUT, TRANSMITTER_EMPTY, MODEM_STATUS, NONE = 0b0110, 0b0100, 0b1100, 0b0010, 0, 1


class Ns16550(Device, name="serial-mm", size=8, width=1):
    """16550A UART (Texas Instruments PC16550D data sheet, SNLS378C, chapter 8).

    Characters leave at once: the transmitter is empty again unless the host side cannot take more. The receive FIFO
    never overruns, because the host side waits for room. Not modelled: baud rate, parity and word length on the line,
    DMA signalling (FCR bit 3), the modem inputs (CTS, DSR and DCD are always on, RI is off).
    """

    regshift = Property(UINT8, 0, "distance of two registers: bytes, as a power of two")
    baudbase = Property(UINT32, 115200, "baud rate at divisor 1; sets the length of the receive timeout")
    chardev: Property[CharBackend | None] = Property(Link("chardev"), None, "the host side")
    irq = Output("interrupt request")
    state = ("rx", "enables", "fifo_enabled", "trigger", "divisor", "empty_pending", "error_pending", "timed_out",
             "timeout")

    class data(Register, offset=0):
        """RBR and THR; the low half of the divisor while LCR.dlab is set."""

        def on_read(self, dev: Ns16550) -> None:
            self.value = dev.divisor & 0xFF if dev.lcr.dlab else dev.pop()

        def on_write(self, dev: Ns16550) -> None:
            if dev.lcr.value & 0x80:    # what `dlab` says; every character of a console comes by
                dev.divisor = dev.divisor & 0xFF00 | self.written & 0xFF
            else:
                dev.transmit(self.written & 0xFF)

    class ier(Register, offset=1):
        """Interrupt enables; the high half of the divisor while LCR.dlab is set."""

        def on_read(self, dev: Ns16550) -> None:
            self.value = dev.divisor >> 8 if dev.lcr.dlab else dev.enables

        def on_write(self, dev: Ns16550) -> None:
            if dev.lcr.dlab:
                dev.divisor = dev.divisor & 0xFF | (self.written & 0xFF) << 8
            else:
                dev.enable(self.written & 0xF)

    class iir(Register, offset=2):
        """Interrupt identification when read, FIFO control when written."""

        def on_read(self, dev: Ns16550) -> None:
            cause = dev.cause()
            self.value = cause | (0xC0 if dev.fifo_enabled else 0)
            if cause == TRANSMITTER_EMPTY:
                dev.empty_pending = False
                dev.update_irq()

        def on_write(self, dev: Ns16550) -> None:
            dev.control_fifo(self.written)

    class lcr(Register, offset=3):
        word_length, stop, parity, send_break, dlab = RW(1, 0), RW(2), RW(5, 3), RW(6), RW(7)

    class mcr(Register, offset=4):
        dtr, rts, out1, out2, loop = RW(0), RW(1), RW(2), RW(3), RW(4)

        def on_write(self, dev: Ns16550) -> None:
            dev.update_modem()

    class lsr(Register, offset=5):
        ready, overrun, parity, framing, broken = RO(0), RC(1), RC(2), RC(3), RC(4)
        empty, idle, fifo_error = RO(5, reset=1), RO(6, reset=1), RO(7)

        def on_read(self, dev: Ns16550) -> None:
            if dev.error_pending:
                dev.error_pending = False
                dev.update_irq()

    class msr(Register, offset=6):
        deltas = RC(3, 0)
        lines = RO(7, 4, reset=0b1011)

        def on_read(self, dev: Ns16550) -> None:
            if self.deltas:
                dev.modem_read()

    class scr(Register, offset=7):
        """Scratch."""

    def setup(self) -> None:
        self.size = 8 << self.regshift
        self.rx: deque[int] = deque()
        self.enables = 0    # bits of IER: data received, transmitter empty, line status, modem status
        self.fifo_enabled, self.trigger = False, 1
        self.divisor = 0
        self.empty_pending = self.error_pending = self.timed_out = False

    def place(self, offset: int) -> int:
        return offset << self.regshift

    def realized(self) -> None:
        self.timeout = self.clock.timer(self._on_timeout)
        if self.chardev is not None:
            self.chardev.attach(self.receive, self.room, on_event=self._on_event, on_room=self._on_room)

    def reset(self) -> None:
        super().reset()
        self.rx.clear()
        self.timeout.cancel()
        self.fifo_enabled, self.trigger, self.divisor = False, 1, 12
        self.empty_pending = self.error_pending = self.timed_out = False
        self.enables = 0
        self.update_irq()
        self._accept_input()

    def loaded(self) -> None:
        self.lsr.empty = self.lsr.idle = 1
        self._accept_input()

    # --- transmitter

    def transmit(self, byte: int) -> None:
        """Send one character, to the host side or in a loop to the receiver."""
        if self.mcr.value & 0x10:
            self._push(byte)
        elif self.chardev is not None:
            self.chardev.write(BYTES[byte])
            if self.chardev.output_full:
                self.lsr.empty = self.lsr.idle = 0
                self.empty_pending = False
                self.update_irq()
                return
        if not self.empty_pending:
            self.empty_pending = True
            self.update_irq()

    def _on_room(self) -> None:
        if not self.lsr.empty:
            self.lsr.empty = self.lsr.idle = 1
            self.empty_pending = True
            self.update_irq()

    # --- receiver

    def room(self) -> int:
        """How many characters the receiver takes now."""
        if self.mcr.loop:
            return 0
        return max((FIFO_DEPTH if self.fifo_enabled else 1) - len(self.rx), 0)

    def receive(self, data: bytes) -> None:
        """Characters come from the host side."""
        for byte in data:
            self._push(byte)

    def pop(self) -> int:
        """The guest takes the oldest character; an empty receiver gives zero."""
        if not self.rx:
            return 0
        character = self.rx.popleft()
        self.timed_out = False
        self._refresh_receiver()
        self._accept_input()
        return character & 0xFF

    def _push(self, character: int) -> None:
        if len(self.rx) >= (FIFO_DEPTH if self.fifo_enabled else 1):
            self.lsr.overrun = 1
            self.error_pending = True
            self.update_irq()
            return
        self.rx.append(character)
        self._refresh_receiver()

    def _refresh_receiver(self) -> None:
        """After the FIFO has changed: status of its oldest character, timeout, interrupt."""
        self.lsr.ready = bool(self.rx)
        self.lsr.fifo_error = self.fifo_enabled and any(character & BREAK for character in self.rx)
        if self.rx and self.rx[0] & BREAK:
            self.lsr.broken = 1
            self.error_pending = True
        if self.fifo_enabled and 0 < len(self.rx) < self.trigger:
            self.timeout.after(self._character_time() * 4)
        else:
            self.timeout.cancel()
        self.update_irq()

    def _character_time(self) -> int:
        """Nanoseconds of ten bits at the chosen speed."""
        return 10 * SECOND * max(self.divisor, 1) // max(self.baudbase, 1)

    def _on_timeout(self) -> None:
        self.timed_out = bool(self.rx)
        self.update_irq()

    def _on_event(self, event: CharEvent) -> None:
        if event.value == "break" and not self.mcr.loop:
            self._push(BREAK)

    def _accept_input(self) -> None:
        if self.chardev is not None:
            self.chardev.accept_input()

    # --- control

    def enable(self, enables: int) -> None:
        """Write the interrupt enables. An empty transmitter that becomes enabled interrupts at once."""
        if enables & ~self.enables & 2 and self.lsr.empty:
            self.empty_pending = True
        self.enables = enables
        self.update_irq()

    def control_fifo(self, control: int) -> None:
        """Write FCR: bit 0 switches the FIFOs, bit 1 empties the receiver's, bits 6 and 7 set the trigger level."""
        enabled = bool(control & 1)
        if control & 2 or enabled != self.fifo_enabled:
            self.rx.clear()
            self.timed_out = False
        self.fifo_enabled = enabled
        self.trigger = TRIGGER_LEVELS[control >> 6 & 3] if enabled else 1
        self._refresh_receiver()
        self._accept_input()

    def update_modem(self) -> None:
        """The modem inputs see MCR in a loop, and else a peer that is always there."""
        control = self.mcr
        lines = control.rts | control.dtr << 1 | control.out1 << 2 | control.out2 << 3 if control.loop else 0b1011
        changed = lines ^ self.msr.lines
        ring_ended = changed & 4 and not lines & 4
        self.msr.deltas |= changed & 0b1011 | (4 if ring_ended else 0)
        self.msr.lines = lines
        self.update_irq()
        self._accept_input()

    def modem_read(self) -> None:
        """MSR is being read, which withdraws its interrupt."""
        self.irq.set(self._cause(modem=False) != NONE)

    # --- interrupt

    def cause(self) -> int:
        """What IIR says."""
        return self._cause(modem=bool(self.msr.deltas))

    def _cause(self, modem: bool) -> int:
        enables = self.enables
        if enables & 4 and self.error_pending:
            return LINE_STATUS
        if enables & 1 and len(self.rx) >= self.trigger:
            return DATA_AVAILABLE
        if enables & 1 and self.timed_out:
            return TIMEOUT
        if enables & 2 and self.empty_pending:
            return TRANSMITTER_EMPTY
        return MODEM_STATUS if enables & 8 and modem else NONE

    def update_irq(self) -> None:
        """Drive the interrupt line."""
        self.irq.set(self.cause() != NONE)
