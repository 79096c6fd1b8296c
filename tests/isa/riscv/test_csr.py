"""Control and status registers: which exist where, who may reach them, which values they take (volume II, 20211203,
chapters 2 to 4), each in the reference evaluator and as machine code.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from ratite.bits import mask
from ratite.isa.riscv.config import RiscvConfig
from ratite.isa.riscv.cpus import parse_cpu
from ratite.isa.riscv.csr import CSRS, find
from tests.isa.riscv import harts
from tests.isa.riscv.harts import NUMBERS, Bench, Benches, M, S, U, csrr, csrrc, csrrci, csrrs, csrrsi, csrrw, csrrwi

ONES = mask(64)

#: Register, value written, value read back, on a fresh rv64 hart.
WARL = [
    ("mscratch", ONES, ONES),
    ("sscratch", 0x1234_5678_9ABC_DEF0, 0x1234_5678_9ABC_DEF0),
    ("mepc", ONES, ONES - 1),
    ("sepc", ONES, ONES - 1),
    ("mcause", ONES, ONES),
    ("scause", ONES, ONES),
    ("mtval", ONES, ONES),
    ("stval", ONES, ONES),
    ("mtvec", 0x8000_1234, 0x8000_1234),
    ("mtvec", 0x8000_1235, 0x8000_1235),
    ("mtvec", 0x8000_1236, harts.MACHINE_HANDLER),
    ("stvec", ONES, harts.SUPERVISOR_HANDLER),
    ("stvec", ONES - 2, ONES - 2),
    ("medeleg", ONES, 0xB3FF),
    ("mideleg", ONES, 0x222),
    ("mie", ONES, 0xAAA),
    ("mip", ONES, 0x222),
    ("mcounteren", ONES, 0xFFFF_FFFF),
    ("scounteren", ONES, 0xFFFF_FFFF),
    ("mcountinhibit", ONES, 5),
    ("menvcfg", ONES, 3 << 62 | 0xF1),
    ("menvcfg", 0xA0, 0x80),    # CBIE = 2 is reserved
    ("menvcfg", 0x90, 0x90),
    ("senvcfg", ONES, 0xF1),
    ("satp", 8 << 60 | 0xABCD << 44 | 0x123456789, 8 << 60 | 0xABCD << 44 | 0x123456789),
    ("satp", 9 << 60, 9 << 60),
    ("satp", 10 << 60, 10 << 60),
    ("satp", 7 << 60 | 1, 0),
    ("satp", 1 << 60, 0),
    ("misa", 0, 2 << 62 | sum(1 << ord(c) - 97 for c in "imafdcsu")),
    ("mstatus", 0, 2 << 34 | 2 << 32),
    ("mstatus", ONES, 1 << 63 | 2 << 34 | 2 << 32 | 0x7E79AA),
    ("mstatus", 2 << 11, 2 << 34 | 2 << 32),    # MPP = 2 does not exist
    ("mstatus", 1 << 13, 2 << 34 | 2 << 32 | 1 << 13),
    ("mstatus", 3 << 13, 1 << 63 | 2 << 34 | 2 << 32 | 3 << 13),
    ("sstatus", ONES, 1 << 63 | 2 << 32 | 0xC6122),
    ("sie", ONES, 0),    # nothing is delegated
    ("tselect", ONES, 0),
    ("tdata1", ONES, 0),
    ("mhpmevent3", ONES, 0),
    ("mhpmcounter31", ONES, 0),
    ("pmpaddr1", ONES, mask(54)),
    ("pmpcfg2", 0x1F, 0x1F),
    ("pmpcfg2", 0x62, 0),    # write without read is reserved; bits 5 and 6 mean nothing
    ("pmpcfg2", 0x0F << 56 | 0x18, 0x0F << 56 | 0x18),
]

WARL_32 = [
    ("mscratch", mask(32), mask(32)),
    ("misa", 0, 1 << 30 | sum(1 << ord(c) - 97 for c in "imafdcsu")),
    ("mstatus", mask(32), 1 << 31 | 0x7E79AA),
    ("sstatus", mask(32), 1 << 31 | 0xC6122),
    ("mstatush", mask(32), 0),
    ("menvcfg", mask(32), 0xF1),
    ("menvcfgh", mask(32), 1 << 31),
    ("satp", 1 << 31 | 0x1FF << 22 | 0x3FFFFF, 1 << 31 | 0x1FF << 22 | 0x3FFFFF),
    ("pmpaddr1", mask(32), mask(32)),
    ("pmpcfg1", 0x1F << 24, 0x1F << 24),
    ("mhpmcounter3h", 7, 0),
]


@pytest.mark.parametrize(("name", "written", "expected"), WARL, ids=[f"{n}-{w:x}" for n, w, _ in WARL])
def test_legal_values(bench: Bench, name: str, written: int, expected: int) -> None:
    """A register reads back the legal value that belongs to what was written."""
    assert bench.put(name, written) == expected


@pytest.mark.parametrize(("name", "written", "expected"), WARL_32, ids=[f"{n}-{w:x}" for n, w, _ in WARL_32])
def test_legal_values_of_rv32(bench32: Bench, name: str, written: int, expected: int) -> None:
    """The same where registers have 32 bits."""
    assert bench32.put(name, written) == expected


def test_constants(benches: Benches) -> None:
    """Identity registers show what the CPU was given."""
    bench = benches.get("rv64,mvendorid=0x31,marchid=0x8000000000000007,mimpid=9")
    assert [bench.get(n) for n in ("mvendorid", "marchid", "mimpid", "mhartid", "mconfigptr", "tinfo")] == [
        0x31, 0x8000000000000007, 9, 0, 0, 1,
    ]  # fmt: skip


def test_set_and_clear(bench: Bench) -> None:
    """The six instructions return the old value and write, set or clear."""
    steps = [
        (csrrw("mscratch"), 0xF0F0, 0x1111, 0xF0F0),
        (csrrs("mscratch"), 0x0F01, 0x1111, 0x1F11),
        (csrrc("mscratch"), 0x0111, 0x1111, 0x1000),
        (csrrwi("mscratch", 21), 0, 0x1111, 21),
        (csrrsi("mscratch", 8), 0, 0x1111, 0x1119),
        (csrrci("mscratch", 16), 0, 0x1111, 0x1101),
        (csrrs("mscratch", rs1=0), 0, 0x1111, 0x1111),
        (csrrci("mscratch", 0), 0, 0x1111, 0x1111),
        (csrrw("mscratch", rs1=0), 0, 0x1111, 0),
    ]
    for word, operand, before, after in steps:
        bench.state.mscratch, bench.x[11], bench.x[10] = before, operand, 0
        bench.run(word)
        assert (bench.x[10], bench.state.mscratch) == (before, after), hex(word)


def test_source_is_read_before_the_destination_is_written(bench: Bench) -> None:
    """csrrw a0, mscratch, a0 exchanges; with x0 as destination nothing is returned."""
    bench.state.mscratch, bench.x[10] = 5, 9
    bench.run(csrrw("mscratch", rd=10, rs1=10))
    assert (bench.x[10], bench.state.mscratch) == (5, 9)
    bench.run(csrrw("mscratch", rd=0, rs1=10))
    assert (bench.x[0], bench.state.mscratch) == (0, 5)


# --- existence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cpu", "xlen", "absent", "present"), [
    ("rv64", 64, ["cycleh", "mstatush", "pmpcfg1", "menvcfgh"], ["menvcfg", "pmpcfg2", "fcsr", "satp", "hpmcounter31"]),
    ("rv32", 32, [], ["cycleh", "mstatush", "pmpcfg1", "menvcfgh", "mhpmcounter3h"]),
    ("rv64,priv_spec=v1.10.0", 64, ["mcountinhibit", "menvcfg", "senvcfg", "mconfigptr"], ["mcounteren"]),
    ("rv64,priv_spec=v1.11.0", 64, ["menvcfg", "senvcfg", "mconfigptr"], ["mcountinhibit"]),
    ("any", 64, ["sstatus", "satp", "medeleg", "mideleg", "scounteren", "stvec", "senvcfg"], ["mcounteren", "menvcfg"]),
    ("sifive-e31", 32, ["fcsr", "frm", "fflags", "satp"], ["mstatus", "cycle"]),
    ("rv64,pmp=off", 64, ["pmpcfg0", "pmpaddr0"], ["mstatus"]),
    ("rv64,debug=off", 64, ["tselect", "tdata1", "tinfo"], []),
    ("rv64,Counters=off", 64, ["cycle", "time", "instret", "hpmcounter3", "mhpmcounter3", "mhpmevent3"], ["mcycle"]),
])  # fmt: skip
def test_existence(cpu: str, xlen: int, absent: list[str], present: list[str]) -> None:
    """Registers come with the extensions and the versions that define them."""
    config = parse_cpu(cpu, xlen)
    assert [name for name in absent if find(config, NUMBERS[name])] == []
    assert [name for name in present if not find(config, NUMBERS[name])] == []


def test_numbers_follow_the_manual() -> None:
    """Names are unique, and numbers say who may reach what (tables 2.2 to 2.5)."""
    assert len(NUMBERS) == len(CSRS)
    for csr in CSRS.values():
        first = csr.name[0]
        expected = {"m": M, "s": S, "p": M, "t": M}.get(first, U) if csr.name not in ("time", "timeh") else U
        assert csr.mode == expected, csr.name
        assert not (csr.read_only and csr.write), csr.name


@pytest.mark.parametrize("number", [0x000, 0x004, 0x005, 0x200, 0x240, 0x5A8, 0x5C0, 0x600, 0x7B0, 0x7C0, 0xB01, 0xFFF])
def test_numbers_without_a_register(bench: Bench, number: int) -> None:
    """They are illegal instructions, whose word goes to mtval; the destination keeps its value."""
    bench.x[10] = 77
    bench.run(csrr(number))
    assert (bench.trapped, bench.state.mtval, bench.x[10]) == (2, csrr(number), 77)


# --- privilege --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [U, S, M])
def test_privilege(bench: Bench, mode: int) -> None:
    """A register is reached from its mode and those above. Wide open otherwise: counters are allowed."""
    for name in ("mscratch", "sscratch", "mepc", "satp", "cycle", "fflags", "pmpaddr3", "mhartid", "senvcfg", "tdata1"):
        bench.reset()
        bench.state.mcounteren = bench.state.scounteren = ONES
        bench.state.fs = 1
        bench.mode(mode)
        bench.run(csrr(name))
        assert bench.trapped == (None if CSRS[NUMBERS[name]].mode <= mode else 2), name


@pytest.mark.parametrize("word", [
    csrrw("cycle"), csrrs("cycle"), csrrc("mhartid"), csrrwi("mvendorid", 0), csrrsi("time", 1), csrrci("instret", 31),
])  # fmt: skip
def test_read_only_registers_refuse_writes(bench: Bench, word: int) -> None:
    """A write is one even where rs1 holds zero; only x0 and an immediate 0 ask for none."""
    bench.x[11] = 0
    bench.run(word)
    assert bench.trapped == 2


@pytest.mark.parametrize("word", [
    csrrs("cycle", rs1=0), csrrc("mhartid", rs1=0), csrrsi("time", 0), csrrci("instret", 0),
])  # fmt: skip
def test_read_only_registers_can_be_read(bench: Bench, word: int) -> None:
    """Setting or clearing nothing is no write."""
    bench.run(word)
    assert bench.trapped is None


@pytest.mark.parametrize(("mode", "mcounteren", "scounteren", "allowed"), [
    (M, 0, 0, True), (S, 0, ONES, False), (S, ONES, 0, True),
    (U, ONES, 0, False), (U, 0, ONES, False), (U, ONES, ONES, True),
])  # fmt: skip
def test_counter_gates(bench: Bench, mode: int, mcounteren: int, scounteren: int, allowed: bool) -> None:
    """mcounteren rules modes below machine mode, scounteren user mode as well; each has one bit a counter."""
    for n, name in enumerate(("cycle", "time", "instret", "hpmcounter3")):
        bench.reset()
        bench.state.mcounteren, bench.state.scounteren = mcounteren & (1 << n), scounteren & (1 << n)
        bench.mode(mode)
        bench.run(csrr(name))
        assert (bench.trapped is None) == allowed, name


def test_floating_point_switched_off(bench: Bench) -> None:
    """With mstatus.FS = 0 the floating-point registers are not there; a write makes the state dirty."""
    for name in ("fflags", "frm", "fcsr"):
        bench.reset()
        bench.run(csrr(name))
        assert bench.trapped == 2
        bench.reset()
        bench.state.fs = 1
        bench.run(csrr(name))
        assert [bench.trapped, bench.state.fs] == [None, 1]
        bench.run(csrrwi(name, 1))
        assert int(bench.state.fs) == 3


def test_floating_point_flags(bench: Bench) -> None:
    """fcsr is fflags and frm side by side; flags are in the manual's order, invalid operation on top."""
    bench.state.fs = 1
    for flags in range(32):
        assert bench.put("fflags", flags) == flags
        assert bench.state.fp_flags == int(f"{flags:05b}"[::-1], 2)
        assert bench.get("fcsr") == bench.state.frm << 5 | flags
    for rm in range(8):
        assert bench.put("frm", rm) == rm
        assert bench.state.fp_round == min(rm, 3) if rm < 4 else True
    assert bench.put("fcsr", ONES) == 0xFF
    assert bench.put("fcsr", 0b010_00100) == 0b010_00100
    assert (bench.state.frm, bench.state.fp_flags, bench.state.fp_round) == (2, 4, 2)


