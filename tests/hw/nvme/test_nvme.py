"""The NVM Express controller, driven as a guest does it: registers, rings in RAM, doorbells. Numbers are those of the
specification (NVM Express 1.4).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratite.block.drive import Drives
from ratite.block.worker import WorkerPool
from ratite.errors import UsageError
from ratite.hw.nvme.controller import Nvme
from ratite.hw.nvme.prp import pieces
from ratite.hw.nvme.status import CommandError
from ratite.memory import AddressSpace, RamBlock
from ratite.testing.pci import COMMAND, MEMORY, RAM, Function, PciBench

CAP, VS, INTMS, INTMC, CC, CSTS, AQA, ASQ, ACQ, DOORBELL = 0, 8, 0xC, 0x10, 0x14, 0x1C, 0x24, 0x28, 0x30, 0x1000
CREATE_SQ, LOG, DELETE_SQ, DELETE_CQ, CREATE_CQ, IDENTIFY, ABORT, SET, GET, EVENT = 1, 2, 0, 4, 5, 6, 8, 9, 10, 12
FLUSH, WRITE, READ, COMPARE, ZEROES, DSM, VERIFY = 0, 1, 2, 5, 8, 9, 12
DNR = 0x4000
SIZE = 4 << 20
PAGE = 4096
BUFFER = RAM + 0x10_0000
ENABLE = 1 | 6 << 16 | 4 << 20


class Ring:
    """A pair of queues with the same number."""

    def __init__(self, disk: Disk, number: int, size: int) -> None:
        self.disk, self.number, self.size = disk, number, size
        self.submission = RAM + 0x2_0000 * (number + 1)
        self.completion = self.submission + 0x1_0000
        self.tail = self.head = self.commands = 0
        self.phase = 1

    def add(self, opcode: int, *words: int, nsid: int = 0, prp1: int = BUFFER, prp2: int = 0, flags: int = 0) -> int:
        """Put a command into the ring; words are 10 to 15. Returns its number."""
        self.commands = (self.commands + 1) & 0xFFFF
        raw = struct.pack("<BBHIQQQQ6I", opcode, flags, self.commands, nsid, 0, 0, prp1, prp2, *words, *[0] * (6 - len(words)))
        self.disk.bench.memory.dma_write(self.submission + 64 * self.tail, raw)
        self.tail = (self.tail + 1) % self.size
        return self.commands

    def ring(self) -> None:
        """Tell the controller."""
        self.disk.guest.write(0, DOORBELL + 8 * self.number, self.tail)

    def take(self) -> tuple[int, int, int] | None:
        """The next completion: command number, status, result."""
        result, _, head, queue, number, status = struct.unpack(
            "<IIHHHH", self.disk.bench.memory.dma_read(self.completion + 16 * self.head, 16)
        )
        if status & 1 != self.phase:
            return None
        assert queue == self.number and head < self.size
        self.head = (self.head + 1) % self.size
        self.phase ^= not self.head
        return number, status >> 1, result

    def acknowledge(self) -> None:
        """Tell the controller how far completions were taken."""
        self.disk.guest.write(0, DOORBELL + 8 * self.number + 4, self.head)

    def run(self, opcode: int, *words: int, **options: Any) -> tuple[int, int]:
        """One command from start to end: status and result."""
        number = self.add(opcode, *words, **options)
        self.ring()
        self.disk.device.namespace.drive.drain()
        answer = self.take()
        assert answer is not None and answer[0] == number
        self.acknowledge()
        return answer[1], answer[2]


class Disk:
    """A controller on a file, and its driver. It has the machine's lock, as a guest's accesses do."""

    def __init__(self, path: Path, **properties: Any) -> None:
        self.bench = PciBench()
        self.pool = WorkerPool(self.bench.lock)
        self.drives = Drives(self.pool)
        self.drives.add(f"file={path},format=raw,if=none,id=d,discard=unmap")
        self.path = path
        self.device = self.bench.put(Nvme(drive=self.drives["d"], **{"serial": "S1", **properties}))
        self.guest: Function = self.bench.function(self.device)
        self.guest.enable()
        self.bench.lock.acquire()

    def start(self, size: int = 16) -> Ring:
        """Enable the controller; its admin queues."""
        admin = Ring(self, 0, size)
        self.guest.write(0, AQA, (size - 1) << 16 | size - 1)
        self.guest.write(0, ASQ, admin.submission, 8)
        self.guest.write(0, ACQ, admin.completion, 8)
        self.guest.write(0, CC, ENABLE)
        assert self.guest.read(0, CSTS) == 1
        return admin

    def io(self, admin: Ring, number: int = 1, size: int = 8, *, vector: int = 0) -> Ring:
        """A pair of queues for input and output."""
        ring = Ring(self, number, size)
        assert admin.run(CREATE_CQ, (size - 1) << 16 | number, vector << 16 | 3, prp1=ring.completion) == (0, 0)
        assert admin.run(CREATE_SQ, (size - 1) << 16 | number, number << 16 | 1, prp1=ring.submission) == (0, 0)
        return ring

    def close(self) -> None:
        self.device.namespace.drive.drain()
        self.bench.lock.release()
        self.drives.close()
        self.pool.close()
        self.bench.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.write_bytes(random.Random(0).randbytes(SIZE))
    disk = Disk(path)
    yield disk
    disk.close()


@pytest.fixture
def admin(disk: Disk) -> Ring:
    return disk.start()


@pytest.fixture
def io(disk: Disk, admin: Ring) -> Ring:
    return disk.io(admin)


def test_function(disk: Disk) -> None:
    """Identity, sizes and capabilities at their places, as QEMU's controller has them."""
    guest = disk.guest
    assert guest.get(0) == 0x0010_1B36 and guest.get(8) == 0x0108_0202
    assert list(guest.capabilities()) == [(0x11, 0x40), (0x10, 0x80), (0x01, 0x60)]
    assert [guest.get(0x40 + 4 * n) for n in range(3)] == [0x0040_8011, 0x2000, 0x3000]
    assert guest.get(0x82, 2) == 0x0092 and guest.get(0x100) == 0
    guest.set(0x10, 0xFFFF_FFFF)
    assert guest.get(0x10) == 0xFFFF_C004


