"""e1000: an Intel 82540EM network card (PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual,
317453-006).

Not modelled: interrupt throttling and delays (interrupts come at once), checksums of received packets (every descriptor
says that they were not looked at), wake-up, flow control, the manageability processor, writing the EEPROM, most of the
statistics.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

from ratite.errors import MemoryAccessError, UsageError
from ratite.hw.model import RO, RW, STR, Link, Property, Register, RegisterBlock
from ratite.hw.net.microwire import WORDS, Microwire
from ratite.hw.net.mii import Transceiver
from ratite.hw.net.offload import Layout, insert_checksum, segments, tagged
from ratite.hw.pci.bar import Bar, Space
from ratite.hw.pci.device import PciDevice
from ratite.hw.pci.header import Identity

if TYPE_CHECKING:
    from ratite.net.base import NetBackend

_VENDOR, _DEVICE = 0x8086, 0x100E
_CHECKSUM = 0xBABA               # of all words of the EEPROM
_TRANSCEIVER = 1                 # its address on the management bus
_READ, _WRITE = 2, 1             # operations there
_DESCRIPTOR = 16
_LEGACY = struct.Struct("<QHBBBBH")    # address, length, checksum offset, command, status, checksum start, VLAN tag
_CONTEXT = struct.Struct("<BBHBBHII")
_DATA = struct.Struct("<QIBBH")        # address, length and command, status, options, VLAN tag
_RECEIVED = struct.Struct("<QHHBBH")   # address, length, checksum, status, errors, VLAN tag
_DONE, _END, _IGNORE_CHECKSUM, _TAGGED = 1, 2, 4, 8    # status of descriptors
_IP_OPTION, _TCP_OPTION = 1, 2
_LONGEST_SENT = 1 << 18
_AT_ONCE = 256                   # descriptors; then others get the machine's lock
_MOMENT = 50_000                 # nanoseconds for them
_SHORTEST, _LONGEST, _LONGEST_JUMBO = 60, 1522, 16384
_CRC = 4
_BROADCAST = b"\xff" * 6


class Cause(IntFlag):
    """Reasons for interrupts (13.4.17)."""

    DESCRIPTOR_SENT = 1 << 0
    QUEUE_EMPTY = 1 << 1
    LINK = 1 << 2
    FEW_BUFFERS = 1 << 4
    OVERRUN = 1 << 6
    RECEIVED = 1 << 7
    MANAGEMENT = 1 << 9


class Command(IntFlag):
    """Commands of transmit descriptors, in the byte that all kinds have (3.3)."""

    END_OF_PACKET = 1 << 0
    INSERT_CHECKSUM = 1 << 2
    SEGMENT = 1 << 2         # of the extended kinds
    REPORT = 1 << 3
    EXTENDED = 1 << 5
    TAG = 1 << 6


class Count(IntEnum):
    """Statistics that are kept, by their index in the array of registers (13.7)."""

    MISSED = 4
    GOOD_RECEIVED = 29
    BROADCAST_RECEIVED = 30
    MULTICAST_RECEIVED = 31
    GOOD_SENT = 32
    BYTES_RECEIVED = 34
    BYTES_SENT = 36
    NO_BUFFERS = 40
    ALL_BYTES_RECEIVED = 48
    ALL_BYTES_SENT = 50
    ALL_RECEIVED = 52
    ALL_SENT = 53
    MULTICAST_SENT = 60
    BROADCAST_SENT = 61


class Ports(RegisterBlock, size=0x40, access=(1, 4)):
    """The I/O space: a register's offset, and then its value."""

    def __init__(self, card: E1000) -> None:
        self.card = card
        self._build_map()

    @property
    def label(self) -> str:
        return f"{self.card.label}: ports"

    class address(Register, offset=0):
        pass

    class data(Register, offset=4, live=True):
        def on_read(self, block: Ports) -> None:
            if (offset := block.offset()) is not None:
                self.value = block.card.mmio_read(offset, 4)

        def on_write(self, block: Ports) -> None:
            if (offset := block.offset()) is not None:
                block.card.mmio_write(offset, 4, self.value)

    def offset(self) -> int | None:
        """The register that is meant."""
        offset = self.address.value
        return offset if offset < self.card.size and not offset & 3 else None


