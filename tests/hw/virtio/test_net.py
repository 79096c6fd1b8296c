"""virtio-net-device: frames both ways, buffers of every shape, receive filters, the control queue (chapter 5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.errors import UsageError
from ratite.hw.virtio.filter import FrameFilter
from ratite.hw.virtio.net import VirtioNet
from ratite.testing.net import FakeNetdev
from ratite.testing.virtio_driver import DriverQueue, Used, VirtioBench

from .conftest import Way

MAC = bytes.fromhex("525400a1b2c3")
OTHER = bytes.fromhex("525400000009")
GROUP = bytes.fromhex("333300000001")
BROADCAST = b"\xff" * 6
MRG, STATUS, CTRL_VQ, CTRL_RX, CTRL_VLAN, CTRL_EXTRA, CTRL_MAC = 15, 16, 17, 18, 19, 20, 23
ALL = (1 << 64) - 1


class Card:
    """A device on a fake cable, with its driver and queues."""

    def __init__(self, way: Way, **properties: object) -> None:
        self.way, self.cable = way, FakeNetdev()
        self.bench, self.driver = way.bench(lambda: VirtioNet(netdev=self.cable, mac=MAC.hex(":"), **properties))
        self.start()

    def start(self, features: int = ALL, size: int = 8) -> None:
        wanted = [0, 1, 2] if features >> CTRL_VQ & 1 else [0, 1]
        queues = self.driver.start(features, queues=wanted, size=size)
        self.rx, self.tx = queues[:2]
        self.control_queue: DriverQueue = queues[-1]
        self.header = 10 if self.way.legacy and not features >> MRG & 1 else 12

    def pause(self) -> None:
        self.way.pause(self.bench)

    def send(self, frame: bytes) -> None:
        self.tx.request([bytes(self.header), frame])

    def give(self, *rooms: int) -> None:
        for room in rooms:
            self.rx.add(room=[room])
        self.rx.kick()

    def received(self) -> list[bytes]:
        """Whole frames out of single buffers."""
        return [self.frame(used) for used in self.rx.used()]

    def frame(self, used: Used) -> bytes:
        assert used.data[:10] == bytes(10)
        if self.header == 12:
            assert used.data[10:12] == b"\1\0"
        return used.data[self.header : used.length]

    def command(self, group: int, number: int, data: bytes) -> bool:
        parts = [bytes([group, number]), data] if data else [bytes([group, number])]
        (ack,) = self.control_queue.request(parts, [1]).data
        return bool(ack == 0)


@pytest.fixture
def card(way: Way) -> Card:
    return Card(way)


def frame_to(target: bytes, size: int = 60, kind: bytes = b"\x08\x00") -> bytes:
    return (target + OTHER + kind).ljust(size, b"\xaa")


def test_transmit(card: Card) -> None:
    """Frames arrive without their header, however they are cut."""
    for cut in range(3):
        frame = frame_to(BROADCAST, 60 + cut)
        parts = [bytes(card.header) + frame], [bytes(card.header), frame], [bytes(card.header - 2), b"\0\0" + frame]
        card.tx.request(parts[cut])
        card.pause()
        assert card.cable.frames.pop() == frame


def test_transmit_waits_for_the_cable(card: Card) -> None:
    """A back end that is full keeps the guest's buffers waiting, in order; nothing is lost or doubled."""
    card.cable.full = True
    frames = [frame_to(BROADCAST, 60 + number) for number in range(4)]
    for frame in frames:
        card.tx.add([bytes(card.header), frame])
    card.tx.kick()
    assert card.tx.used() == []
    card.pause()
    card.cable.make_room()
    assert card.cable.frames == frames
    assert len(card.tx.used()) == 4


def test_odd_frames_are_lost(card: Card) -> None:
    """Frames that are too short or too long for a cable disappear; their buffers come back."""
    for size in (1, 13, 65600):
        card.send(bytes(size))
    card.tx.request([bytes(card.header)])
    card.tx.request([b"abc"])
    assert card.cable.frames == []
    card.send(frame_to(MAC, 14))
    assert len(card.cable.frames) == 1


def test_receive(card: Card) -> None:
    """A frame gets a header and the guest an interrupt; frames that come before there are buffers wait."""
    card.cable.deliver(frame_to(MAC, 60))
    card.cable.deliver(frame_to(MAC, 61))
    assert card.rx.used() == []
    card.pause()
    card.give(2000, 2000, 2000)
    assert [len(frame) for frame in card.received()] == [60, 61]
    assert card.driver.acknowledge() == 1
    card.pause()
    card.cable.deliver(frame_to(MAC, 1514))
    assert card.received() == [frame_to(MAC, 1514)]
    card.cable.deliver(frame_to(MAC, 70))
    card.cable.deliver(frame_to(MAC, 71))
    card.pause()
    card.give(2000)
    assert [len(frame) for frame in card.received()] == [70]
    card.give(2000)
    assert [len(frame) for frame in card.received()] == [71]


