"""Each back end against the host's own other end: files, named pipes, terminals, sockets."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ratite.chardev.base import OUTPUT_FULL, OUTPUT_LIMIT, ChardevEvent
from ratite.chardev.file import FileChardev
from ratite.chardev.manager import Chardevs
from ratite.chardev.null import NullChardev
from ratite.chardev.pty import PtyChardev
from ratite.chardev.ringbuf import RingbufChardev, RingbufOptions
from ratite.chardev.socket import SocketChardev, SocketOptions
from ratite.errors import HostError, UsageError

from .conftest import Bench, FrontEnd


def test_null(bench: Bench) -> None:
    """Swallows everything."""
    device = NullChardev(bench, "n")
    front = FrontEnd(device)
    device.write(b"x" * 1000)
    assert not device.output_full
    assert front.events == [ChardevEvent.OPENED]


def test_file(bench: Bench, tmp_path: Path) -> None:
    """Output lands in the file, which is emptied first, or kept with append; input comes from a second file."""
    path = tmp_path / "log"
    path.write_bytes(b"old")
    (tmp_path / "input").write_bytes(b"typed")
    chardevs = Chardevs(bench)
    chardevs.add(f"file,id=f,path={path},input-path={tmp_path}/input")
    device = chardevs.take("f")
    front = FrontEnd(device)
    device.write(b"new")
    bench.until(lambda: front.data == b"typed")
    bench.loop.step(0)
    device.write(b"er")
    chardevs.close()
    assert path.read_bytes() == b"newer"
    chardevs.add(f"file,id=f,path={path},append=on")
    chardevs.take("f").write(b"!")
    chardevs.close()
    assert path.read_bytes() == b"newer!"


def test_file_errors(bench: Bench, tmp_path: Path) -> None:
    """A path that cannot be opened is one line that names it."""
    with pytest.raises(HostError, match=r"cannot open '/nowhere/x': No such file"):
        Chardevs(bench).add("file,id=f,path=/nowhere/x")
    with pytest.raises(UsageError, match="needs a path"):
        Chardevs(bench).add("file,id=f")
    assert FileChardev.kind == "file"


def test_named_pipes(bench: Bench, tmp_path: Path) -> None:
    """PATH.in is read, PATH.out written; the peer may come late."""
    base = tmp_path / "p"
    os.mkfifo(f"{base}.in")
    os.mkfifo(f"{base}.out")
    device = Chardevs(bench).serial(f"pipe:{base}", "serial0")
    assert device is not None
    front = FrontEnd(device)
    device.write(b"hello")
    reader = os.open(f"{base}.out", os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(reader, 100) == b"hello"
    for text in (b"first", b"second"):
        writer = os.open(f"{base}.in", os.O_WRONLY)
        os.write(writer, text)
        os.close(writer)
        bench.until(lambda text=text: front.data.endswith(text))    # type: ignore[misc]
    device.close()
    os.close(reader)
    with pytest.raises(HostError, match="mkfifo"):
        Chardevs(bench).serial("pipe:/nowhere/p", "serial0")


def test_pty_comes_and_goes(bench: Bench) -> None:
    """Output before a program opens the terminal is dropped; then data goes both ways; coming back works."""
    device = PtyChardev(bench, "serial0")
    assert bench.announced == [f"char device redirected to {device.path} (label serial0)"]
    front = FrontEnd(device)
    device.write(b"nobody hears")
    assert front.events == []
    for _ in range(2):
        slave = os.open(device.path, os.O_RDWR | os.O_NOCTTY)
        device.write(b"prompt\n")
        assert os.read(slave, 100) == b"prompt\n"
        os.write(slave, b"typed\r")
        bench.until(lambda: front.data == b"typed\r")
        front.data.clear()
        os.close(slave)
        bench.until(lambda: front.events[-1] is ChardevEvent.CLOSED)
    slave = os.open(device.path, os.O_RDWR | os.O_NOCTTY)
    bench.until(lambda: front.events[-1] is ChardevEvent.OPENED)    # noticed without any output
    os.close(slave)
    device.close()
    device.close()


def server(bench: Bench, **options: object) -> SocketChardev:
    return SocketChardev(bench, "s", SocketOptions(host="127.0.0.1", port="0", server=True, wait=False, **options))    # type: ignore[arg-type]


def test_socket_server_survives_its_peers(bench: Bench) -> None:
    """Peers one after the other; output while nobody is there is dropped; events tell."""
    device = server(bench)
    front = FrontEnd(device)
    device.write(b"dropped")
    for round_number in range(3):
        with socket.create_connection(device.address) as peer:    # type: ignore[arg-type]
            bench.until(lambda: device.connected)
            device.write(b"out%d" % round_number)
            assert peer.recv(100) == b"out%d" % round_number
            front.data.clear()
            peer.sendall(b"in")
            bench.until(lambda: front.data == b"in")
        bench.until(lambda: not device.connected)
    assert front.events == [ChardevEvent.OPENED, ChardevEvent.CLOSED] * 3
    device.close()


def test_socket_server_serves_one_at_a_time(bench: Bench) -> None:
    """A second peer waits until the first has left."""
    device = server(bench)
    front = FrontEnd(device)
    first = socket.create_connection(device.address)    # type: ignore[arg-type]
    bench.until(lambda: device.connected)
    second = socket.create_connection(device.address)    # type: ignore[arg-type]
    second.sendall(b"two")
    bench.loop.step(0.01)
    assert front.data == b""
    first.close()
    bench.until(lambda: front.data == b"two")
    second.close()
    device.close()


def test_socket_back_pressure_out(bench: Bench) -> None:
    """Output that a peer does not read waits: `output_full` tells, `on_room` ends it, nothing is lost."""
    device = server(bench)
    front = FrontEnd(device)
    peer = socket.create_connection(device.address)    # type: ignore[arg-type]
    bench.until(lambda: device.connected)
    sent = bytearray()
    while not device.output_full:
        block = bytes([len(sent) >> 16 & 255]) * 65536
        device.write(block)
        sent += block
    assert front.rooms == 0
    got = bytearray()
    peer.setblocking(False)

    def drain() -> bool:
        try:
            got.extend(peer.recv(1 << 20))
        except BlockingIOError:
            pass
        return len(got) == len(sent)

    bench.until(drain)
    assert got == sent
    assert front.rooms == 1
    peer.close()
    device.close()


def test_waiting_output_is_bounded(bench: Bench) -> None:
    """A front end without flow control cannot fill the host's memory."""
    device = server(bench)
    FrontEnd(device)
    peer = socket.create_connection(device.address)    # type: ignore[arg-type]
    bench.until(lambda: device.connected)
    block = bytes(1 << 20)
    for _ in range((OUTPUT_LIMIT >> 20) + 16):
        device.write(block)
    assert OUTPUT_FULL < len(device._backlog) <= OUTPUT_LIMIT
    peer.close()
    bench.until(lambda: not device.connected)
    assert not device._backlog
    device.close()


