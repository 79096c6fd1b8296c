"""Ratite: a machine emulator and virtualizer whose source is Python.

`ratite.Machine` is the library: a machine as a Python object (`ratite.library`). It is imported when it is first named, so that programs
which run something else start fast.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.library import Console, Machine

__all__ = ["Console", "Machine"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module 'ratite' has no attribute '{name}'; it offers {', '.join(__all__)} and its modules")
    from ratite import library

    value: object = getattr(library, name)
    globals()[name] = value
    return value