def test_receive_does_not_ask_for_kicks(card: Card) -> None:
    """While there are buffers the guest need not notify; when they have run out it must."""
    card.give(100, 100)
    card.rx.add(room=[100])
    assert not card.rx.kick()
    for _ in range(4):
        card.cable.deliver(frame_to(MAC))
    assert len(card.received()) == 3
    card.rx.add(room=[100])
    assert card.rx.kick()
    assert len(card.received()) == 1


def test_merged_buffers(way: Way) -> None:
    """With MRG_RXBUF a frame fills as many buffers as it takes, and says how many in the first."""
    card = Card(way)
    assert card.bench.device.has(MRG)
    card.give(100, 100)
    card.cable.deliver(frame_to(MAC, 250))
    assert card.rx.used() == []
    card.pause()
    card.give(100)
    used = card.rx.used()
    assert [one.length for one in used] == [100, 100, 62]
    assert used[0].data[10:12] == b"\3\0"
    assert b"".join(one.data[: one.length] for one in used)[12:] == frame_to(MAC, 250)


def test_small_buffers_without_merging(way: Way) -> None:
    """Without MRG_RXBUF a frame that does not fit one buffer is lost, and the buffer stays."""
    card = Card(way)
    card.start(~(1 << MRG) & ALL)
    card.give(100)
    card.cable.deliver(frame_to(MAC, 250))
    assert card.rx.used() == []
    card.pause()
    card.cable.deliver(frame_to(MAC, 80))
    assert card.received() == [frame_to(MAC, 80)]


def test_split_receive_buffers(way: Way) -> None:
    """A buffer may be a chain: a header of its own, then pages."""
    card = Card(way)
    card.start(~(1 << MRG) & ALL)
    card.rx.add(room=[card.header, 20, 30, 100])
    card.rx.kick()
    card.cable.deliver(frame_to(MAC, 90))
    assert card.received() == [frame_to(MAC, 90)]


def test_configuration(way: Way) -> None:
    """Address, link, MTU and speed, at the offsets of 5.1.4."""
    card = Card(way, host_mtu=9000, speed=10000, duplex="full")
    config = card.driver.config
    assert config(0, 4).to_bytes(4, "little") + config(4, 2).to_bytes(2, "little") == MAC
    assert (config(6, 2), config(8, 2), config(10, 2)) == (1, 1, 9000)
    if not way.legacy:
        assert (config(12, 4), config(16, 1)) == (10000, 1)
        assert card.driver.offered() >> 63 & 1
    assert card.driver.offered() >> 3 & 1


def test_link(card: Card) -> None:
    """A pulled cable is a configuration interrupt; nothing passes meanwhile."""
    card.give(100)
    card.bench.device.set_link(False)
    card.bench.device.set_link(False)
    assert card.driver.acknowledge() == 2
    card.pause()
    assert card.driver.config(6, 2) == 0
    card.cable.deliver(frame_to(MAC))
    card.send(frame_to(MAC))
    assert card.cable.frames == [] and card.rx.used() == []
    card.bench.device.set_link(True)
    card.cable.deliver(frame_to(MAC))
    assert len(card.received()) == 1


def test_without_a_cable(way: Way) -> None:
    """A card that leads nowhere takes frames and gives none."""
    bench, driver = way.bench(VirtioNet)
    _, tx = driver.start(queues=[0, 1])
    assert tx.request([bytes(12), frame_to(MAC)]).length == 0
    assert driver.config(0, 4) == int.from_bytes(b"\x52\x54\x00\x12", "little")
    assert not bench.device.broken


def test_no_control_queue(way: Way) -> None:
    """ctrl_vq=off takes the queue away, and the features that need it."""
    bench, driver = way.bench(lambda: VirtioNet(ctrl_vq=False))
    assert not driver.offered() & (1 << CTRL_VQ | 1 << CTRL_RX | 1 << CTRL_VLAN | 1 << CTRL_EXTRA | 1 << CTRL_MAC)
    driver.write(0x30, 2)
    assert driver.read(0x34) == 0
    assert len(bench.device.queues) == 2


# --- control commands

def seen(card: Card, *targets: bytes) -> list[bytes]:
    """Which of these addresses the guest gets frames for."""
    found = []
    for target in targets:
        card.give(100)
        card.cable.deliver(frame_to(target))
        got = card.received()
        found += [frame[:6] for frame in got]
    return found


def test_receive_modes(way: Way) -> None:
    """Promiscuous at first; then what the modes say."""
    card = Card(way)
    card.start(size=64)
    everything = (MAC, OTHER, GROUP, BROADCAST)
    assert seen(card, *everything) == list(everything)
    assert card.command(0, 0, b"\0")
    card.pause()
    assert seen(card, *everything) == [MAC, BROADCAST]
    assert card.command(0, 1, b"\1")
    assert seen(card, *everything) == [MAC, GROUP, BROADCAST]
    assert card.command(0, 2, b"\1")
    assert seen(card, *everything) == list(everything)
    for mode in (3, 4, 5):
        assert card.command(0, mode, b"\1")
    card.pause()
    assert seen(card, *everything) == []
    assert not card.command(0, 6, b"\1")
    assert not card.command(0, 0, b"")


