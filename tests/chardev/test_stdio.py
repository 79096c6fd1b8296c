"""Standard input and output, in a process of its own with a pseudo terminal or pipes."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import textwrap

import pytest

PROGRAM = textwrap.dedent(
    """
    import sys, threading
    from ratite.chardev.base import ChardevContext
    from ratite.chardev.loop import IoLoop
    from ratite.chardev.manager import Chardevs

    loop = IoLoop(threading.RLock())
    done = []
    chardevs = Chardevs(ChardevContext(loop, lambda: done.append(0)))
    device = chardevs.serial(sys.argv[1], "serial0")

    def receive(data):
        device.write(b"<" + data + b">")
        if b"Q" in data:
            done.append(0)

    device.attach(receive, lambda: 100)
    device.write(b"ready\\n")
    while not done:
        loop.step(0.05)    # short, so that Python notices signals
    chardevs.close()
    """
)


class Session:
    """The program on a terminal of its own."""

    def __init__(self, spec: str) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, spec], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            start_new_session=True,
        )
        self.output = b""
        self.expect(b"ready\r\n")

    def expect(self, text: bytes) -> None:
        while text not in self.output:
            assert select.select([self.master], [], [], 20)[0], f"{text!r} did not come: {self.output!r}"
            self.output += os.read(self.master, 1000)

    def send(self, text: bytes) -> None:
        os.write(self.master, text)

    def finish(self) -> int:
        status = self.process.wait(20)
        assert termios.tcgetattr(self.slave) == self.before, "the terminal was left in another mode"
        os.close(self.master)
        os.close(self.slave)
        return status


def test_raw_mode_and_restore() -> None:
    """Keys arrive one by one, unechoed and untranslated; the old mode is back at the end."""
    session = Session("stdio")
    lflag = termios.tcgetattr(session.slave)[3]
    assert not lflag & (termios.ECHO | termios.ICANON)
    assert lflag & termios.ISIG
    session.send(b"a\r")
    session.expect(b"<a\r>")
    session.send(b"Q")
    assert session.finish() == 0


def test_mon_stdio_passes_control_c_and_quits() -> None:
    """mon:stdio gives C-c to the guest; C-a x ends."""
    session = Session("mon:stdio")
    session.send(b"\x03")
    session.expect(b"<\x03>")
    session.send(b"\x01x")
    session.expect(b"terminated")
    assert session.finish() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_restore_on_a_deadly_signal(number: signal.Signals) -> None:
    """The process dies by the signal it got, with the terminal as it was."""
    session = Session("stdio")
    session.process.send_signal(number)
    assert session.finish() == -number


def test_resumed_terminal_is_raw_again() -> None:
    """After a stop, during which a shell sets its own mode, raw mode comes back."""
    session = Session("stdio")
    session.process.send_signal(signal.SIGSTOP)
    termios.tcsetattr(session.slave, termios.TCSANOW, session.before)
    session.process.send_signal(signal.SIGCONT)
    session.send(b"x")
    session.expect(b"<x>")    # without ICANON off this would wait for a newline
    session.send(b"Q")
    assert session.finish() == 0


def test_pipes_and_end_of_input() -> None:
    """Input from a pipe ends without ending the output; file flags of the inherited descriptors stay as they were."""
    source, sink = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, "stdio"], stdin=source, stdout=subprocess.PIPE)
    os.write(sink, b"abcQ")
    os.close(sink)
    output, _ = process.communicate(timeout=20)
    assert output == b"ready\n<abcQ>"
    assert os.get_blocking(source)
    os.close(source)


def test_input_from_dev_null() -> None:
    """Standard input that is at its end from the start does no harm."""
    code = PROGRAM.replace("while not done:", "for _ in range(5):")
    command = [sys.executable, "-c", code, "mon:stdio"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert (done.stdout, done.stderr) == (b"ready\n", b"")


def test_stdio_is_for_one() -> None:
    """A second user is told who has it."""
    code = PROGRAM + "\nchardevs.serial('stdio', 'a'); chardevs.serial('stdio', 'b')"
    done = subprocess.run([sys.executable, "-c", code, "stdio"], input=b"Q", capture_output=True, timeout=20)
    assert b"stdio is already used by 'a'" in done.stderr
