"""The C interface of libslirp 4.7 (libslirp.h, SlirpConfig version 4) through ctypes."""

from __future__ import annotations

import ctypes as c
from typing import Any

from ratite.errors import HostError

_SONAME = "libslirp.so.0"
_OLDEST = (4, 7)
CONFIG_VERSION = 4

POLL_IN, POLL_OUT, POLL_PRI, POLL_ERR, POLL_HUP = 1, 2, 4, 8, 16


class InAddr(c.Structure):
    """struct in_addr: network byte order in memory, aligned as a word."""

    _fields_ = (("word", c.c_uint32),)


class In6Addr(c.Structure):
    """struct in6_addr, likewise."""

    _fields_ = (("words", c.c_uint32 * 4),)


class Config(c.Structure):
    """SlirpConfig."""

    _fields_ = (
        ("version", c.c_uint32),
        ("restricted", c.c_int),
        ("in_enabled", c.c_bool),
        ("vnetwork", InAddr),
        ("vnetmask", InAddr),
        ("vhost", InAddr),
        ("in6_enabled", c.c_bool),
        ("vprefix_addr6", In6Addr),
        ("vprefix_len", c.c_uint8),
        ("vhost6", In6Addr),
        ("vhostname", c.c_char_p),
        ("tftp_server_name", c.c_char_p),
        ("tftp_path", c.c_char_p),
        ("bootfile", c.c_char_p),
        ("vdhcp_start", InAddr),
        ("vnameserver", InAddr),
        ("vnameserver6", In6Addr),
        ("vdnssearch", c.POINTER(c.c_char_p)),
        ("vdomainname", c.c_char_p),
        ("if_mtu", c.c_size_t),
        ("if_mru", c.c_size_t),
        ("disable_host_loopback", c.c_bool),
        ("enable_emu", c.c_bool),
        ("outbound_addr", c.c_void_p),
        ("outbound_addr6", c.c_void_p),
        ("disable_dns", c.c_bool),
        ("disable_dhcp", c.c_bool),
    )


SendPacket = c.CFUNCTYPE(c.c_ssize_t, c.c_void_p, c.c_size_t, c.c_void_p)
GuestError = c.CFUNCTYPE(None, c.c_char_p, c.c_void_p)
ClockGetNs = c.CFUNCTYPE(c.c_int64, c.c_void_p)
TimerNew = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p)
TimerFree = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p)
TimerMod = c.CFUNCTYPE(None, c.c_void_p, c.c_int64, c.c_void_p)
PollFd = c.CFUNCTYPE(None, c.c_int, c.c_void_p)
Notify = c.CFUNCTYPE(None, c.c_void_p)
InitCompleted = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p)
TimerNewOpaque = c.CFUNCTYPE(c.c_void_p, c.c_int, c.c_void_p, c.c_void_p)
AddPoll = c.CFUNCTYPE(c.c_int, c.c_int, c.c_int, c.c_void_p)
GetEvents = c.CFUNCTYPE(c.c_int, c.c_int, c.c_void_p)


class Callbacks(c.Structure):
    """SlirpCb."""

    _fields_ = (
        ("send_packet", SendPacket),
        ("guest_error", GuestError),
        ("clock_get_ns", ClockGetNs),
        ("timer_new", TimerNew),
        ("timer_free", TimerFree),
        ("timer_mod", TimerMod),
        ("register_poll_fd", PollFd),
        ("unregister_poll_fd", PollFd),
        ("notify", Notify),
        ("init_completed", InitCompleted),
        ("timer_new_opaque", TimerNewOpaque),
    )


def load() -> Any:
    """The library with its functions typed. Raises HostError where it is missing or too old."""
    try:
        library = c.CDLL(_SONAME)
    except OSError:
        raise HostError(f"user networking needs {_SONAME}, which is not installed (Debian package libslirp0)") from None
    library.slirp_version_string.restype = c.c_char_p
    text = library.slirp_version_string().decode()
    if tuple(int(part) for part in text.split(".")[:2]) < _OLDEST:
        raise HostError(f"user networking needs libslirp {'.'.join(map(str, _OLDEST))} or newer; this is {text}")
    pointer = c.c_void_p
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "slirp_new": (pointer, [c.POINTER(Config), c.POINTER(Callbacks), pointer]),
        "slirp_cleanup": (None, [pointer]),
        "slirp_pollfds_fill": (None, [pointer, c.POINTER(c.c_uint32), AddPoll, pointer]),
        "slirp_pollfds_poll": (None, [pointer, c.c_int, GetEvents, pointer]),
        "slirp_input": (None, [pointer, c.c_char_p, c.c_int]),
        "slirp_handle_timer": (None, [pointer, c.c_int, pointer]),
        "slirp_add_hostfwd": (c.c_int, [pointer, c.c_int, InAddr, c.c_int, InAddr, c.c_int]),
        "slirp_remove_hostfwd": (c.c_int, [pointer, c.c_int, InAddr, c.c_int]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
