"""The generic host bridge: its own function, and that a hostile guest gets no further than ones and lost writes."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratite.errors import UsageError
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


def test_the_root_function_is_no_users(bench: PciBench) -> None:
    """`-device gpex-root` is refused."""
    with pytest.raises(UsageError, match="part of the host bridge"):
        bench.put(GpexRoot())


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


WORDS = st.one_of(
    st.sampled_from((0, 1, 7, 0xFFFF_FFFF, MMIO, MMIO | 0xFFFF, 0x1000, 0xFFF0_0000, 0x0101_0100, 0x0003_0200, 0x8000_8000)),
    st.integers(0, 0xFFFF_FFFF),
)
ACCESSES = st.tuples(
    st.integers(0, 4), st.sampled_from((0, 8, 16, 24, 32)), st.one_of(st.integers(0, 0x11), st.integers(0, 0x3FF)),
    st.sampled_from((1, 2, 4, 8)), WORDS,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACCESSES, max_size=40), st.lists(st.integers(0, (1 << 30) - 8), max_size=10))
def test_any_configuration(accesses: list[tuple[int, int, int, int, int]], places: list[int]) -> None:
    """Whatever a guest writes to configuration space of bridges behind bridges, every access to the windows has an
    answer, no two functions answer at one address, and interrupt messages and DMA stay within bounds.
    """
    bench = PciBench(ram_size=1 << 16)
    outer = bench.put(PciBridge())
    inner = bench.put(PciBridge(), outer.secondary)
    functions = [bench.put(Probe(), bus) for bus in (bench.bus, outer.secondary, inner.secondary)]
    for bus, slot, word, size, value in accesses:
        bench.memory.write(ECAM + (bus << 20) + (slot << 12) + 4 * word, size, value & (1 << 8 * size) - 1)
    for place in places:
        bench.memory.write(MMIO + place, 4, 0xFFFF_FFFF)
        assert 0 <= bench.memory.read(MMIO + place, 8) < 1 << 64
    for decoder in bench.host.decoders.values():
        answers = decoder.answers()
        assert all(first.end <= second.start for first, second in pairwise(answers))
    for function in functions:
        for vector in (0, 3, 39, 4711):
            if function.messages is not None:
                function.messages.notify(vector)
        saved = function.save()
        function.load(saved)
        assert function.save() == saved
    bench.close()
