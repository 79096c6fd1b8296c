"""`pipe`: a pair of named pipes PATH.in and PATH.out, or one PATH for both directions."""

from __future__ import annotations

import os

from ratite.chardev.base import ChardevContext
from ratite.chardev.stream import StreamChardev
from ratite.errors import HostError, UsageError
from ratite.settings import setting, settings


@settings
class PipeOptions:
    path: str = setting("PATH.in is read and PATH.out written where they exist, else PATH is both", default="")


class PipeChardev(StreamChardev, kind="pipe", options=PipeOptions):
    """Named pipes made beforehand with mkfifo. They are opened for both directions, so that opening does not wait and
    a peer may come and go.
    """

    def __init__(self, context: ChardevContext, label: str, options: PipeOptions) -> None:
        super().__init__(context, label)
        path = options.path
        if not path:
            raise UsageError(f"character device '{label}': a pipe needs a path")
        if not (os.path.exists(f"{path}.in") and os.path.exists(f"{path}.out")):
            both = _open(path)
            self._open(both, both)
            return
        source = _open(f"{path}.in")
        try:
            target = _open(f"{path}.out")
        except HostError:
            os.close(source)
            raise
        self._open(source, target)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        hint = f"'mkfifo {path}.in {path}.out' makes a pair"
        raise HostError(f"cannot open pipe '{path}': {error.strerror}; {hint}") from None
