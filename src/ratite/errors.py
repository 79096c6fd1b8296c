"""Every exception that Ratite raises on purpose, as one tree.

A user's mistake ends in a `RatiteError` whose text is one line: what was wrong, where, and what would be right. The command line prints
that line and exits with status 1; a traceback means a bug in Ratite.
"""

from __future__ import annotations

from collections.abc import Iterable


class RatiteError(Exception):
    """Base of all errors that are shown to a user as one line."""


class UsageError(RatiteError):
    """An option, a property or a name that does not exist or does not accept this value."""


class ImageError(RatiteError):
    """A file that the user gave (kernel, firmware, disk, program) cannot be used."""


class HostError(RatiteError):
    """The host lacks something that is needed: a library, a device node, memory."""


class DefinitionError(RatiteError):
    """An ISA, device or board text that contradicts itself; raised at import or when a form is first recorded."""


class MemoryAccessError(RatiteError):
    """A host-side access to guest memory that has no memory behind it."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for a name that is not in `known`, naming the nearest match, or all of them where they are few."""
    import difflib  # only mistakes need it

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        hint = f"did you mean '{near[0]}'?"
    elif 0 < len(names) <= 12:
        hint = "supported: " + ", ".join(names)
    else:
        hint = f"there are {len(names)}; 'help' lists them" if names else "there is none"
    return UsageError(f"{kind} '{name}' is not known: {hint}")
