"""Character devices over host file descriptors: terminals, pipes, files and sockets share this."""

from __future__ import annotations

import os
import select
import time

from ratite.chardev.base import OUTPUT_FULL, OUTPUT_LIMIT, Chardev, ChardevContext

_CHUNK = 4096             # one read; also what a pipe that polls writable takes without blocking
_FAREWELL_SECONDS = 1.0   # how long `close` waits for a slow reader


class StreamChardev(Chardev):
    """A stream with an input descriptor and an output descriptor (often the same).

    The descriptors are non-blocking. Input is read only as far as the front end has room. A subclass opens them,
    calls `_open`, and says what it means when the stream ends: `_hang_up`, or one by one `_input_ended` and
    `_output_failed`.
    """

    def __init__(self, context: ChardevContext, label: str) -> None:
        super().__init__(context, label)
        self._in = self._out = -1
        self._reading = False
        self._backlog = bytearray()

    # --- front end

    def write(self, data: bytes) -> None:
        with self.lock:
            if self._out < 0:
                return
            if self._backlog:
                self._backlog += data[: max(0, OUTPUT_LIMIT - len(self._backlog))]
            elif (sent := self._send(data)) < len(data) and self._out >= 0:
                self._backlog += data[sent:]
                self.loop.add_writer(self._out, self._flush)

    @property
    def output_full(self) -> bool:
        return len(self._backlog) >= OUTPUT_FULL

    def accept_input(self) -> None:
        with self.lock:
            self._watch_input(self._can_receive() > 0)

    def close(self) -> None:
        with self.lock:
            self._flush_finally()
            self._drop()

    # --- back ends

    def _open(self, input_fd: int, output_fd: int) -> None:
        """Begin with these descriptors; -1 is a direction that does not exist."""
        self._in, self._out = input_fd, output_fd
        self._reading = False
        self.accept_input()

    def _hang_up(self) -> None:
        """The stream has ended."""
        self._drop()
        self._set_connected(False)

    def _input_ended(self) -> None:
        """Nothing more will come."""
        self._hang_up()

    def _output_failed(self) -> None:
        """Nothing more will be read on the other side."""
        self._hang_up()

    def _close_input(self) -> None:
        """For streams whose output outlives their input (a file, standard input from a pipe)."""
        self.loop.forget(self._in)
        os.close(self._in)
        self._in = -1

    def _close_descriptors(self, descriptors: set[int]) -> None:
        for fd in descriptors:
            os.close(fd)

    def _read(self, size: int) -> bytes:
        return os.read(self._in, size)

    def _send(self, data: bytes | bytearray) -> int:
        """Write at once what the descriptor takes; returns how much that was."""
        try:
            return os.write(self._out, data)
        except BlockingIOError:
            return 0
        except OSError:    # the reader has gone: EPIPE, ECONNRESET, EIO
            self._output_failed()
            return len(data)

    def _drop(self) -> None:
        """Forget the descriptors and what waits for them."""
        descriptors = {self._in, self._out} - {-1}
        for fd in descriptors:
            self.loop.forget(fd)
        self._in = self._out = -1
        self._reading = False
        self._backlog.clear()
        self._close_descriptors(descriptors)

    # --- inside

    def _watch_input(self, wanted: bool) -> None:
        if self._in < 0 or wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            self.loop.add_reader(self._in, self._on_readable)
        else:
            self.loop.remove_reader(self._in)

    def _on_readable(self) -> None:
        room = self._can_receive()
        if room <= 0:
            self._watch_input(False)
            return
        try:
            data = self._read(min(room, _CHUNK))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._deliver(data)
        else:
            self._input_ended()

    def _flush(self) -> None:
        was_full = self.output_full
        sent = self._send(self._backlog[:OUTPUT_FULL])
        del self._backlog[:sent]
        if not self._backlog and self._out >= 0:
            self.loop.remove_writer(self._out)
        if was_full and not self.output_full:
            self._room()

    def _flush_finally(self) -> None:
        deadline = time.monotonic() + _FAREWELL_SECONDS
        while self._backlog and self._out >= 0 and (left := deadline - time.monotonic()) > 0:
            poll = select.poll()
            poll.register(self._out, select.POLLOUT)
            if poll.poll(left * 1000):
                self._flush()
