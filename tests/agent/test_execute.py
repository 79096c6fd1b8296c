"""guest-exec and guest-exec-status, with real programs."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from ratite.agent import processes
from ratite.agent.processes import OUTPUT_LIMIT

from .conftest import Client

SECONDS = 60.0


def finish(client: Client, pid: int) -> dict[str, Any]:
    """Let the agent work until the program has ended."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        status: dict[str, Any] = client.ask("guest-exec-status", pid=pid)
        if status["exited"]:
            return status
        client.reactor.step(0.01)
    raise AssertionError("the program did not end")


def shell(client: Client, script: str, **more: Any) -> dict[str, Any]:
    return finish(client, client.ask("guest-exec", path="sh", arg=["-c", script], **more)["pid"])


def data(status: dict[str, Any], name: str) -> bytes:
    return base64.b64decode(status[name])


def test_output_and_status(client: Client) -> None:
    """Both streams apart, the exit status, and only once: the program is forgotten then."""
    pid = client.ask("guest-exec", path="/bin/sh", arg=["-c", "echo out; echo err >&2; exit 3"], capture_output=True)["pid"]
    status = finish(client, pid)
    assert status["exitcode"] == 3 and "signal" not in status
    assert (data(status, "out-data"), data(status, "err-data")) == (b"out\n", b"err\n")
    assert client.error("guest-exec-status", pid=pid) == "Invalid parameter 'pid'"


def test_signals(client: Client) -> None:
    """A program that a signal has ended has no exit status."""
    status = shell(client, "kill -9 $$")
    assert status["signal"] == 9 and "exitcode" not in status and "out-data" not in status


def test_input_and_environment(client: Client) -> None:
    """A megabyte in and out again; the environment is the given one alone; without input there is nothing to read."""
    text = bytes(range(256)) * 4096
    status = shell(client, "cat", input_data=base64.b64encode(text).decode(), capture_output=True)
    assert data(status, "out-data") == text
    status = finish(client, client.ask("guest-exec", path="/usr/bin/env", env=["A=1=2", "B"], capture_output=True)["pid"])
    assert data(status, "out-data").split() == [b"A=1=2", b"B="]
    assert shell(client, "read line || exit 9")["exitcode"] == 9


def test_a_program_that_takes_no_input(client: Client) -> None:
    """What it does not read is dropped."""
    assert shell(client, "exit 0", input_data=base64.b64encode(bytes(1 << 20)).decode())["exitcode"] == 0


def test_output_is_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The beginning is kept, the rest is read so that the program can end, and the answer says so."""
    assert OUTPUT_LIMIT == 16 << 20
    monkeypatch.setattr(processes, "OUTPUT_LIMIT", 1 << 20)
    status = shell(client, "head -c 3000000 /dev/zero; echo small >&2", capture_output=True)
    assert len(data(status, "out-data")) == 1 << 20 and status["out-truncated"]
    assert data(status, "err-data") == b"small\n" and "err-truncated" not in status


def test_it_has_not_ended_while_somebody_can_still_write(client: Client) -> None:
    """A grandchild keeps the output open; all of it belongs to the answer."""
    status = shell(client, "(read wait </dev/null; sleep 0.2; echo late) & echo early", capture_output=True)
    assert data(status, "out-data") == b"early\nlate\n"


def test_programs_that_cannot_be_started(client: Client, tmp_path: Any) -> None:
    """The reason is the system's."""
    failure = "Guest agent command failed, error was 'Failed to execute child process “/nonexistent” (No such file or directory)'"
    assert client.error("guest-exec", path="/nonexistent") == failure
    (tmp_path / "text").write_text("no program")
    assert "Permission denied" in client.error("guest-exec", path=str(tmp_path / "text"))
    assert "Guest agent command failed" in client.error("guest-exec", path="sh", arg=["x" * (1 << 22)])
    assert client.error("guest-exec", path="sh", input_data="?").startswith("Base64")
    assert client.error("guest-exec", path="")


def test_not_too_many(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs whose end nobody asks for are counted."""
    monkeypatch.setattr(processes, "MOST", 3)
    pids = [client.ask("guest-exec", path="true")["pid"] for _ in range(3)]
    assert client.error("guest-exec", path="true").startswith("too many programs")
    finish(client, pids[0])
    assert client.ask("guest-exec", path="true")["pid"]
