"""Who compiles regions: a process beside that of a machine, or the thread that looks for them.

A foreign program waits for its children and closes files by their numbers, so its process has neither of Ratite's own.
"""

from __future__ import annotations

import marshal
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import ratite
from ratite.codegen.regions import Compiled, Plan, compile_region
from ratite.cpu.region_server import HEAD, LARGEST, MAGIC, digest, introduction, request
from ratite.isa.arch import Arch

#: Seconds that a region may take, others' use of the processors included; and how often the process is started, all in all.
_LIMIT, _STARTS = 60.0, 2
#: Seconds in which it takes what it is sent.
_PATIENCE = 5.0
#: What taking an answer apart raises that is none.
_NONSENSE = (ValueError, TypeError, EOFError)
#: What the process runs, given the places where this one finds modules, and its number.
_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from ratite.cpu.region_server import serve; serve(int(sys.argv[1]))"


class Answer(NamedTuple):
    """What has become of a plan. seconds: of processor time, the start of the process included. why: that there is no code."""

    number: int
    compiled: Compiled | None
    seconds: float
    why: str


class Compilers(Protocol):
    """busy: how many plans have no answer yet. lost: no more plans are taken."""

    @property
    def busy(self) -> int: ...

    @property
    def lost(self) -> bool: ...

    def order(self, plan: Plan) -> int:
        """Have a plan compiled; its number."""

    def answers(self) -> list[Answer]:
        """What has been answered since the last time."""

    def close(self) -> None:
        """Compile no more."""


class OwnThread:
    """Compiles at once, on the thread that asks."""

    busy, lost = 0, False

    def __init__(self, arch: Arch) -> None:
        self._arch = arch
        self._answers: list[Answer] = []
        self._numbers = 0

    def order(self, plan: Plan) -> int:
        """Compile a plan."""
        self._numbers += 1
        begin = time.thread_time()
        compiled = compile_region(self._arch, plan)
        why = "" if compiled is not None else "most of it is left to stencils"
        self._answers.append(Answer(self._numbers, compiled, time.thread_time() - begin, why))
        return self._numbers

    def answers(self) -> list[Answer]:
        """What has been compiled since the last time."""
        found, self._answers = self._answers, []
        return found

    def close(self) -> None:
        """Nothing is left to be done."""


class OwnProcess:
    """Has a process of its own compile, which begins with the first plan. One that dies, or takes too long for a plan, or answers what makes no
    sense, is started once more; its plans are given up. Not thread-safe.

    program: what Python runs as this process, for tests. now: the time in seconds.
    """

    def __init__(self, arch: Arch, key: str, program: str = _PROGRAM, now: Callable[[], float] = time.monotonic) -> None:
        self._arch, self._key, self._program, self._now = arch, key, program, now
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._received = bytearray()
        self._waiting: dict[int, float] = {}  # since when, by number
        self._given_up: list[Answer] = []
        self._numbers = self._starts = 0
        self.lost = False

    @property
    def busy(self) -> int:
        """How many plans have no answer yet."""
        return len(self._waiting)

    @property
    def process(self) -> int | None:
        """The number of the process, if there is one."""
        return None if self._process is None else self._process.pid

    def order(self, plan: Plan) -> int:
        """Send a plan."""
        self._numbers += 1
        self._waiting[self._numbers] = self._now()
        try:
            if self._process is None:
                self._start()
            assert self._connection is not None
            self._connection.settimeout(_PATIENCE)
            self._connection.sendall(request(self._numbers, plan))
        except (OSError, subprocess.SubprocessError) as error:
            self._give_up(f"the compiling process cannot be reached: {error}")
        return self._numbers

    def _start(self) -> None:
        self._starts += 1
        ours, theirs = socket.socketpair()
        with theirs:
            self._connection = ours
            places = [os.path.dirname(ratite.__path__[0]), *map(os.path.abspath, sys.path)]
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-E", "-c", self._program, str(os.getpid()), *places],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", process_group=0,
            )  # fmt: skip
        ours.settimeout(_PATIENCE)
        ours.sendall(introduction(self._arch, self._key))

    def answers(self) -> list[Answer]:
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
                elif self._waiting and self._now() - min(self._waiting.values()) > _LIMIT:
                    self._give_up(f"the compiling process has taken more than {_LIMIT:.0f} seconds")
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

    def _parse(self) -> list[Answer]:
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
            number, seconds, fields, why = marshal.loads(body)
            answer = Answer(number, None if fields is None else Compiled(*fields), seconds, why)
            if self._waiting.pop(number, None) is None:
                raise ValueError("it answers what nobody asked")
            found.append(answer)
        return found

    def _give_up(self, why: str) -> None:
        self._end()
        self._given_up += (Answer(number, None, 0.0, why) for number in self._waiting)
        self._waiting.clear()
        self.lost = self._starts >= _STARTS

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
