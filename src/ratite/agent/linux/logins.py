"""Who is logged in: from utmp (utmp(5)), or on systems that have given that up, from logind's sessions."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from ratite.agent.system.base import System

UTMP = "/var/run/utmp"
SESSIONS = "/run/systemd/sessions"
_USER_PROCESS, _LAST_TYPE = 7, 9

# type, pid, line, id, user, host, exit status, session, seconds, microseconds, address, reserved. Times have 32 bits
# where programs of 32 bits share the file, which is nearly everywhere.
_FORMATS = (
    struct.Struct("=hxxi32s4s32s256s4xiii16s20s"),
    struct.Struct("=hxxi32s4s32s256s4xqqq16s20s4x"),
)


def logins(system: System) -> dict[str, float]:
    """Users with the time of the earliest of their logins, in seconds since 1970."""
    earliest: dict[str, float] = {}
    for user, seconds in _logins(system):
        if user not in earliest or seconds < earliest[user]:
            earliest[user] = seconds
    return earliest


def _logins(system: System) -> Iterator[tuple[str, float]]:
    try:
        yield from from_utmp(system.read_bytes(UTMP))
    except FileNotFoundError:
        yield from _from_sessions(system)


def from_utmp(data: bytes) -> Iterator[tuple[str, float]]:
    """Logins in the content of an utmp file."""
    layout = next((layout for layout in _FORMATS if _fits(layout, data)), None)
    if layout is None:
        return
    for fields in layout.iter_unpack(data):
        if fields[0] == _USER_PROCESS:
            yield fields[4].split(b"\0")[0].decode(errors="replace"), fields[7] + fields[8] / 1e6


def _fits(layout: struct.Struct, data: bytes) -> bool:
    """Whether the file consists of such records; no field tells."""
    kinds = (struct.unpack_from("=h", data, offset)[0] for offset in range(0, len(data) - 1, layout.size))
    return len(data) % layout.size == 0 and all(0 <= kind <= _LAST_TYPE for kind in kinds)


def _from_sessions(system: System) -> Iterator[tuple[str, float]]:
    """The files that sd_session_get_username(3) and its like read."""
    try:
        names = sorted(os.listdir(system.path(SESSIONS)))
    except OSError:
        return
    for name in names:
        pairs = (line.partition("=") for line in system.read_line(f"{SESSIONS}/{name}").splitlines())
        values = {key: value for key, _, value in pairs}
        if values.get("CLASS") == "user" and values.get("USER") and values.get("REALTIME", "").isdigit():
            yield values["USER"], int(values["REALTIME"]) / 1e6
