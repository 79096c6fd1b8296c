"""`-netdev user`: the guest's connections become sockets of this process, through libslirp. No rights are needed.

libslirp keeps all state in one object that one thread at a time may use. All calls are made by the I/O loop around its
waits, under `_guard`; frames of the guest are queued for it, frames for the guest are handed over after the calls,
holding the machine's lock, which is never waited for while `_guard` is held.
"""

from __future__ import annotations

import ctypes
import os
import select
import threading
import time
from collections import deque
from typing import Any

from ratite import log
from ratite.errors import HostError, UsageError
from ratite.net import libslirp
from ratite.net.base import NetBackend, NetContext
from ratite.net.user_options import Forward, UserOptions, plan_ipv4, plan_ipv6, read_forward

_QUEUE = 512              # frames of the guest that wait for the loop
_IDLE_MS = 1000           # libslirp's own limit of a wait; then nothing of it is due

_TO_EPOLL = (
    (libslirp.POLL_IN, select.EPOLLIN),
    (libslirp.POLL_OUT, select.EPOLLOUT),
    (libslirp.POLL_PRI, select.EPOLLPRI),
    (libslirp.POLL_ERR, select.EPOLLERR),
    (libslirp.POLL_HUP, select.EPOLLHUP | select.EPOLLRDHUP),
)


