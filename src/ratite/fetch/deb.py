"""Reading .deb files through dpkg-deb."""

from __future__ import annotations

import fnmatch
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from ratite.errors import HostError, ImageError


def members(package: Path, patterns: Mapping[str, str]) -> dict[str, bytes]:
    """The contents of one file for each pattern, by the pattern's name; patterns are of the shell's kind and start at
    `./`.
    """
    found: dict[str, bytes] = {}
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    _take(archive, member, patterns, found)
        except tarfile.TarError as error:
            raise ImageError(f"{package.name} cannot be read: {error}") from None
    for name, pattern in patterns.items():
        if name not in found:
            raise ImageError(f"{package.name} holds no {pattern}")
    return found


def _take(
    archive: tarfile.TarFile, member: tarfile.TarInfo, patterns: Mapping[str, str], found: dict[str, bytes]
) -> None:
    for name, pattern in patterns.items():
        if member.isfile() and fnmatch.fnmatchcase(member.name, pattern):
            file = archive.extractfile(member)
            assert file is not None
            found[name] = file.read()


def unpack(package: Path, folder: Path) -> None:
    """Unpack all files of a package below `folder`."""
    words = ["dpkg-deb", "--extract", str(package), str(folder)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise HostError(f"cannot unpack {package.name}: {answer.stderr.strip().splitlines()[-1:]}")
