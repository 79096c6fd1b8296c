"""guest-get-users from records made by hand, guest-set-user-password on a recorded system."""

from __future__ import annotations

import base64
import struct

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
