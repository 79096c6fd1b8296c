"""Hot loops in processes stay right while everything under them changes: mappings, protection, code, signals, forks.

What the program prints depends on its seed alone. It runs in peace under another emulator or without regions, and is disturbed without regions, with
hot loops as regions, and with everything as regions. RATITE_TEST_DISTURBED is for how many seconds more seeds are tried.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ratite.errors import HostError
from ratite.testing import cross
from tests.user.cross import QEMU

SOURCE = Path(__file__).parent / "programs" / "random" / "disturbed.c"
SECONDS = float(os.environ.get("RATITE_TEST_DISTURBED", "0"))
WORKERS, DISTURBERS = 3, 2
ARCHITECTURES = ("riscv64", "loongarch64")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The program by architecture, as far as there are compilers."""
    folder = tmp_path_factory.mktemp("disturbed")
    made = {}
    for arch in ARCHITECTURES:
        try:
            compiler = cross.compiler(arch)
        except HostError:
            continue
        made[arch] = str(folder / arch)
        subprocess.run([*compiler.command, "-static", "-O1", "-pthread", str(SOURCE), "-o", made[arch]], check=True)
    return made


def ratite(arch: str, region: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; from ratite.cli.user import {arch}; sys.exit({arch}())", "-region", region]


def result(command: list[str], program: str, seed: int, turns: int, disturbers: int, sent_faults: bool) -> list[str]:
    """What the program prints. One that hangs fails."""
    words = [seed, turns, WORKERS, disturbers, int(sent_faults)]
    done = subprocess.run([*command, program, *map(str, words)], stdout=subprocess.PIPE, text=True, timeout=300, check=False)
    return [*done.stdout.splitlines(), f"exit status {done.returncode}"]


def check(arch: str, program: str, seed: int, turns: int, regions: tuple[str, ...]) -> None:
    peer = [QEMU] if arch == "riscv64" and QEMU is not None else ratite(arch, "off")
    peaceful = result(peer, program, seed, turns, 0, sent_faults=False)
    assert len(peaceful) == WORKERS + 2
    assert all("wrong 0 lost 0" in line for line in peaceful[:WORKERS])
    for region in regions:
        assert result(ratite(arch, region), program, seed, turns, DISTURBERS, sent_faults=True) == peaceful, (region, seed)


@pytest.mark.parametrize("region", ["off", "on", "always"])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_disturbed(arch: str, region: str, programs: dict[str, str]) -> None:
    """One seed for each way."""
    if arch not in programs:
        pytest.skip(f"no compiler with a C library for {arch}")
    check(arch, programs[arch], 1, 300, (region,))


@pytest.mark.slow
@pytest.mark.skipif(not SECONDS, reason="RATITE_TEST_DISTURBED names no seconds")
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_disturbed_for_long(arch: str, programs: dict[str, str]) -> None:
    """As many seeds as there is time for, longer programs among them."""
    if arch not in programs:
        pytest.skip(f"no compiler with a C library for {arch}")
    end, seed = time.monotonic() + SECONDS, 1
    while time.monotonic() < end:
        seed += 1
        check(arch, programs[arch], seed, 300 if seed % 3 else 2000, ("off", "on", "always"))
