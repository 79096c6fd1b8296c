"""The program: options, configuration file, sockets, the background, restarts, and the single file for a guest."""

from __future__ import annotations

import ast
import io
import itertools
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ratite
from ratite.agent import channel, options, pack
from ratite.agent.errors import SetupError
from ratite.agent.log import Log
from ratite.agent.options import Options
from ratite.agent.program import main
from ratite.agent.reactor import Reactor
from ratite.agent.service import Service
from ratite.agent.state import FROZEN_FILE
from ratite.agent.system.base import Method

from .conftest import CHANGING, RecordedLinux
from .connection import SECONDS, Connection

SOURCES = Path(ratite.__file__).parents[1]
BLOCKED = ",".join(CHANGING)


class Peer(Connection):
    """A host's end of a Unix socket."""

    def ask(self, name: str, **arguments: Any) -> Any:
        self.socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        return json.loads(self.file.readline().lstrip(b"\xff"))["return"]

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Running:
    """An agent in a process of its own."""

    def __init__(self, folder: Path, *words: str, command: list[str] | None = None) -> None:
        self.path = folder / "socket"
        self.process = subprocess.Popen(
            [*(command or [sys.executable, "-m", "ratite.agent"]), "-m", "unix-listen", "-p", self.path, "-t", folder, "-b", BLOCKED, *words],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), "QGA_CONF": "/dev/null"}, stderr=subprocess.PIPE, text=True,
        )    # fmt: skip

    def connect(self) -> Peer:
        end = time.monotonic() + SECONDS
        while True:
            try:
                return Peer(self.path)
            except OSError:
                assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
                assert time.monotonic() < end
                time.sleep(0.01)

    def stop(self) -> int:
        self.process.terminate()
        _, errors = self.process.communicate(timeout=SECONDS)
        assert "Traceback" not in errors, errors
        return self.process.returncode


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts agents, and ends those that are left."""
    agents: list[Running] = []

    def begin(*words: str, **more: Any) -> Running:
        agents.append(Running(tmp_path, *words, **more))
        return agents[-1]

    yield begin
    for agent in agents:
        if agent.process.poll() is None:
            agent.process.kill()
        agent.process.communicate()


# --- options


def read(system: RecordedLinux, *words: str) -> Options:
    return options.read(words, system)


def test_defaults(system: RecordedLinux) -> None:
    """Those of QEMU's agent, and what -D prints for them."""
    found = read(system)
    assert (found.method, found.statedir, found.pidfile) == (Method.VIRTIO_SERIAL, "/var/run", "/var/run/qemu-ga.pid")
    assert found.dump() == """\
[general]
daemon=false
method=virtio-serial
path=/dev/virtio-ports/org.qemu.guest_agent.0
pidfile=/var/run/qemu-ga.pid
statedir=/var/run
verbose=false
retry-path=false
block-rpcs=
"""


def test_ways_to_write_options(system: RecordedLinux) -> None:
    """Letters together, values with and without a space, long names with = or without; -F takes a value only at once."""
    found = read(system, "-dv", "-pA", "--method=unix-listen", "--logfile", "L", "-F", "-rb", "guest-exec,guest-ping", "--block-rpcs=guest-info")
    assert found.daemonize and found.verbose and found.retry_path and found.path == "A" and found.logfile == "L"
    assert found.method is Method.UNIX_LISTEN and found.fsfreeze_hook == "/etc/qemu/fsfreeze-hook"
    assert found.blocked == ["guest-exec", "guest-ping", "guest-info"]
    assert read(system, "-F/hook").fsfreeze_hook == read(system, "--fsfreeze-hook=/hook").fsfreeze_hook == "/hook"


