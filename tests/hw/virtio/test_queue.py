"""Virtqueues: what comes through, in which order, with which interrupts; a hostile guest only breaks itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratite.hw.virtio.device import VirtioDevice
from ratite.hw.virtio.queue import Chain, Queue
from ratite.testing.virtio_driver import EVENT_IDX, NEEDS_RESET, DriverQueue, VirtioBench, VirtioDriver

from .conftest import Way

NO_EVENT_IDX = ~(1 << EVENT_IDX)


class EchoDevice(VirtioDevice, size=0, abstract=True):
    """Writes back what it is sent, reversed; can be told to keep requests for later, or to hold back after each."""

    virtio_id = 42
    keep = False

    def make_queues(self) -> list[int]:
        return [8, 1024]

    def realized(self) -> None:
        super().realized()
        self.kept: list[Chain] = []

    def handle_queue(self, queue: Queue) -> None:
        for chain in queue.take():
            if self.keep:
                self.kept.append(chain)
            else:
                self.answer(queue, chain)
        if not self.keep:
            queue.notify()

    def answer(self, queue: Queue, chain: Chain) -> None:
        queue.push(chain, chain.fill(chain.data()[::-1]))


def echo(way: Way) -> tuple[VirtioBench[EchoDevice], VirtioDriver]:
    return way.bench(EchoDevice)


def test_buffers_come_back(way: Way) -> None:
    """Chains of any cut, more of them than the ring has places, with the length that was written."""
    bench, driver = echo(way)
    (queue,) = driver.start(queues=[0])
    for turn in range(20):
        way.pause(bench)
        used = queue.request([b"abc", b"defg"], [2, 3, 10])
        assert (used.length, used.data[:7]) == (7, b"gfedcba"), turn
        used = queue.request([b"x" * 100], [40])
        assert used.length == 40
        used = queue.request([b"x"])
        assert used.length == 0
        used = queue.request(room=[4])
        assert (used.length, used.data) == (0, bytes(4))


def test_indirect_descriptors(way: Way) -> None:
    """A table of its own for a chain, longer than the ring."""
    bench, driver = echo(way)
    (queue,) = driver.start(queues=[0])
    for _ in range(10):
        way.pause(bench)
        parts = [bytes([letter]) for letter in b"abcdefghijklmnop"]
        assert queue.request(parts, [16], indirect=True).data == b"ponmlkjihgfedcba"


def test_several_at_once(way: Way) -> None:
    """One notification for a ring full of buffers; all come back, in any order the device likes."""
    bench, driver = echo(way)
    (queue,) = driver.start(queues=[0])
    bench.device.keep = True
    tokens = [queue.add([bytes([n])]) for n in range(8)]
    queue.kick()
    assert queue.used() == []
    ring = bench.device.queues[0]
    for chain in reversed(bench.device.kept):
        bench.device.answer(ring, chain)
    ring.notify()
    assert [used.token for used in queue.used()] == tokens[::-1]


def test_interrupt_flag(way: Way) -> None:
    """Without EVENT_IDX the driver's flag decides; the status bit is set together with the line."""
    bench, driver = echo(way)
    features = NO_EVENT_IDX & ~(1 << 24)
    (queue,) = driver.start(features, queues=[0])
    queue.request([b"x"])
    assert bench.interrupts == 1
    assert driver.acknowledge() == 1
    assert not bench.interrupt_level
    queue.interrupts(False)
    way.pause(bench)
    queue.request([b"x"])
    assert bench.interrupts == 1
    queue.interrupts(True)
    queue.request([b"x"])
    assert bench.interrupts == 2


def test_interrupt_event_index(way: Way) -> None:
    """With EVENT_IDX an interrupt comes when the named buffer comes back, and not before."""
    bench, driver = echo(way)
    (queue,) = driver.start(queues=[0])
    assert bench.device.uses_event_idx
    queue.request([b"x"])
    driver.acknowledge()
    seen = bench.interrupts
    queue.interrupt_after(3)
    for count in (0, 0, 1):
        queue.add([b"x"])
        queue.kick()
        assert bench.interrupts == seen + count
        way.pause(bench)
    assert len(queue.used()) == 3


