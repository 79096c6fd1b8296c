"""Ten thousand bad requests: an error for each, no crash, no hang, nothing changed."""

from __future__ import annotations

import errno
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ratite.agent.command import COMMANDS

from .conftest import Client, RecordedLinux

REQUESTS = 10_000
FREEZE = 0xC0045877
SYNC = {"execute": "guest-sync-delimited", "arguments": {"id": 4711}}

# Values that are of a wrong type, out of range, too long, or a path that leads elsewhere.
STRANGE: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 1.5, 1e300, "", "a", "\0", "\n", "é", "\U0001f600", "x" * 10_000,
    "../../../../etc/passwd", "/proc/self/mem", "/dev/null", "//..//", "-rf", "root", "root\nx", [], [[]], [None], ["a"], [1, "a"],
    {}, {"a": 1}, {"logical-id": 0, "online": False}, [{"logical-id": 0, "online": False}], [{"phys-index": 0, "online": 1}], "cur", "YQ==",
]    # fmt: skip
# A command that really opens files or starts programs gets only these, so that nothing outside the test is touched.
HARMLESS = {"guest-exec": ("path", "/nonexistent/program"), "guest-file-open": ("path", "/nonexistent/file")}


def strange_request(rng: random.Random) -> dict[str, Any]:
    """A request for some command with arguments that are nearly right."""
    name = rng.choice(list(COMMANDS))
    arguments = {item.name: rng.choice(STRANGE) for item in COMMANDS[name].arguments if rng.random() < 0.9}
    if rng.random() < 0.1:
        arguments[rng.choice(["extra", "", "handle", "path"])] = rng.choice(STRANGE)
    if name in HARMLESS and isinstance(arguments.get(HARMLESS[name][0], ""), str):
        arguments[HARMLESS[name][0]] = HARMLESS[name][1]
    request: dict[str, Any] = {"execute": name, "arguments": arguments}
    if rng.random() < 0.1:
        request[rng.choice(["id", "execute", "arguments", "more"])] = rng.choice(STRANGE)
    return request


def malformed(rng: random.Random) -> bytes:
    """A request with some of its bytes gone, doubled or changed; or bytes of no sense at all."""
    raw = bytearray(json.dumps(strange_request(rng)).encode())
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(raw))
        action = rng.randrange(5)
        if action == 0:
            del raw[at : at + rng.randint(1, 20)]
        elif action == 1:
            raw[at:at] = rng.choice([b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b"\xff", b"\x00", b",", b":", b"\xc3", b"[" * 700])
        elif action == 2:
            raw[at] = rng.randrange(256)
        elif action == 3:
            raw = raw[at:] or bytearray(b"x")
        else:
            raw += rng.randbytes(rng.randint(1, 30))
        raw = raw or bytearray(b"}")
    return bytes(raw)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder with its mode and contents."""
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }    # fmt: skip


def prepared(system: RecordedLinux, tmp_path: Path) -> None:
    """A system on which most commands would do something, were they called rightly."""
    system.add("/proc/self/mountinfo", "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    system.add("/sys/devices/system/cpu/cpu0/online", "1\n")
    system.add("/sys/power/state", "freeze")
    system.add("/etc/shadow", "root:x\n")
    (tmp_path / "outside").write_text("untouched")
    system.on_ioctl = only_freezing


def only_freezing(descriptor: int, request: int, argument: Any) -> int:
    """A kernel on which freezing works, and thawing says that nothing is frozen any more."""
    if request != FREEZE:
        raise OSError(errno.EINVAL, "Invalid argument")
    return 0


def well_formed(answer: bytes) -> dict[str, Any]:
    """An answer has one line, and either a result or an error with a class and a text."""
    assert answer.endswith(b"\n") and answer.count(b"\n") == 1
    value: dict[str, Any] = json.loads(answer.lstrip(b"\xff"))
    assert len(value.keys() & {"return", "error"}) == 1 and not value.keys() - {"return", "error", "id"}
    if "error" in value:
        assert set(value["error"]) == {"class", "desc"} and value["error"]["class"] in ("GenericError", "CommandNotFound")
        assert "internal error" not in value["error"]["desc"], value
    return value


def test_malformed_requests(system: RecordedLinux, connect: Callable[..., Client], tmp_path: Path) -> None:
    """After each of them the agent is in step again and answers the next request."""
    prepared(system, tmp_path)
    client = connect(system)
    before, rng, descriptors = snapshot(tmp_path), random.Random(5), len(os.listdir("/proc/self/fd"))
    errors = 0
    for _ in range(REQUESTS):
        answers = client.send(malformed(rng) + b"\xff" + json.dumps(SYNC).encode())
        assert answers[-1] == b'\xff{"return": 4711}\n' or b"frozen" in answers[-1]
        errors += sum("error" in well_formed(answer) for answer in answers[:-1])
        if client.agent.frozen:
            client.ask("guest-fsfreeze-thaw")
    assert errors > REQUESTS
    assert unchanged(tmp_path, before)
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_strange_arguments(system: RecordedLinux, connect: Callable[..., Client], tmp_path: Path) -> None:
    """Well-formed JSON with values of wrong types and ranges for every command."""
    prepared(system, tmp_path)
    client = connect(system)
    before, rng = snapshot(tmp_path), random.Random(6)
    for _ in range(REQUESTS):
        for answer in client.send(json.dumps(strange_request(rng)).encode()):
            well_formed(answer)
        if client.agent.frozen:
            client.ask("guest-fsfreeze-thaw")
    assert unchanged(tmp_path, before)
    assert len(client.agent.files) == 0 and len(client.agent.processes) == 0


def unchanged(folder: Path, before: dict[str, tuple[int, bytes]]) -> bool:
    """Whether nothing but the agent's own state and log, and the one processor's switch, is different."""
    after = snapshot(folder)
    different = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    allowed = {str(folder / "state" / name) for name in ("log", "qga.state")} | {str(folder / "root/sys/devices/system/cpu/cpu0/online")}
    return different <= allowed


def test_path_tricks(client: Client, tmp_path: Path) -> None:
    """Paths are the kernel's to judge, as the agent is root: links and .. mean what they mean to it; none can mean a command."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    handle = client.ask("guest-file-open", path=f"{tmp_path}/link/../real/./new", mode="w")
    assert handle and (tmp_path / "real" / "new").exists()
    for path in (f"{tmp_path}/loop", f"{tmp_path}/real/new/x", "file:///etc/passwd", "|touch x", "`id`", "$(id)", "~root/x", "\udcff"):
        if path != "\udcff":
            assert client.error("guest-file-open", path=path).startswith("failed to open file")
    assert sorted(os.listdir(tmp_path / "real")) == ["new"]
