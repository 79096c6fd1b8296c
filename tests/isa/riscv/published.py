"""Run the published riscv-tests, unchanged, in Ratite (also counting instructions) or in QEMU:

    python -m tests.isa.riscv.published CLONE [--peer icount|qemu] [--only rv64mi] [--jobs 2]

CLONE is a copy of github.com/riscv-software-src/riscv-tests with its submodule `env`. Each test is built with Debian's cross compiler for
the environments "p" (physical memory) and, where it is for user mode, "v" (virtual memory), and started on the board `virt`. A test tells
its result through the word `tohost` in its own memory, to a host that polls that word (the HTIF of the Berkeley boards). The board has no
such device; instead this script reads the guest's memory from outside, which is the same to the guest. Nothing of the tests is changed.

The status is the number of tests that failed, those apart of which `KNOWN` tells the reason.
"""

from __future__ import annotations

import argparse
import mmap
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tests.isa.riscv.programs import COMPILER

RAM, RAM_MIB = 0x8000_0000, 64
SECONDS = 20.0
PASSED = 1

#: Folders of tests and the extensions of the assembler that they need.
SUITES = {
    "ui": "", "um": "", "ua": "", "uf": "", "ud": "", "uc": "", "uzba": "_zba", "uzbb": "_zbb", "uzbc": "_zbc", "uzbs": "_zbs",
    "mi": "", "si": "", "mzicbo": "_zicboz", "ssvnapot": "",
}  # fmt: skip

#: Folders that are not run, with the reason.
ABSENT = {
    "uzfh": "Zfh is not there yet", "uzbkb": "Zbkb is not there yet", "uzbkx": "Zbkx is not there yet",
    "uzicond": "Zicond is not there yet", "uziccid": "Ziccid is about coherent fetches without fence.i, which RISC-V does not promise",
    "up": "the P extension is a draft", "hypervisor": "H is not there yet", "hypervisor-svadu": "H is not there yet",
}  # fmt: skip

#: Sources that are in a folder and are no test of it (the folder's Makefrag leaves them out).
NO_TESTS = {(32, "ud", "move")}

#: Tests that fail, with the reason. QEMU 7.2 fails them too.
KNOWN = {"instret_overflow": "minstret counts the nanoseconds of the guest's clock, unless instructions are counted (--peer icount), and has moved"}


class Case(NamedTuple):
    """A test in one environment."""

    xlen: int
    suite: str
    name: str
    environment: str

    def __str__(self) -> str:
        return f"rv{self.xlen}{self.suite}-{self.environment}-{self.name}"


class Memory(Protocol):
    """The guest's memory, seen from outside."""

    def read(self, address: int, size: int) -> bytes: ...

    def write(self, address: int, data: bytes) -> None: ...


def cases(clone: Path, only: str) -> Iterator[Case]:
    """All tests of the clone whose name begins with `only`. The tests of machine and supervisor mode have no "v" form."""
    for xlen in (64, 32):
        for suite in SUITES:
            for source in sorted((clone / "isa" / f"rv{xlen}{suite}").glob("*.S")):
                for environment in "pv" if suite.startswith("u") else "p":
                    case = Case(xlen, suite, source.stem, environment)
                    if str(case).startswith(only) and (xlen, suite, case.name) not in NO_TESTS:
                        yield case


def skipped(clone: Path) -> Iterator[tuple[str, int, str]]:
    """Folders of the clone that are left out: name, number of tests, reason."""
    for folder in sorted(path for path in (clone / "isa").iterdir() if path.is_dir() and path.name != "macros"):
        suite = folder.name.removeprefix("rv64").removeprefix("rv32")
        if suite not in SUITES:
            yield folder.name, len(list(folder.glob("*.S"))), ABSENT.get(suite, "not known to this script")


def build(clone: Path, case: Case, folder: Path) -> Path:
    """Compile and link a test."""
    target, environment = folder / str(case), clone / "env" / case.environment
    if case.xlen == 32:    # Debian's C library has no header for this ABI, and the tests need none of its content
        (folder / "gnu").mkdir(exist_ok=True)
        (folder / "gnu" / "stubs-ilp32.h").touch()
    sources = [clone / "isa" / f"rv{case.xlen}{case.suite}" / f"{case.name}.S"]
    if case.environment == "v":
        sources += [environment / "entry.S", *sorted(environment.glob("*.c"))]
    link = clone / "env" / "p" / "link.ld"
    options = [
        f"-march=rv{case.xlen}g{SUITES[case.suite]}", f"-mabi={'lp64d' if case.xlen == 64 else 'ilp32'}", "-mcmodel=medany", "-std=gnu99",
        "-O2", "-w", "-static", "-fno-pie", "-no-pie", "-nostdlib", "-nostartfiles", "-ffreestanding", "-fvisibility=hidden",
        "-DENTROPY=0x5eed1e5", "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments", f"-T{link}", f"-I{environment}",
        f"-I{clone / 'isa' / 'macros' / 'scalar'}", f"-I{folder}",
    ]  # fmt: skip
    if case.xlen == 32:
        options.append("-Wl,-melf32lriscv")
    command = [COMPILER, *options, "-o", str(target), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"not built: {done.stderr.strip().splitlines()[0]}")
    return target


