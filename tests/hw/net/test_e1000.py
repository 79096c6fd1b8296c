"""The 82540EM: EEPROM, transceiver, rings, filters, interrupts. Offsets and bits are those of Intel's manual."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from ratite.errors import UsageError
from ratite.hw.net.e1000 import E1000
from ratite.testing.net import FakeNetdev
from ratite.testing.pci import COMMAND, IO, MASTER, MEMORY, RAM, Function, PciBench

CTRL, STATUS, EECD, EERD, MDIC, ICR, ICS, IMS, IMC = 0, 8, 0x10, 0x14, 0x20, 0xC0, 0xC8, 0xD0, 0xD8
RCTL, TCTL, RAL, MTA, VFTA, STATISTICS = 0x100, 0x400, 0x5400, 0x5200, 0x5600, 0x4000
RDBAL, RDLEN, RDH, RDT = 0x2800, 0x2808, 0x2810, 0x2818
TDBAL, TDLEN, TDH, TDT = 0x3800, 0x3808, 0x3810, 0x3818
TXDW, TXQE, LSC, RXDMT0, RXO, RXT0 = 1, 2, 4, 0x10, 0x40, 0x80
EOP, IC, RS, DEXT, VLE = 1, 4, 8, 0x20, 0x40
ENABLE, UNICAST, MULTICAST, LONG, BROADCAST, STRIP = 2, 8, 0x10, 0x20, 0x8000, 1 << 26
MAC = bytes.fromhex("525400123456")
RX_RING, TX_RING, RX_BUFFERS, TX_BUFFERS = RAM + 0x1000, RAM + 0x2000, RAM + 0x1_0000, RAM + 0x10_0000


class Card(NamedTuple):
    """A card with its network and its driver."""

    bench: PciBench
    guest: Function
    net: FakeNetdev
    device: E1000

    def get(self, offset: int) -> int:
        return self.guest.read(0, offset)

    def set(self, offset: int, value: int) -> None:
        self.guest.write(0, offset, value)

    def start_receiver(self, control: int = ENABLE | BROADCAST | STRIP, count: int = 8, tail: int = 7) -> None:
        for n in range(count):
            self.bench.memory.dma_write(RX_RING + 16 * n, struct.pack("<QQ", RX_BUFFERS + 0x800 * n, 0))
        for offset, value in ((RDBAL, RX_RING), (RDLEN, 16 * count), (RDH, 0), (RDT, tail), (RCTL, control)):
            self.set(offset, value)

    def received(self, n: int) -> tuple[bytes, int, int]:
        """Data, status and VLAN tag of a descriptor."""
        address, length, _, status, errors, tag = struct.unpack("<QHHBBH", self.bench.memory.dma_read(RX_RING + 16 * n, 16))
        assert not errors
        return self.bench.memory.dma_read(address, length), status, tag

    def start_transmitter(self, count: int = 16) -> None:
        for offset, value in ((TDBAL, TX_RING), (TDLEN, 16 * count), (TDH, 0), (TDT, 0), (TCTL, 0xA)):
            self.set(offset, value)

    def descriptor(self, n: int, raw: bytes) -> None:
        self.bench.memory.dma_write(TX_RING + 16 * n, raw)

    def legacy(self, n: int, data: bytes, command: int = EOP | RS, *, checksum: int = 0, start: int = 0, tag: int = 0) -> None:
        at = TX_BUFFERS + 0x4000 * n
        self.bench.memory.dma_write(at, data)
        self.descriptor(n, struct.pack("<QHBBBBH", at, len(data), checksum, command, 0, start, tag))


@pytest.fixture
def card() -> Iterator[Card]:
    bench, net = PciBench(), FakeNetdev()
    device = bench.put(E1000(netdev=net, mac="52:54:00:12:34:56"))
    guest = bench.function(device)
    guest.enable()
    yield Card(bench, guest, net, device)
    bench.close()


def frame(target: bytes, size: int = 64, kind: int = 0x0800) -> bytes:
    return target + bytes.fromhex("020000000001") + kind.to_bytes(2, "big") + bytes(n & 0xFF for n in range(size - 14))


def clock_in(card: Card, bit: int) -> int:
    """One bit into the EEPROM with a rising clock; what comes out."""
    base = 0x42 | bit << 2    # selected, requested
    card.set(EECD, base)
    card.set(EECD, base | 1)
    out = card.get(EECD) >> 3 & 1
    card.set(EECD, base)
    return out


def eeprom_word(card: Card, address: int) -> int:
    """A read as a driver clocks it: 110, six bits of address, sixteen of data."""
    card.set(EECD, 0x40)
    assert card.get(EECD) & 0x80    # granted
    for bit in f"110{address:06b}":
        clock_in(card, int(bit))
    word = 0
    for _ in range(16):
        word = word << 1 | clock_in(card, 0)
    card.set(EECD, 0x40)
    return word


def test_identity(card: Card) -> None:
    """Vendor, device, revision and class; 128 KiB of memory and 64 ports, as QEMU's."""
    assert card.guest.get(0) == 0x100E_8086
    assert card.guest.get(8) == 0x0200_0003
    card.guest.set(0x10, 0xFFFF_FFFF)
    card.guest.set(0x14, 0xFFFF_FFFF)
    assert card.guest.get(0x10) == 0xFFFE_0000 and card.guest.get(0x14) == 0xFFFF_FFC1


