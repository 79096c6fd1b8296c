"""A hart with memory and nothing else, for tests of privileged state: instructions are words, run either in the
reference evaluator or as machine code.
"""

from __future__ import annotations

from ratite.bits import MiB, bit, bits
from ratite.cpu.engine import Engine, Tuning
from ratite.cpu.vcpu import Event, Vcpu
from ratite.isa.riscv import hart
from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu
from ratite.isa.riscv.csr import CSRS
from ratite.memory import AddressSpace, RamBlock

RAM = 0x8000_0000
RAM_SIZE = 4 * MiB
#: Where programs are put, and where the trap handlers of `trap_to` are.
CODE, MACHINE_HANDLER, SUPERVISOR_HANDLER, STOP = RAM, RAM + 0x8000, RAM + 0x9000, RAM + 0xA000

WFI, MRET, SRET, ECALL = 0x10500073, 0x30200073, 0x10200073, 0x00000073
NOP = 0x00000013

NUMBERS = {csr.name: number for number, csr in CSRS.items()}

U, S, M = 0, 1, 3


def csrrw(csr: int | str, rd: int = 10, rs1: int = 11) -> int:
    """csrrw rd, csr, rs1."""
    return _csr(csr, 1, rd, rs1)


def csrrs(csr: int | str, rd: int = 10, rs1: int = 11) -> int:
    """csrrs rd, csr, rs1."""
    return _csr(csr, 2, rd, rs1)


def csrrc(csr: int | str, rd: int = 10, rs1: int = 11) -> int:
    """csrrc rd, csr, rs1."""
    return _csr(csr, 3, rd, rs1)


def csrrwi(csr: int | str, uimm: int, rd: int = 10) -> int:
    """csrrwi rd, csr, uimm."""
    return _csr(csr, 5, rd, uimm)


def csrrsi(csr: int | str, uimm: int, rd: int = 10) -> int:
    """csrrsi rd, csr, uimm."""
    return _csr(csr, 6, rd, uimm)


def csrrci(csr: int | str, uimm: int, rd: int = 10) -> int:
    """csrrci rd, csr, uimm."""
    return _csr(csr, 7, rd, uimm)


def csrr(csr: int | str, rd: int = 10) -> int:
    """csrr rd, csr."""
    return csrrs(csr, rd, 0)


def jump(offset: int) -> int:
    """j offset."""
    high = bit(offset, 20) << 31 | bits(offset, 10, 1) << 21 | bit(offset, 11) << 20
    return high | bits(offset, 19, 12) << 12 | 0x6F


def _csr(csr: int | str, funct3: int, rd: int, source: int) -> int:
    number = NUMBERS[csr] if isinstance(csr, str) else csr
    return number << 20 | source << 15 | funct3 << 12 | rd << 7 | 0x73


class StoppingVcpu(Vcpu):
    """A vCPU whose `run` comes back, with an event of kind "stop", where it reaches one of the addresses `stops`."""

    stops: frozenset[int] = frozenset()

    def _translate(self) -> Event | None:
        return Event("stop") if self.state.pc in self.stops else super()._translate()


class Bench:
    """One hart. `native`: run machine code rather than the reference evaluator. region: see `Tuning`."""

    def __init__(
        self, cpu: str = "rv64", xlen: int = 64, native: bool = False, firmware: bool = False, region: str = "off"
    ) -> None:
        config = parse_cpu(cpu, xlen)
        self.config = config.for_firmware() if firmware else config
        self.native = native
        self.ram = RamBlock("ram", RAM_SIZE)
        self.memory = AddressSpace()
        self.memory.add_ram(RAM, self.ram)
        self.engine = Engine(make_arch(self.config), space=self.memory, code_size=4 * MiB, tuning=Tuning(region=region))
        self.cpu = StoppingVcpu(self.engine)
        self.cpu.stops = frozenset((STOP, MACHINE_HANDLER, SUPERVISOR_HANDLER))
        self.state = self.cpu.state
        self.x = self.state.x
        self.reset()

    def close(self) -> None:
        """Keep compiled forms for the next test."""
        self.engine.save()

    def reset(self) -> None:
        """A fresh hart in machine mode; execution ends at the trap handlers."""
        hart.reset(self.cpu, self.config, 0)
        self.state.mtvec, self.state.stvec = MACHINE_HANDLER, SUPERVISOR_HANDLER
        if self.config.pmp:
            self.allow_everything()

    def allow_everything(self) -> None:
        """The first entry of memory protection covers all memory."""
        self.state.pmpcfg[0], self.state.pmpaddr[0] = 0x1F, -1
        self.state.pmp_first[0], self.state.pmp_last[0], self.state.pmp_rules = 0, -1, 1

    def mode(self, mode: int) -> None:
        """Change the privilege mode."""
        self.state.priv = mode
        self.cpu.call("tlb_flush")
        self.cpu.call("mode_update")

    def run(self, *words: int, at: int = CODE) -> None:
        """Execute instructions from `at` on, each once; ends early at the first one that traps, jumps or waits."""
        for n, word in enumerate(words):
            self.memory.write(at + 4 * n, 4, word)
        if not self.native:
            self.state.next_pc = at
            for n in range(len(words)):
                self.cpu.step()
                self.poll()
                if self.state.pc != at + 4 * n + 4:
                    break
            return
        end = at + 4 * len(words)
        self.memory.write(end, 4, jump(STOP - end))
        self.engine.invalidate_page(self.cpu.call("ram_host", at & -4096))
        self.state.next_pc = at
        event = self.cpu.run()
        assert event.kind in ("stop", "halt", "firmware"), event
        if self.state.pc == STOP:
            self.state.next_pc = end

    def poll(self) -> None:
        """Look for interrupts, as machine code does between instructions when it is asked to."""
        if self.state.attention:
            self.cpu.call("poll")

    def get(self, csr: int | str) -> int:
        """Read a register in machine mode (with `csrr`)."""
        self.run(csrr(csr))
        assert not self.trapped, f"{csr} cannot be read"
        return int(self.x[10])

    def put(self, csr: int | str, value: int) -> int:
        """Write a register and read it back."""
        self.x[11] = value
        self.run(csrrw(csr, rd=0), csrr(csr))
        assert not self.trapped, f"{csr} cannot be written"
        return int(self.x[10])

    @property
    def trapped(self) -> int | None:
        """Cause of the trap in whose handler the hart is, or None."""
        where = {MACHINE_HANDLER: self.state.mcause, SUPERVISOR_HANDLER: self.state.scause}
        return where.get(self.state.pc)


class Benches:
    """Harts by what they are, each made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int, bool, bool, str], Bench] = {}

    def get(
        self, cpu: str = "rv64", xlen: int = 64, native: bool = False, firmware: bool = False, region: str = "off"
    ) -> Bench:
        """A hart of this kind, just reset."""
        key = cpu, xlen, native, firmware, region
        if key not in self._made:
            self._made[key] = Bench(cpu, xlen, native, firmware, region)
        self._made[key].reset()
        return self._made[key]

    def close(self) -> None:
        """Keep compiled forms for the next time."""
        for bench in self._made.values():
            bench.close()
