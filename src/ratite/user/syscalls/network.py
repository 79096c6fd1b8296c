"""Sockets. Addresses and options are the same bytes everywhere; messages hold pointers and are rewritten."""

from __future__ import annotations

from errno import EINVAL, EMSGSIZE, ENOPROTOOPT

from ratite.bits import align_up
from ratite.user.failure import SyscallError
from ratite.user.structs import HOST_LAYOUTS
from ratite.user.syscalls.descriptors import host_vectors
from ratite.user.table import Fd, Int, Ptr, UInt, forward, restarted_syscall, restarted_timed_syscall, syscall
from ratite.user.thread import Thread

_CONTROL_LIMIT = 1 << 16
_MESSAGES_LIMIT = 1024
SOL_SOCKET, SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF = 1, 26, 51
SO_RCVTIMEO, SO_SNDTIMEO = 20, 21
# Levels of packet filter tables and the like, whose options hold pointers.
_TABLE_OPTIONS = {0: range(64, 96), 41: range(64, 96), 6: (35,)}    # IP, IPv6, TCP_ZEROCOPY_RECEIVE
_FILTER_LIMIT = 4096


class Message:
    """A msghdr of the guest and its copy for the host."""

    def __init__(self, t: Thread, address: int, sending: bool) -> None:
        self._t = t
        self._address = address
        fields = t.read_struct(address, "msghdr")
        self._fields = fields
        self._layout = HOST_LAYOUTS["msghdr"]
        if fields["iovlen"] > _MESSAGES_LIMIT:
            raise SyscallError(EMSGSIZE)
        name_size = fields["namelen"] if fields["name"] else 0
        if name_size >> 31:
            raise SyscallError(EINVAL)
        name = t.space.host(fields["name"])
        vectors = host_vectors(t, fields["iov"], fields["iovlen"])
        self._control_room = _CONTROL_LIMIT
        control = 0
        if fields["control"] and fields["controllen"]:
            control = self._control(sending)
        self.host = t.scratch.put(self._layout.pack(
            [name, name_size, vectors, fields["iovlen"], control, self._control_room if control else 0, 0]))
        self._control_address = control

    def _control(self, sending: bool) -> int:
        """Host address for control messages, filled in where the guest sends."""
        t, size = self._t, min(self._fields["controllen"], _CONTROL_LIMIT)
        if sending:
            if self._fields["controllen"] > _CONTROL_LIMIT:
                raise SyscallError(EINVAL)
            data = t.space.read(self._fields["control"], size)
            data = _control_to_host(t, data)
            self._control_room = len(data)
            return t.scratch.put(data)
        self._control_room = size if t.abi.bits == 64 else size + 4 * (size // 12 + 1)
        return t.scratch.room(self._control_room)

    def received(self) -> None:
        """Give the guest what the kernel wrote to the copy."""
        t = self._t
        host = self._layout.read(t.scratch.get(self.host, self._layout.size))
        given = b""
        if self._control_address:
            given = _control_to_guest(t, t.scratch.get(self._control_address, host["controllen"]))
            given = given[:self._fields["controllen"]]
            t.space.write(self._fields["control"], given)
        fields = dict(self._fields)
        fields.update(namelen=host["namelen"], controllen=len(given), flags=host["flags"])
        t.write_struct(self._address, "msghdr", **fields)


def _control_to_host(t: Thread, data: bytes) -> bytes:
    if t.abi.bits == 64:
        return data
    return _control(data, t.abi.structs["cmsghdr"].size, 4, HOST_LAYOUTS["cmsghdr"].size, 8)


def _control_to_guest(t: Thread, data: bytes) -> bytes:
    if t.abi.bits == 64:
        return data
    return _control(data, HOST_LAYOUTS["cmsghdr"].size, 8, t.abi.structs["cmsghdr"].size, 4)


def _control(data: bytes, head: int, word: int, new_head: int, new_word: int) -> bytes:
    """Rewrite control messages for another word size; their contents (descriptors, credentials) stay as they are."""
    made = bytearray()
    at = 0
    while at + head <= len(data):
        length = int.from_bytes(data[at:at + word], "little")
        if length < head or at + length > len(data):
            break
        content = data[at + head:at + length]
        made += (new_head + len(content)).to_bytes(new_word, "little") + data[at + word:at + head] + content
        made += bytes(-len(made) % new_word)
        at += align_up(length, word)
    return bytes(made)


@restarted_syscall
def sendmsg(t: Thread, fd: Fd, message: Ptr, flags: Int) -> int:
    """Send a message."""
    return t.sleep("sendmsg", fd, Message(t, message, sending=True).host, flags)


@restarted_syscall
def recvmsg(t: Thread, fd: Fd, message: Ptr, flags: Int) -> int:
    """Receive a message."""
    copy = Message(t, message, sending=False)
    result = t.sleep("recvmsg", fd, copy.host, flags)
    if result >= 0:
        copy.received()
    return result


@restarted_syscall
def sendmmsg(t: Thread, fd: Fd, messages: Ptr, count: UInt, flags: Int) -> int:
    """Send several messages; like the kernel's, it stops at the first that fails and tells how many went out."""
    size = t.abi.structs["msghdr"].size
    step = align_up(size + 4, t.abi.model.word)
    for n in range(min(count, _MESSAGES_LIMIT)):
        address = messages + n * step
        result = t.sleep("sendmsg", fd, Message(t, address, sending=True).host, flags)
        if result < 0:
            return n or result
        t.space.write_u32(address + size, result)
    return min(count, _MESSAGES_LIMIT)


@restarted_timed_syscall
def recvmmsg(t: Thread, fd: Fd, messages: Ptr, count: UInt, flags: Int, timeout: Ptr, kind: str) -> int:
    """Receive several messages."""
    count = min(count, _MESSAGES_LIMIT)
    size = t.abi.structs["msghdr"].size
    step = align_up(size + 4, t.abi.model.word)
    host_size = HOST_LAYOUTS["msghdr"].size
    copies = [Message(t, messages + n * step, sending=False) for n in range(count)]
    block = t.scratch.put(b"".join(t.scratch.get(copy.host, host_size) + bytes(8) for copy in copies))
    time = t.take_copy(timeout, kind) if timeout else 0
    result = t.sleep("recvmmsg", fd, block, count, flags, time)
    for n in range(max(result, 0)):
        entry = block + n * (host_size + 8)
        copies[n].host = entry
        copies[n].received()
        t.space.write(messages + n * step + size, t.scratch.get(entry + host_size, 4))
    if timeout and result >= 0:
        t.give_copy(timeout, kind, time)
    return result


@syscall
def setsockopt(t: Thread, fd: Fd, level: Int, option: Int, value: Ptr, size: Int) -> int:
    """Set an option. Options of packet filter tables hold pointers and are refused."""
    if option in _TABLE_OPTIONS.get(level, ()):
        return -ENOPROTOOPT
    if level == SOL_SOCKET:
        if option in (SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF):
            return _attach_filter(t, fd, option, value)
        if option in (SO_RCVTIMEO, SO_SNDTIMEO) and t.abi.bits == 32:
            return t.sleep("setsockopt", fd, level, option, t.take_copy(value, "timeval"), 16)
    return t.sleep("setsockopt", fd, level, option, t.space.host(value), size)


def _attach_filter(t: Thread, fd: int, option: int, value: int) -> int:
    """Hand over a packet filter program, whose instructions are the same everywhere."""
    fields = t.read_struct(value, "sock_fprog")
    if not 0 < fields["len"] <= _FILTER_LIMIT:
        return -EINVAL
    code = t.scratch.put(t.space.read(fields["filter"], fields["len"] * 8))
    host = HOST_LAYOUTS["sock_fprog"]
    return t.sleep("setsockopt", fd, SOL_SOCKET, option, t.scratch.put(host.pack([fields["len"], code])), host.size)


@syscall
def getsockopt(t: Thread, fd: Fd, level: Int, option: Int, value: Ptr, size: Ptr) -> int:
    """Tell an option."""
    if option in _TABLE_OPTIONS.get(level, ()):
        return -ENOPROTOOPT
    if level == SOL_SOCKET and option in (SO_RCVTIMEO, SO_SNDTIMEO) and t.abi.bits == 32:
        room = t.struct_room("timeval")
        result = t.sleep("getsockopt", fd, level, option, room, t.scratch.put((16).to_bytes(4, "little")))
        if result == 0:
            t.give_copy(value, "timeval", room)
            t.space.write_u32(size, 8)
        return result
    return t.sleep("getsockopt", fd, level, option, t.space.host(value), t.space.host(size))


forward("socket", "Int, Int, Int")
forward("socketpair", "Int, Int, Int, Ptr")
forward("bind", "Fd, Ptr, Int")
forward("listen", "Fd, Int")
forward("accept", "Fd, Ptr, Ptr", restart=True)
forward("accept4", "Fd, Ptr, Ptr, Int", restart=True)
forward("connect", "Fd, Ptr, Int", restart=True)
forward("getsockname", "Fd, Ptr, Ptr")
forward("getpeername", "Fd, Ptr, Ptr")
forward("sendto", "Fd, Ptr, Size, Int, Ptr, Int", restart=True)
forward("recvfrom", "Fd, Ptr, Size, Int, Ptr, Ptr", restart=True)
forward("shutdown", "Fd, Int")
