"""Where firmware files are."""

from __future__ import annotations

import os
from collections.abc import Iterable

USUAL_FOLDERS = (
    "/usr/local/share/qemu", "/usr/share/qemu", "/usr/share/opensbi", "/usr/lib/riscv64-linux-gnu/opensbi/generic",
    "/usr/share/qemu-efi-loongarch64",
)
"""Where distributions install firmware for emulators."""


def find_firmware(names: Iterable[str], folders: Iterable[str]) -> str | None:
    """The first file with one of these names, in `folders` and then in the usual ones."""
    candidates = list(names)
    for folder in (*folders, *USUAL_FOLDERS):
        for name in candidates:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return path
    return None
