"""The process that compiles regions for a machine: LLVM works beside the machine's own process, whose locks it would hold otherwise.

It is told on a socket, its standard input, which instruction set is meant (pickled), then one plan of a region after the other (marshalled), and
answers each. A message is

    magic (4 bytes), length of the body (4), digest of the body (8); then the body

and an answer's body (number of the plan, seconds of processor time since the last answer, `Compiled` as tuples or None, why it is None). Requests
come from the process that started this one, so they are believed; answers are looked at, because this process may be out of memory or killed.

It ends with the socket or with the process that started it, whichever comes first. What takes too much processor time ends it too, and so does too
much memory.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import pickle
import resource
import signal
import socket
import struct
import time
from typing import Any

from ratite.codegen.library import key_of
from ratite.codegen.regions import Compiled, Plan, compile_region
from ratite.digest import blake2b
from ratite.isa.arch import Arch

MAGIC = b"RTRG"
HEAD = struct.Struct("<4sI8s")
#: Largest message, in bytes.
LARGEST = 8 << 20
#: Most address space, in bytes, and most seconds of processor time for one region.
MEMORY, SECONDS = 2 << 30, 5.0
#: Its rank: what it may take in all is bounded by whoever asks, and with the lowest rank a region takes seconds where all processors are busy, as they
#: are under a machine that has as many; most runs would be over.
NICE = 5

# prctl(2)
_PR_SET_PDEATHSIG = 1


def message(body: bytes) -> bytes:
    """A message with this body."""
    return HEAD.pack(MAGIC, len(body), digest(body)) + body


def digest(body: bytes) -> bytes:
    """What tells a message from garbage."""
    return blake2b(body, digest_size=8).digest()


def request(number: int, plan: Plan) -> bytes:
    """The message with a plan."""
    return message(marshal.dumps((number, tuple(plan))))


def introduction(arch: Arch, key: str) -> bytes:
    """The first message. key: the name of code of this configuration (`key_of`), which another version of Ratite would not find to be the same."""
    return message(pickle.dumps((arch.name, arch.config, key)))


def serve(parent: int) -> None:
    """The whole life of the process that the process `parent` has started."""
    _restrain(parent)
    connection = socket.socket(fileno=0)
    body = _receive(connection)
    if body is None:
        return
    name, config, key = pickle.loads(body)
    arch = _arch(name, config)
    if key_of(arch) != key:
        return
    while (body := _receive(connection)) is not None:
        number, fields = marshal.loads(body)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        compiled, why = _compile(arch, Plan(*fields))
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        connection.sendall(message(marshal.dumps((number, _seconds(), compiled, why))))


def _restrain(parent: int) -> None:
    """Have little right and a low rank."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit
    signal.pthread_sigmask(signal.SIG_SETMASK, (signal.SIGINT,))  # the terminal's is for the machine
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(NICE)


def _arch(name: str, config: Any) -> Arch:
    from ratite.isa.target import find_target

    return find_target(name).make_arch(config)


def _receive(connection: socket.socket) -> bytes | None:
    """The body of the next message; None at the end."""
    head = _exactly(connection, HEAD.size)
    return _exactly(connection, HEAD.unpack(head)[1]) if head else None


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            return None
        data += part
    return bytes(data)


def _compile(arch: Arch, plan: Plan) -> tuple[tuple[Any, ...] | None, str]:
    """The code of a region as tuples, or why there is none."""
    try:
        compiled: Compiled | None = compile_region(arch, plan)
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
    return (None, "most of it is left to stencils") if compiled is None else (tuple(compiled), "")


_before = 0.0


def _seconds() -> float:
    """Processor time since this was asked last."""
    global _before
    now, before = time.process_time(), _before
    _before = now
    return now - before
