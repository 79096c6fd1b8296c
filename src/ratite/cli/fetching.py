"""`ratite fetch`: guests and foreign programs from Debian's archive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ratite.errors import UsageError

USAGE = "ratite fetch ARCH DIR, or ratite fetch sysroot ARCH DIR PACKAGE..."


def main(words: Sequence[str]) -> int:
    """Fetch a bootable guest into a folder, or unpack packages with their dependencies into one."""
    from ratite.fetch import guest, progress, sysroot

    with progress.bar() as report:
        match list(words):
            case ["sysroot", arch, folder, *packages] if packages:
                sysroot.make(arch, packages, Path(folder), report)
                hint = f"ratite-{arch} -L {folder} {folder}/usr/bin/PROGRAM"
            case [arch, folder] if arch != "sysroot":
                files = guest.fetch(arch, report)
                guest.copy(files, Path(folder))
                hint = (
                    f"ratite-system-{arch} {files.machine} -nographic -kernel {folder}/kernel"
                    f" -initrd {folder}/initrd.gz -append '{files.append}'"
                )
            case _:
                raise UsageError(f"usage: {USAGE}")
    print(hint)
    return 0