def test_eeprom(card: Card) -> None:
    """The address is in the first words, and all words sum up to BABA; the register gives the same."""
    words = [eeprom_word(card, address) for address in range(64)]
    assert struct.pack("<3H", *words[:3]) == MAC
    assert sum(words) & 0xFFFF == 0xBABA
    for address in (0, 2, 63):
        card.set(EERD, address << 8 | 1)
        assert card.get(EERD) >> 16 == words[address] and card.get(EERD) & 0x10
    assert card.get(RAL) == 0x12005452 and card.get(RAL + 4) == 0x8000_5634


def test_eeprom_across_a_saved_state(card: Card) -> None:
    """In the middle of a read."""
    card.set(EECD, 0x40)
    for bit in "110000001":
        clock_in(card, int(bit))
    high = [clock_in(card, 0) for _ in range(8)]
    saved = card.device.save()
    card.device.reset()
    card.device.load(saved)
    assert card.device.save() == saved
    bits = [*high, *(clock_in(card, 0) for _ in range(8))]
    assert int("".join(map(str, bits)), 2) == int.from_bytes(MAC[2:4], "little")


def test_transceiver(card: Card) -> None:
    """Identity, link and negotiation through the management register; other addresses give an error."""
    def read(register: int, address: int = 1) -> int:
        card.set(MDIC, 2 << 26 | address << 21 | register << 16)
        return card.get(MDIC)

    assert read(2) == 0x1000_0000 | 2 << 26 | 1 << 21 | 2 << 16 | 0x0141
    assert read(3) & 0xFFFF == 0x0C20
    assert read(1) & 0x24 == 0x24
    card.set(MDIC, 1 << 26 | 1 << 21 | 0x9340)
    assert read(0) & 0xFFFF == 0x1140    # reset and restart are over
    assert read(0, 2) >> 30 & 1
    card.device.set_link(False)
    assert not read(1) & 0x24 and not card.get(STATUS) & 2
    assert card.get(ICR) & LSC


def test_registers_through_ports(card: Card) -> None:
    """An offset, then the value; offsets outside do nothing."""
    card.guest.write(1, 0, STATUS)
    assert card.guest.read(1, 4) == 0x83
    card.guest.write(1, 0, RAL)
    card.guest.write(1, 4, 0x1234_5678)
    assert card.get(RAL) == 0x1234_5678
    for offset in (0x2_0000, 0xFFFF_FFFC, 2):
        card.guest.write(1, 0, offset)
        card.guest.write(1, 4, 1)


def test_sending(card: Card) -> None:
    """A packet in two descriptors; the report, the head, both interrupt causes, the statistics."""
    card.start_transmitter()
    card.set(IMS, TXDW)
    card.legacy(0, frame(MAC)[:20], 0)
    card.legacy(1, frame(MAC)[20:])
    card.set(TDT, 2)
    assert card.net.frames == [frame(MAC)]
    assert card.bench.memory.dma_read(TX_RING + 28, 1) == b"\1" and card.bench.memory.dma_read(TX_RING + 12, 1) == b"\0"
    assert card.get(TDH) == 2 and card.bench.levels[1]
    assert card.get(ICR) == TXDW | TXQE and not card.bench.levels[1]
    assert card.get(STATISTICS + 0xD4) == 1 and card.get(STATISTICS + 0xD4) == 0


def test_checksum_in_a_legacy_descriptor(card: Card) -> None:
    """From a start to the end, at a place; the sum then is all ones."""
    card.start_transmitter()
    card.legacy(0, frame(MAC)[:54] + bytes(10), EOP | IC, checksum=62, start=34)
    card.set(TDT, 1)
    (sent,) = card.net.frames
    total = sum(struct.unpack(">15H", sent[34:]))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