@pytest.mark.parametrize("xlen", [64, 32])
def test_virtual_memory_trap(benches: Benches, xlen: int) -> None:
    """mstatus.TVM keeps supervisor mode from satp and from fences, and nobody else."""
    sfence = 0x12000073
    for native in (False, True):
        bench = benches.get(f"rv{xlen}", xlen, native)
        for mode, tvm, expected in ((M, True, None), (S, False, None), (S, True, 2), (U, False, 2)):
            for word in (csrr("satp"), sfence):
                bench.reset()
                bench.state.mstatus = tvm << 20
                bench.mode(mode)
                bench.run(word)
                assert bench.trapped == expected


# --- views of one another ---------------------------------------------------------------------------------------------


def test_sstatus_is_a_view_of_mstatus(bench: Bench) -> None:
    """Writing sstatus leaves machine fields alone."""
    bench.put("mstatus", 0x0000_0000_0060_1888)
    assert bench.put("sstatus", 0xC6122) == 1 << 63 | 2 << 32 | 0xC6122
    assert bench.get("mstatus") == 1 << 63 | 0xA << 32 | 0x601888 | 0xC6122
    bench.put("sstatus", 0)
    assert bench.get("mstatus") == 0xA << 32 | 0x601888


def test_delegated_interrupts_show_in_supervisor_mode(bench: Bench) -> None:
    """sie and sip show and change what mideleg hands over; sip takes SSIP only."""
    bench.put("mideleg", 0x022)
    assert bench.put("sie", ONES) == 0x022
    assert bench.get("mie") == 0x022
    bench.put("mie", 0xAAA)
    assert bench.put("sie", 0) == 0
    assert bench.get("mie") == 0xA88
    bench.put("mie", 0)
    assert bench.put("sip", ONES) == 0x002
    assert bench.get("mip") == 0x002
    bench.put("mip", 0x222)
    assert bench.put("sip", 0) == 0x020
    bench.put("mideleg", 0)
    assert bench.get("sip") == 0


