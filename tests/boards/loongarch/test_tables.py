"""ACPI and SMBIOS tables of the board, as firmware and operating systems read them: linked by their loader's commands, then
given to the tools of ACPICA and dmidecode.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratite.boards.machine import Machine
from ratite.hw.model import VirtualClock
from tests.boards.loongarch.test_virt import FakeCore

TABLES, RSDP, LOADER = "etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader"
BASE = {TABLES: 0x1234_0000, RSDP: 0xF_0000}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    """All files in the fw_cfg of a machine with four cores that starts in firmware."""
    firmware = tmp_path_factory.mktemp("firmware") / "code.fd"
    firmware.write_bytes(b"firmware")
    options = {"firmware": str(firmware)}
    m = Machine("virt", arch="loongarch64", make_cpu=FakeCore, ram_size=1 << 30, cpus=4, clock=VirtualClock(), options=options)
    fw_cfg: Any = m.device("fw_cfg")
    yield {name: bytes(fw_cfg.items[key].content) for name, key in fw_cfg.files.items()}
    m.close()


@pytest.fixture(scope="module")
def memory(files: dict[str, bytes]) -> dict[str, bytearray]:
    """ACPI's files after firmware has done what the loader's commands say."""
    placed: dict[str, bytearray] = {}
    commands = files[LOADER]
    for at in range(0, len(commands), 128):
        (kind,) = struct.unpack_from("<I", commands, at)
        name = commands[at + 4 : at + 60].rstrip(b"\0").decode()
        if kind == 1:
            placed[name] = bytearray(files[name])
        elif kind == 2:
            source = commands[at + 60 : at + 116].rstrip(b"\0").decode()
            offset, size = struct.unpack_from("<IB", commands, at + 116)
            value = int.from_bytes(placed[name][offset : offset + size], "little") + BASE[source]
            placed[name][offset : offset + size] = value.to_bytes(size, "little")
        else:
            assert kind == 3
            offset, start, length = struct.unpack_from("<III", commands, at + 60)
            placed[name][offset] = -sum(placed[name][start : start + length]) & 0xFF
    return placed


def tables_of(memory: dict[str, bytearray]) -> dict[str, bytes]:
    """Tables by signature, found as an operating system finds them."""
    rsdp, content = memory[RSDP], memory[TABLES]

    def table(address: int) -> bytes:
        start = address - BASE[TABLES]
        (size,) = struct.unpack_from("<I", content, start + 4)
        found = bytes(content[start : start + size])
        assert sum(found) & 0xFF == 0, found[:4]
        return found

    xsdt = table(struct.unpack_from("<Q", rsdp, 24)[0])
    found = {one[:4].decode(): one for (address,) in struct.iter_unpack("<Q", xsdt[36:]) for one in [table(address)]}
    dsdt = table(struct.unpack_from("<Q", found["FACP"], 140)[0])
    return {"XSDT": xsdt, "DSDT": dsdt, **found}


def test_tables_are_linked(memory: dict[str, bytearray]) -> None:
    """The root pointer leads to every table, and all checksums are right."""
    rsdp = memory[RSDP]
    assert rsdp[:8] == b"RSD PTR " and sum(rsdp[:20]) & 0xFF == 0 and sum(rsdp) & 0xFF == 0
    assert set(tables_of(memory)) == {"XSDT", "DSDT", "FACP", "APIC", "SRAT", "MCFG"}


def test_interrupt_controllers(memory: dict[str, bytearray]) -> None:
    """The MADT has a structure for each core, and one for each controller."""
    madt, at, kinds = tables_of(memory)["APIC"], 44, list[int]()
    while at < len(madt):
        kinds.append(madt[at])
        at += madt[at + 1]
    assert (kinds, at) == ([0x11] * 4 + [0x14, 0x15, 0x16], len(madt))


@pytest.mark.skipif(not shutil.which("iasl"), reason="iasl is not installed (package acpica-tools)")
def test_acpica_understands_all(memory: dict[str, bytearray], tmp_path: Path) -> None:
    """iasl takes the tables apart without complaint, and what it writes compiles again."""
    for signature, content in tables_of(memory).items():
        (tmp_path / f"{signature}.aml").write_bytes(content)
        done = subprocess.run(["iasl", "-d", f"{signature}.aml"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        text = (tmp_path / f"{signature}.dsl").read_text()
        assert done.returncode == 0 and "Invalid" not in text and "**** " not in done.stdout + done.stderr, done.stdout + done.stderr + text
    again = subprocess.run(["iasl", "-p", "again", "DSDT.dsl"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "0 Errors" in again.stdout, again.stdout
    text = (tmp_path / "DSDT.dsl").read_text()
    for words in ('EisaId ("PNP0501")', "0x000000001FE001E0" if "0x000000001FE001E0" in text else "0x1FE001E0", "_PRT", "_S5", "Notify (PWRB, 0x80)"):
        assert words in text


@pytest.mark.skipif(not shutil.which("dmidecode"), reason="dmidecode is not installed")
def test_dmidecode_understands_all(files: dict[str, bytes], tmp_path: Path) -> None:
    """System, processors and memory are there with the right numbers."""
    anchor, tables = bytearray(files["etc/smbios/smbios-anchor"]), files["etc/smbios/smbios-tables"]
    assert sum(anchor) & 0xFF == 0
    struct.pack_into("<Q", anchor, 16, 32)
    anchor[5] = 0
    anchor[5] = -sum(anchor) & 0xFF
    (tmp_path / "dump").write_bytes(bytes(anchor).ljust(32, b"\0") + tables)
    done = subprocess.run(["dmidecode", "--from-dump", str(tmp_path / "dump")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.count("Processor Information") == 4
    for words in ("Product Name: Ratite Virtual Machine", "Size: 1 GB", "Maximum Capacity: 1 GB", "Version: virt"):
        assert words in done.stdout, done.stdout
    assert "OUT OF SPEC" not in done.stdout and "broken" not in done.stdout.lower(), done.stdout
