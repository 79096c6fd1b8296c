"""Control and status registers: which exist, what they read as, and which values they accept (ISA manual volume II,
20211203, chapter 2).

A register is a declaration: number, name, how it is read and how it is written. Bits 9:8 of the number are the
privilege mode that it takes to reach it, bits 11:10 both one mean that it is read-only. Writes of values that a
register does not take (WARL) give the nearest legal value that the declaration names; a register without a `write` has
one legal value. `csr_insns.py` has the instructions.

Hypervisor registers, Smstateen and Smepmp are not modelled: their numbers do not exist. The trigger registers say
that there is no trigger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ratite.bits import bits, mask
from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.riscv import counters, interrupts, pmp, status, timer, traps
from ratite.isa.riscv.config import RiscvConfig
from ratite.isa.riscv.state import PMP_ENTRIES
from ratite.isa.riscv.status import Change

Read = Callable[[Session], Value]
Write = Callable[[Session, Value, Change], None]


def _always(config: RiscvConfig) -> bool:
    return True


def _never(s: Session) -> None:
    return None


@dataclass(frozen=True)
class Csr:
    """A control and status register.

    read, write: texts; `write` gets the new value and what the instruction may change. exists: on which harts.
    forbidden: a condition under which the register can not be reached although the privilege mode would do. modify:
    what `csrrs` and `csrrc` start from where it is not what they read.
    """

    number: int
    name: str
    read: Read
    write: Write | None = None
    exists: Callable[[RiscvConfig], bool] = _always
    forbidden: Callable[[Session], Value | None] = _never
    modify: Read | None = None

    @property
    def mode(self) -> int:
        """The least privilege mode that reaches it."""
        return bits(self.number, 9, 8)

    @property
    def read_only(self) -> bool:
        """Whether writing it is an illegal instruction."""
        return bits(self.number, 11, 10) == 3


#: Every register by number.
CSRS: dict[int, Csr] = {}


def find(config: RiscvConfig, number: int) -> Csr | None:
    """The register with this number on a hart, or None."""
    csr = CSRS.get(number)
    return csr if csr is not None and csr.exists(config) else None


# --- ways to declare --------------------------------------------------------------------------------------------------

Exists = Callable[[RiscvConfig], bool]


def _declare(
    number: int,
    name: str,
    read: Read,
    write: Write | None = None,
    exists: Exists = _always,
    forbidden: Callable[[Session], Value | None] = _never,
    modify: Read | None = None,
) -> None:
    CSRS[number] = Csr(number, name, read, write, exists, forbidden, modify)


def _field(number: int, name: str, legal: Callable[[Session], int] | None = None, exists: Exists = _always) -> None:
    """A register that is the state field of its name and keeps the bits that `legal` allows."""

    def write(s: Session, new: Value, change: Change) -> None:
        setattr(s, name, new if legal is None else new & legal(s))

    _declare(number, name, _state(name), write, exists)


def _constant(number: int, name: str, value: Callable[[Session], int], exists: Exists = _always) -> None:
    """A register with one legal value."""
    _declare(number, name, lambda s: s.const(value(s)), None, exists)


def _state(name: str) -> Read:
    """The state field of this name."""
    return lambda s: getattr(s, name)


def _zero(s: Session) -> int:
    return 0


def _has(*extensions: str) -> Exists:
    """On harts with these extensions."""
    return lambda config: all(config.has(name) for name in extensions)


def _since(version: str, exists: Exists = _always) -> Exists:
    """On harts that follow this version of the privileged architecture."""
    return lambda config: config.since(version) and exists(config)


def _narrow(exists: Exists = _always) -> Exists:
    """On RV32: the upper half of a register that has 64 bits."""
    return lambda config: config.xlen == 32 and exists(config)


_SUPERVISOR, _USER, _FLOAT = _has("s"), _has("u"), _has("f")


# --- floating point ---------------------------------------------------------------------------------------------------


def _float_off(s: Session) -> Value | None:
    """Floating-point state can be switched off by mstatus.FS; a Linux program never sees that."""
    return None if s.config.user else s.fs == 0


def _mirrored(flags: Value) -> Value:
    """Five flags in opposite order: the engine has invalid operation in bit 0, fflags has it in bit 4."""
    turned = flags & 4
    for low in (0, 1):
        high = 4 - low
        turned = turned | ((flags >> (high - low)) & (1 << low)) | ((flags << (high - low)) & (1 << high))
    return turned


def _read_flags(s: Session) -> Value:
    return _mirrored(s.fp_flags()).zext(s.xlen)


def _write_flags(s: Session, new: Value, change: Change) -> None:
    s.set_fp_flags(_mirrored(new.trunc(8) & mask(5)))
    s.fs = 3


def _write_rounding(s: Session, new: Value, change: Change) -> None:
    """Mode 4, which the host does not have, is known to the reference evaluator alone; the reserved 5 to 7 are kept, and
    looked at by the instructions that use them.
    """
    mode = new.trunc(8) & 7
    s.frm = mode
    s.fs = 3
    with s.when(mode <= 4):
        s.set_fp_round(mode)


def _write_float(s: Session, new: Value, change: Change) -> None:
    _write_flags(s, new, change)
    _write_rounding(s, new >> 5, change)


_declare(0x001, "fflags", _read_flags, _write_flags, _FLOAT, _float_off)
_declare(0x002, "frm", lambda s: s.frm.zext(s.xlen), _write_rounding, _FLOAT, _float_off)
_declare(0x003, "fcsr", lambda s: _read_flags(s) | (s.frm.zext(s.xlen) << 5), _write_float, _FLOAT, _float_off)


# --- counters ---------------------------------------------------------------------------------------------------------


def _gate(counter: int) -> Callable[[Session], Value | None]:
    return lambda s: counters.forbidden(s, counter)


def _part(read: Callable[[Session], Value], high: bool = False) -> Read:
    """A register of 64 bits: all of it, or the half that RV32 sees."""
    return lambda s: read(s).bits(63, 32) if high else read(s).trunc(s.xlen)


def _set_part(counter: int, high: bool = False) -> Write:
    """Write a counter, or half of it in RV32."""

    def write(s: Session, new: Value, change: Change) -> None:
        value = new.zext(64)
        if s.xlen == 32:
            old = counters.read_counter(s, counter)
            value = (old & mask(32)) | (value << 32) if high else (old & ~mask(32)) | value
        counters.write_counter(s, counter, value)

    return write


def _declare_counter(number: int, name: str, read: Callable[[Session], Value]) -> None:
    """What user mode sees of a counter."""
    gate = _gate(number)
    _declare(0xC00 + number, name, _part(read), None, _has("zicntr"), gate)
    _declare(0xC80 + number, name + "h", _part(read, high=True), None, _narrow(_has("zicntr")), gate)


def _declare_machine_counter(number: int, name: str) -> None:
    """What machine mode sees and writes of a counter."""

    def read(s: Session) -> Value:
        return counters.read_counter(s, number)

    _declare(0xB00 + number, "m" + name, _part(read), _set_part(number))
    _declare(0xB80 + number, "m" + name + "h", _part(read, high=True), _set_part(number, high=True), _narrow())
    _declare_counter(number, name, read)


_declare_machine_counter(counters.CYCLE, "cycle")
_declare_machine_counter(counters.INSTRET, "instret")
_declare_counter(counters.TIME, "time", counters.read_time)

for _n in range(3, 32):
    _declare(0xC00 + _n, f"hpmcounter{_n}", lambda s: s.const(0), None, _has("zihpm"), _gate(_n))
    _declare(0xC80 + _n, f"hpmcounter{_n}h", lambda s: s.const(0), None, _narrow(_has("zihpm")), _gate(_n))
    _constant(0xB00 + _n, f"mhpmcounter{_n}", _zero, _has("zihpm"))
    _constant(0xB80 + _n, f"mhpmcounter{_n}h", _zero, _narrow(_has("zihpm")))
    _constant(0x320 + _n, f"mhpmevent{_n}", _zero, _has("zihpm"))


def _write_inhibit(s: Session, new: Value, change: Change) -> None:
    counters.write_inhibit(s, new)


_declare(0x320, "mcountinhibit", _state("mcountinhibit"), _write_inhibit, _since("v1.11.0"))
_field(0x106, "scounteren", lambda s: mask(32), _SUPERVISOR)
_field(0x306, "mcounteren", lambda s: mask(32), _USER)


# --- status and interrupts --------------------------------------------------------------------------------------------


def _supervisor_interrupts(s: Session) -> int:
    return traps.SUPERVISOR_INTERRUPTS if s.config.has("s") else 0


def _merge(old: Value, new: Value, fields: Value | int) -> Value:
    """`old` with the bits of `fields` taken from `new`."""
    return (old & ~fields) | (new & fields)


def _write_mie(s: Session, new: Value, change: Change) -> None:
    s.mie = new & (traps.MACHINE_INTERRUPTS | _supervisor_interrupts(s))
    traps.check_interrupts(s)


def _write_sie(s: Session, new: Value, change: Change) -> None:
    s.mie = _merge(s.mie, new, s.mideleg)
    traps.check_interrupts(s)


def _read_mip(s: Session) -> Value:
    timer.refresh(s)
    return traps.pending(s)


def _write_mip(s: Session, new: Value, change: Change) -> None:
    """Machine-level bits follow the devices alone; software can ask for those of supervisor mode, but for what follows stimecmp."""
    fields = s.const(_supervisor_interrupts(s))
    if timer.has_comparator(s.config):
        fields = s.select(timer.in_use(s), fields & ~(1 << interrupts.STI), fields)
    s.mip_soft = _merge(s.mip_soft, new, fields)
    traps.check_interrupts(s)


def _read_sip(s: Session) -> Value:
    """Interrupts that go to machine mode are not to be seen."""
    timer.refresh(s)
    visible: Value = traps.pending(s) & s.mideleg
    return visible


def _write_sip(s: Session, new: Value, change: Change) -> None:
    """Supervisor mode can ask itself for a software interrupt where it handles these."""
    s.mip_soft = _merge(s.mip_soft, new, s.mideleg & (1 << interrupts.SSI))
    traps.check_interrupts(s)


def _write_mideleg(s: Session, new: Value, change: Change) -> None:
    s.mideleg = new & _supervisor_interrupts(s)
    traps.check_interrupts(s)


_declare(0x300, "mstatus", status.read_mstatus, status.write_mstatus)
_constant(0x310, "mstatush", _zero, _since("v1.12.0", _narrow()))
_declare(0x100, "sstatus", status.read_sstatus, status.write_sstatus, _SUPERVISOR)
_declare(0x304, "mie", _state("mie"), _write_mie)
_declare(0x104, "sie", lambda s: s.mie & s.mideleg, _write_sie, _SUPERVISOR)
_declare(0x344, "mip", _read_mip, _write_mip, modify=_state("mip_soft"))
_declare(0x144, "sip", _read_sip, _write_sip, _SUPERVISOR, modify=_state("mip_soft"))
_field(0x302, "medeleg", lambda s: traps.DELEGABLE, _SUPERVISOR)
_declare(0x303, "mideleg", _state("mideleg"), _write_mideleg, _SUPERVISOR)


# --- the timer of supervisor mode (Sstc) --------------------------------------------------------------------------------


def _write_stimecmp(high: bool) -> Write:
    def write(s: Session, new: Value, change: Change) -> None:
        value = new.zext(64)
        if s.xlen == 32:
            value = (s.stimecmp & mask(32)) | (value << 32) if high else (s.stimecmp & ~mask(32)) | value
        timer.write_compare(s, value)
        traps.check_interrupts(s)

    return write


_SSTC = _has("s", "sstc")
_declare(0x14D, "stimecmp", _part(lambda s: s.stimecmp), _write_stimecmp(False), _SSTC, timer.forbidden)
_declare(0x15D, "stimecmph", _part(lambda s: s.stimecmp, high=True), _write_stimecmp(True), _narrow(_SSTC), timer.forbidden)


# --- trap handling ----------------------------------------------------------------------------------------------------


def _aligned(s: Session) -> int:
    """Addresses at which an instruction can start."""
    return ~1 if s.config.has("c") else ~3


def _vector(number: int, name: str, exists: Exists = _always) -> None:
    """Base of a trap handler and its mode: 0 direct, 1 vectored. Writes of another mode are ignored."""

    def write(s: Session, new: Value, change: Change) -> None:
        setattr(s, name, s.select(new.bit(1), getattr(s, name), new))

    _declare(number, name, _state(name), write, exists)


_vector(0x105, "stvec", _SUPERVISOR)
_field(0x140, "sscratch", exists=_SUPERVISOR)
_field(0x141, "sepc", _aligned, _SUPERVISOR)
_field(0x142, "scause", exists=_SUPERVISOR)
_field(0x143, "stval", exists=_SUPERVISOR)
_vector(0x305, "mtvec")
_field(0x340, "mscratch")
_field(0x341, "mepc", _aligned)
_field(0x342, "mcause")
_field(0x343, "mtval")


# --- memory -----------------------------------------------------------------------------------------------------------


def _write_satp(s: Session, new: Value, change: Change) -> None:
    """A mode that the hart does not have leaves the register as it is. A new table is seen from the next instruction
    on.
    """
    mode = new >> (31 if s.xlen == 32 else 60)
    legal = mode == 0
    for number in s.config.satp_modes:
        legal = legal | (mode == number)
    with s.when(legal & (new != s.satp)):
        s.satp = new
        s.call("tlb_flush")
        s.resync()


def virtual_memory_trapped(s: Session) -> Value | None:
    """mstatus.TVM keeps supervisor mode away from address translation."""
    return (s.mstatus & status.TVM) != 0 if s.context == status.SUPERVISOR else None


def _declare_pmpcfg(register: int) -> None:
    """Configurations of four (RV32) or eight entries; RV64 has the even registers only."""

    def write(s: Session, new: Value, change: Change) -> None:
        pmp.write_config(s, 4 * register, new, change.touched)

    def exists(config: RiscvConfig) -> bool:
        return config.pmp > 0 and (config.xlen == 32 or register % 2 == 0)

    _declare(0x3A0 + register, f"pmpcfg{register}", lambda s: pmp.read_config(s, 4 * register), write, exists)


def _declare_pmpaddr(entry: int) -> None:
    """Address of an entry, without its two lowest bits."""

    def write(s: Session, new: Value, change: Change) -> None:
        pmp.write_address(s, entry, new)

    read = _part(lambda s: s.pmpaddr[entry])
    _declare(0x3B0 + entry, f"pmpaddr{entry}", read, write, lambda config: config.pmp > 0)


_declare(0x180, "satp", _state("satp"), _write_satp, _SUPERVISOR, virtual_memory_trapped)
for _n in range(PMP_ENTRIES // 4):
    _declare_pmpcfg(_n)
for _n in range(PMP_ENTRIES):
    _declare_pmpaddr(_n)


# --- environment of lower modes ---------------------------------------------------------------------------------------

_CBIE, _PBMTE = 3 << 4, 1 << 62


def environment_fields(config: RiscvConfig) -> int:
    """Fields of menvcfg: FIOM (every fence orders input and output anyway), cache-block operations, memory types, the timer of supervisor mode.
    """
    cache_management = _CBIE | 1 << 6 if config.has("zicbom") else 0
    cache_zero = 1 << 7 if config.has("zicboz") else 0
    memory_types = _PBMTE if config.has("svpbmt") and config.xlen == 64 else 0
    comparator = timer.STCE if config.has("sstc") and config.has("s") else 0
    return 1 | cache_management | cache_zero | memory_types | comparator


def _legal_environment(s: Session, new: Value, fields: int) -> Value:
    """CBIE has a reserved value, which becomes 0."""
    return s.select((new & _CBIE) == 2 << 4, new & (fields & ~_CBIE), new & fields)


def _write_menvcfg(s: Session, new: Value, change: Change) -> None:
    fields = environment_fields(s.config) & mask(s.xlen)
    legal = _legal_environment(s, new.zext(64), fields)
    if s.xlen == 64:
        _set_environment(s, legal, change.touched)
    else:
        s.menvcfg = (s.menvcfg & ~mask(32)) | legal


def _write_menvcfgh(s: Session, new: Value, change: Change) -> None:
    high = new.zext(64) << 32 & environment_fields(s.config)
    _set_environment(s, (s.menvcfg & mask(32)) | high, change.touched << 32)


def _set_environment(s: Session, legal: Value, touched: int) -> None:
    """Enter a value of menvcfg, and follow what it changes."""
    fields = environment_fields(s.config) & touched
    changed = s.menvcfg ^ legal
    s.menvcfg = legal
    if fields & _PBMTE:
        s.call("tlb_flush")
    if fields & timer.STCE:
        with s.when((changed & timer.STCE) != 0):
            s.mip_soft = s.mip_soft & ~(1 << interrupts.STI)
            timer.follow(s)
            traps.check_interrupts(s)


def _write_senvcfg(s: Session, new: Value, change: Change) -> None:
    s.senvcfg = _legal_environment(s, new, environment_fields(s.config) & mask(8))


_declare(0x30A, "menvcfg", _part(lambda s: s.menvcfg), _write_menvcfg, _since("v1.12.0", _USER))
_declare(0x31A, "menvcfgh", _part(lambda s: s.menvcfg, high=True), _write_menvcfgh, _since("v1.12.0", _narrow(_USER)))
_declare(0x10A, "senvcfg", _state("senvcfg"), _write_senvcfg, _since("v1.12.0", _SUPERVISOR))


# --- what the hart is -------------------------------------------------------------------------------------------------


def _misa(s: Session) -> int:
    """Register width and letters; extensions can not be switched off."""
    letters = sum(1 << ord(name) - ord("a") for name in s.config.extensions if len(name) == 1)
    return (1 if s.xlen == 32 else 2) << (s.xlen - 2) | letters


_constant(0x301, "misa", _misa)
_constant(0xF11, "mvendorid", lambda s: s.config.vendor)
_constant(0xF12, "marchid", lambda s: s.config.arch_id & mask(s.xlen))
_constant(0xF13, "mimpid", lambda s: s.config.imp_id & mask(s.xlen))
_declare(0xF14, "mhartid", _state("mhartid"))
_constant(0xF15, "mconfigptr", _zero, _since("v1.12.0"))


# --- triggers (debug specification 0.13, chapter 5.2): there are none -------------------------------------------------


def _debug(config: RiscvConfig) -> bool:
    return config.debug


for _n, _name in enumerate(("tselect", "tdata1", "tdata2", "tdata3")):
    _constant(0x7A0 + _n, _name, _zero, _debug)
_constant(0x7A4, "tinfo", lambda s: 1, _debug)
