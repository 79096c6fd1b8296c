"""A core with memory and nothing else, for tests of privileged state: instructions are words, run either in the reference
evaluator or as machine code.
"""

from __future__ import annotations

from ratite.bits import MiB
from ratite.cpu.engine import Engine
from ratite.cpu.vcpu import Event, Vcpu
from ratite.isa.loongarch import core
from ratite.isa.loongarch.arch import make_arch
from ratite.isa.loongarch.cpus import parse_cpu
from ratite.isa.loongarch.csr import CSRS
from ratite.memory import AddressSpace, RamBlock

RAM_SIZE = 4 * MiB
#: Where programs are put, and where the handlers are; physical addresses.
CODE, HANDLER, REFILL, STOP = 0x1000, 0x8000, 0x9000, 0xA000
TABLES, DATA = 0x10_0000, 0x20_0000
#: Where level 0 sees memory while addresses are translated.
WINDOW = 9 << 60

NUMBERS = {csr.name: number for number, csr in CSRS.items()}

A0, A1, A2 = 4, 5, 6
NOP = 0x0340_0000
TLBCLR, TLBFLUSH, TLBSRCH, TLBRD, TLBWR, TLBFILL, ERTN, IDLE = (
    0x06482000, 0x06482400, 0x06482800, 0x06482C00, 0x06483000, 0x06483400, 0x06483800, 0x06488000,
)  # fmt: skip

DA, PG, IE = 8, 16, 4
V, D, USER, G = 1, 2, 3 << 2, 1 << 6
NR, NX, RPLV = 1 << 61, 1 << 62, 1 << 63


def csrrd(csr: str | int, rd: int = A0) -> int:
    """csrrd rd, csr."""
    return csrxchg(csr, rd, 0)


def csrwr(csr: str | int, rd: int = A0) -> int:
    """csrwr rd, csr."""
    return csrxchg(csr, rd, 1)


def csrxchg(csr: str | int, rd: int = A0, rj: int = A1) -> int:
    """csrxchg rd, rj, csr."""
    return 0x0400_0000 | (NUMBERS[csr] if isinstance(csr, str) else csr) << 10 | rj << 5 | rd


def ld_d(rd: int = A0, rj: int = A1) -> int:
    """ld.d rd, rj, 0."""
    return 0x28C0_0000 | rj << 5 | rd


def st_d(rd: int = A0, rj: int = A1) -> int:
    """st.d rd, rj, 0."""
    return 0x29C0_0000 | rj << 5 | rd


def invtlb(op: int, rj: int = A0, rk: int = A1) -> int:
    """invtlb op, rj, rk."""
    return 0x0649_8000 | rk << 10 | rj << 5 | op


def lddir(level: int, rd: int = A0, rj: int = A0) -> int:
    """lddir rd, rj, level."""
    return 0x0640_0000 | level << 10 | rj << 5 | rd


def ldpte(odd: int, rj: int = A0) -> int:
    """ldpte rj, odd."""
    return 0x0644_0000 | odd << 10 | rj << 5


def jump(offset: int) -> int:
    """b offset."""
    return 0x5000_0000 | (offset >> 2 & 0xFFFF) << 10 | offset >> 18 & 0x3FF


class Owner:
    """What a vCPU's owner does for it, noted down. The clock stands still."""

    def __init__(self) -> None:
        self.clock = self
        self.time = 1000
        self.overflow_deadline = 0
        self.iocsr: dict[int, int] = {}

    def now(self) -> int:
        """Nanoseconds."""
        return self.time

    def arm_overflow(self, deadline: int) -> None:
        """Note a deadline of the performance monitors."""
        self.overflow_deadline = deadline

    def iocsr_read(self, address: int, size: int) -> int:
        """What was written last."""
        return self.iocsr.get(address, 0) & (1 << 8 * size) - 1

    def iocsr_write(self, address: int, size: int, value: int) -> None:
        """Keep a value."""
        self.iocsr[address] = value


