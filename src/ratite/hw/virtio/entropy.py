"""Where random bytes for guests come from: `-object rng-builtin,id=...` and `-object rng-random,id=...,filename=...`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ratite import keyval
from ratite.errors import HostError, UsageError, unknown
from ratite.settings import fill, setting, settings

if TYPE_CHECKING:
    from ratite.chardev.loop import IoLoop

Receive = Callable[[bytes], None]


class EntropySource(Protocol):
    """A supply of random bytes."""

    def request(self, count: int, receive: Receive) -> None:
        """Call `receive` with 1 to `count` bytes, now or later, holding the machine's lock."""

    def close(self) -> None:
        """Give host resources back."""


class BuiltinEntropy:
    """The host kernel's generator (getrandom), or another."""

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random

    def request(self, count: int, receive: Receive) -> None:
        receive(self._random(count))

    def close(self) -> None:
        """There is nothing to close."""


@settings
class RandomFileOptions:
    filename: str = setting("a device or pipe that gives random bytes", default="/dev/urandom")


class FileEntropy:
    """Random bytes read from a file; when it has none at the moment, requests wait for them."""

    def __init__(self, loop: IoLoop, filename: str) -> None:
        self._loop = loop
        self._waiting: deque[tuple[int, Receive]] = deque()
        try:
            self._fd = os.open(filename, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise HostError(f"rng-random: cannot open '{filename}': {error.strerror}") from None

    def request(self, count: int, receive: Receive) -> None:
        self._waiting.append((count, receive))
        if len(self._waiting) == 1:
            self._serve()

    def close(self) -> None:
        self._waiting.clear()
        if self._fd >= 0:
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _serve(self) -> None:
        while self._waiting and self._fd >= 0:
            count, receive = self._waiting[0]
            try:
                data = os.read(self._fd, count)
            except OSError:    # nothing there yet
                data = b""
            if not data:
                self._loop.add_reader(self._fd, self._serve)
                return
            self._waiting.popleft()
            receive(data)
        if self._fd >= 0:
            self._loop.forget(self._fd)


KINDS = ("rng-builtin", "rng-random")


def make_entropy(option: str, loop: IoLoop, random: Callable[[int], bytes] = os.urandom) -> tuple[str, EntropySource]:
    """The id and the source that `-object rng-...` describes. Raises UsageError or HostError."""
    pairs = keyval.parse(option, implied="qom-type")
    kind, name = pairs.get("qom-type"), pairs.get("id")
    rest = pairs.without("qom-type", "id")
    if kind not in KINDS:
        raise unknown("object type", kind, KINDS)
    if not name:
        raise UsageError(f"-object {kind}: an id is needed: -object {kind},id=NAME")
    if kind == "rng-builtin":
        rest.expect(f"-object {kind}: option", ())
        return name, BuiltinEntropy(random)
    return name, FileEntropy(loop, fill(RandomFileOptions, rest, f"-object {kind}").filename)
