"""guest-file-*: contents, positions, limits, and paths that try something."""

from __future__ import annotations

import base64
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_write_seek_read(client: Client, tmp_path: Path) -> None:
    """What is written is in the file at once; positions and ends are those of the file."""
    path = tmp_path / "file"
    handle = client.ask("guest-file-open", path=str(path), mode="w+")
    assert client.ask("guest-file-write", handle=handle, buf_b64=text(b"hello world")) == {"count": 11, "eof": False}
    assert path.read_bytes() == b"hello world"
    assert client.ask("guest-file-write", handle=handle, buf_b64=text(b"!???"), count=1)["count"] == 1
    assert client.ask("guest-file-seek", handle=handle, offset=6, whence="set") == {"position": 6, "eof": False}
    assert client.ask("guest-file-read", handle=handle, count=5) == {"count": 5, "buf-b64": text(b"world"), "eof": False}
    assert client.ask("guest-file-read", handle=handle) == {"count": 1, "buf-b64": text(b"!"), "eof": True}
    assert client.ask("guest-file-seek", handle=handle, offset=-2, whence=2)["position"] == 10
    assert client.ask("guest-file-seek", handle=handle, offset=-3, whence=1)["position"] == 7
    client.ask("guest-file-flush", handle=handle)
    client.ask("guest-file-close", handle=handle)
    assert client.error("guest-file-read", handle=handle) == f"handle '{handle}' has not been found"


@pytest.mark.parametrize(("mode", "readable", "writable", "left"), [
    ("r", True, False, b"old"), ("rb", True, False, b"old"), ("r+", True, True, b"old"), ("rb+", True, True, b"old"),
    ("r+b", True, True, b"old"), ("w", False, True, b""), ("wb", False, True, b""), ("w+b", True, True, b""),
    ("a", False, True, b"old"), ("ab+", True, True, b"old"),
])    # fmt: skip
def test_modes(client: Client, tmp_path: Path, mode: str, readable: bool, writable: bool, left: bytes) -> None:
    """Those of fopen: what may be done, and what is left of the old contents."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    handle = client.ask("guest-file-open", path=str(path), mode=mode)
    assert path.read_bytes() == left
    assert ("return" in client.request("guest-file-read", handle=handle)) == readable
    assert ("return" in client.request("guest-file-write", handle=handle, buf_b64=text(b"+"))) == writable
    if mode.startswith("a"):
        assert path.read_bytes() == b"old+"


@pytest.mark.parametrize("mode", ["", "b", "br", "x", "rw", "rt", "r++", "rbb", "w" * 500, "+"])
def test_other_modes_are_refused(client: Client, tmp_path: Path, mode: str) -> None:
    """Nothing is created."""
    assert client.error("guest-file-open", path=str(tmp_path / "new"), mode=mode).startswith("invalid file open mode")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("path", ["", "/nonexistent/x", "/", "/etc/passwd/x", "a" * 5000, "/dev/null/" + "../" * 2000])
def test_paths_that_cannot_be_opened(client: Client, path: str) -> None:
    """The system's reason is passed on."""
    assert client.error("guest-file-open", path=path, mode="w").startswith("failed to open file")


def test_counts_out_of_range(client: Client, tmp_path: Path) -> None:
    """Negative ones, more than 48 MiB, more than was sent, data that is no base64."""
    handle = client.ask("guest-file-open", path=str(tmp_path / "file"), mode="w+")
    for count in (-1, (48 << 20) + 1, (1 << 63) - 1):
        assert client.error("guest-file-read", handle=handle, count=count) == f"value '{count}' is invalid for argument count"
    for count in (-1, 4):
        assert client.error("guest-file-write", handle=handle, buf_b64="YWJj", count=count).endswith("argument count")
    for data in ("*", "YWJ", "YWJj\n", "YQ==YQ==", "=", "é"):
        assert client.error("guest-file-write", handle=handle, buf_b64=data).startswith("Base64 data")
    assert (tmp_path / "file").read_bytes() == b""
    assert client.error("guest-file-seek", handle=handle, offset=-1, whence=0) == "failed to seek file: Invalid argument"
    assert client.error("guest-file-seek", handle=handle, offset=0, whence=3) == "invalid whence code 3"
    assert client.error("guest-file-seek", handle=handle, offset=0, whence="here") == "Parameter 'whence' does not accept value 'here'"