class StoppingVcpu(Vcpu):
    """A vCPU whose `run` comes back, with an event of kind "stop", where it reaches one of the addresses `stops`."""

    stops: frozenset[int] = frozenset()

    def _translate(self) -> Event | None:
        return Event("stop") if self.state.pc in self.stops else super()._translate()


class Bench:
    """One core. `native`: run machine code rather than the reference evaluator."""

    def __init__(self, cpu: str = "la464", native: bool = False) -> None:
        self.native = native
        self.ram = RamBlock("ram", RAM_SIZE)
        self.memory = AddressSpace()
        self.memory.add_ram(0, self.ram)
        self.engine = Engine(make_arch(parse_cpu(cpu)), space=self.memory, code_size=4 * MiB)
        self.cpu = StoppingVcpu(self.engine)
        self.cpu.stops = frozenset((STOP, HANDLER, REFILL, WINDOW | STOP, WINDOW | HANDLER))
        self.state = self.cpu.state
        self.r = self.state.r
        self.reset()

    def close(self) -> None:
        """Keep compiled forms for the next test."""
        self.engine.save()

    def reset(self) -> None:
        """A fresh core with direct addresses; execution ends at the handlers."""
        self.owner = self.cpu.owner = Owner()
        self.deadlines: list[int] = []
        self.cpu.keep_time = self.deadlines.append
        self.state.irq_lines = 0
        core.reset(self.cpu, 0)
        self.base = 0
        self.state.eentry, self.state.tlbrentry = HANDLER, REFILL
        self.state.clock_frozen = self.owner.time

    def translated(self, level: int = 0, space: int = 0) -> None:
        """Go over to translated addresses. Programs run in the window then."""
        self.base = WINDOW
        self.state.eentry = WINDOW | HANDLER
        self.state.crmd = PG | level
        self.state.asid = space
        self.state.dmw[0] = WINDOW | 1
        self.cpu.call("tlb_flush")
        self.cpu.call("mode_update")

    def entry(self, index: int, va: int, even: int, odd: int, size: int = 12, space: int = 0) -> None:
        """Write an entry of the TLB."""
        s = self.state
        s.tlbehi, s.tlbelo0, s.tlbelo1, s.tlbidx = va & -0x2000, even, odd, size << 24 | index
        kept, s.asid = s.asid, space
        self.cpu.call("tlb_write")
        s.asid = kept

    def look(self, va: int, access: int = 0) -> int:
        """The physical address for an access, or the exception as a negative number."""
        status = self.cpu.call("translate", va & (1 << 64) - 1, access)
        return int(self.state.walk_pa) if status == 0 else -(status - 16)

    def run(self, *words: int, at: int = CODE) -> None:
        """Execute instructions from `at` on, each once; ends early at the first one that traps, jumps or waits."""
        for n, word in enumerate(words):
            self.memory.write(at + 4 * n, 4, word)
        at |= self.base
        if not self.native:
            self.state.next_pc = at
            for n in range(len(words)):
                self.cpu.step()
                if self.state.attention:
                    self.cpu.call("poll")
                if self.state.pc != at + 4 * n + 4:
                    break
            return
        end = at + 4 * len(words)
        self.memory.write(end & ~WINDOW, 4, jump(STOP - (end & ~WINDOW)))
        self.engine.invalidate_page(self.cpu.call("ram_host", at & ~WINDOW & -4096))
        self.state.next_pc = at
        event = self.cpu.run()
        assert event.kind in ("stop", "halt"), event
        if self.state.pc & ~WINDOW == STOP:
            self.state.next_pc = end

    @property
    def cause(self) -> int:
        """ESTAT.Ecode, and from bit 16 on EsubCode."""
        return self.state.estat_code >> 16 & 0x3F | (self.state.estat_code >> 22 & 0x1FF) << 16


class Benches:
    """Cores by CPU model, made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, bool], Bench] = {}

    def get(self, cpu: str, native: bool) -> Bench:
        """A core, reset."""
        bench = self._made.get((cpu, native))
        if bench is None:
            bench = self._made[cpu, native] = Bench(cpu, native)
        bench.reset()
        return bench

    def close(self) -> None:
        """Keep compiled forms."""
        for bench in self._made.values():
            bench.close()
