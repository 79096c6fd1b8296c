"""`file`: output is written to a host file; input may come from another one."""

from __future__ import annotations

import os

from ratite.chardev.base import ChardevContext
from ratite.chardev.stream import StreamChardev
from ratite.errors import HostError, UsageError
from ratite.settings import setting, settings


@settings
class FileOptions:
    path: str = setting("the file that output is written to", default="")
    append: bool = setting("keep what the file holds and write behind it", default=False)
    input_path: str = setting("a file that input is read from", default="")


class FileChardev(StreamChardev, kind="file", options=FileOptions):
    """Output to a file, which is emptied first unless `append` is on."""

    def __init__(self, context: ChardevContext, label: str, options: FileOptions) -> None:
        super().__init__(context, label)
        if not options.path:
            raise UsageError(f"character device '{label}': a file needs a path")
        source = _open(options.input_path, os.O_RDONLY) if options.input_path else -1
        try:
            target = _open(options.path, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if options.append else os.O_TRUNC))
        except HostError:
            if source >= 0:
                os.close(source)
            raise
        self._open(source, target)

    def _input_ended(self) -> None:
        self._close_input()


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise HostError(f"cannot open '{path}': {error.strerror}") from None