def test_segmentation(card: Card) -> None:
    """A context, then one descriptor of data: three frames of 100 bytes of data each."""
    card.start_transmitter()
    data = frame(MAC, 54 + 300)
    card.bench.memory.dma_write(TX_BUFFERS, data)
    context = struct.pack("<BBHBBHII", 14, 24, 33, 34, 50, 0, 300 | (DEXT | 7) << 24, 54 << 8 | 100 << 16)
    card.descriptor(0, context)
    card.descriptor(1, struct.pack("<QIBBH", TX_BUFFERS, len(data) | 1 << 20 | (EOP | 4 | RS | DEXT) << 24, 0, 3, 0))
    card.set(TDT, 2)
    assert [len(sent) for sent in card.net.frames] == [154] * 3
    assert [int.from_bytes(sent[16:18], "big") for sent in card.net.frames] == [140] * 3


def test_vlan_tags_are_put_in(card: Card) -> None:
    """When the descriptor and the control register say so."""
    card.start_transmitter()
    card.set(CTRL, 1 << 30)
    card.legacy(0, frame(MAC), EOP | VLE, tag=5)
    card.set(TDT, 1)
    assert card.net.frames[0][12:18] == bytes.fromhex("810000050800")


def test_a_long_ring_is_sent_in_turns(card: Card) -> None:
    """More than 256 descriptors, and a packet cut into tiny segments: the rest comes when others have had the machine."""
    ring = RAM + 0x8_0000
    card.bench.memory.dma_write(TX_BUFFERS, frame(MAC))
    one = struct.pack("<QHBBBBH", TX_BUFFERS, 64, 0, EOP, 0, 0, 0)
    card.bench.memory.dma_write(ring, one * 1024)
    for offset, value in ((TDBAL, ring), (TDLEN, 16 * 1024), (TDH, 0), (TCTL, 0xA), (TDT, 1000)):
        card.set(offset, value)
    assert 0 < len(card.net.frames) < 1000
    for _ in range(10):
        card.bench.clock.advance(100_000)
    assert len(card.net.frames) == 1000 and card.get(TDH) == 1000


def test_a_full_network(card: Card) -> None:
    """Frames wait until there is room, and come in their order."""
    card.start_transmitter()
    card.net.full = True
    for n in range(3):
        card.legacy(n, frame(MAC, 60 + n))
    card.set(TDT, 3)
    assert card.get(TDH) == 1 and not card.net.frames
    saved = card.device.save()
    card.device.load(saved)
    card.net.make_room()
    assert [len(sent) for sent in card.net.frames] == [60, 61, 62] and card.get(TDH) == 3


def test_receiving(card: Card) -> None:
    """Frames fill descriptors, padded to the least size; checksum kept or stripped as asked; interrupts when enabled."""
    card.start_receiver()
    card.set(IMS, RXT0)
    card.net.deliver(frame(MAC, 40))
    data, status, _ = card.received(0)
    assert data == frame(MAC, 40).ljust(60, b"\0") and status == 7
    assert card.bench.levels[1] and card.get(ICR) & RXT0
    card.set(RCTL, ENABLE)
    card.net.deliver(frame(MAC, 100))
    data, _, _ = card.received(1)
    assert data[100:] == zlib.crc32(frame(MAC, 100)).to_bytes(4, "little")
    assert card.get(RDH) == 2


def test_backpressure(card: Card) -> None:
    """Frames for which there is no descriptor wait outside until the guest gives some."""
    card.start_receiver(tail=2)
    for n in range(4):
        card.net.deliver(frame(MAC, 60 + n))
    assert card.get(RDH) == 2
    card.set(RDT, 6)
    assert card.get(RDH) == 4 and len(card.received(3)[0]) == 63


def test_long_frames(card: Card) -> None:
    """Several descriptors for one frame, if long frames are allowed."""
    card.start_receiver()
    card.net.deliver(frame(MAC, 3000))
    assert card.get(RDH) == 0
    card.set(RCTL, ENABLE | LONG | STRIP)
    card.net.deliver(frame(MAC, 3000))
    first, last = card.received(0), card.received(1)
    assert (len(first[0]), first[1] & 2) == (2048, 0) and (len(last[0]), last[1] & 2) == (952, 2)
    card.set(RCTL, ENABLE | LONG | STRIP | 3 << 16)    # buffers of 256 bytes: too many descriptors
    card.net.deliver(frame(MAC, 3000))
    assert card.get(RDH) == 2 and card.get(ICR) & RXO


