"""virtio-net-device: a network card (Virtual I/O Device 1.2, chapter 5.1)."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from ratite.errors import UsageError
from ratite.hw.model import INT32, STR, UINT16, Link, Property, Register, one_of
from ratite.hw.virtio.device import VirtioDevice
from ratite.hw.virtio.features import FeatureProperty, unsupported
from ratite.hw.virtio.filter import FrameFilter
from ratite.hw.virtio.queue import Chain, Queue

if TYPE_CHECKING:
    from ratite.net.base import NetBackend

_SHORT_HEADER, _LONG_HEADER = 10, 12       # before each frame: with the buffer count from version 1 on
_LONGEST_FRAME = 65562                     # with its header it fits 64 KiB and a bit, as with offloads
_LINK_UP = 1
_DUPLEX = {"": 0xFF, "half": 0, "full": 1}
_OK, _ERR = 0, 1                           # answers of the control queue
_CONTROL_SIZE = 64


class NetFeature(IntEnum):
    """Feature bits (5.1.3)."""

    MTU = 3
    MAC = 5
    MRG_RXBUF = 15
    STATUS = 16
    CTRL_VQ = 17
    CTRL_RX = 18
    CTRL_VLAN = 19
    CTRL_RX_EXTRA = 20
    CTRL_MAC_ADDR = 23
    SPEED_DUPLEX = 63


_NEED_CONTROL_QUEUE = (
    1 << NetFeature.CTRL_RX | 1 << NetFeature.CTRL_RX_EXTRA | 1 << NetFeature.CTRL_VLAN | 1 << NetFeature.CTRL_MAC_ADDR
)


class ControlClass(IntEnum):
    """Classes of commands on the control queue (5.1.6.5)."""

    RX = 0
    MAC = 1
    VLAN = 2


class VirtioNet(VirtioDevice, name="virtio-net-device", size=0x14):
    """A network card over a network back end.

    Not modelled: checksum and segmentation offloads, several queue pairs, receive-side scaling, announcements after a
    migration, failover.
    """

    virtio_id = 1

    netdev = Property(Link("netdev"), None, "the back end that the card is plugged into")
    mac = Property(STR, "", "Ethernet address; the card's number decides by default")
    host_mtu = Property(UINT16, 0, "largest packet, told to the guest; 0: not told").named("host_mtu")
    speed = Property(INT32, -1, "speed in Mbit/s, told to the guest; -1: not told")
    duplex = Property(one_of("", "half", "full"), "", "half or full, told to the guest")
    rx_queue_size = Property(UINT16, 256, "descriptors of the receive queue").named("rx_queue_size")
    tx_queue_size = Property(UINT16, 256, "descriptors of the transmit queue").named("tx_queue_size")
    mrg_rxbuf = FeatureProperty(NetFeature.MRG_RXBUF, True, "a frame may use several receive buffers")
    status_ = FeatureProperty(NetFeature.STATUS, True, "the guest sees the state of the link").named("status")
    ctrl_vq = FeatureProperty(NetFeature.CTRL_VQ, True, "the control queue")
    ctrl_rx = FeatureProperty(NetFeature.CTRL_RX, True, "the guest chooses a receive mode")
    ctrl_rx_extra = FeatureProperty(NetFeature.CTRL_RX_EXTRA, True, "further receive modes")
    ctrl_vlan = FeatureProperty(NetFeature.CTRL_VLAN, True, "the guest filters VLANs")
    ctrl_mac_addr = FeatureProperty(NetFeature.CTRL_MAC_ADDR, True, "the guest sets the address by a command")
    mq, rss, hash_, failover = unsupported("mq"), unsupported("rss"), unsupported("hash"), unsupported("failover")
    csum, gso, guest_csum = unsupported("csum"), unsupported("gso"), unsupported("guest_csum")
    host_tso4, host_tso6 = unsupported("host_tso4"), unsupported("host_tso6")
    host_ecn, host_ufo = unsupported("host_ecn"), unsupported("host_ufo")
    guest_tso4, guest_tso6 = unsupported("guest_tso4"), unsupported("guest_tso6")
    guest_ecn, guest_ufo = unsupported("guest_ecn"), unsupported("guest_ufo")
    guest_announce, guest_rsc_ext = unsupported("guest_announce"), unsupported("guest_rsc_ext")
    ctrl_guest_offloads = unsupported("ctrl_guest_offloads")

    # --- configuration space (5.1.4)

    class address(Register, offset=0x00, width=1, count=6, stride=1):
        def on_write(self, dev: VirtioNet) -> None:
            if dev.modern or dev.has(NetFeature.CTRL_MAC_ADDR):    # read-only there (5.1.5)
                self.value = dev.filter.address[self.index]
            else:
                dev.filter.address = bytes(register.value for register in dev.address)

    class link(Register, offset=0x06, width=2, mode="ro"):
        pass

    class queue_pairs(Register, offset=0x08, width=2, mode="ro", reset=1):
        pass

    class mtu(Register, offset=0x0A, width=2, mode="ro"):
        pass

    class link_speed(Register, offset=0x0C, mode="ro"):
        pass

    class link_duplex(Register, offset=0x10, width=1, mode="ro"):
        pass

    # --- the life of the device

    state = ("link_up", "stalled")

    def setup(self) -> None:
        super().setup()
        from ratite.net.mac import parse_mac

        for name, size in (("rx_queue_size", self.rx_queue_size), ("tx_queue_size", self.tx_queue_size)):
            if not 256 <= size <= 1024 or size & (size - 1):
                raise UsageError(f"{self.name}: {name} is 256, 512 or 1024, not {size}")
        try:
            self.own_address = parse_mac(self.mac) if self.mac else b""
        except UsageError as error:
            raise UsageError(f"{self.name}: property 'mac': {error}") from None
        self.link_up = True
        self.stalled = b""    # a frame that has been taken and finds no buffers

    def make_queues(self) -> list[int]:
        return [self.rx_queue_size, self.tx_queue_size, *([_CONTROL_SIZE] if self.ctrl_vq else [])]

    def realized(self) -> None:
        super().realized()
        self.receive_queue, self.transmit_queue = self.queues[:2]
        self.backend: NetBackend | None = self.netdev
        if not self.own_address:
            from ratite.net.mac import default_mac

            self.own_address = default_mac(0) if self.backend is None else self.backend.context.next_mac()
        self.filter = FrameFilter(self.own_address)
        if self.backend is not None:
            self.backend.attach(self.receive, self.can_receive, on_room=self._transmit)

    def reset(self) -> None:
        super().reset()
        self.filter.reset(self.own_address)
        self.stalled = b""
        self._fill_config()

    def adjust_features(self, features: int) -> int:
        features |= 1 << NetFeature.MAC
        if self.host_mtu:
            features |= 1 << NetFeature.MTU
        if self.speed >= 0 or self.duplex:
            features |= 1 << NetFeature.SPEED_DUPLEX
        return features if self.ctrl_vq else features & ~_NEED_CONTROL_QUEUE

    def started(self) -> None:
        self.filter.vlans_on = self.has(NetFeature.CTRL_VLAN)

    def save(self) -> dict[str, object]:
        return super().save() | {"filter": self.filter.save()}

    def restore(self, saved: dict[str, object]) -> None:
        self.filter.load(saved["filter"])
        super().restore(saved)

    def set_link(self, up: bool) -> None:
        """Plug the cable in or pull it out."""
        if up != self.link_up:
            self.link_up = up
            self.link.value = _LINK_UP if up else 0
            self.config_changed()

    # --- queues

    def handle_queue(self, queue: Queue) -> None:
        if queue is self.receive_queue:
            self._more_buffers()
        elif queue is self.transmit_queue:
            self._transmit()
        else:
            self._control(queue)

    @property
    def header_size(self) -> int:
        """Bytes before each frame."""
        return _LONG_HEADER if self.modern or self.has(NetFeature.MRG_RXBUF) else _SHORT_HEADER

    def _transmit(self) -> None:
        """Send what the guest has queued, as long as the back end takes it; it calls again when it has room."""
        queue = self.transmit_queue
        for chain in queue.take():
            frame = chain.data(_LONGEST_FRAME + _LONG_HEADER + 1)[self.header_size :]
            if not self._send(frame):
                queue.unpop()
                break
            queue.push(chain, 0)
        queue.notify()

    def _send(self, frame: bytes) -> bool:
        if self.backend is None or not self.link_up or not 14 <= len(frame) <= _LONGEST_FRAME:
            return True    # lost, as on a cable that leads nowhere
        return self.backend.send(frame)

    # --- receiving

    def can_receive(self) -> bool:
        """Whether the guest has buffers."""
        if self.stalled or not self.receive_queue.ready or self.broken:
            return False
        if self.receive_queue.is_empty():
            self.receive_queue.enable_notification()
            return not self.receive_queue.is_empty()
        return True

    def receive(self, frame: bytes) -> None:
        """A frame from outside."""
        if self.link_up and self.filter.accepts(frame) and not self._store(frame):
            self.stalled = frame
            self.receive_queue.enable_notification()
            self._retry()    # the guest may have added buffers before it could know that it has to tell

    def _retry(self) -> bool:
        """Store the frame that waits for buffers, if there is one; False when it still waits."""
        if self.stalled and self._store(self.stalled):
            self.stalled = b""
        return not self.stalled

    def _more_buffers(self) -> None:
        if not self._retry():
            return
        self.receive_queue.disable_notification()    # until `can_receive` finds the queue empty
        if self.backend is not None:
            self.backend.accept_input()

    def _store(self, frame: bytes) -> bool:
        """Put a frame into the guest's buffers; False, and nothing done, when there are too few."""
        queue, size = self.receive_queue, self.header_size
        chains = self._collect(size + len(frame))
        if not chains:
            return False
        room = sum(chain.room for chain in chains)
        if room >= size + len(frame):
            header = bytes(_SHORT_HEADER) + (len(chains).to_bytes(2, "little") if size == _LONG_HEADER else b"")
            rest = header + frame
            for chain in chains:
                done = chain.fill(rest)
                queue.push(chain, done)
                rest = rest[done:]
        else:    # one buffer, too small for the frame, which is lost
            queue.unpop()
        queue.notify()
        return True

    def _collect(self, size: int) -> list[Chain]:
        """Buffers for `size` bytes: one, or several where they may be merged; none when there are not enough."""
        queue, chains, room = self.receive_queue, [], 0
        while room < size and (chain := queue.pop()) is not None:
            if chain.readable:
                self.fail("a receive buffer that the device may not write")
                return []
            chains.append(chain)
            room += chain.room
            if not self.has(NetFeature.MRG_RXBUF):
                return chains
        if room < size:
            for _ in chains:
                queue.unpop()
            return []
        return chains

    # --- the control queue (5.1.6.5)

    def _control(self, queue: Queue) -> None:
        for chain in queue.take():
            data = chain.data()
            if len(data) < 2 or not chain.room:
                self.fail("a control command without a header or an answer byte")
                return
            answer = _OK if self._command(data[0], data[1], data[2:]) else _ERR
            queue.push(chain, chain.fill(bytes([answer])))
        queue.notify()

    def _command(self, group: int, command: int, data: bytes) -> bool:
        if group == ControlClass.RX and self.has(NetFeature.CTRL_RX):
            extra = self.has(NetFeature.CTRL_RX_EXTRA)
            return len(data) == 1 and self.filter.set_mode(command, bool(data[0]), extra=extra)
        if group == ControlClass.MAC and command == 0 and self.has(NetFeature.CTRL_RX):
            return self.filter.set_table(data)
        if group == ControlClass.MAC and command == 1 and self.has(NetFeature.CTRL_MAC_ADDR) and len(data) == 6:
            self.filter.address = data
            self._show_address()
            return True
        if group == ControlClass.VLAN and self.has(NetFeature.CTRL_VLAN) and len(data) == 2:
            return self.filter.set_vlan(command, int.from_bytes(data, "little"))
        return False

    # --- inside

    def _fill_config(self) -> None:
        self._show_address()
        self.link.value = _LINK_UP if self.link_up else 0
        self.mtu.value = self.host_mtu
        self.link_speed.value = self.speed & 0xFFFF_FFFF
        self.link_duplex.value = _DUPLEX[self.duplex]

    def _show_address(self) -> None:
        for register, byte in zip(self.address, self.filter.address, strict=True):
            register.value = byte
