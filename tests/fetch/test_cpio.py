"""cpio archives, held against the cpio program's own reading of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ratite.fetch import cpio


def sample() -> cpio.Archive:
    archive = cpio.Archive()
    archive.folder("bin")
    archive.file("bin/tool", b"#!/bin/sh\n", 0o755)
    archive.file("odd", b"12345")
    archive.link("bin/sh", "tool")
    archive.device("console", 5, 1)
    return archive


def test_equal_input_gives_equal_bytes() -> None:
    """No times, owners or inode numbers of this machine get in."""
    assert sample().to_bytes() == sample().to_bytes()


def test_header_fields() -> None:
    """The first record, field by field, as the kernel's buffer format lists them."""
    data = sample().to_bytes()
    fields = [int(data[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
    assert data[:6] == b"070701"
    assert fields == [1, 0o040755, 0, 0, 1, 0, 0, 0, 0, 0, 0, len("bin\0"), 0]
    assert data[110:114] == b"bin\0"
    assert len(data) % 4 == 0


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_unpacks_it(tmp_path: Path) -> None:
    """Names, modes, contents and links come out as they were put in (device nodes need root and are only listed)."""
    data = sample().to_bytes()
    listing = subprocess.run(["cpio", "-tv"], input=data, capture_output=True, check=True).stdout.decode()
    assert [line.split()[0] for line in listing.splitlines()] == [
        "drwxr-xr-x",
        "-rwxr-xr-x",
        "-rw-r--r--",
        "lrwxrwxrwx",
        "crw-------",
    ]
    assert "5,   1" in listing
    subprocess.run(["cpio", "-idm", "bin", "bin/*", "odd"], input=data, cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / "odd").read_bytes() == b"12345"
    assert (tmp_path / "bin/sh").read_bytes() == b"#!/bin/sh\n"