def test_external_interrupt_is_a_wire_and_a_bit(bench: Bench) -> None:
    """mip.SEIP reads as either; set and clear work on the bit that software wrote, not on the wire (3.1.9)."""
    bench.state.irq_lines = 1 << 9 | 1 << 11
    assert bench.get("mip") == 0xA00
    bench.x[11] = 1 << 5
    bench.run(csrrs("mip"))
    assert (bench.x[10], bench.state.mip_soft) == (0xA00, 1 << 5)
    bench.x[11] = 1 << 9 | 1 << 11
    bench.run(csrrc("mip"))
    assert (bench.x[10], bench.state.mip_soft) == (0xA20, 1 << 5)
    bench.state.irq_lines = 0
    assert bench.get("mip") == 1 << 5


# --- counters ---------------------------------------------------------------------------------------------------------


def test_counters_follow_the_clock(bench: Bench) -> None:
    """time has a tick of 100 ns, cycle and instret one of 1 ns; they can be set."""
    bench.state.clock_frozen = 1_000_000
    assert [bench.get(n) for n in ("time", "cycle", "instret", "mcycle")] == [10_000, 1_000_000, 1_000_000, 1_000_000]
    assert bench.put("mcycle", 5) == 5
    bench.state.clock_frozen = 1_000_100
    assert [bench.get(n) for n in ("time", "cycle", "minstret")] == [10_001, 105, 1_000_100]
    bench.state.time_offset = 3
    assert bench.get("time") == 10_004
    bench.state.clock_frozen = 0


