"""virtio-rng-device and the sources of its bytes (chapter 5.4)."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ratite.chardev.loop import IoLoop
from ratite.errors import HostError, UsageError
from ratite.hw.virtio.entropy import BuiltinEntropy, EntropySource, FileEntropy, Receive, make_entropy
from ratite.hw.virtio.rng import VirtioRng

from .conftest import Way

MS = 1_000_000


class Counting:
    """A source that counts up; with `later` set it answers when the test says so."""

    def __init__(self) -> None:
        self.next = 0
        self.later = False
        self.asked: list[tuple[int, Receive]] = []

    def request(self, count: int, receive: Receive) -> None:
        self.asked.append((count, receive))
        if not self.later:
            self.answer()

    def answer(self, count: int = 1 << 20) -> None:
        size, receive = self.asked.pop(0)
        size = min(size, count)
        data = bytes((self.next + number) & 0xFF for number in range(size))
        self.next += size
        receive(data)

    def close(self) -> None:
        pass


def test_bytes_of_the_source(way: Way) -> None:
    """Buffers are filled from the source, in order."""
    source = Counting()
    bench, driver = way.bench(lambda: VirtioRng(rng=source))
    (queue,) = driver.start(queues=[0])
    assert queue.request(room=[4]).data == bytes([0, 1, 2, 3])
    way.pause(bench)
    tokens = [queue.add(room=[1, 2]) for _ in range(3)]
    queue.kick()
    used = queue.used()
    assert [one.token for one in used] == tokens
    assert b"".join(one.data for one in used) == bytes(range(4, 13))


def test_host_generator(way: Way) -> None:
    """Without a source the host's generator answers; two buffers differ."""
    _, driver = way.bench(VirtioRng)
    (queue,) = driver.start(queues=[0])
    first, second = queue.request(room=[64]), queue.request(room=[64])
    assert first.length == 64 and first.data != second.data


def test_huge_buffers(way: Way) -> None:
    """A buffer of a megabyte gets a part: a device may give less than fits."""
    _, driver = way.bench(VirtioRng)
    (queue,) = driver.start(queues=[0])
    assert queue.request(room=[1 << 20]).length == 1 << 16


def test_slow_source(way: Way) -> None:
    """Buffers wait for a source that has nothing; a short answer uses one buffer."""
    source = Counting()
    source.later = True
    _, driver = way.bench(lambda: VirtioRng(rng=source))
    (queue,) = driver.start(queues=[0])
    queue.add(room=[8])
    queue.add(room=[8])
    queue.kick()
    queue.kick(force=True)
    assert len(source.asked) == 1 and queue.used() == []
    source.answer(3)
    assert [used.length for used in queue.used()] == [3]
    source.answer()
    assert [used.length for used in queue.used()] == [8]


def test_answer_after_a_reset(way: Way) -> None:
    """A reset forgets the requests; nothing is written into the guest's memory afterwards."""
    source = Counting()
    source.later = True
    _, driver = way.bench(lambda: VirtioRng(rng=source))
    (queue,) = driver.start(queues=[0])
    queue.add(room=[8])
    queue.kick()
    driver.write(0x70, 0)
    (queue,) = driver.start(queues=[0])
    queue.add(room=[8])
    queue.kick()
    source.answer()
    assert queue.used() == []
    source.answer()
    assert [used.length for used in queue.used()] == [8]


def test_rate_limit(way: Way) -> None:
    """max-bytes in a period, then nothing until the next one."""
    bench, driver = way.bench(lambda: VirtioRng(rng=Counting(), max_bytes=10, period=100))
    (queue,) = driver.start(queues=[0])
    for _ in range(4):
        queue.add(room=[8])
    queue.kick()
    assert [used.length for used in queue.used()] == [8, 2]
    way.pause(bench)
    bench.clock.advance(99 * MS)
    assert queue.used() == []
    bench.clock.advance(2 * MS)
    assert [used.length for used in queue.used()] == [8, 2]


def test_buffers_to_read(way: Way) -> None:
    """A buffer that cannot be written comes back empty."""
    _, driver = way.bench(VirtioRng)
    (queue,) = driver.start(queues=[0])
    assert queue.request([b"x"]).length == 0


def test_refused_properties() -> None:
    """Limits of zero make no sense; unknown sources are named."""
    for properties in ({"period": "0"}, {"max-bytes": "0"}):
        with pytest.raises(UsageError, match="must not be 0"):
            VirtioRng.from_options(properties)
    with pytest.raises(UsageError, match="rng 'x' is not known"):
        VirtioRng.from_options({"rng": "x"})


# --- sources

def collect(source: EntropySource, count: int) -> list[bytes]:
    got: list[bytes] = []
    source.request(count, got.append)
    return got


def test_objects() -> None:
    """-object makes the sources by their names."""
    loop = IoLoop(threading.RLock())
    name, source = make_entropy("rng-builtin,id=r0", loop)
    assert name == "r0" and isinstance(source, BuiltinEntropy)
    source.close()
    name, source = make_entropy("rng-random,id=r1", loop)
    assert isinstance(source, FileEntropy) and len(collect(source, 16)[0]) == 16
    source.close()
    source.close()
    loop.close()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("rng-egd,id=x", "object type 'rng-egd' is not known"),
        ("rng-builtin", "an id is needed"),
        ("rng-builtin,id=x,filename=y", "option 'filename' is not known"),
        ("rng-random,id=x,filenam=y", "did you mean 'filename'"),
        ("rng-random,id=x,filename=/nowhere", "cannot open '/nowhere'"),
    ],
)
def test_refused_objects(option: str, message: str) -> None:
    """One line each."""
    with pytest.raises((UsageError, HostError), match=message):
        make_entropy(option, IoLoop(threading.RLock()))


def test_file_that_has_nothing_yet(tmp_path: Path) -> None:
    """Requests wait until the pipe has bytes, and are answered in order."""
    os.mkfifo(tmp_path / "random")
    loop = IoLoop(threading.RLock())
    source = FileEntropy(loop, str(tmp_path / "random"))
    writer = os.open(tmp_path / "random", os.O_WRONLY)
    first, second = collect(source, 4), collect(source, 4)
    loop.step(0)
    assert first == second == []
    os.write(writer, b"abcdef")
    loop.step(1)
    assert (first, second) == ([b"abcd"], [b"ef"])
    assert not loop._watches
    source.close()
    os.close(writer)
    loop.close()
