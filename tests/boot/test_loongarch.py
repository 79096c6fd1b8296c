"""Debian's loong64 kernel to its shell and through a self test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ratite.boards.support.firmware import find_firmware
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


def options_of(guest: Path, cpus: int, board: str = "virt") -> list[str]:
    """Debian's kernel with its self test."""
    append = "console=ttyS0,115200 initcall_blacklist=i8042_init panic=-1 selftest"
    files = ["-kernel", str(guest / "kernel"), "-initrd", str(guest / "initrd.gz"), "-append", append]
    return ["-M", board, "-m", "1G", "-smp", str(cpus), "-nographic", *files]


def run_self_test(console: Console) -> str:
    """Follow a boot through the self test to the end; returns what the kernel printed."""
    output = console.wait_for("GUEST-READY loongarch64", BOOT_SECONDS)
    console.wait_for("SELFTEST-OK", BOOT_SECONDS)
    assert console.finish(60) == 0
    return output


@pytest.mark.parametrize(("board", "cpus", "cpu"), [("virt", 4, "la464"), ("virt,acpi=off", 1, "la464"), ("virt", 8, "max")])
def test_without_firmware(guest: Path, board: str, cpus: int, cpu: str) -> None:
    """By the tables in memory, ACPI's or the device tree: processors come up, of several nodes too, programs compute what they
    should, whoever walks page tables, and power-off ends with 0.
    """
    with Console([*emulator("loongarch64"), *options_of(guest, cpus, board), "-cpu", cpu]) as console:
        output = run_self_test(console)
    assert (f"Brought up 1 node, {cpus} CPUs" in output) == (cpus > 1)
    assert ("ACPI: RSDP" in output) == (board == "virt")


def test_through_uefi(guest: Path, tmp_path: Path) -> None:
    """Debian's UEFI firmware starts from flash, finds ACPI and SMBIOS tables, fetches the kernel, and keeps its variables."""
    code = find_firmware(["QEMU_EFI.fd"], [str(guest)])
    variables = find_firmware(["QEMU_VARS.fd"], [str(guest)])
    if code is None or variables is None:
        pytest.skip("no UEFI firmware (package qemu-efi-loongarch64)")
    own = tmp_path / "vars.fd"
    shutil.copyfile(variables, own)
    flash = ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}", "-drive", f"if=pflash,unit=1,format=raw,file={own}"]
    with Console([*emulator("loongarch64"), *options_of(guest, 2), *flash]) as console:
        output = run_self_test(console)
    assert "efi: EFI v2" in output and "EDK II" in output and "PCI Root Bridge" in output
    assert own.read_bytes() != Path(variables).read_bytes()
