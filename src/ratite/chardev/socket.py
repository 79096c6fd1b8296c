"""`socket`: a TCP or Unix socket, as server or as client."""

from __future__ import annotations

import os
import select
import socket
from typing import Any

from ratite.chardev.base import ChardevContext
from ratite.chardev.loop import Timer
from ratite.chardev.stream import StreamChardev
from ratite.errors import HostError, UsageError
from ratite.settings import setting, settings


@settings
class SocketOptions:
    path: str = setting("Unix socket", default="")
    host: str = setting("TCP host name or address; a server without one listens on all addresses", default="")
    port: str = setting("TCP port number or service name; a server given 0 takes a free one", default="")
    ipv4: bool | None = setting("off: no IPv4", default=None)
    ipv6: bool | None = setting("off: no IPv6", default=None)
    server: bool = setting("listen, one peer at a time, instead of connecting", default=False)
    wait: bool | None = setting("whether the machine starts only when a server has its peer; default on", default=None)
    nodelay: bool = setting("send every write at once (TCP_NODELAY)", default=True, aliases=("delay-off",))
    reconnect: int = setting("seconds after which a client tries again when it lost its server; 0: never", default=0)


class SocketChardev(StreamChardev, kind="socket", options=SocketOptions):
    """A stream socket. A server whose peer has left listens again; what is written while nobody is there is dropped.

    Not supported: telnet and WebSocket framing, TLS, passing of file descriptors.
    """

    def __init__(self, context: ChardevContext, label: str, options: SocketOptions) -> None:
        super().__init__(context, label)
        _check(label, options)
        self._options = options
        self._peer: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._retry: Timer | None = None
        self.connected = False
        if options.server:
            self._listen()
            if options.wait is not False:
                self._wait_for_peer()
        else:
            self._connect_or_retry(first=True)

    @property
    def address(self) -> tuple[Any, ...] | str:
        """Where a server listens: (host, port, ...) or a path."""
        assert self._listener is not None
        address: tuple[Any, ...] | str = self._listener.getsockname()
        return address

    def close(self) -> None:
        with self.lock:
            super().close()
            if self._retry is not None:
                self._retry.cancel()
            if self._listener is not None:
                self.loop.forget(self._listener.fileno())
                self._listener.close()
                self._listener = None
                if self._options.path:
                    _unlink(self._options.path)

    # --- a peer comes and goes

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            peer, _ = self._listener.accept()
        except OSError:    # it has left already
            return
        self.loop.forget(self._listener.fileno())
        self._begin(peer)

    def _begin(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        if peer.family != socket.AF_UNIX and self._options.nodelay:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer = peer
        self._open(peer.fileno(), peer.fileno())
        self._set_connected(True)

    def _close_descriptors(self, descriptors: set[int]) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def _hang_up(self) -> None:
        super()._hang_up()
        if self._listener is not None:
            self.loop.add_reader(self._listener.fileno(), self._accept)
        elif self._options.reconnect:
            self._try_later()

    # --- server

    def _listen(self) -> None:
        error: OSError | None = None
        for family, address in _addresses(self._options):
            try:
                self._listener = _listening(family, address)
                break
            except OSError as problem:
                error = problem
        if self._listener is None:
            reason = error.strerror if error else "no such address"
            raise HostError(f"cannot listen on {_name(self._options)}: {reason}")
        self.loop.add_reader(self._listener.fileno(), self._accept)

    def _wait_for_peer(self) -> None:
        assert self._listener is not None
        self.context.announce(f"waiting for a connection on {_name(self._options)} ({self.label})")
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while not self.connected:
            poll.poll()
            with self.lock:
                if not self.connected:
                    self._accept()

    # --- client

    def _connect_or_retry(self, first: bool = False) -> None:
        try:
            self._begin(self._connect())
        except OSError as error:
            if not self._options.reconnect:
                raise HostError(f"cannot connect to {_name(self._options)}: {error.strerror or error}") from None
            self._try_later()

    def _try_later(self) -> None:
        self._retry = self.loop.call_later(self._options.reconnect, self._connect_or_retry)

    def _connect(self) -> socket.socket:
        error: OSError = OSError(0, "no such address")
        for family, address in _addresses(self._options):
            peer = socket.socket(family, socket.SOCK_STREAM)
            try:
                peer.connect(address)
                return peer
            except OSError as problem:
                peer.close()
                error = problem
        raise error


def _check(label: str, options: SocketOptions) -> None:
    if bool(options.path) == bool(options.port):
        raise UsageError(f"character device '{label}': a socket needs either a path or a host and a port")
    if options.reconnect and options.server:
        raise UsageError(f"character device '{label}': 'reconnect' is for clients, not for servers")
    if options.wait and not options.server:
        raise UsageError(f"character device '{label}': 'wait' is for servers, not for clients")


def _name(options: SocketOptions) -> str:
    return f"unix:{options.path}" if options.path else f"tcp:{options.host}:{options.port}"


def _addresses(options: SocketOptions) -> list[tuple[socket.AddressFamily, Any]]:
    if options.path:
        return [(socket.AF_UNIX, options.path)]
    unwanted = {socket.AF_INET} if options.ipv4 is False or (options.ipv6 and not options.ipv4) else set()
    unwanted |= {socket.AF_INET6} if options.ipv6 is False or (options.ipv4 and not options.ipv6) else set()
    try:
        flags = socket.AI_PASSIVE if options.server else 0
        found = socket.getaddrinfo(options.host or None, options.port, type=socket.SOCK_STREAM, flags=flags)
    except OSError as error:
        raise HostError(f"cannot resolve {_name(options)}: {error.strerror}") from None
    return [(family, address) for family, _, _, _, address in found if family not in unwanted]


def _listening(family: socket.AddressFamily, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_UNIX:
            _unlink(address)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1)
        listener.setblocking(False)
    except (OSError, ValueError) as error:    # a path that is too long is no errno of the host
        listener.close()
        raise error if isinstance(error, OSError) and error.strerror else OSError(0, str(error)) from None
    return listener


def _unlink(path: str) -> None:
    """Remove the socket of an earlier run, but nothing else."""
    import stat

    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
    except OSError:
        pass