class UserBackend(NetBackend, kind="user", options=UserOptions):
    """User networking: a router with DHCP, DNS and TFTP servers at addresses of the guest's network.

    Not supported: guestfwd, the SMB server, IPv6 port forwarding.
    """

    def __init__(self, context: NetContext, name: str, options: UserOptions) -> None:
        super().__init__(context, name)
        self._library = libslirp.load()
        self._guard = threading.Lock()
        self._outgoing: deque[bytes] = deque()
        self._incoming: list[bytes] = []
        self._held_back = False
        self._wishes: dict[int, int] = {}     # descriptor -> epoll events, as libslirp wants them
        self._wanted: dict[int, int] = {}     # the same as the kernel knows them
        self._asked: list[int] = []           # descriptors in the order in which libslirp named them
        self._ready: dict[int, int] = {}
        self._timers: dict[int, Timer] = {}
        self._callbacks = self._make_callbacks()
        self._add_poll = libslirp.AddPoll(self._on_add_poll)
        self._get_events = libslirp.GetEvents(self._on_get_events)
        self._config, self._kept = _make_config(name, options)
        self._epoll = select.epoll()
        self._slirp: int | None = None
        try:
            self._slirp = self._start()
            for rule in options.hostfwd:
                self.add_forward(read_forward(rule))
        except (HostError, UsageError):
            self.close()
            raise
        self.loop.add_reader(self._epoll.fileno(), _do_nothing)    # the work is done in `after_wait`
        self.loop.add_source(self)

    # --- for the card and the machine

    def send(self, frame: bytes) -> bool:
        if len(self._outgoing) >= _QUEUE:
            self._held_back = True
            return False
        self._outgoing.append(frame)
        if len(self._outgoing) == 1:
            self.loop.wake()
        return True

    def add_forward(self, forward: Forward) -> None:
        """Make a port of the host lead to the guest. Raises HostError when the port is taken."""
        with self._guard:
            failed = self._slirp is None or self._library.slirp_add_hostfwd(
                self._slirp, int(forward.udp), _in_addr(forward.host), forward.host_port, _in_addr(forward.guest),
                forward.guest_port,
            )
        if failed:
            raise HostError(f"netdev '{self.name}': cannot forward '{forward.rule}': is the port of the host taken?")

    def remove_forward(self, forward: Forward) -> bool:
        """End a forwarding; False when there was none."""
        with self._guard:
            if self._slirp is None:
                return False
            host = _in_addr(forward.host)
            status: int = self._library.slirp_remove_hostfwd(self._slirp, int(forward.udp), host, forward.host_port)
            return status == 0

    def close(self) -> None:
        self.loop.remove_source(self)
        if not self._epoll.closed:
            self.loop.forget(self._epoll.fileno())
        with self._guard:
            if self._slirp is not None:
                self._library.slirp_cleanup(self._slirp)
                self._slirp = None
            self._epoll.close()

    # --- the I/O loop's side

    def before_wait(self) -> float | None:
        """Tell the kernel which sockets libslirp waits for now."""
        with self._guard:
            if self._slirp is None:
                return None
            timeout = ctypes.c_uint32(_IDLE_MS)
            self._asked.clear()
            self._wishes.clear()
            self._library.slirp_pollfds_fill(self._slirp, ctypes.byref(timeout), self._add_poll, None)
            self._tell_kernel(self._wishes)
            return 0 if self._outgoing else _earliest(timeout.value, self._timers)

    def after_wait(self) -> None:
        """Let libslirp look at its sockets and at what the guest has sent; then pass on what came of it."""
        with self._guard:
            if self._slirp is None:
                return
            self._ready = dict(self._epoll.poll(0))
            self._library.slirp_pollfds_poll(self._slirp, 0, self._get_events, None)
            for _ in range(len(self._outgoing)):
                frame = self._outgoing.popleft()
                self._library.slirp_input(self._slirp, frame, len(frame))
            self._run_timers()
            frames, self._incoming = self._incoming, []
        self._pass_on(frames)

    def _pass_on(self, frames: list[bytes]) -> None:
        if not frames and not self._held_back:
            return
        with self.lock:
            for frame in frames:
                self._deliver(frame)
            if self._held_back:
                self._held_back = False
                self._on_room()

    def _tell_kernel(self, wishes: dict[int, int]) -> None:
        for fd in self._wanted.keys() - wishes.keys():
            self._forget_fd(fd)
        for fd, events in wishes.items():
            if self._wanted.get(fd) != events:
                self._want_fd(fd, events)

    def _want_fd(self, fd: int, events: int) -> None:
        try:
            if fd in self._wanted:
                self._epoll.modify(fd, events)
            else:
                self._epoll.register(fd, events)
        except OSError:    # closed behind our back: libslirp will notice
            self._wanted.pop(fd, None)
        else:
            self._wanted[fd] = events

    def _forget_fd(self, fd: int) -> None:
        self._wanted.pop(fd, None)
        try:
            self._epoll.unregister(fd)
        except OSError:    # closed, and so gone already
            pass

    def _run_timers(self) -> None:
        now = time.monotonic_ns() // 1_000_000
        for timer in list(self._timers.values()):
            if timer.deadline is not None and timer.deadline <= now:
                timer.deadline = None
                self._library.slirp_handle_timer(self._slirp, timer.id, timer.opaque)

    # --- what libslirp calls; always inside one of the calls above

    def _on_add_poll(self, fd: int, events: int, opaque: int | None) -> int:
        wanted = sum(host for ours, host in _TO_EPOLL if events & ours)
        self._wishes[fd] = self._wishes.get(fd, 0) | wanted
        self._asked.append(fd)
        return len(self._asked) - 1

    def _on_get_events(self, index: int, opaque: int | None) -> int:
        if not 0 <= index < len(self._asked):
            return 0
        events = self._ready.get(self._asked[index], 0)
        return sum(ours for ours, host in _TO_EPOLL if events & host)

    def _on_send_packet(self, data: int, size: int, opaque: int | None) -> int:
        self._incoming.append(ctypes.string_at(data, size))
        return size

    def _on_guest_error(self, text: bytes, opaque: int | None) -> None:
        log.write("guest_errors", f"netdev {self.name}: {text.decode(errors='replace')}")

    def _on_timer_new(self, number: int, timer_opaque: int | None, opaque: int | None) -> int:
        handle = max(self._timers, default=0) + 1
        self._timers[handle] = Timer(number, timer_opaque)
        return handle

    def _on_timer_free(self, handle: int, opaque: int | None) -> None:
        self._timers.pop(handle, None)

    def _on_timer_mod(self, handle: int, deadline: int, opaque: int | None) -> None:
        if handle in self._timers:
            self._timers[handle].deadline = deadline

    def _on_unregister_fd(self, fd: int, opaque: int | None) -> None:
        """libslirp is about to close it; the number may come back as another socket."""
        self._forget_fd(fd)

    # --- construction

    def _make_callbacks(self) -> libslirp.Callbacks:
        return libslirp.Callbacks(
            send_packet=libslirp.SendPacket(self._on_send_packet),
            guest_error=libslirp.GuestError(self._on_guest_error),
            clock_get_ns=libslirp.ClockGetNs(lambda opaque: time.monotonic_ns()),
            timer_free=libslirp.TimerFree(self._on_timer_free),
            timer_mod=libslirp.TimerMod(self._on_timer_mod),
            register_poll_fd=libslirp.PollFd(lambda fd, opaque: None),
            unregister_poll_fd=libslirp.PollFd(self._on_unregister_fd),
            notify=libslirp.Notify(lambda opaque: self.loop.wake()),
            init_completed=libslirp.InitCompleted(lambda slirp, opaque: None),
            timer_new_opaque=libslirp.TimerNewOpaque(self._on_timer_new),
        )

    def _start(self) -> int:
        config, callbacks = ctypes.byref(self._config), ctypes.byref(self._callbacks)
        slirp: int | None = self._library.slirp_new(config, callbacks, None)
        if not slirp:
            raise HostError(f"netdev '{self.name}': libslirp refuses these settings")
        return slirp


