"""The log of `-d ITEM,... -D FILE`: named categories that are off until somebody asks for them.

A caller on a busy path asks `enabled("unimp")` before it builds a text. Nothing is formatted, and no file opened, for a
category that is off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from ratite.errors import HostError, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

CATEGORIES: dict[str, str] = {
    "in_asm": "guest code as it is translated",
    "out_asm": "host code made of it",
    "op": "the intermediate representation",
    "region": "hot loops that are compiled as a whole: where, how large, how long it took",
    "int": "interrupts and exceptions",
    "exec": "every entry into translated code",
    "unimp": "guest use of what Ratite does not have",
    "guest_errors": "what a guest does against a manual",
    "mmu": "page walks: what was accessed, from where, and where it lies",
    "stats": "at the end: what the engine and its CPUs have counted",
    "page": "the memory map: of a machine at the start and when it changes, of a process at the start",
}
"""Every category with what it shows."""

_on: set[str] = set()
_stream: TextIO = sys.stderr


def configure(categories: Iterable[str], file: str | None = None) -> None:
    """Switch exactly these categories on (`all` for every one), and write to `file` instead of standard error.

    Raises UsageError for a category that does not exist, HostError when the file cannot be opened.
    """
    global _stream
    chosen: set[str] = set()
    for name in categories:
        if name != "all" and name not in CATEGORIES:
            raise unknown("log item", name, CATEGORIES)
        chosen.update(CATEGORIES if name == "all" else (name,))
    if file:
        try:
            _stream = open(file, "w", buffering=1)    # noqa: SIM115 (open for the life of the process)
        except OSError as error:
            raise HostError(f"log file '{file}' cannot be opened: {error.strerror}") from None
    _on.clear()
    _on.update(chosen)


def send_to(stream: TextIO) -> None:
    """Write to `stream` from now on."""
    global _stream
    _stream = stream


def enabled(category: str) -> bool:
    """Whether anybody reads this category."""
    return category in _on


def write(category: str, text: str) -> None:
    """Write one line, when the category is on. A log that cannot be written any more (a closed pipe, a full disk) ends
    silently: the guest goes on.
    """
    if category in _on:
        try:
            _stream.write(text + "\n")
        except (OSError, ValueError):
            _on.clear()