def test_address_tables(way: Way) -> None:
    """Unicast and multicast tables; too many addresses mean all of that kind."""
    card = Card(way)
    card.start(size=64)
    assert card.command(0, 0, b"\0")
    table = (1).to_bytes(4, "little") + OTHER + (1).to_bytes(4, "little") + GROUP
    assert card.command(1, 0, table)
    card.pause()
    assert seen(card, MAC, OTHER, GROUP, bytes(6)) == [MAC, OTHER, GROUP]
    assert card.command(1, 0, bytes(8))
    assert seen(card, MAC, OTHER, GROUP) == [MAC]
    assert card.command(1, 0, bytes(4) + (100).to_bytes(4, "little") + GROUP * 100)
    assert seen(card, OTHER, GROUP) == [GROUP]
    for wrong in (b"", bytes(4), (1).to_bytes(4, "little"), b"\xff" * 8, bytes(9)):
        assert not card.command(1, 0, wrong)


def test_address_by_command(way: Way) -> None:
    """The guest's own address; a reset brings the first one back."""
    card = Card(way)
    assert card.command(0, 0, b"\0")
    assert card.command(1, 1, OTHER)
    card.pause()
    assert seen(card, MAC, OTHER) == [OTHER]
    assert card.driver.config(4, 2) == int.from_bytes(OTHER[4:], "little")
    assert not card.command(1, 1, b"short")
    card.driver.write(0x100, 0x77, 1)
    assert card.driver.config(0, 1) == 0x52, "the field is read-only when there is a command"
    card.start()
    assert card.driver.config(4, 2) == int.from_bytes(MAC[4:], "little")


def test_address_by_register(legacy_way: Way) -> None:
    """A legacy driver without the command writes the field."""
    card = Card(legacy_way)
    card.start(~(1 << CTRL_MAC) & ALL)
    assert card.command(0, 0, b"\0")
    for index, byte in enumerate(OTHER):
        card.driver.write(0x100 + index, byte, 1)
    assert seen(card, MAC, OTHER) == [OTHER]


def test_vlans(way: Way) -> None:
    """Tagged frames pass for the VLANs that were added; untagged ones always."""
    card = Card(way)
    assert card.command(0, 0, b"\0")
    assert card.command(2, 0, (5).to_bytes(2, "little"))
    card.pause()
    passed = []
    for vlan in (4, 5):
        card.give(100)
        card.cable.deliver(MAC + OTHER + b"\x81\x00" + vlan.to_bytes(2, "big") + bytes(60))
        passed += [vlan for _ in card.received()]
    assert passed == [5]
    assert card.command(2, 1, (5).to_bytes(2, "little"))
    assert not card.command(2, 0, (4096).to_bytes(2, "little"))
    assert not card.command(2, 2, bytes(2))
    assert not card.command(9, 0, b"")


def test_malformed_commands_stop_the_device(card: Card) -> None:
    """A command without an answer byte, or without a header, is a broken driver."""
    card.control_queue.add([b"\0\0\0"])
    card.control_queue.kick()
    assert card.bench.device.broken
    card.start()
    card.control_queue.add([b"\0"], [1])
    card.control_queue.kick()
    assert card.bench.device.broken


def test_receive_buffer_to_read(card: Card) -> None:
    """A receive buffer that the device may not write is a broken driver, too."""
    card.rx.add([b"x"], [100])
    card.rx.kick()
    card.cable.deliver(frame_to(MAC))
    assert card.bench.device.broken
    card.cable.deliver(frame_to(MAC))


@given(
    st.binary(max_size=40), st.lists(st.tuples(st.integers(0, 255), st.booleans()), max_size=5), st.binary(max_size=20)
)
def test_filter_takes_anything(frame: bytes, modes: list[tuple[int, bool]], table: bytes) -> None:
    """Frames and tables of any length and content are judged without complaint, also after being saved."""
    one, two = FrameFilter(MAC), FrameFilter(MAC)
    for number, on in modes:
        one.set_mode(number, on, extra=True)
    one.set_table(table)
    two.load(one.save())
    assert one.accepts(frame) == two.accepts(frame)
    assert two.save() == one.save()


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"mac": "1:2"}, "property 'mac': '1:2' is not an Ethernet address"),
        ({"mq": "on"}, "property 'mq': 'on' is not accepted; expected off"),
        ({"rx_queue_size": "100"}, "rx_queue_size is 256, 512 or 1024"),
        ({"netdev": "n0"}, "netdev 'n0' is not known"),
        ({"vectors": "3"}, "property of virtio-net-device 'vectors' is not known"),
    ],
)
def test_refused_properties(properties: dict[str, object], message: str) -> None:
    """One line that names the property."""
    with pytest.raises(UsageError, match=message):
        VirtioBench(lambda: VirtioNet.from_options(properties))
