"""The privileged side of a core, by programs that run on the bare board: registers, exceptions, the TLB, page tables, interrupts and
performance monitors. What they print is recorded beside them, and was compared with QEMU 11.1.3 line by line.

With RATITE_QEMU_SYSTEM_LOONGARCH64 in the environment (a qemu-system-loongarch64), it is compared again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ratite import Machine
from ratite.testing import cross

PROGRAMS = Path(__file__).with_name("programs")
BARE = (
    "-mabi=lp64s", "-mno-lsx", "-O2", "-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-Wl,--build-id=none", f"-Wl,-T,{PROGRAMS / 'bare.ld'}",
)  # fmt: skip
CPUS = {"hptw": "max"}

#: Where QEMU 11.1.3 prints something else, by line, and why the manual (volume 1, v1.10) is on our side.
QEMU: dict[str, dict[int, str]] = {
    "exceptions": {
        # BADV is the address that is out of bounds (7.4.8), not that of the instruction.
        21: "bound check: ecode=a sub=0 at=0 prmd=0 crmd=8 badv=800000 badi=387998a4",
        43: "bound check: ecode=a sub=0 at=0 prmd=3 crmd=8 badv=800000 badi=387998a4",
        # LLBCTL shows the reservation, can take it, and its KLO holds for one ertn (7.4.17).
        49: "ll sets the bit: a0=0 a1=a00000", 51: "wclLb takes it: a0=2 a1=a00000", 54: "klo is gone after ertn: a0=4 a1=a00000",
    },
    "tlb": {
        # tlbrd reads the address space of global entries too (7.5.4); an entry is global when both pages say so (7.5.3).
        2: "entry: idx=e000805 ehi=12340000 elo0=a00041 elo1=e000000000a0405f asid=9", 3: "not of this address space: 806",
        # Reserved bits of TLBELO read zero, and TLBEHI repeats its highest bit (7.5.2, 7.5.3).
        7: "huge page, bits below it: idx=15000808 ehi=ff8012340000 elo0=a00fff elo1=a04fff asid=3",
        # The privilege level is looked at before NR (5.4.4).
        89: "load at 3: ecode=5 sub=0 at=0 prmd=3 crmd=b0 badv=12340008 ehi=12340000 badi=288000a4",
        # The last two windows are for loads and stores only (5.2.1).
        104: "window 2: fetch: a0=0 a1=a000000000a00000",
        # TLBREHI repeats its highest bit (7.5.16).
        113: "upper half, from 3: refill at=1 badv=fffffffffffffff8 ehi=ffffffffe000 prmd=3 crmd=a8",
    },
    "walk": {
        # P and W of tables do not get into the TLB (5.4.5), and these bits of TLBRELO and TLBELO are zero (7.5.15).
        7: "after ldpte: elo0=a0019f elo1=a0409d size=e", 44: "elo0: 19f", 45: "elo1: 100019f",
    },
    "hptw": {
        # A store to a page that is dirty already leaves V as it was: an entry of the TLB that is not valid, and was used nevertheless.
        151: "  entry: stlb=1 size=e ehi=123456780000 elo0=a0001e elo1=a0401e", 152: "  table, even: a0019e",
        # A store through an entry that a load brought leaves the page clean in the table, though it has been written.
        178: "table: a0019d", 179: "  entry: stlb=1 size=e ehi=123456780000 elo0=a0001d elo1=a0401e",
    },
    "interrupts": {
        # The line of interrupts between cores is low when no enabled bit is set (3A5000 manual, v1.03, 10.1).
        25: "cleared: 1000", 27: "not enabled: 1000",
    },
}  # fmt: skip


def commands() -> list[list[str]]:
    """Compilers that know LoongArch, with their options."""
    soft = "linux-gnusf"    # no floating point, whose registers nobody switches on
    return [[*command, *(["-march=loongarch64"] if len(command) == 1 else [])] for command in cross.commands("loongarch64", soft)]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs, compiled."""
    compiler = next((command for command in commands() if shutil.which(command[0])), None)
    if compiler is None:
        pytest.skip("no compiler for LoongArch (clang with lld, or gcc-14-loongarch64-linux-gnu)")
    folder = tmp_path_factory.mktemp("bare")
    for source in PROGRAMS.glob("*.c"):
        subprocess.run([*compiler, *BARE, "-o", str(folder / source.stem), str(source)], check=True, stderr=subprocess.PIPE)
    return folder


def recorded(name: str) -> str:
    return (PROGRAMS / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("*.c")))
def test_as_recorded(build: Path, name: str) -> None:
    """Each program prints what it did when every line had been found right, and powers off."""
    with Machine("virt", "-cpu", CPUS.get(name, "la464"), "-kernel", str(build / name), arch="loongarch64") as machine:
        assert machine.wait(60) == 0
        assert machine.console.read().replace("\r", "") == recorded(name)


@pytest.mark.parametrize("name", sorted(QEMU))
def test_qemu_agrees(build: Path, name: str) -> None:
    """And QEMU prints the same but for the known lines. Which bits registers have is not compared: QEMU keeps whatever is written."""
    qemu = os.environ.get("RATITE_QEMU_SYSTEM_LOONGARCH64")
    if not qemu:
        pytest.skip("RATITE_QEMU_SYSTEM_LOONGARCH64 names no QEMU")
    board = ["-M", "virt", "-m", "1G", "-nographic", "-nodefaults", "-serial", "mon:stdio"]
    command = [qemu, *board, "-cpu", CPUS.get(name, "la464"), "-kernel", str(build / name)]
    output = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True).stdout
    expected = recorded(name).splitlines()
    for number, line in QEMU[name].items():
        expected[number - 1] = line
    assert output.replace("\r", "").splitlines() == expected
