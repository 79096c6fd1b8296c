"""`ringbuf`: a stream in memory, for scripts, tests and the library.

Output collects in a bounded buffer, from which the oldest is lost first; `read` and `wait_for` take it out, `feed` is
the input.
"""

from __future__ import annotations

import threading

from ratite.chardev.base import Chardev, ChardevContext
from ratite.errors import UsageError
from ratite.keyval import size
from ratite.settings import setting, settings


@settings
class RingbufOptions:
    size: int = setting("bytes of output that are kept; a power of two", default=64 << 10, parse=size)


class RingbufChardev(Chardev, kind="ringbuf", options=RingbufOptions):
    """Bytes in memory."""

    def __init__(self, context: ChardevContext, label: str, options: RingbufOptions | None = None) -> None:
        super().__init__(context, label)
        options = options or RingbufOptions()
        if options.size <= 0 or options.size & (options.size - 1):
            raise UsageError(f"character device '{label}': the size is a power of two, not {options.size}")
        self._limit = options.size
        self._output = bytearray()
        self._input = bytearray()
        self._written = threading.Condition()    # not the machine's lock: a reader that waits must not stop the machine

    def write(self, data: bytes) -> None:
        with self._written:
            self._output += data
            del self._output[: max(0, len(self._output) - self._limit)]
            self._written.notify_all()

    def read(self, count: int | None = None) -> bytes:
        """Take up to `count` bytes of output, all that there is by default."""
        with self._written:
            data = bytes(self._output[:count])
            del self._output[: len(data)]
            return data

    def wait_for(self, text: bytes, timeout: float | None = None) -> bytes:
        """Wait until the output holds `text` and take everything up to its end. Raises TimeoutError after `timeout`
        seconds.
        """
        with self._written:
            if not self._written.wait_for(lambda: text in self._output, timeout):
                tail = bytes(self._output[-200:])
                raise TimeoutError(f"{text!r} did not come within {timeout} s; the output ends with {tail!r}")
            return self.read(self._output.index(text) + len(text))

    def feed(self, data: bytes) -> None:
        """Give input to the front end, now or as soon as it has room."""
        with self.lock:
            self._input += data
            self.accept_input()

    def accept_input(self) -> None:
        with self.lock:
            while self._input and (room := self._can_receive()) > 0:
                data = bytes(self._input[:room])
                del self._input[: len(data)]
                self._deliver(data)