def test_input_waits_for_room(bench: Bench) -> None:
    """Nothing is read for a front end without room, and nothing is lost: the socket keeps it."""
    device = server(bench)
    front = FrontEnd(device, room=0)
    with socket.create_connection(device.address) as peer:    # type: ignore[arg-type]
        bench.until(lambda: device.connected)
        peer.sendall(b"0123456789")
        bench.loop.step(0.01)
        assert front.data == b""
        for room in (1, 3, 100):
            front.accept(room)
            bench.until(lambda: front.room == 0 or len(front.data) == 10)
        assert front.data == b"0123456789"
    device.close()


def test_unix_server_and_client(bench: Bench, tmp_path: Path) -> None:
    """Two of our own ends talk over a Unix socket; the server removes it at the end."""
    path = tmp_path / "sock"
    chardevs = Chardevs(bench)
    one = chardevs.serial(f"unix:{path},server=on,wait=off", "serial0")
    two = chardevs.serial(f"unix:{path}", "serial1")
    assert one is not None and two is not None
    front_one, front_two = FrontEnd(one), FrontEnd(two)
    bench.until(lambda: one.connected)
    one.write(b"ping")
    two.write(b"pong")
    bench.until(lambda: front_one.data == b"pong" and front_two.data == b"ping")
    chardevs.close()
    assert not path.exists()


def test_waiting_server_blocks_until_a_peer_comes(bench: Bench, tmp_path: Path) -> None:
    """wait=on: construction returns with the peer there."""
    path = tmp_path / "sock"
    peer = socket.socket(socket.AF_UNIX)

    def announce(text: str) -> None:
        bench.announced.append(text)
        peer.connect(os.fspath(path))    # the socket listens already when it is announced

    bench.announce = announce
    device = Chardevs(bench).serial(f"unix:{path},server=on", "serial0")
    assert device is not None and device.connected
    assert bench.announced == [f"waiting for a connection on unix:{path} (serial0)"]
    device.close()
    peer.close()


def test_client_reconnects(bench: Bench, tmp_path: Path) -> None:
    """A client with `reconnect` starts without its server and finds it later."""
    path = tmp_path / "sock"
    client = SocketChardev(bench, "c", SocketOptions(path=str(path), reconnect=1))
    assert not client.connected
    client._options.reconnect = 0    # so that the retry need not be waited for
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    client._connect_or_retry()
    assert client.connected
    client.close()
    listener.close()


def test_socket_errors(bench: Bench, tmp_path: Path) -> None:
    """One clear line each."""
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    cases = {
        f"tcp:127.0.0.1:{port},server=on,wait=off": "cannot listen on tcp:127.0.0.1",
        f"unix:{tmp_path}/nobody": "cannot connect to unix:",
        f"unix:{'x' * 200},server=on,wait=off": "cannot listen on unix:x",
        f"unix:{'x' * 200}": "cannot connect to unix:x",
        "unix:/x,wait=on": "'wait' is for servers",
        "tcp:localhost": "is not an address",
        "unix:/x,sevrer=on": "did you mean 'server'",
        "unix:/x,server=perhaps": "neither 'on' nor 'off'",
    }
    for spec, message in cases.items():
        with pytest.raises((HostError, UsageError), match=message):
            Chardevs(bench).serial(spec, "serial0")
    taken.close()


def test_ringbuf(bench: Bench) -> None:
    """Output is kept up to the limit, the newest of it; input waits for room; `wait_for` cuts at the text."""
    device = RingbufChardev(bench, "r", RingbufOptions(size=8))
    front = FrontEnd(device, room=2)
    device.write(b"0123456789")
    assert device.read(2) == b"23"
    assert device.wait_for(b"56") == b"456"
    with pytest.raises(TimeoutError, match="789"):
        device.wait_for(b"x", timeout=0)
    device.feed(b"abcd")
    assert front.data == b"ab"
    front.accept(9)
    assert front.data == b"abcd"
    with pytest.raises(UsageError, match="power of two"):
        RingbufChardev(bench, "r", RingbufOptions(size=5))
