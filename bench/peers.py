"""QEMUs that are new enough: some guests need a newer one than the system has. Debian sid's is fetched into the cache folder, and runs
with its own libraries."""

from __future__ import annotations

import os
from pathlib import Path

from ratite.errors import HostError
from ratite.fetch import cache, progress, sysroot

#: Guests of these run in QEMU 8.2 and newer only: their C library uses vectors.
NEEDS_NEWER = {"loongarch64"}
PACKAGES = {"system": "qemu-system-misc", "user": "qemu-user"}


def newest(program: str) -> str:
    """The path of sid's program of a name such as `qemu-system-loongarch64` or `qemu-loongarch64-static`; about 80 MB are fetched at first.
    Raises HostError."""
    name = program.removesuffix("-static")
    package = PACKAGES["system" if name.startswith("qemu-system-") else "user"]
    with progress.bar() as report:
        root = sysroot.make("amd64", [package], progress=report, suite="sid")
    if not (root / "usr/bin" / name).exists():
        raise HostError(f"sid's {package} has no {name}")
    script = cache.folder("bench") / name
    cache.write(script, _script(root, name).encode(), 0o755)
    return str(script)


def _script(root: Path, name: str) -> str:
    """Its own loader and libraries run it, if it has any: those of user mode are static."""
    libraries, loader = root / "usr/lib/x86_64-linux-gnu", ""
    if libraries.exists():
        inner = [path for path in sorted(libraries.iterdir()) if path.is_dir() and any(path.glob("*.so.*"))]
        search = os.pathsep.join(map(str, [libraries, *inner]))
        loader = f'"{root}/usr/lib64/ld-linux-x86-64.so.2" --library-path "{search}" '
    data = f'-L "{root}/usr/share/qemu" -L "{root}/usr/share/seabios" ' if name.startswith("qemu-system-") else ""
    return f'#!/bin/sh\nexec {loader}"{root}/usr/bin/{name}" {data}"$@"\n'
