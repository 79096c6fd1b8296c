"""What every program does around its work: one line for a user's mistake, and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from ratite.errors import RatiteError

VERSION = "0.1.0"
INTERRUPTED = 130    # the status shells give to a program that SIGINT ended


def guard(program: str, main: Callable[[Sequence[str]], int], words: Sequence[str] | None = None) -> int:
    """Run `main` with the command line's words and return the exit status.

    A `RatiteError` becomes one line on standard error and status 1. Output that nobody reads any more ends the
    program quietly.
    """
    try:
        status = main(sys.argv[1:] if words is None else words)
        sys.stdout.flush()
        return status
    except RatiteError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes at exit, and would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def version_line(program: str) -> str:
    """What `-version` prints."""
    return f"{program}: Ratite {VERSION}"