def test_counters_stand_still(bench: Bench) -> None:
    """mcountinhibit stops a counter where it is and lets it go on from there."""
    bench.state.clock_frozen = 1000
    bench.put("mcycle", 10)
    bench.put("mcountinhibit", 1)
    bench.state.clock_frozen = 2000
    assert (bench.get("cycle"), bench.get("instret")) == (10, 2000)
    assert bench.put("mcycle", 50) == 50
    bench.put("mcountinhibit", 4)
    bench.state.clock_frozen = 2500
    assert (bench.get("cycle"), bench.get("instret")) == (550, 2000)
    bench.state.clock_frozen = 0


def test_halves_of_counters(bench32: Bench) -> None:
    """RV32 sees and sets 64-bit counters in two halves."""
    bench32.state.clock_frozen = 5
    bench32.put("mcycle", 0xFFFF_FFFF)
    bench32.put("mcycleh", 7)
    assert (bench32.get("cycle"), bench32.get("cycleh")) == (0xFFFF_FFFF, 7)
    bench32.state.clock_frozen = 6
    assert (bench32.get("mcycle"), bench32.get("mcycleh")) == (0, 8)
    bench32.state.time_offset = 5 << 32
    assert (bench32.get("timeh"), bench32.get("time")) == (5, 0)
    bench32.state.clock_frozen = 0


