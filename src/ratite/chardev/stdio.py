"""`stdio`: the terminal that the emulator was started on."""

from __future__ import annotations

import atexit
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, ClassVar

from ratite.chardev.base import ChardevContext
from ratite.chardev.stream import StreamChardev
from ratite.errors import UsageError
from ratite.settings import setting, settings


@settings
class StdioOptions:
    signal: bool = setting("let C-c, C-\\ and C-z act on the emulator instead of going to the guest", default=True)


class StdioChardev(StreamChardev, kind="stdio", options=StdioOptions):
    """Standard input and output. A terminal is in raw mode meanwhile and gets its old mode back on `close`, at exit
    and on deadly signals.

    The descriptors are opened anew for non-blocking use, because that flag of the inherited ones is shared with the
    shell and its other programs.
    """

    owner: ClassVar[StdioChardev | None] = None

    def __init__(self, context: ChardevContext, label: str, options: StdioOptions) -> None:
        super().__init__(context, label)
        if StdioChardev.owner is not None:
            owner = StdioChardev.owner.label
            raise UsageError(f"character device '{label}': stdio is already used by '{owner}'; 'mon:stdio' shares it")
        StdioChardev.owner = self
        sys.stdout.flush()
        self._terminal = Terminal(0, options.signal) if os.isatty(0) else None
        self._open(_reopen(0, os.O_RDONLY), _reopen(1, os.O_WRONLY))

    def close(self) -> None:
        super().close()
        if self._terminal is not None:
            self._terminal.restore()
        if StdioChardev.owner is self:
            StdioChardev.owner = None

    def _input_ended(self) -> None:
        self._close_input()


class Terminal:
    """The mode of a terminal: raw from construction until `restore`."""

    def __init__(self, fd: int, signals: bool) -> None:
        import termios

        self._fd = fd
        self._old: list[Any] = termios.tcgetattr(fd)
        self._signals = signals
        self._handlers: dict[int, Callable[[int, FrameType | None], Any] | int | signal.Handlers | None] = {}
        self._make_raw()
        atexit.register(self.restore)
        if threading.current_thread() is threading.main_thread():
            self._install_handlers()

    def restore(self) -> None:
        """Give the terminal its old mode back, and the signals their old handlers; further calls do nothing."""
        import termios

        if self._fd < 0:
            return
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._old)
        except termios.error:
            pass    # the terminal has gone
        self._fd = -1
        atexit.unregister(self.restore)
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _make_raw(self) -> None:
        """Input as it is typed, unechoed; output keeps its newline translation, as the emulator prints to the same
        terminal.
        """
        import termios

        iflag, oflag, cflag, lflag, ispeed, ospeed, cc = termios.tcgetattr(self._fd)
        iflag &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP)
        iflag &= ~(termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON)
        lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN)
        if not self._signals:
            lflag &= ~termios.ISIG
        cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        cc[termios.VMIN], cc[termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSANOW, [iflag, oflag | termios.OPOST, cflag, lflag, ispeed, ospeed, cc])

    def _install_handlers(self) -> None:
        """Only where nobody else has a say: a handler that the program installed is left in place."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            if signal.getsignal(number) is signal.SIG_DFL:
                self._handlers[number] = signal.signal(number, self._die)
        if signal.getsignal(signal.SIGCONT) is signal.SIG_DFL:
            self._handlers[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._resume)

    def _die(self, number: int, frame: FrameType | None) -> None:
        self.restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _resume(self, number: int, frame: FrameType | None) -> None:
        """After a stop the shell has given the terminal its own mode."""
        if self._fd >= 0:
            self._make_raw()


def _reopen(fd: int, access: int) -> int:
    """A non-blocking descriptor of our own for the terminal or pipe that `fd` is open on.

    A file is duplicated instead, so that both descriptors go on writing at one place. So is what the host does not
    let us open again (a socket, the terminal of another user); there non-blocking use shows outside as well.
    """
    try:
        mode = os.fstat(fd).st_mode
    except OSError:    # started without it
        return -1
    if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
        try:
            return os.open(f"/proc/self/fd/{fd}", access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            pass
    copy = os.dup(fd)
    os.set_blocking(copy, stat.S_ISREG(mode))
    return copy
