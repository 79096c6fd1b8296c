"""The 16550A by its data sheet (PC16550D, chapter 8): raw register numbers, no guest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ratite.hw.char.ns16550 import Ns16550
from ratite.testing import DeviceBench, FakeChardev

RBR = THR = DLL = 0
IER = DLM = 1
IIR = FCR = 2
LCR, MCR, LSR, MSR, SCR = 3, 4, 5, 6, 7
CHARACTER = 10 * 1_000_000_000 // 9600    # nanoseconds, at the reset divisor of 12


class Event:
    value = "break"


@pytest.fixture
def chardev() -> FakeChardev:
    return FakeChardev()


@pytest.fixture
def uart(chardev: FakeChardev, restoring: bool) -> DeviceBench[Ns16550]:
    return DeviceBench(lambda: Ns16550(chardev=chardev), restoring=restoring)


@pytest.fixture
def put(uart: DeviceBench[Ns16550]) -> Callable[[int, int], None]:
    return lambda offset, value: uart.write(offset, value, 1)


@pytest.fixture
def get(uart: DeviceBench[Ns16550]) -> Callable[[int], int]:
    return lambda offset: uart.read(offset, 1)


Put = Callable[[int, int], None]
Get = Callable[[int], int]
Bench = DeviceBench[Ns16550]


def test_reset_values(get: Get) -> None:
    """Table 1 of the data sheet; the modem inputs are those of a peer that is there."""
    assert [get(offset) for offset in (IER, IIR, LCR, MCR, LSR, MSR, SCR)] == [0, 1, 0, 0, 0x60, 0xB0, 0]


def test_transmit(put: Put, get: Get, chardev: FakeChardev) -> None:
    """Characters leave at once, and the transmitter is empty again."""
    for byte in b"Hi!":
        put(THR, byte)
        assert get(LSR) == 0x60
    assert chardev.output == b"Hi!"


def test_transmitter_interrupt(put: Put, get: Get, uart: Bench) -> None:
    """Pending when enabled with an empty transmitter, withdrawn by reading IIR, again after a character."""
    put(IER, 2)
    assert uart.level() and get(IIR) == 2
    assert not uart.level() and get(IIR) == 1
    put(THR, 65)
    assert uart.level() and get(IIR) == 2 and get(IIR) == 1
    put(IER, 0)
    put(IER, 2)    # enabled anew: pending anew; drivers test for this
    assert uart.level() and get(IIR) == 2


def test_a_host_that_does_not_read_keeps_the_transmitter_full(
    put: Put, get: Get, uart: Bench, chardev: FakeChardev, restoring: bool
) -> None:
    """Flow control towards the guest; room gives the interrupt."""
    if restoring:
        pytest.skip("a restored device finds out with its next character")
    put(IER, 2)
    get(IIR)
    chardev.output_full = True
    put(THR, 65)
    assert get(LSR) == 0 and not uart.level()
    chardev.make_room()
    assert get(LSR) == 0x60 and uart.level() and chardev.output == b"A"


def test_receive_without_fifo(put: Put, get: Get, uart: Bench, chardev: FakeChardev) -> None:
    """One character at a time; the rest waits outside, and nothing is lost."""
    put(IER, 1)
    chardev.type(b"abc")
    assert chardev.waiting == b"bc" and uart.level() and get(IIR) == 4 and get(LSR) == 0x61
    assert [get(RBR) for _ in range(3)] == list(b"abc")
    assert not uart.level() and get(LSR) == 0x60 and get(RBR) == 0


def test_receive_fifo_trigger_and_room(put: Put, get: Get, uart: Bench, chardev: FakeChardev) -> None:
    """16 deep; the interrupt comes at the trigger level of 8 and goes below it."""
    put(IER, 1)
    put(FCR, 0x81)
    chardev.type(b"1234567")
    assert not uart.level() and get(IIR) == 0xC1
    chardev.type(b"890abcdefgh")
    assert uart.level() and get(IIR) == 0xC4 and chardev.waiting == b"gh"
    assert bytes(get(RBR) for _ in range(18)) == b"1234567890abcdefgh"
    assert not uart.level() and not chardev.waiting


@pytest.mark.parametrize(("control", "level"), [(0x01, 1), (0x41, 4), (0x81, 8), (0xC1, 14)])
def test_trigger_levels(put: Put, get: Get, uart: Bench, chardev: FakeChardev, control: int, level: int) -> None:
    """FCR bits 6 and 7."""
    put(IER, 1)
    put(FCR, control)
    chardev.type(b"x" * (level - 1))
    assert not uart.level()
    chardev.type(b"x")
    assert uart.level()


def test_receive_timeout(put: Put, get: Get, uart: Bench, chardev: FakeChardev) -> None:
    """Four character times after the last arrival; reading takes it back."""
    put(IER, 1)
    put(FCR, 0xC1)
    chardev.type(b"a")
    uart.advance(CHARACTER * 3)
    chardev.type(b"b")
    uart.advance(CHARACTER * 3)
    assert not uart.level()
    uart.advance(CHARACTER + 4)
    assert uart.level() and get(IIR) == 0xCC
    assert get(RBR) == ord("a") and not uart.level()
    uart.advance(CHARACTER * 4 + 4)
    assert uart.level() and get(IIR) == 0xCC and get(RBR) == ord("b") and get(IIR) == 0xC1


def test_timeout_follows_the_divisor(put: Put, uart: Bench, chardev: FakeChardev) -> None:
    """1152 baud at divisor 100."""
    put(LCR, 0x80)
    put(DLL, 100)
    put(DLM, 0)
    put(LCR, 3)
    put(IER, 1)
    put(FCR, 0x81)
    chardev.type(b"a")
    uart.advance(34_000_000)
    assert not uart.level()
    uart.advance(1_000_000)
    assert uart.level()


def test_divisor_latch(put: Put, get: Get, chardev: FakeChardev) -> None:
    """LCR bit 7 turns offsets 0 and 1 into the divisor; IER keeps its value meanwhile."""
    put(IER, 5)
    put(LCR, 0x83)
    put(DLL, 0x34)
    put(DLM, 0x12)
    assert (get(DLL), get(DLM), get(LCR)) == (0x34, 0x12, 0x83)
    put(LCR, 3)
    assert get(IER) == 5 and chardev.output == b""


def test_fifo_control(put: Put, get: Get, chardev: FakeChardev) -> None:
    """Clearing empties the receiver; so does switching the FIFOs; IIR shows that they are on."""
    put(FCR, 1)
    chardev.type(b"abc")
    put(FCR, 3)
    assert get(LSR) == 0x60 and get(IIR) == 0xC1
    chardev.type(b"abc")
    put(FCR, 0)
    assert get(LSR) == 0x60 and get(IIR) == 1


def test_scratch_and_reserved_bits(put: Put, get: Get) -> None:
    """SCR holds anything; IER bits 4 to 7 and MCR bits 5 to 7 are zero."""
    for offset, value, seen in ((SCR, 0xA5, 0xA5), (IER, 0xFF, 0x0F), (MCR, 0xFF, 0x1F)):
        put(offset, value)
        assert get(offset) == seen


def test_loopback_data_and_overrun(put: Put, get: Get, uart: Bench, chardev: FakeChardev) -> None:
    """What is sent is received and does not leave; one too many is an overrun, which a read of LSR clears."""
    put(MCR, 0x10)
    put(IER, 4)
    put(THR, 0x55)
    assert get(LSR) == 0x61 and chardev.output == b""
    put(THR, 0x66)
    assert uart.level() and get(IIR) == 6 and get(LSR) == 0x63
    assert not uart.level() and get(LSR) == 0x61 and get(RBR) == 0x55
    chardev.type(b"x")
    assert chardev.waiting == b"x"    # the line is cut off in a loop
    put(MCR, 0)
    assert get(RBR) == ord("x")


def test_loopback_modem_lines(put: Put, get: Get, uart: Bench) -> None:
    """DTR, RTS, OUT1, OUT2 appear as DSR, CTS, RI, DCD; changes interrupt and a read of MSR clears them."""
    put(IER, 8)
    put(MCR, 0x10)
    assert get(MSR) == 0x0B and not uart.level()
    put(MCR, 0x1A)    # the test that drivers make
    assert uart.level() and get(IIR) == 0 and get(MSR) & 0xF0 == 0x90
    assert not uart.level() and get(IIR) == 1 and get(MSR) == 0x90
    put(MCR, 0x14)
    get(MSR)
    put(MCR, 0x10)
    assert get(MSR) == 0x04    # the end of a ring


def test_break(put: Put, get: Get, uart: Bench, chardev: FakeChardev) -> None:
    """A zero character with BI, shown when it is the oldest in the FIFO."""
    put(FCR, 1)
    put(IER, 4)
    chardev.type(b"a")
    chardev.event(Event())
    assert get(LSR) == 0xE1 and not uart.level()
    assert get(RBR) == ord("a")
    assert uart.level() and get(IIR) == 0xC6 and get(LSR) == 0xF1
    assert get(RBR) == 0 and get(LSR) == 0x60


def test_interrupt_priorities(put: Put, get: Get, uart: Bench, chardev: FakeChardev) -> None:
    """Line status, data, transmitter, modem: IIR names the most urgent, the line stays up until all are served."""
    put(MCR, 0x10)
    put(THR, 1)
    put(THR, 2)
    put(MCR, 0x1F)
    put(IER, 0x0F)
    seen = [get(IIR)]
    get(LSR)
    seen.append(get(IIR))
    get(RBR)
    seen += [get(IIR), get(IIR)]
    assert seen == [6, 4, 2, 0] and uart.level()
    get(MSR)
    assert get(IIR) == 1 and not uart.level()


def test_regshift_and_wide_accesses(chardev: FakeChardev) -> None:
    """With regshift=2 registers are 4 bytes apart, and 32-bit accesses work (`reg-io-width = <4>`)."""
    uart = DeviceBench(lambda: Ns16550(chardev=chardev, regshift=2))
    assert uart.device.size == 32
    uart.write(SCR << 2, 0x12345678, 4)
    assert uart.read(SCR << 2, 4) == 0x78 and uart.read(LSR << 2, 1) == 0x60
    uart.write(THR, ord("z"), 4)
    assert chardev.output == b"z"


def test_without_a_host_side(restoring: bool) -> None:
    """Output goes nowhere, and nothing breaks."""
    uart = DeviceBench(Ns16550, restoring=restoring)
    uart.write(THR, 65, 1)
    assert uart.read(LSR, 1) == 0x60


def test_reset_while_data_waits(put: Put, get: Get, uart: Bench, chardev: FakeChardev) -> None:
    """The FIFO is lost, as in the chip; input that waits outside is not."""
    put(FCR, 1)
    put(IER, 3)
    chardev.type(b"0123456789abcdefXY")
    uart.device.reset()
    assert get(LSR) == 0x61 and not uart.level() and get(RBR) == ord("X")
