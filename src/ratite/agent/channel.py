"""Channels to the host: a character device (virtio-serial port, serial line), or a socket that the agent listens on.

A channel tells a `Listener` what arrives, and takes answers with `send`. It also tells when the other side changes, so
that no half of a request or answer meets somebody else, and when there is room again for answers.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Callable
from typing import Protocol

from ratite.agent.errors import SetupError
from ratite.agent.log import Log
from ratite.agent.reactor import READ, WRITE, Reactor
from ratite.agent.system.base import Method, System

OUTPUT_FULL = 1 << 20      # waiting output from which no more requests are read
RETRY_SECONDS = 0.1        # a device says that the host has gone, but not when it comes back
ABSENT_SECONDS = 1.0       # a host that was away for so long will not be answered what it has asked
REOPEN_SECONDS = 1.0
_PIECE = 64 << 10
_FIRST_PASSED_SOCKET = 3   # sd_listen_fds(3)


class Listener(Protocol):
    """What a channel talks to."""

    def on_data(self, data: bytes) -> None:
        """Something has arrived."""

    def on_new_peer(self) -> None:
        """What comes from now on is from somebody else."""

    def on_room(self) -> None:
        """`has_room` has become true."""


class Channel:
    """Base of the channels: a descriptor for reading and writing, and output that waits."""

    def __init__(self, reactor: Reactor, log: Log, listener: Listener) -> None:
        self.reactor = reactor
        self.log = log
        self._listener = listener
        self._descriptor = -1
        self._output = bytearray()

    def open(self) -> None:
        """Begin. Raises SetupError."""
        raise NotImplementedError

    def close(self) -> None:
        """End."""
        self._end()

    @property
    def has_room(self) -> bool:
        """Whether so little output waits that more may be made."""
        return len(self._output) < OUTPUT_FULL

    def send(self, data: bytes) -> None:
        """Send, now or as soon as the other side takes it; dropped while there is none."""
        if self._descriptor >= 0 and data:
            self._output += data
            self._flush()

    def _begin(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._listener.on_new_peer()
        self._watch()

    def _end(self) -> None:
        if self._descriptor >= 0:
            self.reactor.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        self._output.clear()

    def _watch(self) -> None:
        events = (WRITE if self._output else 0) | (READ if self.has_room else 0)
        self.reactor.watch(self._descriptor, events, self._on_ready)

    def _on_ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
            if self._descriptor >= 0 and self.has_room:
                self._listener.on_room()
        if events & READ and self._descriptor >= 0:
            self._read()

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            self.log.error(f"channel: {error.strerror}")
            self._hang_up(error)
            return
        if data:
            self._on_contact()
            self._listener.on_data(data)
        else:
            self._hang_up(None)

    def _flush(self) -> None:
        while self._output:
            try:
                count = os.write(self._descriptor, memoryview(self._output)[:_PIECE])
            except BlockingIOError:
                break
            except OSError as error:
                self._hang_up(error)
                return
            del self._output[:count]
            self._on_contact()
        self._watch()

    def _on_contact(self) -> None:
        """The other side has sent or taken something."""

    def _hang_up(self, error: OSError | None) -> None:
        """The other side has gone, or (with an error) the channel is broken."""
        raise NotImplementedError


class DeviceChannel(Channel):
    """A character device. The host may come and go; while it is away the device shows an end of file.

    Linux hands on what a new host sends before it takes note that there is one, so behind an end of file may be what a
    host has asked already that is there. Nothing is dropped until the device has shown the end for a while.
    """

    path = ""
    make_raw: Callable[[int], None] | None = None
    retry = False
    _in_contact = False
    _absent_since: float | None = None

    def open(self) -> None:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            if not self.retry:
                raise SetupError(f"cannot open the channel {self.path}: {error.strerror}") from None
            self.reactor.call_later(REOPEN_SECONDS, self.open)
            return
        try:
            if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
                raise SetupError(f"the channel {self.path} is no character device")
            if self.make_raw is not None:
                self.make_raw(descriptor)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, SetupError):
                raise
            raise SetupError(f"cannot use {self.path} as a serial line: {error}") from None
        self._begin(descriptor)

    def _on_ready(self, events: int) -> None:
        was_full, self._in_contact = not self.has_room, False
        super()._on_ready(events)
        if was_full and not self._in_contact and self._descriptor >= 0:
            self._rest()    # without a host Linux says that the device is ready, but it takes nothing

    def _on_contact(self) -> None:
        self._in_contact, self._absent_since = True, None

    def _hang_up(self, error: OSError | None) -> None:
        if error is None:
            self._rest()
            return
        self._listener.on_new_peer()
        self._end()
        if self.retry:
            self.reactor.call_later(REOPEN_SECONDS, self.open)
        else:
            self.reactor.stop()

    def _rest(self) -> None:
        """Look again in a moment. After some moments without a host, forget what the one before has asked."""
        now = time.monotonic()
        if self._absent_since is None:
            self._absent_since = now
        elif now - self._absent_since >= ABSENT_SECONDS:
            self._output.clear()
            self._listener.on_new_peer()
        self.reactor.forget(self._descriptor)
        self.reactor.call_later(RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        if self._descriptor >= 0:
            self._watch()


class SocketChannel(Channel):
    """A listening socket; one client at a time, others wait."""

    def __init__(self, socket_: socket.socket, reactor: Reactor, log: Log, listener: Listener) -> None:
        super().__init__(reactor, log, listener)
        self._socket = socket_

    def open(self) -> None:
        self._socket.setblocking(False)
        self.reactor.watch(self._socket.fileno(), READ, lambda events: self._accept())

    def close(self) -> None:
        super().close()
        self.reactor.forget(self._socket.fileno())
        self._socket.close()

    def _accept(self) -> None:
        try:
            peer, _ = self._socket.accept()
        except OSError:    # it has gone already, or there is no descriptor for it now
            return
        self.reactor.forget(self._socket.fileno())
        self._begin(peer.detach())

    def _hang_up(self, error: OSError | None) -> None:
        self._end()
        self._listener.on_new_peer()
        self.open()


def make(method: Method, path: str, retry: bool, system: System, reactor: Reactor, log: Log, listener: Listener) -> Channel:
    """The channel that options ask for; `path` may be empty for devices. Raises SetupError."""
    if method in (Method.UNIX_LISTEN, Method.VSOCK_LISTEN):
        found = _passed_socket() or (_listen_unix(path) if method is Method.UNIX_LISTEN else _listen_vsock(path))
        return SocketChannel(found, reactor, log, listener)
    channel = DeviceChannel(reactor, log, listener)
    channel.path = path or system.path(system.channel(method))
    channel.make_raw = system.make_raw if method in system.echoing_channels else None
    channel.retry = retry
    return channel


def _passed_socket() -> socket.socket | None:
    """The listening socket that systemd opened for us (socket activation)."""
    environment = os.environ
    if environment.get("LISTEN_PID") != str(os.getpid()) or environment.get("LISTEN_FDS") != "1":
        return None
    os.set_inheritable(_FIRST_PASSED_SOCKET, False)
    return socket.socket(fileno=_FIRST_PASSED_SOCKET)


def _listen_unix(path: str) -> socket.socket:
    if not path:
        raise SetupError("unix-listen needs the path of a socket: -p PATH")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_socket(path)
        listener.bind(path)
        os.chmod(path, 0o600)    # whoever can connect is root
        listener.listen(1)
    except OSError as error:
        listener.close()
        raise SetupError(f"cannot listen on {path}: {error.strerror or error}") from None
    return listener


def _remove_socket(path: str) -> None:
    """Remove what an agent before us has left, but nothing that is no socket."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass


def _listen_vsock(path: str) -> socket.socket:
    cid, colon, port = path.partition(":")
    if not colon or not port.isdigit() or not (cid.isdigit() or cid == ""):
        raise SetupError(f"vsock-listen needs an address CID:PORT, not '{path}'")
    family, anywhere = getattr(socket, "AF_VSOCK", None), getattr(socket, "VMADDR_CID_ANY", 0xFFFF_FFFF)
    if family is None:
        raise SetupError("this system has no vsock")
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.bind((int(cid) if cid else anywhere, int(port)))
        listener.listen(1)
    except (OSError, OverflowError) as error:
        raise SetupError(f"cannot listen on vsock {path}: {error}") from None
    return listener