def test_configuration_file(system: RecordedLinux, tmp_path: Path) -> None:
    """The command line wins over the file; what -D prints reads back as the same."""
    system.add("/etc/qemu/qemu-ga.conf", "# comment\n[general]\ndaemon=1\nmethod=isa-serial\nverbose=false\nblacklist=guest-exec;guest-ping\n")
    found = read(system, "-v", "-m", "unix-listen", "-p", "/s")
    assert found.daemonize and found.verbose and found.method is Method.UNIX_LISTEN and found.blocked == ["guest-exec", "guest-ping"]
    (tmp_path / "dumped").write_text(found.dump())
    assert read(system, "-c", str(tmp_path / "dumped")).dump() == found.dump()


@pytest.mark.parametrize(("words", "text"), [
    (["-x"], "'-x' is not an option"), (["--colour"], "'--colour' is not an option"), (["word"], "'word' is not an option"),
    (["-p"], "'-p' needs a value"), (["--verbose=1"], "takes no value"), (["-m", "tcp"], "'tcp' is not a method"),
    (["-t", "here"], "absolute path"), (["-c", "/nonexistent"], "there is no configuration file /nonexistent"),
])    # fmt: skip
def test_wrong_options(system: RecordedLinux, words: list[str], text: str) -> None:
    """One line each, which names what is wrong."""
    with pytest.raises(SetupError, match=text) as error:
        read(system, *words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "text"), [
    ("block-rpc=guest-exec\n", "'block-rpc' is not known"), ("verbose=maybe\n", "verbose is true or false"), ("method=tcp\n", "not a method"),
    ("[", "qemu-ga.conf"), ("\0\xff=1\n", "qemu-ga.conf"),
])    # fmt: skip
def test_wrong_configuration_files(system: RecordedLinux, content: str, text: str) -> None:
    """A misspelt list of blocked commands must not pass unseen."""
    system.add("/etc/qemu/qemu-ga.conf", b"[general]\n" + content.encode("latin-1"))
    with pytest.raises(SetupError, match=text):
        read(system)


def test_texts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """-h, -V and -b help print and end; a mistake is one line and status 1."""
    monkeypatch.setenv("QGA_CONF", "/dev/null")
    assert main(["-h"]) == 0 and "--fsfreeze-hook" in capsys.readouterr().out
    assert main(["-V"]) == 0 and "7.1.0" in capsys.readouterr().out
    assert main(["-b", "help"]) == 0 and len(capsys.readouterr().out.splitlines()) == 42
    assert main(["-D", "-m", "isa-serial"]) == 0 and "path=/dev/ttyS0" in capsys.readouterr().out
    for words in (["-m", "unix-listen"], ["-m", "unix-listen", "-p", "/nonexistent/socket"], ["-p", "/nonexistent"], ["-p", "/etc/passwd"],
                  ["-m", "vsock-listen", "-p", "x"], ["-l", "/nonexistent/log"], ["-b", "guest-pong", "-t", "/tmp"]):    # fmt: skip
        assert main(words) == 1
        assert capsys.readouterr().err.count("\n") == 1


# --- channels


class Listening:
    """Notes what a channel tells."""

    def __init__(self) -> None:
        self.events: list[bytes | str] = []

    def on_data(self, data: bytes) -> None:
        self.events.append(data)

    def on_new_peer(self) -> None:
        self.events.append("new peer")

    def on_room(self) -> None:
        self.events.append("room")


def test_a_socket(start: Callable[..., Running]) -> None:
    """One client after the other; half a request of one does not meet the next; a signal ends the agent well."""
    agent = start()
    first = agent.connect()
    assert first.ask("guest-sync-delimited", id=1) == 1
    assert oct(agent.path.stat().st_mode & 0o777) == "0o600"
    first.socket.sendall(b'{"execute": "guest-sync", "argu')
    first.close()
    second, third = agent.connect(), agent.connect()
    assert second.ask("guest-sync", id=2) == 2
    second.close()
    assert third.ask("guest-sync", id=3) == 3
    third.close()
    assert agent.stop() == 0


