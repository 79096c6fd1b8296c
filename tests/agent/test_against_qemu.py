"""The same requests to QEMU's own agent (Debian: qemu-guest-agent), on the same machine: the same answers.

It runs with everything blocked that would change the machine. QEMU 7.2's agent has the commands of 7.1.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import CHANGING, Client
from .connection import SECONDS, Connection

CHANGING_COUNTERS = {"used-bytes", "statistics"}


class Qemu(Connection):
    """QEMU's agent on a Unix socket."""

    def send(self, data: bytes) -> list[dict[str, Any]]:
        """All answers to a piece of the stream, which a sync at its end delimits."""
        self.socket.sendall(data + b'\n{"execute": "guest-sync", "arguments": {"id": 987654321}}')
        answers = []
        while (answer := json.loads(self.file.readline().lstrip(b"\xff"))) != {"return": 987654321}:
            answers.append(answer)
        return answers

    def ask(self, name: str, **arguments: Any) -> Any:
        (answer,) = self.send(json.dumps({"execute": name, "arguments": arguments}).encode())
        return answer["return"]


@pytest.fixture(scope="module")
def qemu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Qemu]:
    program = shutil.which("qemu-ga", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("no qemu-ga here")
    folder = tmp_path_factory.mktemp("qemu")
    words = [program, "-m", "unix-listen", "-p", folder / "socket", "-t", folder, "-l", folder / "log", "-b", ",".join(CHANGING)]
    process = subprocess.Popen(words, env={**os.environ, "QGA_CONF": "/nonexistent"})
    end = time.monotonic() + SECONDS
    while True:
        try:
            agent = Qemu(folder / "socket")
            break
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                pytest.skip("qemu-ga does not run here")
            time.sleep(0.01)
    yield agent
    agent.file.close()
    agent.socket.close()
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:    # it may miss the signal while it begins to listen anew
        process.kill()
        process.wait()


def ours(client: Client, data: bytes) -> list[dict[str, Any]]:
    return [json.loads(answer.lstrip(b"\xff")) for answer in client.send(data + b"\n")]


def without_counters(value: Any) -> Any:
    """An answer without what changes from one moment to the next, in an order that does not matter."""
    if isinstance(value, dict):
        return {key: without_counters(item) for key, item in value.items() if key not in CHANGING_COUNTERS}
    if isinstance(value, list):
        return sorted((without_counters(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def contains(larger: Any, smaller: Any) -> bool:
    """Whether an answer says all that the other says; optional members may be more."""
    if isinstance(smaller, dict):
        return all(key in larger and contains(larger[key], value) for key, value in smaller.items())
    if isinstance(smaller, list):
        return len(larger) == len(smaller) and all(contains(a, b) for a, b in zip(larger, smaller, strict=True))
    return bool(larger == smaller)


@pytest.mark.parametrize("name", [
    "guest-get-osinfo", "guest-get-host-name", "guest-get-timezone", "guest-get-users", "guest-get-vcpus", "guest-get-memory-blocks",
    "guest-get-memory-block-info", "guest-get-fsinfo", "guest-get-disks", "guest-network-get-interfaces", "guest-fsfreeze-status",
])    # fmt: skip
def test_same_answers(qemu: Qemu, host: Client, name: str) -> None:
    """Everything that QEMU's agent tells is told by ours, with the same values; what differs is more (serial numbers)."""
    (theirs,) = qemu.send(json.dumps({"execute": name}).encode())
    if "error" in theirs:
        pytest.skip(f"qemu-ga says: {theirs['error']['desc']}")
    (answer,) = ours(host, json.dumps({"execute": name}).encode())
    assert contains(without_counters(answer["return"]), without_counters(theirs["return"]))


def test_same_names_of_counters(qemu: Qemu, host: Client) -> None:
    """Statistics: the same rows with the same members, and numbers that only grow."""
    for name, key in (("guest-get-diskstats", "name"), ("guest-get-cpustats", "cpu")):
        theirs = {row[key]: row.get("stats", row) for row in qemu.ask(name)}
        own = {row[key]: row.get("stats", row) for row in host.ask(name)}
        assert {row: set(members) for row, members in theirs.items()} == {row: set(members) for row, members in own.items()}
        for row, members in theirs.items():
            growing = {member: value for member, value in members.items() if isinstance(value, int) and member not in ("ios-pgr", "idle", "iowait")}
            assert all(own[row][member] >= value for member, value in growing.items())


REQUESTS = [
    b"5 ", b'"x"', b"[1]", b"{}", b"garbage\n", b'{"execute": 1}', b'{"execute": "guest-ping", "arguments": 5}', b'{"execute": "guest-ping", "x": 1}',
    b'{"execute": "nope", "id": [1]}', b'{"execute": "guest-ping", "arguments": {"a": 1}}', b'{"execute": "guest-sync"}',
    b'{"execute": "guest-sync", "arguments": {"id": "1"}}', b'{"execute": "guest-sync", "arguments": {"id": 18446744073709551615}}',
    b'{"execute": "guest-sync", "arguments": {"id": -9223372036854775808}}', b"{'execute': 'guest-ping', 'id': 'a\"b'}",
    b'{"execute": "guest-ping", "id": 1, "id": 2}', b'{"execute": "guest-fstrim"}',
    b'{"execute": "guest-file-open", "arguments": {"path": "/nonexistent/x"}}',
    b'{"execute": "guest-file-open", "arguments": {"path": "/etc/passwd", "mode": "z"}}',
    b'{"execute": "guest-file-read", "arguments": {"handle": 77}}', b'{"execute": "guest-file-close", "arguments": {"handle": 77}}',
    b'{"execute": "guest-file-seek", "arguments": {"handle": 77, "offset": 0, "whence": "up"}}',
    b'{"execute": "guest-file-seek", "arguments": {"handle": 77, "offset": 0, "whence": []}}',
    b'{"execute": "guest-exec", "arguments": {"path": "/nonexistent"}}', b'{"execute": "guest-exec", "arguments": {"path": "a", "arg": "b"}}',
    b'{"execute": "guest-exec", "arguments": {"path": "a", "arg": ["b", 5]}}', b'{"execute": "guest-exec-status", "arguments": {"pid": 1}}',
    b'{"execute": "guest-ssh-add-authorized-keys", "arguments": {"username": "x", "keys": 1}}',
    b'{"execute": "guest-set-user-password", "arguments": {"username": "x"}}',
    b'{"execute": "guest-exec", "arguments": {"path": "a", "input-data": "*"}}',
]    # fmt: skip


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda value: value.decode()[:60])
def test_same_errors(qemu: Qemu, host: Client, request_: bytes) -> None:
    """Bad requests: as many answers, of the same class, and the same words."""
    assert ours(host, request_) == qemu.send(request_)


def test_same_files(qemu: Qemu, host: Client, tmp_path: Path) -> None:
    """A session with a file, step by step."""
    steps: list[tuple[str, dict[str, Any]]] = [
        ("write", {"buf-b64": "aGVsbG8gd29ybGQ="}), ("flush", {}), ("seek", {"offset": 0, "whence": "set"}), ("read", {"count": 5}),
        ("read", {}), ("read", {}), ("seek", {"offset": -3, "whence": 2}), ("read", {"count": 3}), ("seek", {"offset": -99, "whence": "cur"}),
        ("write", {"buf-b64": "aGk=", "count": 3}), ("write", {"buf-b64": "aGk=", "count": 1}), ("read", {"count": -1}), ("read", {"count": 1 << 40}),
        ("seek", {"offset": 0, "whence": 7}), ("close", {}), ("read", {}),
    ]    # fmt: skip
    transcripts = []
    for number, agent in enumerate((qemu.send, lambda data: ours(host, data))):
        opening = {"execute": "guest-file-open", "arguments": {"path": str(tmp_path / f"file{number}"), "mode": "w+"}}
        handle = agent(json.dumps(opening).encode())[0]["return"]
        transcript = []
        for step, arguments in steps:
            request = {"execute": f"guest-file-{step}", "arguments": {"handle": handle, **arguments}}
            transcript += agent(json.dumps(request).encode())
        transcripts.append(json.dumps(transcript, sort_keys=True).replace(str(handle), "HANDLE"))
    assert transcripts[0] == transcripts[1]
    assert (tmp_path / "file0").read_bytes() == (tmp_path / "file1").read_bytes()