def test_index_wraps(way: Way) -> None:
    """The 16-bit indices go round."""
    bench, driver = echo(way)
    (queue,) = driver.start(queues=[0])
    ring = bench.device.queues[0]
    for index in ("last_avail", "used_index", "signalled"):
        setattr(ring, index, 0xFFFC)
    queue.added = queue.seen = queue.announced = 0xFFFC
    bench.memory.dma_write(queue.used_ring + 2, b"\xfc\xff")
    bench.memory.dma_write(queue.used_ring + 4 + 8 * queue.size, b"\xfc\xff")
    queue.used()
    for turn in range(10):
        before = bench.interrupts
        assert queue.request([b"ab"], [2]).data == b"ba"
        assert bench.interrupts == before + 1, turn
        driver.acknowledge()
        way.pause(bench)


def test_notification_can_be_disabled(way: Way) -> None:
    """A device that does not want to be notified is not; when it does again, it hears of what came meanwhile."""
    for features in (-1, NO_EVENT_IDX):
        bench, driver = echo(way)
        (queue,) = driver.start(features & (1 << 64) - 1, queues=[0])
        queue.request([b"x"])
        bench.device.queues[0].disable_notification()
        ring = way.pause(bench).queues[0]
        queue.add([b"x"])
        assert not queue.kick()
        assert ring.enable_notification(), "a buffer that came meanwhile was not noticed"
        bench.device.handle_queue(ring)
        assert not ring.enable_notification()
        queue.add([b"y"])
        assert queue.kick()
        assert len(queue.used()) == 2


def test_a_flood_is_cut(way: Way) -> None:
    """A guest that refills a queue while it is served does not keep the machine's lock for ever."""
    bench, driver = echo(way)
    (queue,) = driver.start(queues=[0])
    served = 0

    class Flood(EchoDevice, size=0, abstract=True):
        def answer(self, queue_: Queue, chain: Chain) -> None:
            nonlocal served
            served += 1
            queue_.push(chain, 0)
            if served < 1000:
                queue.publish(chain.head)    # as another CPU of the guest might

    bench.device.__class__ = Flood
    queue.add([b"x"])
    queue.kick()
    assert served == 8
    while served < 1000:
        before = served
        bench.clock.advance(50_000)
        assert before < served <= before + 8


# --- what a guest may do wrong

RAM = VirtioBench.ram_base
BAD_CHAINS: dict[str, list[tuple[int, int, int, int]]] = {
    "no such next": [(RAM, 1, 1, 9)],
    "loop": [(RAM, 1, 1, 1), (RAM, 1, 1, 0)],
    "own tail": [(RAM, 1, 1, 0)],
    "zero length": [(RAM, 0, 0, 0)],
    "outside RAM": [(0x1000, 16, 0, 0)],
    "beyond RAM": [(RAM + (4 << 20) - 1, 2, 0, 0)],
    "giant": [(RAM, 0xFFFF_FFFF, 2, 0)],
    "wrapping address": [((1 << 64) - 8, 16, 2, 0)],
    "the slot itself": [(VirtioBench.at, 16, 2, 0)],
    "read after write": [(RAM, 1, 3, 1), (RAM, 1, 0, 0)],
    "odd indirect table": [(RAM, 24, 4, 0)],
    "empty indirect table": [(RAM, 0, 4, 0)],
    "huge indirect table": [(RAM, 16 * 2048, 4, 0)],
    "indirect and next": [(RAM, 16, 5, 0)],
    "indirect table outside": [(0, 16, 4, 0)],
}


def break_chain(queue: DriverQueue, wrong: str) -> None:
    """Make the queue's next chain a wrong one."""
    if wrong == "no such head":
        queue.publish(8)
        return
    if wrong == "index jumps":
        queue.memory.dma_write(queue.avail + 2, b"\x00\x80")
        return
    if wrong == "indirect in indirect":
        table = queue.driver.allocate(32)
        queue.write_descriptor(table, 0, table, 16, 4, 0)
        chain = [(table, 32, 4, 0)]
    else:
        chain = BAD_CHAINS[wrong]
    for number, values in enumerate(chain):
        queue.write_descriptor(queue.desc, number, *values)
    queue.publish(0)


