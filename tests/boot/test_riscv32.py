"""A 32-bit Linux whose first process computes, checks its results and powers off."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratite.cli.console import Console
from tests.boot.session import BOOT_SECONDS, emulator

pytestmark = pytest.mark.boot


@pytest.mark.parametrize("firmware", ["builtin", "opensbi"])
def test_it_computes_and_powers_off(riscv32_guest: Path, firmware: str) -> None:
    """The guest finds no wrong result, and power-off ends with 0."""
    opensbi = riscv32_guest / "fw_dynamic.bin"
    if firmware == "opensbi" and not opensbi.exists():
        pytest.skip("RATITE_GUESTS has no riscv32/fw_dynamic.bin")
    options = ["-M", "virt", "-m", "256", "-nographic", "-no-reboot", "-bios", str(opensbi) if firmware == "opensbi" else "builtin"]
    files = ["-kernel", str(riscv32_guest / "kernel"), "-initrd", str(riscv32_guest / "initrd.gz")]
    with Console([*emulator("riscv32"), *options, *files, "-append", "console=ttyS0 panic=-1"]) as console:
        console.wait_for("GUEST-READY", BOOT_SECONDS)
        console.wait_for("SELFTEST-OK", BOOT_SECONDS)
        assert console.finish(60) == 0
