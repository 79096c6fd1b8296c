"""What the processes have in common that work for a machine beside its own: how they begin, and the messages (`ratite.cpu.companion` is the machine's
side).

Such a process has a socket, its standard input. On it comes first which instruction set is meant (pickled), then one order after the other
(marshalled), each with a number; an answer says to which order it belongs, or has the number 0, for what nobody asked. A message is

    magic (4 bytes), length of the body (4), digest of the body (8); then the body

Orders come from the process that started this one, so they are believed; answers are looked at, because this process may be out of memory or killed.
It ends with the socket or with the process that started it, whichever comes first. Too much processor time for an order ends it too, and so does too
much memory.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import pickle
import resource
import select
import signal
import socket
import struct
import time
from typing import Any

from ratite.codegen.library import key_of
from ratite.digest import blake2b
from ratite.isa.arch import Arch

MAGIC = b"RTRG"
HEAD = struct.Struct("<4sI8s")
#: Largest message, in bytes.
LARGEST = 8 << 20
#: Most address space, in bytes.
MEMORY = 2 << 30

# prctl(2)
_PR_SET_PDEATHSIG = 1


def message(body: bytes) -> bytes:
    """A message with this body."""
    return HEAD.pack(MAGIC, len(body), digest(body)) + body


def digest(body: bytes) -> bytes:
    """What tells a message from garbage."""
    return blake2b(body, digest_size=8).digest()


def introduction(arch: Arch, key: str) -> bytes:
    """The first message. key: the name of code of this configuration (`key_of`), which another version of Ratite would not find to be the same."""
    return message(pickle.dumps((arch.name, arch.config, key)))


class Service:
    """The side of the process: where orders come from and answers go to. arch: the instruction set."""

    def __init__(self, parent: int, seconds: float, nice: int) -> None:
        """parent: the process that has started this one. seconds: most processor time for one order. nice: how far to stand back for the other
        processes of the host (0 to 19). Raises SystemExit where there is nothing to be done for the parent."""
        self._limit = seconds
        self._before = 0.0
        _restrain(parent, nice)
        self._connection = socket.socket(fileno=0)
        body = self._receive()
        if body is None:
            raise SystemExit
        name, config, key = pickle.loads(body)
        self.arch = _arch(name, config)
        if key_of(self.arch) != key:
            raise SystemExit

    def next_order(self) -> tuple[int, Any] | None:
        """The next order and its number, when there is one; None at the end. The time for it begins."""
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        body = self._receive()
        if body is None:
            return None
        signal.setitimer(signal.ITIMER_VIRTUAL, self._limit)
        number, order = marshal.loads(body)
        return number, order

    def has_order(self) -> bool:
        """Whether an order, or the end, is there to be taken."""
        return bool(select.select([self._connection], [], [], 0)[0])

    def answer(self, number: int, content: Any) -> None:
        """Answer an order."""
        self._connection.sendall(message(marshal.dumps((number, content))))

    def seconds(self) -> float:
        """Processor time since this was asked last."""
        now, before = time.process_time(), self._before
        self._before = now
        return now - before

    def _receive(self) -> bytes | None:
        """The body of the next message; None at the end."""
        head = self._exactly(HEAD.size)
        return self._exactly(HEAD.unpack(head)[1]) if head else None

    def _exactly(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            part = self._connection.recv(size - len(data))
            if not part:
                return None
            data += part
        return bytes(data)


def _restrain(parent: int, nice: int) -> None:
    """Have little right, and perhaps a low rank."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit
    signal.pthread_sigmask(signal.SIG_SETMASK, (signal.SIGINT,))  # the terminal's is for the machine
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if nice:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        os.nice(nice)


def _arch(name: str, config: Any) -> Arch:
    from ratite.isa.target import find_target

    return find_target(name).make_arch(config)