def test_a_client_that_does_not_read(start: Callable[..., Running]) -> None:
    """Its requests are left where they are, instead of answers without end in memory; then all come, in order."""
    agent = start()
    peer, sent = agent.connect(), 0
    peer.socket.setblocking(False)
    units = [b'{"execute":"guest-info"}{"execute":"guest-sync","arguments":{"id":%d}}' % number for number in range(20_000)]
    requests = b"".join(units)
    while select.select([], [peer.socket], [], 0.5)[1]:
        sent += peer.socket.send(requests[sent : sent + 65536])
        assert sent < len(requests), "the agent must stop reading"
    pages = int(Path(f"/proc/{agent.process.pid}/statm").read_text().split()[1])
    assert pages * os.sysconf("SC_PAGE_SIZE") < 60 << 20
    peer.socket.settimeout(SECONDS)
    for number, end in enumerate(itertools.accumulate(map(len, units))):
        if end > sent:
            break
        assert "supported_commands" in json.loads(peer.file.readline())["return"]
        assert json.loads(peer.file.readline()) == {"return": number}
    peer.close()
    assert agent.stop() == 0


def test_a_serial_line(system: RecordedLinux, tmp_path: Path) -> None:
    """A terminal is made raw: no echo, no end of line needed, 0xFF passes."""
    master, slave = pty.openpty()
    found = read(system, "-m", "isa-serial", "-p", os.ttyname(slave), "-t", str(tmp_path), "-l", str(tmp_path / "log"))
    service = Service(found, system)
    os.write(master, b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": 3}}')
    answer = b""
    while not answer.endswith(b'\xff{"return": 3}\n'):
        service.reactor.step(0.01)
        ready, _, _ = select.select([master], [], [], 0)
        answer += os.read(master, 4096) if ready else b""
        assert b"execute" not in answer
    service.close()
    os.close(master)
    os.close(slave)


class Port:
    """A virtio-serial port as Linux shows it: an end of file, and writing that would block, while there is no host."""

    def __init__(self, system: RecordedLinux, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads: list[bytes] = []
        self.written = b""
        self.host = True
        self.now = 1000.0
        self.events = Listening()
        monkeypatch.setattr(channel, "RETRY_SECONDS", 0.0)
        monkeypatch.setattr("ratite.agent.channel.time.monotonic", lambda: self.now)
        monkeypatch.setattr("stat.S_ISCHR", lambda mode: True)
        (tmp_path / "port").touch()
        os.unlink(tmp_path / "port")
        os.mkfifo(tmp_path / "port")    # it is always ready for reading and writing, once something is in it
        self.reactor = Reactor()
        self.channel = channel.make(Method.VIRTIO_SERIAL, str(tmp_path / "port"), False, system, self.reactor, Log(), self.events)
        self.channel.open()
        self._writer = os.open(tmp_path / "port", os.O_WRONLY)
        os.write(self._writer, b"x")
        monkeypatch.setattr("ratite.agent.channel.os.read", self.read)
        monkeypatch.setattr("ratite.agent.channel.os.write", self.write)

    def read(self, descriptor: int, size: int) -> bytes:
        if self.reads:
            return self.reads.pop(0)
        if self.host:
            raise BlockingIOError
        return b""

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.host:
            raise BlockingIOError
        self.written += bytes(data)
        return len(data)

    def close(self) -> None:
        self.channel.close()
        self.reactor.close()


@pytest.fixture
def port(system: RecordedLinux, tmp_path: Path) -> Iterator[Port]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        port = Port(system, tmp_path, monkeypatch)
        yield port
        port.close()
        os.close(port._writer)


def test_a_device_whose_host_comes_and_goes(port: Port) -> None:
    """The end of file of a port without a host is no end: the agent looks again, and after a second forgets half a request."""
    port.reads = [b"half"]
    port.reactor.step(SECONDS)
    port.host = False
    for _ in range(6):
        port.reactor.step(SECONDS)
        port.now += 0.3
    assert port.events.events[:2] == ["new peer", b"half"] and "new peer" in port.events.events[2:]
    port.host, port.reads = True, [b"two"]
    while b"two" not in port.events.events:
        port.reactor.step(SECONDS)


def test_answers_are_kept_until_the_host_is_seen(port: Port) -> None:
    """What a new host asks arrives before Linux knows of the host: the answer waits through an end of file, and is sent then."""
    port.host = False
    port.reactor.step(SECONDS)
    port.reads = [b"request"]
    while b"request" not in port.events.events:
        port.reactor.step(SECONDS)
    port.channel.send(b"answer")
    for _ in range(5):
        port.reactor.step(SECONDS)
    assert port.written == b"" and port.events.events.count("new peer") == 1
    port.host = True
    while not port.written:
        port.reactor.step(SECONDS)
    assert port.written == b"answer"


def test_a_host_that_leaves_without_its_answers(port: Port) -> None:
    """A megabyte that nobody takes: the agent rests between its looks, and drops it after a second. The next host has none of it."""
    port.host = False
    rests: list[float] = []
    later = port.reactor.call_later
    port.reactor.call_later = lambda seconds, callback: (rests.append(seconds), later(seconds, callback))[1]    # type: ignore[method-assign]
    port.channel.send(bytes(channel.OUTPUT_FULL))
    for count in range(1, 4):
        port.reactor.step(SECONDS)
        assert len(rests) == count
    assert not port.channel.has_room
    port.now += channel.ABSENT_SECONDS
    while not port.channel.has_room:
        port.reactor.step(SECONDS)
    port.host = True
    port.channel.send(b"answer")
    assert port.written == b"answer"


def test_a_device_that_is_not_there_yet(system: RecordedLinux, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With -r the agent waits for it; without, it says so and ends."""
    monkeypatch.setattr(channel, "REOPEN_SECONDS", 0.01)
    path = tmp_path / "terminal"
    words = ("-m", "isa-serial", "-p", str(path), "-t", str(tmp_path), "-l", str(tmp_path / "log"))
    with pytest.raises(SetupError, match="cannot open the channel"):
        Service(read(system, *words), system)
    service = Service(read(system, *words, "-r"), system)
    service.reactor.step(SECONDS)
    master, slave = pty.openpty()
    path.symlink_to(os.ttyname(slave))
    while termios.tcgetattr(slave)[3] & termios.ECHO:
        service.reactor.step(0.01)
    os.write(master, b'{"execute": "guest-ping"}')
    while not select.select([master], [], [], 0)[0]:
        service.reactor.step(0.01)
    assert os.read(master, 100) == b'{"return": {}}\n'
    service.close()
    os.close(master)
    os.close(slave)


def test_ports_are_found_without_udev(system: RecordedLinux) -> None:
    """By their names in sysfs."""
    assert system.channel(Method.VIRTIO_SERIAL) == "/dev/virtio-ports/org.qemu.guest_agent.0"
    system.add("/sys/class/virtio-ports/vport1p1/name", "com.redhat.spice.0\n")
    system.add("/sys/class/virtio-ports/vport1p2/name", "org.qemu.guest_agent.0\n")
    assert system.channel(Method.VIRTIO_SERIAL) == "/dev/vport1p2"


def test_a_passed_socket(tmp_path: Path) -> None:
    """As systemd gives it: descriptor 3, and two variables."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.listen(1)
    code = "import os; os.dup2(int(os.environ['FD']), 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
    code += "from ratite.agent.program import main; raise SystemExit(main())"
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "FD": str(listener.fileno()), "QGA_CONF": "/dev/null"}
    process = subprocess.Popen([sys.executable, "-c", code, "-m", "unix-listen", "-t", str(tmp_path)], env=environment, pass_fds=[listener.fileno()])
    listener.close()
    peer = Peer(tmp_path / "socket")
    assert peer.ask("guest-sync", id=6) == 6
    peer.close()
    process.terminate()
    assert process.wait(SECONDS) == 0


def test_vsock(system: RecordedLinux, tmp_path: Path) -> None:
    """The kernel's loopback stands for the host."""
    words = ("-m", "vsock-listen", "-p", ":44711", "-t", str(tmp_path), "-l", str(tmp_path / "log"))
    try:
        service = Service(read(system, *words), system)
        peer = socket.socket(socket.AF_VSOCK)    # type: ignore[attr-defined]
        peer.settimeout(SECONDS)
        peer.connect((1, 44711))
    except (SetupError, OSError, AttributeError) as error:
        pytest.skip(f"no vsock here: {error}")
    peer.sendall(b'{"execute": "guest-ping"}')
    while not select.select([peer], [], [], 0)[0]:
        service.reactor.step(0.01)
    assert peer.recv(100) == b'{"return": {}}\n'
    peer.close()
    service.close()


# --- processes


def test_the_background(tmp_path: Path) -> None:
    """-d comes back when the agent serves; the file has its process id, and keeps a second one from starting."""
    pidfile = tmp_path / "pid"
    words = [sys.executable, "-m", "ratite.agent", "-d", "-m", "unix-listen", "-p", tmp_path / "socket", "-t", tmp_path, "-f", pidfile,
             "-l", tmp_path / "log", "-v", "-b", BLOCKED]    # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "QGA_CONF": "/dev/null"}
    subprocess.run(words, env=environment, check=True, timeout=SECONDS)
    pid = int(pidfile.read_text())
    try:
        peer = Peer(tmp_path / "socket")
        assert peer.ask("guest-sync", id=9) == 9
        peer.close()
        again = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=SECONDS)
        assert again.returncode == 1 and again.stderr == f"ratite-ga: another agent has locked {pidfile}\n"
        assert os.getsid(pid) == pid and os.readlink(f"/proc/{pid}/cwd") == "/"
        assert "guest-sync" in (tmp_path / "log").read_text()
    finally:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + SECONDS
    while pidfile.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not pidfile.exists()


def test_frozen_survives_a_killed_agent(start: Callable[..., Running], tmp_path: Path) -> None:
    """The note in the state folder is there for the next one."""
    (tmp_path / FROZEN_FILE).touch()
    for _ in range(2):
        agent = start()
        peer = agent.connect()
        assert peer.ask("guest-fsfreeze-status") == "frozen"
        peer.close()
        agent.process.kill()
        agent.process.wait()


def test_one_file_for_a_guest(start: Callable[..., Running], tmp_path: Path) -> None:
    """The documented command makes a file that runs alone: an isolated Python that cannot see the sources."""
    file = tmp_path / "ratite-ga.pyz"
    subprocess.run([sys.executable, "-m", "ratite.agent.pack", file], env={**os.environ, "PYTHONPATH": str(SOURCES)}, check=True)
    assert file.read_bytes().startswith(b"#!/usr/bin/env python3\n") and os.access(file, os.X_OK)
    assert file.read_bytes() == pack.archive(), "equal sources give equal bytes"
    with zipfile.ZipFile(file) as archive:
        assert all(name.startswith("ratite/agent/") for name in set(archive.namelist()) - {"__main__.py", "ratite/__init__.py"})
    agent = start(command=[sys.executable, "-I", "-S", str(file)])
    peer = agent.connect()
    assert len(peer.ask("guest-info")["supported_commands"]) == 42
    handle = peer.ask("guest-exec", path="true")["pid"]
    assert handle
    peer.close()
    assert agent.stop() == 0


def test_a_guest_whose_python_is_too_old(tmp_path: Path) -> None:
    """The file says so in one line, in words that every Python 3 can read."""
    file = tmp_path / "main.py"
    start = "import sys\nsys.version_info = (3, 6, 9)\n"
    with zipfile.ZipFile(io.BytesIO(pack.archive())) as archive:
        file.write_text(start + archive.read("__main__.py").decode())
    ast.parse(file.read_text(), feature_version=(3, 4))
    done = subprocess.run([sys.executable, "-S", "-E", file], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "ratite-ga: Python 3.9 or later is needed, and this is 3.6\n")


def test_pack_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and status 1."""
    assert pack.main([]) == 1 and capsys.readouterr().err.startswith("usage:")
    assert pack.main([str(tmp_path / "no" / "file")]) == 1 and capsys.readouterr().err.startswith("cannot write")
