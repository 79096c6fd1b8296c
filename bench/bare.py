"""What the region tier gains, without a kernel around it: the programs run alone on a hart of an engine, with regions off and on in turns.

    python bench/bare.py [--rounds 3] [--only NAME] [--region on]

A program is a static Linux executable in machine mode; the few system calls that it makes are answered here. Times are CPU seconds of the thread
that runs the guest; what compiling takes on its own thread is in a column of its own.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import time

from elftools.elf.elffile import ELFFile

import measure
from ratite.bits import MiB
from ratite.cpu.engine import Engine, Tuning
from ratite.cpu.vcpu import Event, Vcpu
from ratite.isa.riscv import hart
from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu
from ratite.memory import AddressSpace, RamBlock

RAM_SIZE = 64 * MiB
#: Where system calls end up, and the top of the stack.
HANDLER, STACK = 0x1000, RAM_SIZE - 64 * 1024
_SP, _A0, _A7, _ENOSYS = 2, 10, 17, -38
#: Numbers of system calls.
_WRITE, _EXIT, _EXIT_GROUP, _BRK, _MPROTECT = 64, 93, 94, 214, 226


class _Stopping(Vcpu):
    def _translate(self) -> Event | None:
        return Event("syscall") if self.state.pc == HANDLER else super()._translate()


class Program:
    """A program on a hart of its own."""

    def __init__(self, name: str, region: bool, arguments: tuple[str, ...] = ()) -> None:
        self.config = parse_cpu("rv64", 64)
        self.memory = AddressSpace()
        self.memory.add_ram(0, RamBlock("ram", RAM_SIZE))
        self.engine = Engine(make_arch(self.config), space=self.memory, tuning=Tuning(region="on" if region else "off"))
        self.cpu = _Stopping(self.engine)
        hart.reset(self.cpu, self.config, 0)
        self.output = b""
        entry = self._load((measure.build_programs() / name).read_bytes())
        s = self.cpu.state
        s.mtvec, s.fs, s.next_pc = HANDLER, 1, entry
        s.pmpcfg[0], s.pmpaddr[0] = 0x1F, -1
        s.pmp_first[0], s.pmp_last[0], s.pmp_rules = 0, -1, 1
        self._stack([name, *arguments])

    def _load(self, data: bytes) -> int:
        elf = ELFFile(io.BytesIO(data))
        self.brk = 0
        self.headers = 0
        for segment in elf.iter_segments():
            if segment["p_type"] == "PT_LOAD":
                self.memory.dma_write(segment["p_vaddr"], segment.data())
                self.brk = max(self.brk, segment["p_vaddr"] + segment["p_memsz"])
                if segment["p_offset"] == 0:
                    self.headers = segment["p_vaddr"] + elf["e_phoff"]
        self.count = elf["e_phnum"]
        self.brk = (self.brk + 0xFFFF) & -0x1000
        return int(elf["e_entry"])

    def _stack(self, words: list[str]) -> None:
        at = STACK + 1024
        pointers = []
        for word in words:
            self.memory.dma_write(at, word.encode() + b"\0")
            pointers.append(at)
            at += len(word) + 1
        vector = {3: self.headers, 4: 56, 5: self.count, 6: 4096, 25: at + 64, 23: 0, 0: 0}
        numbers = [len(words), *pointers, 0, 0, *(n for pair in vector.items() for n in pair)]
        self.memory.dma_write(STACK, b"".join(n.to_bytes(8, "little") for n in numbers))
        self.cpu.state.x[_SP] = STACK

    def run(self) -> int:
        """Run to the end; the exit status."""
        state, x = self.cpu.state, self.cpu.state.x
        while True:
            event = self.cpu.run()
            if event.kind != "syscall":
                continue
            if state.mcause != 11:
                raise SystemExit(f"exception {state.mcause} at {state.mepc:#x}, value {state.mtval:#x}")
            number, a, b, c = x[_A7], x[_A0], x[_A0 + 1], x[_A0 + 2]
            result = _ENOSYS
            if number in (_EXIT, _EXIT_GROUP):
                return int(a)
            if number == _WRITE:
                self.output += self.memory.dma_read(b, c)
                result = c
            elif number == _BRK:
                self.brk = max(self.brk, a)
                result = self.brk
            elif number == _MPROTECT:
                result = 0
            x[_A0] = result
            state.next_pc = state.mepc + 4


def usual_rounds(name: str) -> int:
    """How often a program repeats its work when nobody says otherwise."""
    found = re.search(r"rounds\(argc, argv, (\d+)\)", (measure.HERE / f"programs/{name}.c").read_text())
    assert found is not None, name
    return int(found[1])


def once(name: str, region: bool, arguments: tuple[str, ...] = ()) -> tuple[float, Program]:
    """CPU seconds of one run."""
    program = Program(name, region, arguments)
    begin = time.thread_time()
    status = program.run()
    seconds = time.thread_time() - begin
    program.engine.save()
    if status or not program.output:
        sys.exit(f"{name}: status {status}, output {program.output!r}")
    return seconds, program


def main() -> None:
    """Run each program in turns and report the least times."""
    parser = argparse.ArgumentParser(description="The gain of the region tier.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append")
    parser.add_argument("--longer", type=int, default=1, help="by how much to lengthen the programs")
    arguments = parser.parse_args()
    print(f"{'':14}{'off':>8}{'on':>8}{'off / on':>10}{'regions':>9}{'insns':>7}{'bytes':>9}{'compiling':>11}")
    ratios = []
    for name in measure.chosen(measure.PROGRAMS, arguments.only):
        off, on = [], []
        words = (str(usual_rounds(name) * arguments.longer),)
        once(name, False, ("1",))
        for _ in range(arguments.rounds):
            seconds, plain = once(name, False, words)
            off.append(seconds)
            seconds, program = once(name, True, words)
            on.append(seconds)
            if plain.output != program.output:
                sys.exit(f"{name}: {plain.output!r} and {program.output!r}")
        regions = program.engine.regions
        assert regions is not None
        a, b = min(off), min(on)
        ratios.append(a / b)
        print(
            f"{name:14}{a:>7.2f}s{b:>7.2f}s{a / b:>10.2f}{regions.compiled:>9}{regions.instructions:>7}{regions.bytes:>9}{regions.seconds:>10.2f}s"
        )
    print(f"geometric mean {measure.geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