# --- machine code against the reference -------------------------------------------------------------------------------

_MOVING = [NUMBERS[name] for name in ("cycle", "time", "instret", "mcycle", "minstret", "mcountinhibit")]
_FIELDS = 0x7E19AA    # of mstatus


def _outcome(bench: Bench, seed: int) -> dict[str, Any]:
    """The state after a random CSR instruction in a random mode and state."""
    rng = random.Random(seed)
    mode = rng.choice([U, S, M])
    number = rng.choice([n for n, csr in sorted(CSRS.items()) if csr.mode <= mode and n not in _MOVING])
    funct3 = rng.choice([1, 2, 3, 5, 6, 7])
    source = rng.choice([0, 1, 2, 31]) if funct3 > 4 else rng.choice([0, 11, 11])
    word = number << 20 | source << 15 | funct3 << 12 | rng.choice([0, 10, 11]) << 7 | 0x73
    state = bench.state
    state.mstatus, state.fs = rng.getrandbits(64) & _FIELDS, rng.randrange(4)
    state.mideleg, state.irq_lines = rng.choice([0, 0x222]), rng.choice([0, 0x80, 0x222, 0xAAA])
    state.mcounteren = state.scounteren = rng.getrandbits(32)
    bench.x[11] = rng.choice([0, ONES, rng.getrandbits(64), 1 << rng.randrange(64)])
    state.attention = 0
    bench.mode(mode)
    bench.run(word)
    saved: dict[str, Any] = state.save() | {"walk_pa": 0, "walk_perms": 0}    # results of helpers, not of instructions
    state.irq_lines = 0
    return saved


def test_machine_code_does_what_the_reference_does(benches: Benches) -> None:
    """A CSR instruction in any mode leaves the same state either way, interrupts that it lets through included."""
    for seed in range(60):
        reference, native = (_outcome(benches.get("rv64", native=n), seed) for n in (False, True))
        assert reference == native, seed


def test_every_register_of_every_model_can_be_recorded() -> None:
    """The declarations hold for all models, also those without the extensions that most have."""
    for cpu, xlen in (("any", 64), ("sifive-e31", 32), ("sifive-e51", 64), ("rv64,mmu=off,pmp=off", 64)):
        config: RiscvConfig = parse_cpu(cpu, xlen)
        assert all(find(config, number) is None or find(config, number) is csr for number, csr in CSRS.items())
