"""The generic host bridge: its own function, and that a hostile guest gets no further than ones and lost writes."""

from __future__ import annotations

import random

import pytest

from ratite.hw.pci.bridge import PciBridge, PcieRootPort
from ratite.hw.pci.gpex import GpexHost, GpexRoot
from ratite.testing.pci import ECAM, HIGH, MMIO, PIO, PciBench
from tests.hw.pci.probe import Probe


def test_the_host_bridge_is_device_0(bench: PciBench) -> None:
    """Its identity is the one that drivers know."""
    assert isinstance(bench.host, GpexHost)
    assert isinstance(bench.bus.functions[0], GpexRoot)
    assert bench.memory.read(ECAM, 4) == 0x0008_1B36
    assert bench.memory.read(ECAM + 8, 4) == 0x0600_0000
    assert bench.memory.read(ECAM + 0x2C, 4) == 0x1100_1AF4


@pytest.mark.parametrize("seed", range(6))
def test_random_accesses_never_raise(bench: PciBench, seed: int) -> None:
    """Configuration space and windows, under functions that move about: values stay in range, RAM stays whole, and a
    saved state is what it was.
    """
    dice = random.Random(seed)
    port, bridge = bench.put(PcieRootPort()), bench.put(PciBridge())
    functions = [bench.put(Probe()), bench.put(Probe(), port.secondary), bench.put(Probe(), bridge.secondary)]
    interesting = [0x04, 0x10, 0x14, 0x18, 0x1A, 0x1C, 0x20, 0x24, 0x28, 0x30, 0x3E]
    values = [0, 1, 7, 0xFFFF_FFFF, 0x4010_4010, MMIO, MMIO | 1, HIGH >> 32, 0x1000, 0x8000_0000, 0x20000]
    for _ in range(3000):
        size = dice.choice((1, 2, 4, 8))
        if dice.random() < 0.7:
            slot = dice.choice((0, 8, 16, 24))
            offset = dice.choice(interesting) if dice.random() < 0.5 else dice.randrange(0x110)
            address = ECAM + (dice.choice((0, 0, 1, 2)) << 20) + (slot << 12) + offset
        else:
            base = dice.choice((MMIO, PIO, HIGH))
            address = base + dice.choice((0, 0x8000, 0x1000)) + dice.randrange(0x3000)
        if dice.random() < 0.6:
            bench.memory.write(address, size, dice.choice([*values, dice.getrandbits(32)]) & (1 << 8 * size) - 1)
        else:
            assert 0 <= bench.memory.read(address, size) < 1 << 8 * size
    for function in functions:
        saved = function.save()
        function.load(saved)
        assert function.save() == saved
