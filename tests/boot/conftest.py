"""The guests that boots need, and reasons to skip where they cannot be had."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from ratite.errors import HostError
from ratite.fetch import guest, modules


@pytest.fixture(scope="session")
def debian() -> guest.Guest:
    """Debian's riscv64 kernel, its installer and busybox."""
    try:
        return guest.fetch("riscv64")
    except HostError as error:
        pytest.skip(f"no Debian guest: {error}")


def drivers(debian: guest.Guest, names: Sequence[str]) -> dict[str, bytes]:
    """Modules of Debian's riscv64 kernel, as files of a RAM disk."""
    try:
        found = modules.fetch("riscv64", debian, names)
    except HostError as error:
        pytest.skip(f"no modules for Debian's kernel: {error}")
    return {f"root/{name}.ko": data for name, data in found.items()}


@pytest.fixture(scope="session")
def riscv32_guest() -> Path:
    """A folder with a 32-bit `kernel`, `initrd.gz` and, for one test, OpenSBI's `fw_dynamic.bin`. No distribution has them."""
    folder = Path(os.environ.get("RATITE_GUESTS", "/nonexistent"), "riscv32")
    if not (folder / "kernel").exists():
        pytest.skip("RATITE_GUESTS names no folder with riscv32/kernel and riscv32/initrd.gz")
    return folder