@pytest.mark.parametrize(("target", "control", "taken"), [
    (MAC, 0, True), ("020000000009", 0, False), ("020000000009", UNICAST, True), ("ffffffffffff", 0, False),
    ("ffffffffffff", BROADCAST, True), ("01005e000001", 0, False), ("01005e000001", MULTICAST, True),
])
def test_filters(card: Card, target: bytes | str, control: int, taken: bool) -> None:
    """Own address, broadcasts, groups, everything."""
    address = bytes.fromhex(target) if isinstance(target, str) else target
    card.start_receiver(ENABLE | STRIP | control)
    card.net.deliver(frame(address))
    assert card.get(RDH) == int(taken)


def test_group_table_and_vlans(card: Card) -> None:
    """The table lets groups in by bits of their address; VLANs by their number."""
    card.start_receiver(ENABLE | STRIP)
    group = bytes.fromhex("01005e00a055")
    bits = (group[5] << 8 | group[4]) >> 4 & 0xFFF
    card.net.deliver(frame(group))
    card.set(MTA + 4 * (bits >> 5), 1 << (bits & 31))
    card.net.deliver(frame(group))
    assert card.get(RDH) == 1
    card.set(0x38, 0x8100)
    card.set(CTRL, 1 << 30)
    card.set(RCTL, ENABLE | STRIP | 1 << 18)
    vlan = MAC + bytes(6) + bytes.fromhex("8100 2007 0800") + bytes(60)
    card.net.deliver(vlan)
    assert card.get(RDH) == 1
    card.set(VFTA, 1 << 7)
    card.net.deliver(vlan)
    data, status, tag = card.received(1)
    assert tag == 0x2007 and status & 8 and data == vlan[:12] + vlan[16:]


def test_interrupt_masks(card: Card) -> None:
    """Set and clear registers; a cause that nobody wants keeps the pin low."""
    card.set(ICS, LSC)
    assert not card.bench.levels[1]
    card.set(IMS, LSC | TXDW)
    assert card.bench.levels[1] and card.get(IMS) == LSC | TXDW
    card.set(IMC, LSC)
    assert not card.bench.levels[1] and card.get(ICR) == LSC


def test_reset_by_the_guest(card: Card) -> None:
    """Registers go back, configuration space stays."""
    card.start_receiver()
    card.set(CTRL, 1 << 26)
    assert card.get(RCTL) == 0 and card.get(RDT) == 0 and card.get(CTRL) == 0x240
    assert card.get(RAL) == 0x12005452


def test_rings_that_make_no_sense(card: Card) -> None:
    """Outside RAM, without entries, with indices beyond the end: nothing is sent, nothing raises."""
    card.start_transmitter()
    card.legacy(0, frame(MAC))
    for base, length, head, tail in ((0x10, 128, 0, 1), (TX_RING, 0, 0, 1), (TX_RING, 128, 60000, 1), (TX_RING, 128, 0, 60000)):
        for offset, value in ((TDLEN, length), (TDBAL, base), (TDH, head), (TDT, tail)):
            card.set(offset, value)
    card.set(RCTL, ENABLE | BROADCAST)
    for base, length, head, tail in ((0x10, 128, 0, 1), (RX_RING, 0, 0, 1), (RX_RING, 128, 60000, 1)):
        for offset, value in ((RDLEN, length), (RDBAL, base), (RDH, head), (RDT, tail)):
            card.set(offset, value)
        card.device.receive(frame(MAC))
    card.guest.set(COMMAND, IO | MEMORY, 2)
    card.start_transmitter()
    card.set(TDT, 1)
    card.guest.set(COMMAND, IO | MEMORY | MASTER, 2)


@pytest.mark.parametrize("seed", range(4))
def test_random_accesses(card: Card, seed: int) -> None:
    """A hostile guest: any value in any register, rings anywhere, frames coming in."""
    dice = random.Random(seed)
    card.bench.ram.view[:0x8000] = dice.randbytes(0x8000)
    known = [place[0] for place in card.device._places]
    for _ in range(4000):
        offset = dice.choice(known) if dice.random() < 0.8 else dice.randrange(0x2_0000 - 8)
        size = dice.choice((4, 4, 4, 1, 2, 8))
        if dice.random() < 0.7:
            value = dice.choice((0, 1, 2, 8, 128, 0xA, 0x8002, RAM, RX_RING, dice.getrandbits(32)))
            card.guest.write(0, offset, value & (1 << 8 * size) - 1, size)
        else:
            assert 0 <= card.guest.read(0, offset, size) < 1 << 8 * size
        if dice.random() < 0.05:
            card.net.deliver(dice.choice((MAC, b"\xff" * 6)) + dice.randbytes(dice.randrange(2000)))
    saved = card.device.save()
    card.device.load(saved)
    assert card.device.save() == saved


def test_properties() -> None:
    """What is wrong is said."""
    with pytest.raises(UsageError, match="mac"):
        E1000(mac="x")
