"""A process of Ratite's own beside that of a machine, for work that would hold the machine's locks (`ratite.cpu.service` is its side).

A foreign program waits for its children and closes files by their numbers, so its process has none.
"""

from __future__ import annotations

import marshal
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import ratite
from ratite.cpu.service import HEAD, LARGEST, MAGIC, digest, introduction, message
from ratite.isa.arch import Arch

#: How often a process is started, all in all; and seconds in which it takes what it is sent.
STARTS, _PATIENCE = 2, 5.0
#: What taking an answer apart raises that is none.
_NONSENSE = (ValueError, TypeError, EOFError, LookupError, AttributeError)
#: What the process runs, given the places where this one finds modules, and its number.
_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from {} import serve; serve(int(sys.argv[1]))"

T = TypeVar("T")


class Answer(NamedTuple, Generic[T]):
    """What has become of an order. content: None where it has been given up. why: that it has been."""

    number: int
    content: T | None
    why: str


class Companion(Generic[T]):
    """The process, which begins with the first order. One that dies, or takes too long for an order, or answers what makes no sense, is started once
    more; its orders are given up. Not thread-safe.

    key: see `introduction`. module: the one whose `serve` is the process. limit: seconds that an order may take, others' use of the processors
    included. read: takes the content of an answer apart; a TypeError or ValueError says that it makes no sense. program: what Python runs as this
    process, for tests. now: the time in seconds.
    """

    def __init__(
        self, arch: Arch, key: str, module: str, limit: float, read: Callable[[Any], T], program: str = "",
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._arch, self._key, self._limit, self._read, self._now = arch, key, limit, read, now
        self._program = program or _PROGRAM.format(module)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._received = bytearray()
        self._waiting: dict[int, float] = {}  # since when, by number
        self._given_up: list[Answer[T]] = []
        self._numbers = self.starts = 0
        self.lost = False

    @property
    def busy(self) -> int:
        """How many orders have no answer yet."""
        return len(self._waiting)

    @property
    def process(self) -> int | None:
        """The number of the process, if there is one."""
        return None if self._process is None else self._process.pid

    @property
    def connection(self) -> socket.socket | None:
        """Where answers come from, for `select`."""
        return self._connection

    def patience(self) -> float | None:
        """Seconds after which `answers` should be asked though nothing has come; None: never."""
        return max(min(self._waiting.values()) + self._limit - self._now(), 0) if self._waiting else None

    def start(self) -> None:
        """Start the process before there is an order. When that fails, so does the first order."""
        try:
            self._ready()
        except (OSError, subprocess.SubprocessError):
            self._end()

    def order(self, content: Any) -> int:
        """Send an order; its number."""
        self._numbers += 1
        self._waiting[self._numbers] = self._now()
        try:
            self._ready().sendall(message(marshal.dumps((self._numbers, content))))
        except (OSError, subprocess.SubprocessError) as error:
            self._give_up(f"the compiling process cannot be reached: {error}")
        return self._numbers

    def _ready(self) -> socket.socket:
        """The connection to the process, which is started if there is none."""
        if self._connection is not None:
            self._connection.settimeout(_PATIENCE)
            return self._connection
        self.starts += 1
        ours, theirs = socket.socketpair()
        with theirs:
            self._connection = ours
            places = [os.path.dirname(ratite.__path__[0]), *map(os.path.abspath, sys.path)]
            self._process = subprocess.Popen(
                [sys.executable or "python3", "-S", "-E", "-c", self._program, str(os.getpid()), *places],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", process_group=0,
            )  # fmt: skip
        ours.settimeout(_PATIENCE)
        ours.sendall(introduction(self._arch, self._key))
        return ours

    def answers(self) -> list[Answer[T]]:
        """What has been answered since the last time, and what has been given up."""
        found = []
        if self._connection is not None:
            try:
                open_still = self._receive()
                found = self._parse()
            except (OSError, *_NONSENSE) as error:
                self._give_up(f"the compiling process: {error}")
            else:
                if not open_still:
                    self._give_up("the compiling process has ended")
                elif self.patience() == 0:
                    self._give_up(f"the compiling process has taken more than {self._limit:.0f} seconds")
        found += self._given_up
        self._given_up = []
        return found

    def _receive(self) -> bool:
        """Take what is there; whether more may come."""
        assert self._connection is not None
        self._connection.settimeout(0)
        try:
            while part := self._connection.recv(1 << 20):
                self._received += part
        except BlockingIOError:
            return True
        except ConnectionError:
            pass
        return False

    def _parse(self) -> list[Answer[T]]:
        """The answers in what has been received. Raises one of `_NONSENSE` for what is none."""
        found = []
        while len(self._received) >= HEAD.size:
            magic, length, expected = HEAD.unpack_from(self._received)
            if magic != MAGIC or length > LARGEST:
                raise ValueError("its answer makes no sense")
            if len(self._received) < HEAD.size + length:
                break
            body = bytes(self._received[HEAD.size : HEAD.size + length])
            del self._received[: HEAD.size + length]
            if digest(body) != expected:
                raise ValueError("its answer is damaged")
            number, content = marshal.loads(body)
            answer = Answer(number, self._read(content), "")
            if number and self._waiting.pop(number, None) is None:
                raise ValueError("it answers what nobody asked")
            found.append(answer)
        return found

    def _give_up(self, why: str) -> None:
        self._end()
        self._given_up += (Answer(number, None, why) for number in self._waiting)
        self._waiting.clear()
        self.lost = self.starts >= STARTS

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._received.clear()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._end()
        self._waiting.clear()
        self.lost = True