class E1000(PciDevice, name="e1000", alias="e1000-82540em", size=0x2_0000, access=(4, 4)):
    """A network card, Intel 82540EM, over a network back end."""

    identity = Identity(_VENDOR, _DEVICE, 0x02_0000, 3)
    state = ("sending", "outbox", "link_up", "layout_", "last_option", "_later")

    netdev = Property(Link("netdev"), None, "the back end that the card is plugged into")
    mac = Property(STR, "", "Ethernet address; the card's number decides by default")

    # --- life

    def setup(self) -> None:
        from ratite.net.mac import parse_mac

        try:
            self.own_address = parse_mac(self.mac) if self.mac else b""
        except UsageError as error:
            raise UsageError(f"{self.name}: property 'mac': {error}") from None
        self.transceiver = Transceiver(self.name)
        self.ports = Ports(self)
        self.eeprom = Microwire([0] * WORDS)
        self.link_up = True
        self._forget()

    def realized(self) -> None:
        self.add_bar(Bar(0, self.size, self))
        self.add_bar(Bar(1, self.ports.size, self.ports, Space.IO))
        self.backend: NetBackend | None = self.netdev
        if not self.own_address:
            from ratite.net.mac import default_mac

            self.own_address = default_mac(0) if self.backend is None else self.backend.context.next_mac()
        self.eeprom.words = _eeprom(self.own_address)
        self._later = self.clock.timer(self.transmit)
        if self.backend is not None:
            self.backend.attach(self.receive, self.can_receive, on_room=self._room)

    def _forget(self) -> None:
        self.sending = bytearray()    # the packet whose descriptors have come so far
        self.outbox: deque[bytes] = deque()    # packets that the back end has had no room for
        self.layout_ = [0] * 10
        self.last_option = 0

    def reset(self) -> None:
        super().reset()
        self.ports.reset_registers()
        self.transceiver.reset_registers()
        self.reset_card()

    def reset_card(self) -> None:
        """What the guest's reset does: everything but configuration space."""
        self.reset_registers()
        self._forget()
        self._later.cancel()
        self.eeprom.deselect()
        low, high = struct.unpack("<IH", self.own_address)
        self.receive_address[0].value, self.receive_address[1].value = low, high | 1 << 31
        self.set_interrupt(False)

    def save(self) -> dict[str, Any]:
        parts = {"ports": self.ports.save_registers(), "transceiver": self.transceiver.save_registers()}
        return super().save() | parts | {"eeprom": self.eeprom.save()}

    def restore(self, saved: dict[str, Any]) -> None:
        super().restore(saved)
        self.ports.restore_registers(saved["ports"])
        self.transceiver.restore_registers(saved["transceiver"])
        self.eeprom.load(saved["eeprom"])
        self.transceiver.link_up = self.link_up

    def set_link(self, up: bool) -> None:
        """Plug the cable in or pull it out."""
        if up != self.link_up:
            self.link_up = self.transceiver.link_up = up
            self.cause(Cause.LINK)
            if up and self.backend is not None:
                self.backend.accept_input()

    # --- interrupts

    def cause(self, bits: int) -> None:
        """Something has happened."""
        self.icr.value |= bits
        self.update_pin()

    def update_pin(self) -> None:
        """The interrupt pin is high while something has happened that the guest wants to know."""
        self.set_interrupt(bool(self.icr.value & self.ims.value))

    # --- registers: general (13.4)

    class ctrl(Register, offset=0x0000, reset=0x0240):
        """Reset: 1000 Mbit/s, and the link shall be up."""

        def on_write(self, dev: E1000) -> None:
            if self.written & 1 << 26:
                dev.reset_card()
            self.value &= ~(1 << 26 | 1 << 31)    # resets are over at once

    class status(Register, offset=0x0008, mode="ro"):
        full_duplex, link, speed = RO(0, reset=1), RO(1), RO(7, 6, reset=2)

        def on_read(self, dev: E1000) -> None:
            self.link = int(dev.link_up)

    class eecd(Register, offset=0x0010):
        clock, select, data_in, data_out = RW(0), RW(1), RW(2), RO(3)
        flash, request, grant, present = RW(5, 4), RW(6), RO(7), RO(8, reset=1)

        def on_read(self, dev: E1000) -> None:
            self.data_out = int(dev.eeprom.output)

        def on_write(self, dev: E1000) -> None:
            self.grant = self.request
            dev.eeprom.drive(select=bool(self.select), clock=bool(self.clock), data=bool(self.data_in))

    class eerd(Register, offset=0x0014):
        start, done, address, data = RW(0), RO(4), RW(15, 8), RO(31, 16)

        def on_write(self, dev: E1000) -> None:
            self.data, self.done = (dev.eeprom.words[self.address & WORDS - 1], 1) if self.start else (0, 0)

    class ctrl_ext(Register, offset=0x0018):
        pass

    class mdic(Register, offset=0x0020):
        data, register, transceiver, operation = RW(15, 0), RW(20, 16), RW(25, 21), RW(27, 26)
        ready, interrupt, error = RW(28), RW(29), RO(30)

        def on_write(self, dev: E1000) -> None:
            self.error = int(self.transceiver != _TRANSCEIVER)
            if not self.error and self.operation == _READ:
                self.data = dev.transceiver.mmio_read(2 * self.register, 2)
            elif not self.error and self.operation == _WRITE:
                dev.transceiver.mmio_write(2 * self.register, 2, self.data)
            self.ready = 1
            if self.interrupt:
                dev.cause(Cause.MANAGEMENT)

    class flow_control(Register, offset=0x0028, count=3, stride=4):
        pass

    class vet(Register, offset=0x0038):
        ethertype = RW(15, 0, reset=0x8100)

    class icr(Register, offset=0x00C0, mode="rc"):
        def on_read(self, dev: E1000) -> None:
            dev.set_interrupt(False)    # all of it is clear after the read

    class itr(Register, offset=0x00C4):
        pass

    class ics(Register, offset=0x00C8, mode="wo"):
        def on_write(self, dev: E1000) -> None:
            dev.cause(self.written)

    class ims(Register, offset=0x00D0, mode="w1s"):
        def on_write(self, dev: E1000) -> None:
            dev.update_pin()

    class imc(Register, offset=0x00D8, mode="wo"):
        def on_write(self, dev: E1000) -> None:
            dev.ims.value &= ~self.written
            dev.update_pin()

    class rctl(Register, offset=0x0100):
        enable, store_bad = RW(1), RW(2)
        all_unicast, all_multicast, long = RW(3), RW(4), RW(5)
        loopback, threshold, offset_ = RW(7, 6), RW(9, 8), RW(13, 12)
        broadcast, size_, vlan_filter = RW(15), RW(17, 16), RW(18)
        cfi_filter, cfi = RW(19), RW(20)
        discard_pause, pass_control, larger, strip_crc = RW(22), RW(23), RW(25), RW(26)

        def on_write(self, dev: E1000) -> None:
            dev.accept_input()

    class fcttv(Register, offset=0x0170):
        pass

    class txcw(Register, offset=0x0178):
        pass

    class rxcw(Register, offset=0x0180, mode="ro"):
        pass

    class tctl(Register, offset=0x0400):
        enable, pad, collisions = RW(1), RW(3), RW(25, 4)

        def on_write(self, dev: E1000) -> None:
            dev.transmit()

    class tipg(Register, offset=0x0410):
        pass

    class aifs(Register, offset=0x0458):
        pass

    class ledctl(Register, offset=0x0E00, reset=0x0602):
        pass

    class pba(Register, offset=0x1000, reset=0x0010_0030):
        pass

    class fcrt(Register, offset=0x2160, count=2, stride=8):
        pass

    # --- rings (13.4.25 to 13.4.40)

    class rdba(Register, offset=0x2800, count=2, stride=4):
        pass

    class rdlen(Register, offset=0x2808):
        bytes_ = RW(19, 7)

    class rdh(Register, offset=0x2810):
        entry = RW(15, 0)

    class rdt(Register, offset=0x2818):
        entry = RW(15, 0)

        def on_write(self, dev: E1000) -> None:
            dev.accept_input()

    class receive_timing(Register, offset=0x2820, count=4, stride=4):
        pass

    class rsrpd(Register, offset=0x2C00):
        pass

    class tdba(Register, offset=0x3800, count=2, stride=4):
        pass

    class tdlen(Register, offset=0x3808):
        bytes_ = RW(19, 7)

    class tdh(Register, offset=0x3810):
        entry = RW(15, 0)

    class tdt(Register, offset=0x3818):
        entry = RW(15, 0)

        def on_write(self, dev: E1000) -> None:
            dev.transmit()

    class transmit_timing(Register, offset=0x3820, count=5, stride=4):
        pass

    class statistics(Register, offset=0x4000, count=64, stride=4, mode="rc"):
        pass

    class rxcsum(Register, offset=0x5000):
        pass

    class mta(Register, offset=0x5200, count=128, stride=4):
        """Which groups are let in: 4096 bits, chosen by bits of the address."""

    class receive_address(Register, offset=0x5400, count=32, stride=4):
        """Sixteen addresses of two words each; bit 31 of the second makes one count."""

    class vfta(Register, offset=0x5600, count=128, stride=4):
        """Which VLANs are let in: 4096 bits."""

    class wake_up(Register, offset=0x5800, count=16, stride=4):
        pass

    # --- sending

    def transmit(self) -> None:
        """Send what the guest has put into the ring, as far as the back end takes it."""
        base, count = self.tdba[1].value << 32 | self.tdba[0].value & ~15, self.tdlen.value // _DESCRIPTOR
        if not self.tctl.enable or not count or not self._flush_outbox():
            return
        causes = sent = 0
        for _ in range(_AT_ONCE):
            index = self.tdh.value
            if index == self.tdt.value or index >= count:
                break
            try:
                self._send_descriptor(base + _DESCRIPTOR * index)
            except MemoryAccessError as error:
                self.guest_error(f"transmit descriptor {index}: {error}")
                break
            self.tdh.value = (index + 1) % count
            causes = Cause.DESCRIPTOR_SENT
            sent += len(self.outbox)
            if not self._flush_outbox():
                break
            if sent >= _AT_ONCE:
                self._later.after(_MOMENT)
                break
        else:
            self._later.after(_MOMENT)
        if self.tdh.value == self.tdt.value:
            causes |= Cause.QUEUE_EMPTY if causes else 0
        if causes:
            self.cause(causes)

    def _room(self) -> None:
        """The back end has room again."""
        self.transmit()

    def _send_descriptor(self, address: int) -> None:
        raw = self.memory.dma_read(address, _DESCRIPTOR)
        command = raw[11]
        if not command & Command.EXTENDED:
            self._send_legacy(_LEGACY.unpack(raw))
        elif raw[10] >> 4 == 0:
            self._take_context(_CONTEXT.unpack(raw))
        else:
            self._send_data(_DATA.unpack(raw))
        if command & Command.REPORT:
            self.memory.dma_write(address + 12, bytes([raw[12] | _DONE]))

    def _send_legacy(self, fields: tuple[int, ...]) -> None:
        address, length, offset, command, _, start, tag = fields
        self._gather(address, length)
        if command & Command.END_OF_PACKET:
            packet, self.sending = self.sending, bytearray()
            if command & Command.INSERT_CHECKSUM:
                insert_checksum(packet, start, offset)
            self._put_out(packet, tag if command & Command.TAG else None)

    def _take_context(self, fields: tuple[int, ...]) -> None:
        """Remember where headers are, for the data descriptors that follow."""
        *places, word, sizes = fields
        flags = word >> 24
        self.layout_ = [*places, sizes >> 8 & 0xFF, sizes >> 16, flags & 1, flags >> 1 & 1]

    def _send_data(self, fields: tuple[int, ...]) -> None:
        address, word, _, options, tag = fields
        command = word >> 24
        if not self.sending:
            self.last_option = options    # those of the first descriptor count
        self._gather(address, word & 0xF_FFFF)
        if not command & Command.END_OF_PACKET:
            return
        packet, self.sending = self.sending, bytearray()
        layout = Layout(*self.layout_)
        for part in segments(packet, layout) if command & Command.SEGMENT else (packet,):
            if self.last_option & _IP_OPTION:
                insert_checksum(part, layout.ip_start, layout.ip_checksum, layout.ip_end)
            if self.last_option & _TCP_OPTION:
                insert_checksum(part, layout.start, layout.checksum, layout.end)
            self._put_out(part, tag if command & Command.TAG else None)

    def _gather(self, address: int, length: int) -> None:
        if len(self.sending) + length > _LONGEST_SENT:
            self.guest_error("a packet that has no end")
            self.sending = bytearray()
            return
        self.sending += self.memory.dma_read(address, length)

    def _put_out(self, packet: bytearray, tag: int | None) -> None:
        frame = bytes(packet) if tag is None or not self.ctrl.value >> 30 & 1 else tagged(
            packet, self.vet.ethertype, tag
        )
        if len(frame) < 14:
            return
        self._count_sent(frame)
        if self.rctl.loopback:
            self.receive(frame)
        else:
            self.outbox.append(frame)

    def _flush_outbox(self) -> bool:
        """Pass packets on; False when the back end has no room for all of them."""
        while self.outbox:
            if self.backend is not None and self.link_up and not self.backend.send(self.outbox[0]):
                return False
            self.outbox.popleft()
        return True

    # --- receiving

    def accept_input(self) -> None:
        """There may be room now."""
        if self.backend is not None and self.can_receive():
            self.backend.accept_input()

    def _ring(self) -> tuple[int, int, int]:
        """Address, size and free descriptors of the receive ring."""
        base, count = self.rdba[1].value << 32 | self.rdba[0].value & ~15, self.rdlen.value // _DESCRIPTOR
        head, tail = self.rdh.value, self.rdt.value
        return base, count, (tail - head) % count if count and head < count and tail < count else 0

    def can_receive(self) -> bool:
        """Whether the guest has buffers."""
        return bool(self.rctl.enable and self.link_up and self.memory.enabled and self._ring()[2])

    @property
    def buffer_size(self) -> int:
        """Bytes of a receive buffer."""
        size = 2048 >> self.rctl.size_
        return size * 16 if self.rctl.larger and self.rctl.size_ else size

    def receive(self, frame: bytes) -> None:
        """A frame from outside, without its checksum."""
        if not self.rctl.enable or not self.accepts(frame):
            return
        status, tag = _DONE | _IGNORE_CHECKSUM, 0
        if self.ctrl.value >> 30 & 1 and frame[12:14] == self.vet.ethertype.to_bytes(2, "big"):
            status, tag = status | _TAGGED, int.from_bytes(frame[14:16], "big")
            frame = frame[:12] + frame[16:]
        data = frame.ljust(_SHORTEST, b"\0")
        if len(data) + _CRC > (_LONGEST_JUMBO if self.rctl.long else _LONGEST):
            return
        if not self.rctl.strip_crc:
            data += zlib.crc32(data).to_bytes(_CRC, "little")
        self._store(data, status, tag)

    def _store(self, data: bytes, status: int, tag: int) -> None:
        base, count, free = self._ring()
        size = self.buffer_size
        if (len(data) + size - 1) // size > free:
            self._count(Count.MISSED)
            self._count(Count.NO_BUFFERS)
            self.cause(Cause.OVERRUN)
            return
        try:
            for start in range(0, len(data), size):
                last = start + size >= len(data)
                self._fill(base, data[start:start + size], status | (_END if last else 0), tag)
                self.rdh.value = (self.rdh.value + 1) % count
        except MemoryAccessError as error:
            self.guest_error(f"receive descriptor {self.rdh.value}: {error}")
            return
        self._count_received(data)
        left = self._ring()[2]
        few = left <= count >> 1 + min(self.rctl.threshold, 2)
        self.cause(Cause.RECEIVED | (Cause.FEW_BUFFERS if few else 0))

    def _fill(self, base: int, part: bytes, status: int, tag: int) -> None:
        at = base + _DESCRIPTOR * self.rdh.value
        address = int.from_bytes(self.memory.dma_read(at, 8), "little")
        if address:
            self.memory.dma_write(address, part)
        self.memory.dma_write(at, _RECEIVED.pack(address, len(part), 0, status, 0, tag))

    def accepts(self, frame: bytes) -> bool:
        """Whether the filters let a frame in (3.2.1)."""
        if len(frame) < 14:
            return False
        rctl, target = self.rctl, frame[:6]
        if rctl.vlan_filter and int.from_bytes(frame[12:14], "big") == self.vet.ethertype:
            vlan = int.from_bytes(frame[14:16], "big") & 0xFFF
            if not self.vfta[vlan >> 5].value >> (vlan & 31) & 1:
                return False
        if target == _BROADCAST and rctl.broadcast:
            return True
        if target[0] & 1:
            return bool(rctl.all_multicast) or self._is_own(target) or self._is_group(target)
        return bool(rctl.all_unicast) or self._is_own(target)

    def _is_own(self, target: bytes) -> bool:
        low, high = struct.unpack("<IH", target)
        words = self.receive_address
        return any(words[n].value == low and words[n + 1].value == high | 1 << 31 for n in range(0, 32, 2))

    def _is_group(self, target: bytes) -> bool:
        bits = int.from_bytes(target[4:6], "little") >> (4, 3, 2, 0)[self.rctl.offset_] & 0xFFF
        return bool(self.mta[bits >> 5].value >> (bits & 31) & 1)

    # --- statistics

    def _count(self, count: Count, by: int = 1) -> None:
        self.statistics[count].value = min(self.statistics[count].value + by, 0xFFFF_FFFF)

    def _count_bytes(self, count: Count, by: int) -> None:
        """A count of 64 bits in two registers."""
        low, high = self.statistics[count], self.statistics[count + 1]
        total = (high.value << 32 | low.value) + by
        low.value, high.value = total & 0xFFFF_FFFF, total >> 32 & 0xFFFF_FFFF

    def _count_sent(self, frame: bytes) -> None:
        for count in (Count.GOOD_SENT, Count.ALL_SENT):
            self._count(count)
        for count in (Count.BYTES_SENT, Count.ALL_BYTES_SENT):
            self._count_bytes(count, len(frame) + _CRC)
        if frame[0] & 1:
            self._count(Count.BROADCAST_SENT if frame[:6] == _BROADCAST else Count.MULTICAST_SENT)

    def _count_received(self, data: bytes) -> None:
        for count in (Count.GOOD_RECEIVED, Count.ALL_RECEIVED):
            self._count(count)
        for count in (Count.BYTES_RECEIVED, Count.ALL_BYTES_RECEIVED):
            self._count_bytes(count, len(data))
        if data[0] & 1:
            self._count(Count.BROADCAST_RECEIVED if data[:6] == _BROADCAST else Count.MULTICAST_RECEIVED)


def _eeprom(address: bytes) -> list[int]:
    """The words of the EEPROM (5.6): the address, identities, and a word that makes the sum right."""
    words = [0] * WORDS
    words[0:3] = struct.unpack("<3H", address)
    words[0x0A] = 0x4000    # initialisation control, with the mark of a valid EEPROM
    words[0x0B:0x0F] = 0x1100, 0x1AF4, _DEVICE, _VENDOR
    words[WORDS - 1] = (_CHECKSUM - sum(words)) & 0xFFFF
    return words
