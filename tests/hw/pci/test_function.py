"""A PCI function as a guest sees it: configuration space, base address registers, interrupts, DMA."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratite.errors import HostError, ImageError, MemoryAccessError, UsageError
from ratite.testing.pci import BARS, COMMAND, ECAM, HIGH, IO, MASTER, MEMORY, MESSAGES, MMIO, PIO, RAM, Function, PciBench
from tests.hw.pci.probe import Probe

ONES = 0xFFFF_FFFF


@pytest.fixture
def probe(bench: PciBench) -> Probe:
    return bench.put(Probe())


@pytest.fixture
def guest(bench: PciBench, probe: Probe) -> Function:
    return bench.function(probe)


def test_header(guest: Function) -> None:
    """Identity, class and subsystem read as declared, in any width; writes do not change them."""
    guest.set(0, 0)
    assert guest.get(0) == 0x5678_1234
    assert guest.get(2, 2) == 0x5678 and guest.get(1, 1) == 0x12
    assert guest.get(8) == 0xFF00_0003
    assert guest.get(0x0B, 1) == 0xFF
    assert guest.get(0x2C) == 0xEF01_ABCD
    assert guest.get(0x3C, 2) == 0x0100    # INTA#
    assert guest.get(0x0E, 1) == 0
    guest.set(0x3C, 0x55, 1)
    assert guest.get(0x3C, 2) == 0x0155


def test_command_has_the_bits_that_exist(guest: Function) -> None:
    """I/O, memory, bus master, system error, interrupt disable."""
    guest.set(COMMAND, 0xFFFF, 2)
    assert guest.get(COMMAND, 2) == 0x0507
    guest.set(COMMAND + 1, 0, 1)    # the upper half alone
    assert guest.get(COMMAND, 2) == 0x0007


def test_capabilities(guest: Function) -> None:
    """The list has what was added; the status register says that there is one."""
    assert guest.get(0x06, 2) & 0x10
    assert {number for number, _ in guest.capabilities()} == {0x01, 0x05, 0x11}


def test_nothing_answers_where_nothing_is(bench: PciBench, guest: Function) -> None:
    """Absent functions, buses and extended configuration space read as ones."""
    assert Function(bench, 0, 9 << 3).get(0) == ONES
    assert Function(bench, 0, 1 << 3 | 1).get(0, 2) == 0xFFFF
    assert Function(bench, 7, 0).get(0, 1) == 0xFF
    assert guest.get(0x100) == ONES
    assert bench.memory.read(ECAM + (1 << 15), 8) == 0x0010_0000_5678_1234    # two words at once


def test_sizes_of_base_address_registers(guest: Function) -> None:
    """Ones written read back as size and kind; the upper half of a 64-bit register has all bits."""
    sizes = []
    for index in range(6):
        guest.set(BARS + 4 * index, ONES)
        sizes.append(guest.get(BARS + 4 * index))
    assert sizes == [0xFFFF_F000, 0xFFFF_FFF1, 0xFFFF_C00C, ONES, 0xFFFF_F000, 0]
    guest.set(0x30, ONES)
    assert guest.get(0x30) == 0    # no ROM


def test_answers_where_the_guest_put_it(bench: PciBench, probe: Probe, guest: Function) -> None:
    """Each register answers at its address when the command register says so; a moved one answers at the new place."""
    guest.enable(IO | MEMORY)
    guest.write(0, 0x10, 0x1234_5678)
    assert guest.read(0, 0x10) == 0x1234_5678 == guest.read(2, 0x10)
    assert guest.places[0] >= MMIO and guest.places[2] >= HIGH and guest.places[1] >= PIO
    guest.write(1, 0, 77)
    assert probe.ports.port.value == 77
    guest.set(BARS, MMIO + 0x3000_0000)
    assert bench.memory.read(MMIO + 0x3000_0010, 4) == 0x1234_5678
    assert guest.read(0, 0x10) == ONES
    guest.set(COMMAND, MEMORY, 2)
    assert guest.read(1, 0) == ONES
    guest.set(COMMAND, IO, 2)
    assert guest.read(2, 0x10) == ONES
    guest.write(2, 0x10, 5)    # is lost
    assert probe.scratch.value == 0x1234_5678


def test_overlapping_registers_have_one_answer(bench: PciBench, guest: Function) -> None:
    """Two functions at one address: one of them answers; RAM is not reached by moving a register there."""
    other = bench.function(bench.put(Probe()))
    guest.enable()
    other.enable()
    for function in (guest, other):
        function.set(BARS, MMIO + 0x10_0000)
    bench.memory.write(MMIO + 0x10_0010, 4, 42)
    assert bench.memory.read(MMIO + 0x10_0010, 4) == 42
    bench.memory.write(RAM + 0x10, 4, 99)
    guest.set(BARS, RAM)
    guest.set(BARS, 0xFFFF_F000)
    assert bench.memory.read(RAM + 0x10, 4) == 99


def test_interrupt_pin(bench: PciBench, probe: Probe, guest: Function) -> None:
    """Device 1's INTA# is the host's second line; the command register keeps it low, the status bit tells still."""
    guest.enable()
    guest.write(0, 0x20, 1)
    assert bench.levels == [False, True, False, False]
    assert guest.get(6, 2) & 8
    guest.set(COMMAND, MEMORY | 0x400, 2)
    assert bench.levels == [False] * 4 and guest.get(6, 2) & 8
    guest.set(COMMAND, MEMORY, 2)
    assert bench.levels[1]
    guest.write(0, 0x20, 0)
    assert bench.levels == [False] * 4 and not guest.get(6, 2) & 8


def test_shared_interrupt_pin(bench: PciBench, guest: Function) -> None:
    """A line is high while any of its functions drives it."""
    others = [bench.function(bench.put(Probe())) for _ in range(4)]
    for function in (guest, *others):
        function.enable()
    guest.write(0, 0x20, 1)
    others[3].write(0, 0x20, 1)    # device 5: the same line as device 1
    guest.write(0, 0x20, 0)
    assert bench.levels[1] and bench.rises[1] == 1
    others[3].write(0, 0x20, 0)
    assert not bench.levels[1]


def test_msix(bench: PciBench, probe: Probe, guest: Function) -> None:
    """Messages go to the address in the table; masked ones wait, and show as pending."""
    guest.enable()
    guest.write(0, 0x24, 3)
    guest.use_msix(40)
    assert guest.get(guest.capability(0x11) + 2, 2) == 0x8027
    guest.write(0, 0x24, 39)
    assert bench.sink.messages == [(4 * 39, 39)]
    guest.write(0, 0x20, 1)
    assert bench.levels == [False] * 4    # no pins while messages are in use
    guest.write(4, 16 * 39 + 12, 1)
    guest.write(0, 0x24, 39)
    guest.write(0, 0x24, 39)
    assert len(bench.sink.messages) == 1
    assert guest.read(4, 16 * 40 + 4) == 1 << 7
    guest.write(4, 16 * 39 + 12, 0)
    assert len(bench.sink.messages) == 2 and guest.read(4, 16 * 40 + 4) == 0
    guest.set(guest.capability(0x11) + 2, 0xC000, 2)
    guest.write(0, 0x24, 0)
    guest.set(guest.capability(0x11) + 2, 0x8000, 2)
    assert bench.sink.messages[2:] == [(0, 0)]
    guest.write(0, 0x24, 4711)    # no such vector
    assert len(bench.sink.messages) == 3


def test_msi(bench: PciBench, guest: Function) -> None:
    """The low bits of the data are the vector, as far as the guest has given vectors; masked ones wait."""
    guest.enable()
    at = guest.capability(0x05)
    assert guest.get(at + 2, 2) == 0x0184    # four vectors, 64 bits, maskable
    guest.set(at + 4, MESSAGES + 0x10)
    guest.set(at + 0xC, 0x40, 2)
    guest.set(at + 2, 0x0011, 2)    # two of them
    guest.write(0, 0x24, 1)
    guest.write(0, 0x24, 2)
    assert bench.sink.messages == [(0x10, 0x41), (0x10, 0x40)]
    guest.set(at + 0x10, 2)
    guest.write(0, 0x24, 1)
    assert guest.get(at + 0x14) == 2
    guest.set(at + 0x10, 0)
    assert guest.get(at + 0x14) == 0 and len(bench.sink.messages) == 3


def test_messages_that_lead_nowhere(bench: PciBench, probe: Probe, guest: Function) -> None:
    """To no memory, to configuration space, to itself: lost, and no endless round."""
    guest.enable()
    guest.use_msix(4)
    for address in (0x10, ECAM + 0x8004, guest.places[0] + 0x24, RAM - 2, (1 << 64) - 4):
        guest.write(4, 0, address & ONES)
        guest.write(4, 4, address >> 32)
        guest.write(0, 0x24, 0)
    assert not bench.sink.messages
    guest.write(4, 0, RAM + 0x100)    # a guest may poll
    guest.write(4, 4, 0)
    guest.write(4, 8, 0xCAFE)
    guest.write(0, 0x24, 0)
    assert bench.memory.read(RAM + 0x100, 4) == 0xCAFE


def test_dma_needs_bus_mastering(bench: PciBench, probe: Probe, guest: Function) -> None:
    """Without it neither memory nor messages are reached; with it both are."""
    guest.enable(MEMORY)
    guest.use_msix(1)
    for call in (lambda: probe.memory.dma_read(RAM, 4), lambda: probe.memory.dma_write(RAM, b"abcd"),
                 lambda: probe.memory.dma_view(RAM, 4)):
        with pytest.raises(MemoryAccessError):
            call()
    guest.write(0, 0x24, 0)
    assert not bench.sink.messages
    guest.set(COMMAND, MEMORY | MASTER, 2)
    probe.memory.dma_write(RAM, b"abcd")
    assert probe.memory.dma_read(RAM, 4) == b"abcd" == bytes(bench.ram.view[:4])
    guest.write(0, 0x24, 0)
    assert len(bench.sink.messages) == 1


def test_power_states(bench: PciBench, probe: Probe, guest: Function) -> None:
    """In D3 only configuration space answers; back in D0 all is as before."""
    guest.enable()
    guest.write(0, 0x10, 5)
    at = guest.capability(0x01)
    guest.set(at + 4, 3, 2)
    assert guest.read(0, 0x10) == ONES and not probe.memory.enabled
    guest.set(at + 4, 0, 2)
    assert guest.read(0, 0x10) == 5 and probe.memory.enabled


def test_reset(bench: PciBench, probe: Probe, guest: Function) -> None:
    """Everything that the guest has set is gone, the interrupt too."""
    fresh = probe.save()
    guest.enable()
    guest.use_msix(2)
    guest.set(guest.capability(0x11) + 2, 0, 2)
    guest.write(0, 0x20, 1)
    assert bench.levels[1]
    probe.reset()
    assert probe.save() == fresh and not bench.levels[1]
    assert bench.memory.read(guest.places[0], 4) == ONES


def test_saved_state(bench: PciBench, probe: Probe, guest: Function) -> None:
    """A new function with the saved state answers at the same place and interrupts in the same way."""
    guest.enable()
    guest.use_msix(40)
    guest.write(4, 12, 1)
    guest.write(0, 0x24, 0)
    guest.write(0, 0x20, 1)
    saved = probe.save()
    probe.reset()
    probe.load(saved)
    assert probe.save() == saved
    guest.write(4, 12, 0)
    assert bench.sink.messages == [(0, 0)]
    guest.set(guest.capability(0x11) + 2, 0, 2)
    assert bench.levels[1]
    with pytest.raises(ImageError):
        probe.load({**saved, "config": {}})


def test_rom(bench: PciBench, tmp_path: Path) -> None:
    """A ROM file is readable through the ROM register when its enable bit is set; rombar=0 hides it."""
    path = tmp_path / "rom"
    path.write_bytes(b"\x55\xaa" + bytes(3000))
    guest = bench.function(bench.put(Probe(romfile=str(path))))
    guest.set(0x30, ONES)
    assert guest.get(0x30) == 0xFFFF_F001
    guest.set(0x30, MMIO | 1)
    assert bench.memory.read(MMIO, 2) == 0xFFFF
    guest.set(COMMAND, MEMORY, 2)
    assert bench.memory.read(MMIO, 2) == 0xAA55
    bench.memory.write(MMIO, 2, 0)
    assert bench.memory.read(MMIO, 2) == 0xAA55
    hidden = bench.function(bench.put(Probe(romfile=str(path), rombar=0)))
    hidden.set(0x30, ONES)
    assert hidden.get(0x30) == 0
    with pytest.raises(HostError, match="romfile"):
        bench.put(Probe(romfile=str(tmp_path / "none")))


def test_addresses_on_the_bus(bench: PciBench) -> None:
    """`addr` chooses a place; a taken one, or a function number without multifunction, is refused with the reason."""
    first = bench.put(Probe(addr=5 << 3, multifunction=True))
    second = Probe.from_options({"addr": "05.3"})
    bench.put(second)
    assert bench.function(second).get(0) == 0x5678_1234
    assert bench.function(first).get(0x0E, 1) == 0x80
    with pytest.raises(UsageError, match=r"addr 05.3 of pcie is taken"):
        bench.put(Probe(addr=5 << 3 | 3))
    bench.put(Probe(addr=6 << 3))
    with pytest.raises(UsageError, match=r"without multifunction=on"):
        bench.put(Probe(addr=6 << 3 | 1))
    for text in ("20", "1.8", "x", "-1"):
        with pytest.raises(UsageError, match="addr"):
            Probe.from_options({"addr": text})
    assert bench.put(Probe()).slot == 1 << 3    # the next free one
