"""Bridges and root ports: bus numbers, windows, rotation of interrupts, what is behind a link."""

from __future__ import annotations

import pytest

from ratite.errors import UsageError
from ratite.hw.pci.bridge import Bridge, PciBridge, PciePciBridge, PcieRootPort
from ratite.testing.pci import BARS, COMMAND, IO, MASTER, MEMORY, MMIO, PIO, Function, PciBench
from tests.hw.pci.probe import Probe

ONES = 0xFFFF_FFFF


def number(bench: PciBench, bridge: Bridge, secondary: int, subordinate: int) -> Function:
    """Give the bus behind a bridge its number, and open no window yet."""
    guest = bench.function(bridge)
    guest.set(0x18, subordinate << 16 | secondary << 8)
    guest.set(COMMAND, IO | MEMORY | MASTER, 2)
    return guest


def test_header_of_a_bridge(bench: PciBench) -> None:
    """Type 1, class bridge; limits and kinds of windows as the specification has them."""
    guest = bench.function(bench.put(PciBridge()))
    assert guest.get(0x0E, 1) == 1 and guest.get(0x0A, 2) == 0x0604
    guest.set(0x1C, 0xFFFF, 2)
    assert guest.get(0x1C, 2) == 0xF0F0
    guest.set(0x20, ONES)
    assert guest.get(0x20) == 0xFFF0_FFF0
    guest.set(0x24, ONES)
    assert guest.get(0x24) == 0xFFF1_FFF1
    assert list(guest.capabilities()) == [(0x04, 0x40)]


def test_configuration_through_bridges(bench: PciBench) -> None:
    """Two bridges, one behind the other: a function answers once all bus numbers are set."""
    port = bench.put(PcieRootPort())
    inner = bench.put(PciBridge(), port.secondary)
    probe = bench.put(Probe(addr=7 << 3), inner.secondary)
    deep = Function(bench, 4, 7 << 3)
    assert deep.get(0) == ONES
    number(bench, port, 3, 4)
    number(bench, inner, 4, 4)
    assert deep.get(0) == 0x5678_1234
    assert Function(bench, 4, 6 << 3).get(0) == ONES
    bench.function(port).set(0x1A, 3, 1)    # bus 4 no longer behind it
    assert deep.get(0) == ONES
    assert not probe.extended and inner.extended is True


def test_windows(bench: PciBench) -> None:
    """A function behind a bridge answers where the bridge's windows let it, in memory and in I/O."""
    bridge = bench.put(PciBridge())
    probe = bench.put(Probe(), bridge.secondary)
    guest = number(bench, bridge, 1, 1)
    inner = Function(bench, 1, 0)
    inner.set(BARS, MMIO + 0x10_0000)
    inner.set(BARS + 4, 0x2000)
    inner.set(COMMAND, IO | MEMORY, 2)
    probe.scratch.value, probe.ports.port.value = 7, 8
    guest.set(0x20, 0x0000_FFF0)    # limit below base
    guest.set(0x1C, 0x00F0, 2)
    assert bench.memory.read(MMIO + 0x10_0010, 4) == ONES
    assert bench.memory.read(PIO + 0x2000, 4) == ONES
    guest.set(0x20, 0x4010_4010)
    guest.set(0x1C, 0x2020, 2)
    assert bench.memory.read(MMIO + 0x10_0010, 4) == 7
    assert bench.memory.read(PIO + 0x2000, 4) == 8
    guest.set(COMMAND, 0, 2)
    assert bench.memory.read(MMIO + 0x10_0010, 4) == ONES
    guest.set(COMMAND, MEMORY, 2)
    guest.set(0x20, 0)
    guest.set(0x24, 0x4010_4010)    # the prefetchable window will do
    guest.set(0x28, 0, 4)
    assert bench.memory.read(MMIO + 0x10_0010, 4) == 7


def test_a_window_over_half_a_function(bench: PciBench) -> None:
    """The half of a register's addresses that the window covers answers, at its right offset."""
    bridge = bench.put(PciBridge())
    probe = bench.put(Probe(), bridge.secondary)
    guest = number(bench, bridge, 1, 1)
    inner = Function(bench, 1, 0)
    inner.set(BARS + 8, MMIO + 0x1F_C000)
    inner.set(COMMAND, MEMORY, 2)
    probe.scratch.value = 7
    guest.set(0x20, 0x4010_4010)
    assert bench.memory.read(MMIO + 0x1F_C010, 4) == 7
    guest.set(0x20, 0x4020_4020)
    assert bench.memory.read(MMIO + 0x1F_C010, 4) == ONES


def test_interrupts_rotate(bench: PciBench) -> None:
    """INTA# of device 2 behind a bridge at device 1: INTC# of the bridge, the host's line 3."""
    bridge = bench.put(PciBridge(addr=1 << 3))
    bench.put(Probe(addr=2 << 3), bridge.secondary)
    number(bench, bridge, 1, 1).set(0x20, 0x4010_4010)
    inner = Function(bench, 1, 2 << 3)
    inner.set(BARS, MMIO + 0x10_0000)
    inner.set(COMMAND, MEMORY, 2)
    bench.memory.write(MMIO + 0x10_0020, 4, 1)
    assert bench.levels == [False, False, False, True]


def test_a_port_has_one_slot(bench: PciBench) -> None:
    """Device 0 alone, with extended configuration space and a capability that says what it is; the port sees it."""
    port = bench.put(PcieRootPort(slot=5, port=2))
    guest = number(bench, port, 1, 1)
    at = guest.capability(0x10)
    assert guest.get(at + 2, 2) == 0x0142
    assert guest.get(at + 0x14) >> 19 == 5 and not guest.get(at + 0x1A, 2) & 0x40
    with pytest.raises(UsageError, match="only addr 00"):
        bench.put(Probe(addr=1 << 3), port.secondary)
    probe = bench.put(Probe(), port.secondary)
    assert guest.get(at + 0x1A, 2) & 0x40
    inner = Function(bench, 1, 0)
    assert inner.get(0x100) == 0    # no extended capabilities, but the space is there
    link = inner.capability(0x10)
    inner.set(COMMAND, MEMORY, 2)
    inner.set(link + 8, 0x8000, 2)
    assert inner.get(COMMAND, 2) == 0    # function level reset
    with pytest.raises(UsageError, match="no room"):
        bench.put(Probe(), port.secondary)
    assert probe.on_express_link


def test_secondary_bus_reset(bench: PciBench) -> None:
    """Resets what is behind the bridge and leaves the bridge alone."""
    bridge = bench.put(PciePciBridge())
    probe = bench.put(Probe(), bridge.secondary)
    guest = number(bench, bridge, 1, 1)
    probe.scratch.value = 9
    guest.set(0x3E, 0x40, 2)
    assert probe.scratch.value == 0 and guest.get(0x19, 1) == 1
    assert {number for number, _ in guest.capabilities()} == {0x01, 0x05, 0x10}


def test_hot_plug_is_refused() -> None:
    """What slots cannot do is an error, not a promise."""
    with pytest.raises(UsageError, match="hotplug"):
        PcieRootPort.from_options({"hotplug": "on"})