def test_pipes_and_devices_do_not_hang(client: Client, tmp_path: Path) -> None:
    """Opening a pipe without a writer returns, reading an empty one says so, and one that is full takes a part."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = client.ask("guest-file-open", path=str(pipe))
    writer = client.ask("guest-file-open", path=str(pipe), mode="a")
    assert client.error("guest-file-read", handle=reader).endswith("temporarily unavailable")
    count = client.ask("guest-file-write", handle=writer, buf_b64=text(bytes(1 << 20)))["count"]
    assert 0 < count < 1 << 20
    assert client.ask("guest-file-read", handle=reader, count=1 << 20)["count"] == count
    assert client.error("guest-file-seek", handle=reader, offset=0, whence=0).endswith("Illegal seek")
    full = client.ask("guest-file-open", path="/dev/full", mode="r+")
    assert client.error("guest-file-write", handle=full, buf_b64="YQ==").endswith("No space left on device")
    assert client.ask("guest-file-read", handle=full, count=3) == {"count": 3, "buf-b64": "AAAA", "eof": False}


def test_large_reads(client: Client, tmp_path: Path) -> None:
    """The 48 MiB that one answer may have."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(50 << 20)
    answer = client.ask("guest-file-read", handle=client.ask("guest-file-open", path=str(path)), count=48 << 20)
    assert answer["count"] == 48 << 20 and not answer["eof"]


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """Room for a hundred descriptors."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 100, old[1]))
    yield used + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, old)


def test_handles_run_out_before_descriptors_do(client: Client, few_descriptors: int) -> None:
    """The agent keeps enough for its other commands; closing one gives room for another."""
    answers: list[Any] = [client.request("guest-file-open", path="/dev/null") for _ in range(few_descriptors)]
    handles = [answer["return"] for answer in answers if "return" in answer]
    assert 0 < len(handles) <= few_descriptors - 64
    assert all(answer["error"]["desc"].startswith("too many open files") for answer in answers[len(handles):])
    assert client.ask("guest-get-osinfo")["kernel-release"]
    client.ask("guest-file-close", handle=handles[0])
    assert client.ask("guest-file-open", path="/dev/null") not in handles


def test_programs_leave_descriptors_for_the_agent(client: Client, few_descriptors: int) -> None:
    """Pipes to and from programs count with the files. When the programs have ended, and that was told, there is room again."""
    pids: list[int] = []
    while "return" in (answer := client.request("guest-exec", path="cat", capture_output=True, input_data="")):
        pids.append(answer["return"]["pid"])
        assert len(pids) < few_descriptors
    assert answer["error"]["desc"].startswith("too many open files and programs")
    files = [client.request("guest-file-open", path="/dev/null") for _ in range(4)]
    assert "error" in files[-1], "what is left is not enough for a program's three pipes, and soon for no file"
    assert client.ask("guest-get-osinfo")["kernel-release"] and len(os.listdir("/proc/self/fd")) < few_descriptors - 30
    for pid in pids:
        while not client.ask("guest-exec-status", pid=pid)["exited"]:
            client.reactor.step(0.01)
    assert client.agent.processes.descriptors == 0
    assert client.ask("guest-file-open", path="/dev/null")


def test_new_files_have_no_surprising_rights(client: Client, tmp_path: Path) -> None:
    """The umask holds, as for every program."""
    old = os.umask(0o027)
    client.ask("guest-file-open", path=str(tmp_path / "file"), mode="w")
    os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_state_folder_that_is_gone(client: Client, tmp_path: Path) -> None:
    """No handle can be promised to be new, so there is none, and the file is closed again."""
    for name in client.state.iterdir():
        name.unlink()
    client.state.rmdir()
    before = len(os.listdir("/proc/self/fd"))
    assert "cannot write" in client.error("guest-file-open", path="/dev/null")
    assert len(os.listdir("/proc/self/fd")) == before