@contextmanager
def in_ratite(executable: Path, xlen: int, options: tuple[str, ...] = ()) -> Iterator[Memory]:
    """The test on Ratite's board."""
    from ratite import Machine

    with Machine("virt", "-m", str(RAM_MIB), "-bios", "none", "-kernel", str(executable), *options, arch=f"riscv{xlen}") as machine:
        yield machine


@contextmanager
def in_qemu(executable: Path, xlen: int) -> Iterator[Memory]:
    """The test on QEMU's board, whose memory is a file."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(RAM_MIB << 20)
        ram = f"memory-backend-file,id=ram,size={RAM_MIB}M,mem-path={file.name},share=on"
        where = ["-object", ram, "-M", "virt,memory-backend=ram", "-m", str(RAM_MIB)]
        quiet = ["-display", "none", "-serial", "null", "-monitor", "none"]
        command = [f"qemu-system-riscv{xlen}", *where, *quiet, "-bios", "none", "-kernel", str(executable)]
        with mmap.mmap(file.fileno(), RAM_MIB << 20) as mapped, subprocess.Popen(command) as process:
            try:
                yield _MappedRam(mapped)
            finally:
                process.kill()


class _MappedRam:
    """RAM that another process shares."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped = mapped

    def read(self, address: int, size: int) -> bytes:
        return self._mapped[address - RAM : address - RAM + size]

    def write(self, address: int, data: bytes) -> None:
        self._mapped[address - RAM : address - RAM + len(data)] = data


PEERS: dict[str, Callable[[Path, int], AbstractContextManager[Memory]]] = {
    "ratite": in_ratite, "icount": partial(in_ratite, options=("-icount", "0")), "qemu": in_qemu,
}


def symbols(executable: Path) -> dict[str, int]:
    """The addresses of the two words of the host interface."""
    with executable.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols() if symbol.name in ("tohost", "fromhost")}


def converse(memory: Memory, words: dict[str, int]) -> str:
    """Serve the test until it tells its result: "" for passed, else what is wrong."""
    deadline, said = time.monotonic() + SECONDS, ""
    while time.monotonic() < deadline:
        request = int.from_bytes(memory.read(words["tohost"], 8), "little")
        if request == PASSED:
            return ""
        if request & 1:
            return said.strip() or f"case {request >> 1}"
        if request:
            said += _printed(memory, request)
            memory.write(words["tohost"], bytes(8))
            memory.write(words["fromhost"], PASSED.to_bytes(8, "little"))
        time.sleep(0.002)
    return f"no result within {SECONDS:g} s {said.strip()}"


def _printed(memory: Memory, request: int) -> str:
    """The text that a request prints: a character for the console (device 1, command 1), or the system call write."""
    if request >> 48 == 0x0101:
        return chr(request & 0xFF)
    address, size = (int.from_bytes(memory.read(request + 8 * n, 8), "little") for n in (2, 3))
    return memory.read(address, min(size, 256)).decode(errors="replace")


def verdict(clone: Path, peer: str, case: Case) -> str:
    """Build and run one test: "" for passed, else what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            executable = build(clone, case, Path(folder))
            with PEERS[peer](executable, case.xlen) as memory:
                return converse(memory, symbols(executable))
        except Exception as error:    # whatever it is, it is this test's, and the others go on
            return f"{type(error).__name__}: {error}"


def main(words: list[str]) -> int:
    """Run what the words ask for and print a line for each failure and each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path)
    parser.add_argument("--peer", choices=PEERS, default="ratite")
    parser.add_argument("--only", default="", help="tests whose name begins so, as rv64ui-p-add")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args(words)
    clone = asked.clone.resolve()
    chosen = list(cases(clone, asked.only))
    results: dict[str, Counter[str]] = defaultdict(Counter)
    with multiprocessing.get_context("spawn").Pool(asked.jobs, maxtasksperchild=50) as pool:
        for case, wrong in zip(chosen, pool.imap(partial(verdict, clone, asked.peer), chosen), strict=True):
            known = KNOWN.get(case.name, "")
            results[f"rv{case.xlen}{case.suite}-{case.environment}"]["passed" if not wrong else "known" if known else "failed"] += 1
            if wrong:
                print(f"{case}: {wrong}" + (f" ({known})" if known else ""), flush=True)
    for row, counts in results.items():
        print(f"{row:<16} {counts['passed']:>4} of {counts.total():>4} passed")
    for name, count, why in skipped(clone):
        print(f"{name:<16} {count:>4} skipped: {why}")
    total = sum(results.values(), Counter[str]())
    print(f"{asked.peer}: {total['passed']} passed, {total['failed']} failed, {total['known']} failed for a known reason")
    return min(total["failed"], 125)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
