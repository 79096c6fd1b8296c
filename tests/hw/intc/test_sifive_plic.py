"""The PLIC by its specification (1.0.0): raw offsets, no guest."""

from __future__ import annotations

import random

import pytest

from ratite.errors import UsageError
from ratite.hw.intc.sifive_plic import SiFivePlic
from ratite.testing import DeviceBench

PENDING, ENABLE, THRESHOLD, CLAIM = 0x1000, 0x2000, 0x20_0000, 0x20_0004
Bench = DeviceBench[SiFivePlic]


@pytest.fixture
def plic(restoring: bool) -> Bench:
    return DeviceBench(lambda: SiFivePlic(hart_config="MS,MS"), restoring=restoring, at=0xC00_0000)


def enable(plic: Bench, context: int, *sources: int) -> None:
    for word in range(3):
        bits = sum(1 << source % 32 for source in sources if source // 32 == word)
        plic.write(ENABLE + 0x80 * context + 4 * word, bits)


def drive(plic: Bench, source: int, level: bool) -> None:
    plic.device.input(source)(level)


def claim(plic: Bench, context: int) -> int:
    return plic.read(CLAIM + 0x1000 * context)


def complete(plic: Bench, context: int, source: int) -> None:
    plic.write(CLAIM + 0x1000 * context, source)


def test_one_interrupt_from_line_to_completion(plic: Bench) -> None:
    """Pending, output, claim, quiet while in service, completion."""
    plic.write(4 * 10, 1)
    enable(plic, 1, 10)
    drive(plic, 10, True)
    assert plic.read(PENDING) == 1 << 10 and plic.level("irqs[1]") and not plic.level("irqs[0]")
    assert claim(plic, 1) == 10
    assert plic.read(PENDING) == 0 and not plic.level("irqs[1]") and claim(plic, 1) == 0
    drive(plic, 10, False)
    complete(plic, 1, 10)
    assert not plic.level("irqs[1]") and plic.changes == [("irqs[1]", True), ("irqs[1]", False)]


def test_a_line_that_stays_high_is_pending_again_after_completion(plic: Bench) -> None:
    """Level-triggered gateways; edges while in service are not counted."""
    plic.write(4 * 10, 1)
    enable(plic, 0, 10)
    drive(plic, 10, True)
    assert claim(plic, 0) == 10
    drive(plic, 10, False)
    drive(plic, 10, True)
    assert plic.read(PENDING) == 0
    complete(plic, 0, 10)
    assert plic.level("irqs[0]") and claim(plic, 0) == 10


def test_pending_survives_the_end_of_the_line(plic: Bench) -> None:
    """Once the gateway has forwarded a request, it stays until it is claimed."""
    plic.write(4 * 3, 1)
    enable(plic, 0, 3)
    drive(plic, 3, True)
    drive(plic, 3, False)
    assert plic.level("irqs[0]") and claim(plic, 0) == 3
    complete(plic, 0, 3)
    assert not plic.level("irqs[0]")


def test_priorities_order_claims(plic: Bench) -> None:
    """Highest priority first, lowest number among equals, priority 0 never."""
    for source, priority in ((5, 3), (7, 7), (40, 7), (95, 1), (6, 0)):
        plic.write(4 * source, priority)
        drive(plic, source, True)
    enable(plic, 0, 5, 6, 7, 40, 95)
    assert [claim(plic, 0) for _ in range(5)] == [7, 40, 5, 95, 0]


def test_threshold_masks_the_output_but_not_the_claim(plic: Bench) -> None:
    """Only priorities above the threshold interrupt; a claim takes what is pending all the same."""
    plic.write(4 * 5, 3)
    enable(plic, 0, 5)
    plic.write(THRESHOLD, 3)
    drive(plic, 5, True)
    assert not plic.level("irqs[0]")
    plic.write(THRESHOLD, 2)
    assert plic.level("irqs[0]")
    plic.write(THRESHOLD, 7)
    assert not plic.level("irqs[0]") and claim(plic, 0) == 5


def test_contexts_share_pending_but_not_enables(plic: Bench) -> None:
    """Two harts are told; the first one to claim gets it."""
    plic.write(4 * 9, 1)
    enable(plic, 1, 9)
    enable(plic, 3, 9)
    drive(plic, 9, True)
    assert plic.level("irqs[1]") and plic.level("irqs[3]")
    assert claim(plic, 3) == 9 and claim(plic, 1) == 0
    assert not plic.level("irqs[1]") and not plic.level("irqs[3]")


def test_completion_is_ignored_unless_enabled_and_claimed(plic: Bench) -> None:
    """A wrong number, a context that does not have the source, a second completion."""
    plic.write(4 * 9, 1)
    enable(plic, 0, 9)
    drive(plic, 9, True)
    assert claim(plic, 0) == 9
    for context, source in ((0, 8), (1, 9), (0, 0), (0, 96), (0, 0xFFFF_FFFF)):
        complete(plic, context, source)
        assert plic.read(PENDING) == 0
    complete(plic, 0, 9)
    assert plic.read(PENDING) == 1 << 9


def test_registers_are_warl(plic: Bench) -> None:
    """Priority and threshold hold three bits; source 0 and sources behind the last cannot be enabled."""
    plic.write(4, 0xFFFF_FFFF)
    plic.write(THRESHOLD + 0x1000, 0xFFFF_FFFF)
    plic.write(ENABLE, 0xFFFF_FFFF)
    plic.write(ENABLE + 8, 0xFFFF_FFFF)
    plic.write(PENDING, 0xFFFF_FFFF)
    assert plic.read(4) == 7 and plic.read(THRESHOLD + 0x1000) == 7
    assert plic.read(ENABLE) == 0xFFFF_FFFE and plic.read(ENABLE + 8) == 0xFFFF_FFFF
    assert plic.read(PENDING) == 0 and plic.read(0) == 0 and plic.read(4 * 96) == 0


def test_enabling_a_pending_source_interrupts(plic: Bench) -> None:
    """The order of set-up does not matter."""
    drive(plic, 12, True)
    enable(plic, 0, 12)
    assert not plic.level("irqs[0]")
    plic.write(4 * 12, 1)
    assert plic.level("irqs[0]")
    enable(plic, 0)
    assert not plic.level("irqs[0]")


def test_context_numbers_follow_the_configuration() -> None:
    """A monitor hart without supervisor mode has one context only."""
    plic = SiFivePlic(hart_config="M,MS,MS")
    assert plic.contexts == 5 and plic.context(1, "M") == 1 and plic.context(2, "S") == 4


@pytest.mark.parametrize(("properties", "message"), [
    ({"hart_config": "MX"}, "hart-config"), ({"hart_config": ""}, "hart-config"),
    ({"num_sources": 1025}, "num-sources"), ({"num_sources": 1}, "num-sources"),
])
def test_impossible_properties(properties: dict[str, object], message: str) -> None:
    """The error names the property."""
    with pytest.raises(UsageError, match=message):
        SiFivePlic(**properties)


@pytest.mark.parametrize("source", [0, 96, -1])
def test_inputs_that_do_not_exist(source: int) -> None:
    """A board that is wired wrongly."""
    with pytest.raises(ValueError):
        SiFivePlic().input(source)


class Model:
    """The specification again, as sets and with no regard for speed."""

    def __init__(self) -> None:
        self.priority = dict.fromkeys(range(96), 0)
        self.level, self.pending, self.claimed = set[int](), set[int](), set[int]()
        self.enabled: list[set[int]] = [set() for _ in range(4)]
        self.threshold = [0] * 4

    def set_level(self, source: int, level: bool) -> None:
        (self.level.add if level else self.level.discard)(source)
        self.sample()

    def sample(self) -> None:
        self.pending |= self.level - self.claimed

    def output(self, context: int) -> bool:
        return any(self.priority[s] > self.threshold[context] for s in self.pending & self.enabled[context])

    def claim(self, context: int) -> int:
        able = [s for s in self.pending & self.enabled[context] if self.priority[s]]
        best = min(able, key=lambda s: (-self.priority[s], s), default=0)
        if best:
            self.pending.discard(best)
            self.claimed.add(best)
        return best

    def complete(self, context: int, source: int) -> None:
        if source in self.claimed & self.enabled[context]:
            self.claimed.discard(source)
            self.sample()


@pytest.mark.parametrize("seed", range(5))
def test_random_use_agrees_with_the_model(seed: int) -> None:
    """Whatever guests and devices do, outputs, claims and pending bits are those of the specification."""
    dice = random.Random(seed)
    plic, model = DeviceBench(lambda: SiFivePlic(hart_config="MS,MS")), Model()
    sources = [1, 2, 31, 32, 33, 95]
    for _ in range(600):
        source, context = dice.choice(sources), dice.randrange(4)
        match dice.randrange(6):
            case 0:
                level = dice.random() < 0.5
                drive(plic, source, level)
                model.set_level(source, level)
            case 1:
                model.priority[source] = dice.randrange(8)
                plic.write(4 * source, model.priority[source])
            case 2:
                model.enabled[context] = set(dice.sample(sources, 3))
                enable(plic, context, *model.enabled[context])
            case 3:
                model.threshold[context] = dice.randrange(8)
                plic.write(THRESHOLD + 0x1000 * context, model.threshold[context])
            case 4:
                assert claim(plic, context) == model.claim(context)
            case 5:
                complete(plic, context, source)
                model.complete(context, source)
        assert [plic.level(f"irqs[{c}]") for c in range(4)] == [model.output(c) for c in range(4)]
        assert {s for s in sources if plic.read(PENDING + s // 32 * 4) >> s % 32 & 1} == model.pending
    plic.close()
