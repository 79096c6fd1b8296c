"""The native code around system calls and signals."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from ratite.user.host import NUMBERS, TURNED_BACK, machine, native, pack_call, quick
from ratite.user.mailbox import ALL_BLOCKED, Mailbox
from ratite.user.signals import Action, Signals
from tests.user.fake import run_script


@pytest.mark.skipif(shutil.which("as") is None or shutil.which("objcopy") is None, reason="no binutils")
def test_bytes_are_what_an_assembler_makes(tmp_path: Path) -> None:
    """The text beside the bytes, given to GNU as, gives those bytes."""
    lines = [".intel_syntax noprefix"]
    for line in machine.NATIVE.strip().splitlines():
        text = line.partition(";")[0].rstrip()
        lines.append(text if text[0] != " " else text[26:])
    lines += [f".org {machine.LEADER_OFFSET}", "leader:", f".org {machine.THREADS_OFFSET}", "threads:"]
    source, made, raw = tmp_path / "a.s", tmp_path / "a.o", tmp_path / "a.bin"
    source.write_text("\n".join(lines) + "\n")
    subprocess.run(["as", str(source), "-o", str(made)], check=True)
    subprocess.run(["objcopy", "-O", "binary", str(made), str(raw)], check=True)
    code, _ = machine.assemble()
    assert raw.read_bytes()[:len(code)] == code
    assert not any(raw.read_bytes()[len(code):])


def test_numbers_are_the_kernels() -> None:
    """Spot checks of both parts of the table against calls that tell who answered."""
    assert quick("getpid") == os.getpid()
    assert quick("gettid") == threading.get_native_id()
    assert quick("close", 12345) == -9
    assert NUMBERS["futex_waitv"] == 449


def test_guarded_calls_are_turned_back_by_a_full_mailbox() -> None:
    """With a signal waiting, nothing is called; without one, the call is made with all its arguments."""
    byte = ctypes.create_string_buffer(1)
    box = Mailbox(ctypes.addressof(byte))
    reading, writing = os.pipe()
    data = ctypes.create_string_buffer(b"hello")
    call = pack_call(NUMBERS["pwrite64"], writing, ctypes.addressof(data), 5, 0, 0, 0, box.address)
    assert native.guarded(call) == -29    # ESPIPE: it was made
    box.pending[0] = 1
    assert native.guarded(call) == TURNED_BACK
    os.close(reading)
    os.close(writing)


def _in_child(body: object) -> int:
    child = os.fork()
    if not child:
        try:
            body()  # type: ignore[operator]
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(99)
    return os.waitpid(child, 0)[1]


def test_handler_fills_the_mailbox_and_blocks() -> None:
    """A signal leaves its siginfo, raises the interrupt byte, and the next one waits until the mailbox is read."""
    def body() -> None:
        byte = ctypes.create_string_buffer(1)
        box = Mailbox(ctypes.addressof(byte))
        box.enlist(threading.get_native_id())
        signals = Signals()
        signals.set_action(signal.SIGUSR1, Action(0x1234))
        signals.set_action(signal.SIGUSR2, Action(0x1234))
        os.kill(os.getpid(), signal.SIGUSR1)
        assert box.pending[0] == 1
        assert byte.raw == b"\1"
        assert int.from_bytes(box.peek()[0][:4], "little") == signal.SIGUSR1
        assert int.from_bytes(box.peek()[0][16:20], "little") == os.getpid()
        os.kill(os.getpid(), signal.SIGUSR2)
        assert int.from_bytes(box.peek()[0][:4], "little") == signal.SIGUSR1
        box.take()
        assert box.pending[0] == 0
        box.open(0)
        assert box.pending[0] == 1
        assert int.from_bytes(box.peek()[0][:4], "little") == signal.SIGUSR2
    assert _in_child(body) == 0


def test_what_is_never_blocked_has_a_place_of_its_own() -> None:
    """Beside a signal that waits, SIGSEGV, SIGBUS and 33 are kept, one of each. The mask opens only when all are out."""
    def body() -> None:
        byte = ctypes.create_string_buffer(1)
        box = Mailbox(ctypes.addressof(byte))
        box.enlist(threading.get_native_id())
        signals = Signals()
        numbers = (signal.SIGUSR1, signal.SIGSEGV, signal.SIGBUS, 33)
        for number in numbers:
            signals.have_native_handler(number)
        for number in (signal.SIGBUS, signal.SIGUSR1, 33, signal.SIGSEGV, signal.SIGBUS):
            quick("tgkill", os.getpid(), threading.get_native_id(), number)
        assert [int.from_bytes(info[:4], "little") for info in box.peek()] == list(numbers)
        assert box.take() is not None
        box.open(0)
        quick("tgkill", os.getpid(), threading.get_native_id(), signal.SIGUSR1)
        assert [int.from_bytes(info[:4], "little") for info in box.peek()] == list(numbers[1:])    # still blocked
        assert all(box.take() for _ in range(3))
        assert box.take() is None
        box.open(0)
        assert [int.from_bytes(info[:4], "little") for info in box.peek()] == [signal.SIGUSR1]
    assert _in_child(body) == 0


def test_a_sleeping_call_ends_and_a_coming_one_does_not_begin() -> None:
    """For 300 signals at any moment around a read that would sleep for ever, each ends the read or turns it back."""
    def body() -> None:
        byte = ctypes.create_string_buffer(1)
        box = Mailbox(ctypes.addressof(byte))
        box.enlist(threading.get_native_id())
        signals = Signals()
        signals.set_action(signal.SIGALRM, Action(0x1234))
        reading, _writing = os.pipe()
        data = ctypes.create_string_buffer(1)
        call = pack_call(NUMBERS["read"], reading, ctypes.addressof(data), 1, 0, 0, 0, box.address)
        for n in range(300):
            signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + n % 60))
            result = native.guarded(call)
            assert result in (TURNED_BACK, -4), result
            assert box.pending[0] == 1
            box.take()
            box.open(0)
    assert _in_child(body) == 0


def test_each_thread_has_its_mailbox() -> None:
    """A signal sent to one thread is found there; one that hits no guest thread is passed to the first that is."""
    def body() -> None:
        byte = ctypes.create_string_buffer(1)
        box, other = Mailbox(ctypes.addressof(byte)), Mailbox(ctypes.addressof(byte))
        box.enlist(threading.get_native_id())
        Signals().set_action(signal.SIGUSR1, Action(0x1234))
        begun, done = threading.Event(), threading.Event()
        tids: list[int] = []

        def guest() -> None:
            tids.append(threading.get_native_id())
            other.enlist(tids[0])
            begun.set()
            done.wait()
            native.discharge(tids[0])

        thread = threading.Thread(target=guest)
        thread.start()
        begun.wait()
        quick("tgkill", os.getpid(), tids[0], signal.SIGUSR1)
        while not other.pending[0]:
            os.sched_yield()
        assert box.pending[0] == 0
        done.set()
        thread.join()

        stranger_begun = threading.Event()
        finish = threading.Event()

        def stranger() -> None:
            tids.append(threading.get_native_id())
            stranger_begun.set()
            finish.wait()
        thread = threading.Thread(target=stranger)
        thread.start()
        stranger_begun.wait()
        quick("tgkill", os.getpid(), tids[1], signal.SIGUSR1)
        while not box.pending[0]:
            os.sched_yield()
        finish.set()
        thread.join()
    assert _in_child(body) == 0


def test_masks_spare_what_the_engine_needs() -> None:
    """SIGSEGV and SIGBUS are never among the blocked signals."""
    assert not ALL_BLOCKED >> signal.SIGSEGV - 1 & 1
    assert not ALL_BLOCKED >> signal.SIGBUS - 1 & 1
    assert ALL_BLOCKED >> signal.SIGTERM - 1 & 1


def test_run_script_reports_failures() -> None:
    """The helper of these tests does not hide a failed assertion."""
    def script(v):  # type: ignore[no-untyped-def]
        assert v is None
        yield
    assert os.waitstatus_to_exitcode(run_script(script)) == 99
