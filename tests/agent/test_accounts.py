"""guest-get-users from records made by hand, guest-set-user-password on a recorded system."""

from __future__ import annotations

import base64
import calendar
import shutil
import struct
import subprocess
import time

import pytest

from ratite.agent.system.base import Outcome

from .conftest import Client, RecordedLinux

DEAD, BOOT, USER = 8, 2, 7


def record(kind: int, user: str, seconds: int, microseconds: int = 0, size: int = 384) -> bytes:
    """A struct utmp as glibc writes it, field by field: with 384 bytes, or with 400 where times have 64 bits."""
    data = struct.pack("=hxxi", kind, 1234) + b"pts/0".ljust(32, b"\0") + b"ts/0" + user.encode().ljust(32, b"\0") + bytes(256)
    data += struct.pack("=hh", 0, 0)
    data += struct.pack("=iii", 0, seconds, microseconds) if size == 384 else struct.pack("=qqq", 0, seconds, microseconds)
    return (data + bytes(16 + 20)).ljust(size, b"\0")


@pytest.mark.parametrize("size", [384, 400])
def test_users(client: Client, system: RecordedLinux, size: int) -> None:
    """Who is logged in, with the first of several logins; the boot and ended logins are no users."""
    entries = [(BOOT, "reboot", 1), (USER, "ann", 2_000_000_000), (DEAD, "eve", 5), (USER, "bob", 1_600_000_000), (USER, "ann", 1_700_000_000)]
    system.add("/var/run/utmp", b"".join(record(kind, user, seconds, 250_000, size) for kind, user, seconds in entries))
    assert client.ask("guest-get-users") == [
        {"user": "ann", "login-time": 1_700_000_000.25}, {"user": "bob", "login-time": 1_600_000_000.25},
    ]    # fmt: skip


def test_users_as_other_programs_have_them(client: Client, system: RecordedLinux) -> None:
    """A file that utmpdump(1) has made, of which who(1) lists the same users and times."""
    if not (shutil.which("utmpdump") and shutil.which("who")):
        pytest.skip("no utmpdump or who here")
    lines = [
        "[2] [00000] [~~  ] [reboot  ] [~           ] [6.12.0              ] [0.0.0.0        ] [2024-07-14T08:00:00,000000+00:00]",
        "[7] [01234] [ts/0] [ann     ] [pts/0       ] [192.0.2.7           ] [192.0.2.7      ] [2024-07-14T12:45:30,250000+00:00]",
        "[8] [01235] [ts/1] [eve     ] [pts/1       ] [                    ] [0.0.0.0        ] [2024-07-14T12:46:00,000000+00:00]",
        "[7] [01236] [tty1] [bob     ] [tty1        ] [                    ] [0.0.0.0        ] [2024-07-14T13:00:00,000000+00:00]",
    ]
    made = subprocess.run(["utmpdump", "-r"], input="\n".join(lines).encode() + b"\n", capture_output=True, check=True).stdout
    path = system.add("/var/run/utmp", made)
    rows = {row["user"]: row["login-time"] for row in client.ask("guest-get-users")}
    assert rows == {"ann": calendar.timegm((2024, 7, 14, 12, 45, 30)) + 0.25, "bob": calendar.timegm((2024, 7, 14, 13, 0, 0))}
    listed = subprocess.run(["who", path], capture_output=True, text=True, check=True, env={"TZ": "UTC", "LC_ALL": "C"}).stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(rows)
    for line in listed.splitlines():
        assert time.strftime("%b %d %H:%M", time.gmtime(rows[line.split()[0]])) in " ".join(line.split())


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"\xff" * 384, record(USER, "ann", 1)[:-1]])
def test_a_damaged_file(client: Client, system: RecordedLinux, data: bytes) -> None:
    """It holds no logins."""
    system.add("/var/run/utmp", data)
    assert client.ask("guest-get-users") == []


def test_sessions_of_logind(client: Client, system: RecordedLinux) -> None:
    """Where there is no utmp any more; greeters and services are no users."""
    assert client.ask("guest-get-users") == []
    system.add("/run/systemd/sessions/3", "UID=1000\nUSER=ann\nCLASS=user\nREALTIME=1700000000500000\n")
    system.add("/run/systemd/sessions/c1", "USER=gdm\nCLASS=greeter\nREALTIME=1600000000000000\n")
    system.add("/run/systemd/sessions/4", "USER=bob\nCLASS=user\nREALTIME=x\n")
    assert client.ask("guest-get-users") == [{"user": "ann", "login-time": 1_700_000_000.5}]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("crypted", [False, True])
def test_passwords(client: Client, system: RecordedLinux, crypted: bool) -> None:
    """chpasswd gets both through a pipe, so that no list of processes shows them."""
    system.program("/usr/sbin/chpasswd")
    client.ask("guest-set-user-password", username="ann", password=encoded("sécret: $6$x"), crypted=crypted)
    (run,) = system.runs
    assert run == (["/usr/sbin/chpasswd", *(["-e"] if crypted else [])], "ann:sécret: $6$x\n".encode())
    assert "cret" not in client.log.read_text()


def test_passwords_that_cannot_be_set(client: Client, system: RecordedLinux) -> None:
    """Neither a name nor a password may add a line for another user; failures are told."""
    assert client.error("guest-set-user-password", username="ann", password="YQ==", crypted=False).endswith("not installed")
    system.program("/usr/sbin/chpasswd", Outcome(1, "", "no such user"))
    for name in ("", "a:b", "a\nroot", "-R"):
        assert client.error("guest-set-user-password", username=name, password="YQ==", crypted=False) == "forbidden characters in username"
    for text in ("a\nroot:x", "a\0b", "a\rb"):
        assert client.error("guest-set-user-password", username="ann", password=encoded(text), crypted=True) == (
            "forbidden characters in raw password")
    assert client.error("guest-set-user-password", username="ann", password="/w==", crypted=False) == "the password is not UTF-8"
    assert client.error("guest-set-user-password", username="ann", password="?", crypted=False).startswith("Base64")
    assert system.runs == []
    assert client.error("guest-set-user-password", username="ann", password="YQ==", crypted=False) == "child process has failed to set user password"
