"""Debian's loong64 kernel to its shell and through a self test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ratite.cli.console import Console
from tests.boot.session import BOOT_SECONDS, emulator

pytestmark = [pytest.mark.boot, pytest.mark.slow]


@pytest.fixture(scope="module")
def guest() -> Path:
    """A folder with Debian's `kernel` and an `initrd.gz` that reports GUEST-READY and, when told to, tests itself."""
    folder = Path(os.environ.get("RATITE_GUESTS", "/nonexistent"), "loong64")
    if not (folder / "kernel").exists():
        pytest.skip("RATITE_GUESTS names no folder with loong64/kernel and loong64/initrd.gz")
    return folder


@pytest.mark.parametrize("cpus", [1, 4])
def test_self_test(guest: Path, cpus: int) -> None:
    """Without firmware, by the tables in memory: processors come up, programs compute what they should, and power-off ends with 0."""
    append = "console=ttyS0,115200 initcall_blacklist=i8042_init panic=-1 selftest"
    files = ["-kernel", str(guest / "kernel"), "-initrd", str(guest / "initrd.gz"), "-append", append]
    options = ["-M", "virt", "-m", "1G", "-smp", str(cpus), "-nographic", *files]
    with Console([*emulator("loongarch64"), *options]) as console:
        output = console.wait_for("GUEST-READY loongarch64", BOOT_SECONDS)
        assert (f"Brought up 1 node, {cpus} CPUs" in output) == (cpus > 1)
        console.wait_for("SELFTEST-OK", BOOT_SECONDS)
        assert console.finish(60) == 0