@pytest.mark.parametrize("wrong", [*BAD_CHAINS, "no such head", "index jumps", "indirect in indirect"])
def test_broken_rings_stop_the_device(way: Way, wrong: str) -> None:
    """The device stops, says so where the driver can see it, and works again after a reset."""
    bench, driver = echo(way)
    (queue,) = driver.start(queues=[0])
    queue.request([b"x"])
    break_chain(queue, wrong)
    queue.kick(force=True)
    assert way.pause(bench).broken
    assert way.legacy or driver.status & NEEDS_RESET
    assert way.legacy or driver.acknowledge() & 2
    queue.kick(force=True)
    (queue,) = driver.start(queues=[0])
    assert not driver.status & NEEDS_RESET
    assert queue.request([b"ab"], [2]).data == b"ba"


@pytest.mark.parametrize("address", [0, 0x1000, RAM + 8, RAM + (4 << 20) - 16, (1 << 64) - 16, VirtioBench.at])
@pytest.mark.parametrize("ring", [0x80, 0x90, 0xA0])
def test_rings_outside_memory(address: int, ring: int) -> None:
    """Rings that are misaligned or not in RAM fail the device when the queue is made ready."""
    bench = VirtioBench(EchoDevice)
    driver = VirtioDriver.on(bench)
    driver.start()
    driver.write(0x30, 1)
    driver.write(0x38, 256)
    for register in (0x80, 0x90, 0xA0):
        place = address if register == ring else RAM + 0x10000 + 0x4000 * (register & 3)
        driver.write(register, place & 0xFFFF_FFFF)
        driver.write(register + 4, place >> 32)
    driver.write(0x44, 1)
    fits = address == RAM + 8 and ring != 0x80
    assert driver.read(0x44) == int(fits)
    assert bool(driver.status & NEEDS_RESET) != fits


@pytest.mark.parametrize("size", [0, 3, 2048, 0xFFFF, 0xFFFF_FFFF])
def test_impossible_sizes(way: Way, size: int) -> None:
    """A size that is no power of two, or beyond the maximum, makes no queue."""
    bench, driver = echo(way)
    driver.start()
    driver.write(0x30, 0)
    driver.write(0x38, size)
    if way.legacy:
        driver.write(0x28, 4096)
        driver.write(0x40, RAM >> 12)
    else:
        driver.write(0x80, RAM)
        driver.write(0x44, 1)
    assert bench.device.broken
    assert not bench.device.queues[0].ready


@settings(max_examples=150, deadline=None)
@given(
    table=st.lists(
        st.tuples(
            st.one_of(st.integers(RAM, RAM + 0x3000), st.integers(0, (1 << 64) - 1)),
            st.one_of(st.integers(0, 64), st.integers(0, (1 << 32) - 1)),
            st.integers(0, 7),
            st.one_of(st.integers(0, 8), st.integers(0, 0xFFFF)),
        ),
        min_size=8, max_size=8,
    ),
    heads=st.lists(st.one_of(st.integers(0, 8), st.integers(0, 0xFFFF)), min_size=1, max_size=12),
    index=st.one_of(st.none(), st.integers(0, 0xFFFF)),
    legacy=st.booleans(),
)
def test_random_rings_never_raise(
    table: list[tuple[int, int, int, int]], heads: list[int], index: int | None, legacy: bool,
) -> None:
    """Whatever is in the rings, the device works on or stops; it never raises and never leaves RAM."""
    bench = VirtioBench(EchoDevice, legacy=legacy, ram_size=1 << 16)
    driver = VirtioDriver.on(bench)
    (queue,) = driver.start(queues=[0])
    for number, values in enumerate(table):
        queue.write_descriptor(queue.desc, number, *values)
    for head in heads:
        queue.publish(head)
    if index is not None:
        bench.memory.dma_write(queue.avail + 2, index.to_bytes(2, "little"))
    queue.kick(force=True)
    bench.clock.advance(1_000_000)
    driver.start(queues=[0])
    assert not bench.device.broken
    bench.ram.close()
