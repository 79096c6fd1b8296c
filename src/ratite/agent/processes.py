"""Programs that clients have started, and what they print."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from ratite.agent.errors import AgentError
from ratite.agent.reactor import READ, WRITE, Reactor

OUTPUT_LIMIT = 16 << 20    # bytes that are kept of each stream of a program; the rest is read and dropped
MOST = 1024                # programs whose end nobody has asked for yet
_PIECE = 64 << 10


class Output:
    """One stream of a program's output."""

    def __init__(self, reactor: Reactor, descriptor: int) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self.data = bytearray()
        self.truncated = False
        os.set_blocking(descriptor, False)
        reactor.watch(descriptor, READ, lambda events: self.read())

    @property
    def ended(self) -> bool:
        """Whether everybody who could write has closed it."""
        return self._descriptor < 0

    def read(self) -> None:
        """Take what is there."""
        while not self.ended:
            try:
                piece = os.read(self._descriptor, _PIECE)
            except BlockingIOError:
                return
            except OSError:
                piece = b""
            if not piece:
                self.close()
                return
            room = OUTPUT_LIMIT - len(self.data)
            self.data += piece[:room]
            self.truncated = self.truncated or len(piece) > room

    def close(self) -> None:
        """Read no more."""
        if not self.ended:
            self._reactor.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


class Input:
    """What a program is to read; given to it as it takes it."""

    def __init__(self, reactor: Reactor, descriptor: int, data: bytes) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._data = memoryview(data)
        os.set_blocking(descriptor, False)
        reactor.watch(descriptor, WRITE, lambda events: self._write())

    @property
    def ended(self) -> bool:
        """Whether all is written, or the program does not want it."""
        return self._descriptor < 0

    def _write(self) -> None:
        try:
            self._data = self._data[os.write(self._descriptor, self._data[:_PIECE]) :]
        except BlockingIOError:
            return
        except OSError:    # the program does not want it
            self._data = self._data[:0]
        if not self._data:
            self.close()

    def close(self) -> None:
        """Write no more."""
        if not self.ended:
            self._reactor.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


class Child:
    """A program that was started."""

    def __init__(self, process: subprocess.Popen[bytes], given: Input | None, outputs: Mapping[str, Output]) -> None:
        self.process = process
        self.given = given
        self.outputs = outputs

    @property
    def exited(self) -> bool:
        """Whether the program has ended and, where its output is kept, nobody can add to it."""
        if self.process.poll() is None:
            return False
        for output in self.outputs.values():
            output.read()
        return all(output.ended for output in self.outputs.values())

    @property
    def descriptors(self) -> int:
        """How many pipes to and from the program are open."""
        return sum(not stream.ended for stream in (self.given, *self.outputs.values()) if stream is not None)

    def close(self) -> None:
        """Give the descriptors back."""
        for stream in (self.given, *self.outputs.values()):
            if stream is not None:
                stream.close()


class Processes:
    """Programs by process id, until their end has been told."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._children: dict[int, Child] = {}

    def __len__(self) -> int:
        return len(self._children)

    @property
    def descriptors(self) -> int:
        """How many pipes are open to programs and from them."""
        return sum(child.descriptors for child in self._children.values())

    def __getitem__(self, pid: int) -> Child:
        if pid not in self._children:
            raise AgentError("Invalid parameter 'pid'")
        return self._children[pid]

    def start(self, words: Sequence[str], environment: Mapping[str, str] | None, text: bytes | None, capture: bool) -> int:
        """Start a program in a session of its own; returns its process id. Raises AgentError."""
        if len(self._children) >= MOST:
            raise AgentError(f"too many programs were started: ask for the status of some of the {MOST}")
        stream = subprocess.PIPE if capture else subprocess.DEVNULL
        given = subprocess.DEVNULL if text is None else subprocess.PIPE
        try:
            process = subprocess.Popen(
                words, stdin=given, stdout=stream, stderr=stream, env=environment, cwd="/", start_new_session=True
            )
        except OSError as error:
            reason = f"Failed to execute child process “{words[0]}” ({error.strerror or error})"
            raise AgentError(f"Guest agent command failed, error was '{reason}'") from None
        # The pipes are ours from here on: Popen's file objects would close them, or read them to the end, by themselves.
        pipes = {"out": process.stdout, "err": process.stderr}
        outputs = {name: Output(self._reactor, _take(pipe)) for name, pipe in pipes.items() if pipe is not None}
        source = Input(self._reactor, _take(process.stdin), text or b"") if process.stdin is not None else None
        self._children[process.pid] = Child(process, source, outputs)
        return process.pid

    def remove(self, pid: int) -> None:
        """Forget a program."""
        self._children.pop(pid).close()

    def close(self) -> None:
        """Forget all; those that run go on."""
        for child in self._children.values():
            child.close()
        self._children.clear()


def _take(pipe: object) -> int:
    """Another descriptor for a pipe, and the end of its file object."""
    with pipe as file:    # type: ignore[attr-defined]
        return os.dup(file.fileno())