class Timer:
    """A timer of libslirp's: it is called with `id` and `opaque` when the clock passes `deadline` milliseconds."""

    def __init__(self, number: int, opaque: int | None) -> None:
        self.id, self.opaque = number, opaque
        self.deadline: int | None = None


def _earliest(timeout_ms: int, timers: dict[int, Timer]) -> float | None:
    """Seconds until libslirp must be called again; None when it has nothing to do by itself."""
    now = time.monotonic_ns() // 1_000_000
    waits = [timer.deadline - now for timer in timers.values() if timer.deadline is not None]
    if timeout_ms < _IDLE_MS:
        waits.append(timeout_ms)
    return max(0, min(waits)) / 1000 if waits else None


def _make_config(name: str, options: UserOptions) -> tuple[libslirp.Config, Any]:
    """The settings for libslirp, and memory that has to live as long as they do."""
    config = libslirp.Config(version=libslirp.CONFIG_VERSION, restricted=options.restrict)
    try:
        if options.ipv4:
            _set_ipv4(config, options)
        if options.ipv6:
            _set_ipv6(config, options)
    except UsageError as error:
        raise UsageError(f"netdev '{name}': {error}") from None
    if not (options.ipv4 or options.ipv6):
        raise UsageError(f"netdev '{name}': ipv4=off and ipv6=off leave nothing")
    if options.tftp and not os.path.isdir(options.tftp):
        raise UsageError(f"netdev '{name}': tftp: '{options.tftp}' is not a folder")
    texts = {
        "vhostname": options.hostname, "tftp_server_name": options.tftp_server_name, "bootfile": options.bootfile,
        "tftp_path": options.tftp, "vdomainname": options.domainname,
    }
    for field, text in texts.items():
        setattr(config, field, os.fsencode(text) if text else None)
    search = (ctypes.c_char_p * (len(options.dnssearch) + 1))(*map(os.fsencode, options.dnssearch), None)
    if options.dnssearch:
        config.vdnssearch = ctypes.cast(search, ctypes.POINTER(ctypes.c_char_p))
    return config, search


def _set_ipv4(config: libslirp.Config, options: UserOptions) -> None:
    plan = plan_ipv4(options)
    config.in_enabled = True
    config.vnetwork, config.vnetmask = _in_addr(plan.network.network_address), _in_addr(plan.network.netmask)
    config.vhost, config.vdhcp_start, config.vnameserver = map(_in_addr, (plan.host, plan.dhcp_start, plan.dns))


def _set_ipv6(config: libslirp.Config, options: UserOptions) -> None:
    plan = plan_ipv6(options)
    config.in6_enabled = True
    config.vprefix_addr6, config.vprefix_len = _in6_addr(plan.network.network_address), plan.network.prefixlen
    config.vhost6, config.vnameserver6 = _in6_addr(plan.host), _in6_addr(plan.dns)


def _in_addr(address: Any) -> libslirp.InAddr:
    return libslirp.InAddr.from_buffer_copy(address.packed)


def _in6_addr(address: Any) -> libslirp.In6Addr:
    return libslirp.In6Addr.from_buffer_copy(address.packed)


def _do_nothing() -> None:
    """The wait has ended; that is all that was wanted."""