def test_registers(disk: Disk) -> None:
    """Capabilities, version; enabling with and without sense; shutdown; disabling."""
    guest = disk.guest
    assert guest.read(0, CAP, 8) == 4 << 52 | 1 << 37 | 0xF << 24 | 1 << 16 | 2047
    assert guest.read(0, VS) == 0x0001_0400
    guest.write(0, CC, 1)
    assert guest.read(0, CSTS) == 2    # no admin queues: fatal
    guest.write(0, CC, 0)
    assert guest.read(0, CSTS) == 0
    disk.start()
    guest.write(0, CC, ENABLE | 1 << 14)
    assert guest.read(0, CSTS) == 1 | 2 << 2
    guest.write(0, CC, 0)
    assert guest.read(0, CSTS) == 0 and not disk.device.submission_queues


def test_identify(disk: Disk, admin: Ring) -> None:
    """Controller, namespace, list and names; what does not exist is an error."""
    memory = disk.bench.memory
    assert admin.run(IDENTIFY, 1)[0] == 0
    page = memory.dma_read(BUFFER, PAGE)
    assert page[:4] == bytes.fromhex("361bf41a") and page[4:24] == b"S1".ljust(20) and page[77] == 7
    assert page[512:514] == b"\x66\x44" and struct.unpack_from("<I", page, 516) == (1,)
    assert page[259] == 3 and page[111] == 1
    assert admin.run(IDENTIFY, 0, nsid=1)[0] == 0
    page = memory.dma_read(BUFFER, PAGE)
    assert struct.unpack_from("<3Q", page) == (SIZE // 512,) * 3 and page[128:132] == bytes((0, 0, 9, 0))
    assert admin.run(IDENTIFY, 2, nsid=0)[0] == 0
    assert memory.dma_read(BUFFER, 8) == struct.pack("<II", 1, 0)
    assert admin.run(IDENTIFY, 2, nsid=1)[0] == 0 and memory.dma_read(BUFFER, 4) == bytes(4)
    assert admin.run(IDENTIFY, 3, nsid=1)[0] == 0 and memory.dma_read(BUFFER, 2) == b"\x03\x10"
    assert admin.run(IDENTIFY, 0, nsid=2)[0] == DNR | 0xB
    assert admin.run(IDENTIFY, 0x77)[0] == DNR | 2
    assert admin.run(0x55)[0] == DNR | 1
    assert admin.run(IDENTIFY, 1, prp1=0x10)[0] == DNR | 4
    assert admin.run(IDENTIFY, 1, prp1=BUFFER + 2)[0] == DNR | 0x13
    assert admin.run(IDENTIFY, 1, flags=0x40)[0] == DNR | 2


def test_reading_and_writing(disk: Disk, io: Ring) -> None:
    """Blocks go both ways, through one page, two, and a list; what is beyond the end is an error."""
    memory, content = disk.bench.memory, disk.path.read_bytes()
    assert io.run(READ, 8, 0, 0, nsid=1) == (0, 0)
    assert memory.dma_read(BUFFER, 512) == content[4096:4608]
    assert io.run(READ, 0, 0, 14, nsid=1, prp1=BUFFER + 512, prp2=BUFFER + 3 * PAGE)[0] == 0
    got = memory.dma_read(BUFFER + 512, PAGE - 512) + memory.dma_read(BUFFER + 3 * PAGE, PAGE)
    assert got == content[:7680]
    pages = [BUFFER + PAGE * n for n in (9, 3, 4, 7)]
    memory.dma_write(BUFFER, struct.pack("<3Q", *pages[1:]))
    for n, page in enumerate(pages):
        memory.dma_write(page, bytes([n + 1]) * PAGE)
    assert io.run(WRITE, 16, 0, 31, nsid=1, prp1=pages[0], prp2=BUFFER)[0] == 0
    assert io.run(FLUSH, nsid=1)[0] == 0
    assert disk.path.read_bytes()[8192:8192 + 4 * PAGE] == b"".join(bytes([n + 1]) * PAGE for n in range(4))
    assert io.run(READ, SIZE // 512 - 1, 0, 1, nsid=1)[0] == DNR | 0x80
    assert io.run(READ, 0, 0xFFFF_FFFF, 0, nsid=1)[0] == DNR | 0x80
    assert io.run(READ, 0, 0, 0, nsid=2)[0] == DNR | 0xB
    assert io.run(READ, 0, 0, 0x7FF, nsid=1)[0] == DNR | 2    # more than the largest transfer
    assert io.run(READ, 0, 0, 15, nsid=1, prp2=BUFFER + 8)[0] == DNR | 0x13
    assert io.run(READ, 0, 0, 0, nsid=1, prp1=RAM - 0x2000)[0] == DNR | 4
    assert io.run(0x7F, nsid=1)[0] == DNR | 1


def test_compare_and_verify(disk: Disk, io: Ring) -> None:
    """A difference is reported as such."""
    assert io.run(READ, 0, 0, 0, nsid=1)[0] == 0
    assert io.run(COMPARE, 0, 0, 0, nsid=1)[0] == 0
    disk.bench.memory.dma_write(BUFFER + 511, b"!")
    assert io.run(COMPARE, 0, 0, 0, nsid=1)[0] == 0x285
    assert io.run(VERIFY, 0, 0, 0, nsid=1)[0] == 0


def test_zeroes_and_discards(disk: Disk, io: Ring) -> None:
    """Write zeroes, with and without giving back; data set management with ranges, of which one is impossible."""
    assert io.run(ZEROES, 0, 0, 7, nsid=1)[0] == 0
    assert io.run(ZEROES, 8, 0, 7 | 1 << 25, nsid=1)[0] == 0
    disk.bench.memory.dma_write(BUFFER, struct.pack("<IIQIIQ", 0, 8, 16, 0, 8, 32))
    assert io.run(DSM, 1, 4, nsid=1)[0] == 0
    assert io.run(FLUSH, nsid=0xFFFF_FFFF)[0] == 0
    content = disk.path.read_bytes()
    assert not any(content[:12288]) and any(content[12288:16384]) and not any(content[16384:20480])
    disk.bench.memory.dma_write(BUFFER, struct.pack("<IIQ", 0, 8, 1 << 60))
    assert io.run(DSM, 0, 4, nsid=1)[0] == DNR | 0x80
    assert io.run(DSM, 0, 1, nsid=1)[0] == 0    # hints alone


def test_features(admin: Ring) -> None:
    """Queue counts, the write cache, remembered numbers; what does not exist, and saving, is refused."""
    assert admin.run(SET, 7, 0x00FF_00FF) == (0, 0x003F_003F)
    assert admin.run(SET, 7, 0xFFFF)[0] == DNR | 2
    drive = admin.disk.device.namespace.drive
    assert admin.run(GET, 6) == (0, 1)
    assert admin.run(SET, 6, 0) == (0, 0) and drive.write_through and admin.run(GET, 6) == (0, 0)
    assert admin.run(SET, 0xB, 0x1F) == (0, 0) and admin.run(GET, 0xB) == (0, 0x1F)
    assert admin.run(GET, 4)[1] == 0x157
    for words in ((0x7E, 0), (0x8000_0006, 0)):
        assert admin.run(SET, *words)[0] == DNR | 2
    assert admin.run(GET, 0x7E)[0] == DNR | 2


def test_log_pages(disk: Disk, admin: Ring, io: Ring) -> None:
    """Health counts commands and data in thousands of 512 bytes; parts of a page; unknown pages."""
    io.run(READ, 0, 0, 7, nsid=1)
    assert admin.run(LOG, 127 << 16 | 2, nsid=0xFFFF_FFFF)[0] == 0
    page = disk.bench.memory.dma_read(BUFFER, 512)
    assert page[3] == 100 and [page[at] for at in (32, 48, 64, 80)] == [1, 0, 1, 0]
    assert 273 < int.from_bytes(page[1:3], "little") < 373
    assert admin.run(LOG, 3 << 16 | 2, 0, 64)[0] == 0
    assert disk.bench.memory.dma_read(BUFFER, 1) == b"\1"
    assert admin.run(LOG, 127 << 16 | 3)[0] == 0 and disk.bench.memory.dma_read(BUFFER, 1) == b"\1"
    assert admin.run(LOG, 1023 << 16 | 5)[0] == 0
    effects = struct.unpack("<1024I", disk.bench.memory.dma_read(BUFFER, PAGE))
    assert effects[IDENTIFY] == 1 and effects[256 + WRITE] == 3 and effects[256 + 0x7F] == 0
    assert admin.run(LOG, 0x99)[0] == DNR | 0x109
    assert admin.run(LOG, 2, 0, 4096)[0] == DNR | 2
    assert admin.run(LOG, 0xFFFF << 16 | 2, 0xFFFF)[0] == 0    # a giant length ends with the page


def test_queue_management(disk: Disk, admin: Ring, io: Ring) -> None:
    """What may not be: queues without a partner, twice, of no size, in no memory; deletion in the wrong order."""
    where = {"prp1": RAM + 0x8_0000}
    for opcode, words, status in (
        (CREATE_SQ, (7 << 16 | 2, 2 << 16 | 1), 0x100), (CREATE_SQ, (7 << 16 | 1, 1 << 16 | 1), 0x101),
        (CREATE_CQ, (7 << 16 | 0, 1), 0x101), (CREATE_CQ, (7 << 16 | 65, 1), 0x101), (CREATE_CQ, (2, 1), 0x102),
        (CREATE_CQ, (2048 << 16 | 2, 1), 0x102), (CREATE_CQ, (7 << 16 | 2, 0), 0x002), (DELETE_SQ, (0,), 0x101),
        (CREATE_CQ, (7 << 16 | 2, 9 << 16 | 3), 0x108), (DELETE_CQ, (1,), 0x10C), (DELETE_CQ, (5,), 0x101),
    ):
        assert admin.run(opcode, *words, **where)[0] == DNR | status, (opcode, words)
    assert admin.run(CREATE_CQ, 7 << 16 | 2, 1, prp1=RAM + 8)[0] == DNR | 0x13
    assert admin.run(DELETE_SQ, 1)[0] == 0 and admin.run(DELETE_CQ, 1)[0] == 0
    disk.io(admin)


def test_event_requests_wait(admin: Ring) -> None:
    """Four may wait; the fifth is one too many. Abort says that it did not."""
    for _ in range(4):
        admin.add(EVENT)
    admin.ring()
    assert admin.take() is None
    assert admin.run(EVENT)[0] == DNR | 0x105
    assert admin.run(ABORT, 1) == (0, 1)


def test_a_full_completion_queue(disk: Disk, admin: Ring) -> None:
    """Completions wait for room; no command is lost, and the ring wraps with its phase."""
    io = disk.io(admin, size=4)
    for _ in range(5):
        numbers = []
        for _ in range(3):
            numbers.append(io.add(FLUSH, nsid=1))
        io.ring()
        disk.device.namespace.drive.drain()
        answers = [io.take() for _ in range(3)]
        assert sorted(answer[0] for answer in answers if answer) == numbers
        for _ in range(3):    # a second ring full before the first is acknowledged
            numbers.append(io.add(VERIFY, 0, 0, 0, nsid=1))
        io.ring()
        disk.device.namespace.drive.drain()
        io.acknowledge()
        disk.device.namespace.drive.drain()
        assert [answer[1] for answer in (io.take(), io.take(), io.take()) if answer] == [0, 0, 0]
        io.acknowledge()


def test_pin(disk: Disk, admin: Ring) -> None:
    """High while there are completions that were not taken, unless masked."""
    number = admin.add(GET, 6)
    admin.ring()
    assert disk.bench.levels[1]
    disk.guest.write(0, INTMS, 1)
    assert not disk.bench.levels[1] and disk.guest.read(0, INTMC) == 1
    disk.guest.write(0, INTMC, 1)
    assert disk.bench.levels[1]
    assert (answer := admin.take()) is not None and answer[0] == number
    admin.acknowledge()
    assert not disk.bench.levels[1]


def test_messages(disk: Disk) -> None:
    """Each queue its vector."""
    disk.guest.use_msix(4)
    admin = disk.start()
    io = disk.io(admin, vector=3)
    disk.bench.sink.messages.clear()
    io.run(FLUSH, nsid=1)
    assert disk.bench.sink.messages == [(12, 3)] and not disk.bench.levels[1]


def test_saved_state(disk: Disk, admin: Ring, io: Ring) -> None:
    """Queues go on where they were, with completions that nobody has taken."""
    io.add(READ, 0, 0, 0, nsid=1)
    io.ring()
    admin.run(SET, 0xB, 7)
    disk.device.namespace.drive.drain()
    saved = disk.device.save()
    disk.device.reset()
    assert not disk.device.submission_queues
    disk.device.load(saved)
    assert disk.device.save() == saved and disk.bench.levels[1]
    assert io.take() is not None
    io.acknowledge()
    assert io.run(READ, 0, 0, 0, nsid=1)[0] == 0 and admin.run(GET, 0xB) == (0, 7)


def test_without_bus_mastering(disk: Disk, admin: Ring) -> None:
    """Commands wait until memory can be reached."""
    disk.guest.set(COMMAND, MEMORY, 2)
    admin.add(GET, 6)
    admin.ring()
    disk.guest.enable()
    assert admin.take() is None
    admin.ring()
    assert admin.take() is not None


def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    """Writes are refused with the status that says so."""
    path = tmp_path / "ro"
    path.write_bytes(bytes(SIZE))
    disk = Disk(path)
    disk.drives.close()
    disk.drives = Drives(disk.pool)
    disk.drives.add(f"file={path},format=raw,if=none,id=d,readonly=on")
    disk.device.namespace.drive = disk.drives["d"]
    io = disk.io(disk.start())
    assert io.run(WRITE, 0, 0, 0, nsid=1)[0] == DNR | 0x20
    assert io.run(READ, 0, 0, 0, nsid=1)[0] == 0
    disk.close()


@pytest.mark.parametrize(("options", "message"), [
    ({"serial": ""}, "serial"), ({"serial": "x" * 21}, "serial"), ({"logical_block_size": 1024}, "logical_block_size"),
    ({"max_ioqpairs": 0}, "max_ioqpairs"), ({"msix_qsize": 300}, "msix_qsize"), ({"mdts": 12}, "mdts"),
])
def test_properties(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """What is wrong is said."""
    (tmp_path / "d").write_bytes(bytes(SIZE))
    with pytest.raises(UsageError, match=message):
        Disk(tmp_path / "d", **options)


def test_blocks_of_4096_bytes(tmp_path: Path) -> None:
    """Sizes and places count in blocks."""
    (tmp_path / "d").write_bytes(bytes(8192) + b"x" * 4096 + bytes(SIZE))
    disk = Disk(tmp_path / "d", logical_block_size=4096)
    io = disk.io(disk.start())
    assert io.run(READ, 2, 0, 0, nsid=1)[0] == 0
    assert disk.bench.memory.dma_read(BUFFER, 4096) == b"x" * 4096
    disk.close()


@settings(max_examples=300, deadline=None)
@given(
    first=st.integers(0, 1 << 20), second=st.integers(0, 1 << 20), size=st.integers(1, 1 << 19),
    page=st.sampled_from((4096, 8192, 65536)), seed=st.integers(0, 100),
)
def test_any_pages(first: int, second: int, size: int, page: int, seed: int) -> None:
    """Whatever a guest gives as pages: an error, or exactly so many bytes."""
    memory, ram = AddressSpace(), RamBlock("ram", 1 << 20)
    memory.add_ram(0, ram)
    dice = random.Random(seed)
    entries = [dice.choice((page * dice.randrange(1 << 8), dice.getrandbits(64))) for _ in range(256)]
    ram.view[:2048] = struct.pack("<256Q", *entries)
    try:
        found = pieces(memory, first, second, size, page)
    except CommandError:
        pass
    else:
        assert sum(piece.size for piece in found) == size
    ram.close()


@pytest.mark.parametrize("seed", range(4))
def test_hostile_guest(disk: Disk, seed: int) -> None:
    """Random commands in both queues, random registers and doorbells: nothing raises, and the state can be saved."""
    dice = random.Random(seed)
    admin = disk.start()
    io = disk.io(admin)
    for _ in range(1500):
        if dice.random() < 0.5:
            ring = dice.choice((admin, io))
            words = [dice.choice((0, 1, 2, 7, 8, 0x10001, 7 << 16 | 2, dice.getrandbits(32))) for _ in range(6)]
            prp = dice.choice((BUFFER, BUFFER + PAGE, RAM, 0, dice.getrandbits(64)))
            ring.add(dice.randrange(16), *words, nsid=dice.choice((0, 1, 1, 1, 2)), prp1=prp, prp2=dice.choice((0, prp, BUFFER)))
            ring.ring()
        elif dice.random() < 0.5:
            disk.guest.write(0, DOORBELL + 4 * dice.randrange(8), dice.choice((0, 1, 5, dice.getrandbits(16))))
        else:
            offset = dice.choice((CAP, INTMS, INTMC, CC, AQA, ASQ, ACQ, 0x2000, 0x200C, 0x3000))
            size = dice.choice((1, 2, 4, 8))
            value = dice.choice((0, 1, ENABLE, 0xF_000F, RAM + 0x2_0000, dice.getrandbits(64)))
            disk.guest.write(0, offset, value & (1 << 8 * size) - 1, size)
            assert 0 <= disk.guest.read(0, offset, size) < 1 << 8 * size
    disk.device.namespace.drive.drain()
    saved = disk.device.save()
    disk.device.load(saved)
    assert disk.device.save()["completion"] is not None


def test_a_long_queue_is_taken_in_turns(disk: Disk) -> None:
    """More than 256 commands at once: the rest comes when others have had the machine, and none is lost."""
    disk.guest.write(0, CC, 0)
    admin = disk.start(1024)
    for _ in range(1000):
        admin.add(GET, 6)
    admin.ring()
    taken = 0
    while admin.take() is not None:
        taken += 1
    assert 0 < taken < 1000
    admin.acknowledge()
    for _ in range(10):
        disk.bench.clock.advance(100_000)
        while admin.take() is not None:
            taken += 1
        admin.acknowledge()
    assert taken == 1000


def test_very_many_ranges(disk: Disk, io: Ring) -> None:
    """256 ranges of one command, one after the other."""
    disk.bench.memory.dma_write(BUFFER, b"".join(struct.pack("<IIQ", 0, 1, 2 * n) for n in range(256)))
    assert io.run(DSM, 255, 4, nsid=1)[0] == 0
    content = disk.path.read_bytes()
    assert all(not any(content[1024 * n:1024 * n + 512]) for n in range(256)) and any(content[512:1024])
