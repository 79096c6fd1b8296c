"""Control and status registers: how they read, and what they accept (LoongArch Reference Manual, volume 1, v1.10, chapter 7).

A register is a declaration: number, name, how it is read and how it is written. Most are a field of the state and the
bits of it that can be written. A register of 32 bits reads sign-extended (7.2.2). A number without a declaration reads
zero and ignores writes (4.2.1).

The bits of MISC that ask for what is not modelled read zero: VA32L1 to VA32L3 (32-bit addresses) and ALCL0 to ALCL3
(alignment checks of ordinary loads and stores). Not modelled either: message-signalled interrupts inside the core (6.2),
watchpoints (7.9; there are none), debug mode (7.10), and what belongs to virtualization.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ratite.bits import mask
from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch import clock, counters, cpucfg, modes, tlb, traps, walk

Read = Callable[[Session], Value]
#: Gets the old value as it read, and the new one. It may end the text.
Write = Callable[[Session, Value, Value], None]


@dataclass(frozen=True)
class Csr:
    """A register; one without `write` can not be changed. short: it has 32 bits, which reads extend. has: the feature in
    CPUCFG that it belongs to. level: whether the text's privilege level may read it; none but 0 where there is none.
    """

    number: int
    name: str
    read: Read
    write: Write | None = None
    short: bool = False
    has: str = ""
    level: Callable[[Session], Value] | None = None


#: Every register by number.
CSRS: dict[int, Csr] = {}

_PAGE = ~mask(12)
_ALL = mask(64)


# --- ways to declare ----------------------------------------------------------------------------------------------------


def _declare(number: int, name: str, read: Read, write: Write | None = None, short: bool = False) -> None:
    CSRS[number] = Csr(number, name, read, write, short)


def _state(name: str) -> Read:
    return lambda s: getattr(s, name)


def _field(number: int, name: str, fields: int = _ALL, then: Write | None = None) -> None:
    """A register that is the state field of its name, and the bits that it has; `then` follows a write."""

    def write(s: Session, old: Value, new: Value) -> None:
        merged = new & fields
        setattr(s, name, merged)
        if then is not None:
            then(s, old, merged)

    _declare(number, name, _state(name), write, short=0 <= fields <= mask(32))


def _constant(number: int, name: str, value: int) -> None:
    _declare(number, name, lambda s: s.const(value))


def _file(number: int, name: str, count: int, fields: int = _ALL, then: Write | None = None, file: str = "") -> None:
    """Registers that are a register file, of their name unless `file` says another."""

    def declare(n: int) -> None:
        def write(s: Session, old: Value, new: Value) -> None:
            getattr(s, file or name)[n] = new & fields
            if then is not None:
                then(s, old, new & fields)

        _declare(number + n, f"{name}{n}", lambda s: getattr(s, file or name)[n], write)

    for n in range(count):
        declare(n)


# --- modes and exceptions -----------------------------------------------------------------------------------------------

_MODE = modes.PLV | modes.DA | modes.PG


def _mode_changed(s: Session, old: Value, new: Value) -> None:
    changed = old ^ new
    with s.when((changed & _MODE) != 0):
        s.call(modes.mode_update)
        s.attention = 1
        s.resync()
    with s.when((changed & modes.IE) != 0):
        traps.check_interrupts(s)


def _check(s: Session, old: Value, new: Value) -> None:
    traps.check_interrupts(s)


def _read_estat(s: Session) -> Value:
    code: Value = s.estat_code
    return traps.pending(s) | code


def _write_estat(s: Session, old: Value, new: Value) -> None:
    s.estat_soft = new & traps.SOFTWARE
    traps.check_interrupts(s)


def _misc_changed(s: Session, old: Value, new: Value) -> None:
    with s.when(((old ^ new) & modes.NO_WRITE_PROTECTION) != 0):
        s.call("tlb_flush")
        s.resync()


_field(0x000, "crmd", mask(10), _mode_changed)
_field(0x001, "prmd", mask(4))
_field(0x002, "euen", mask(4))
_field(0x003, "misc", modes.NO_RDTIME | modes.COUNTERS | modes.NO_WRITE_PROTECTION, _misc_changed)
_field(0x004, "ecfg", 7 << 16 | traps.INTERRUPTS, _check)
_declare(0x005, "estat", _read_estat, _write_estat)
_field(0x006, "era")
_field(0x007, "badv")
_declare(0x008, "badi", _state("badi"), short=True)
_field(0x00C, "eentry", _PAGE)


# --- address translation ------------------------------------------------------------------------------------------------


def _space_changed(s: Session, old: Value, new: Value) -> None:
    with s.when(((old ^ new) & tlb.SPACES) != 0):
        s.call("tlb_flush")
        s.resync()


def _view_changed(s: Session, old: Value, new: Value) -> None:
    with s.when(old != new):
        s.call("tlb_flush")
        s.resync()


def _read_asid(s: Session) -> Value:
    asid: Value = s.asid
    return asid | tlb.SPACES.bit_length() << 16


def _write_asid(s: Session, old: Value, new: Value) -> None:
    s.asid = new & tlb.SPACES
    _space_changed(s, old, new)


def _write_pair(s: Session, old: Value, new: Value) -> None:
    s.tlbehi = ((new << 16).s >> 16) & ~mask(13)


def _write_refill_pair(s: Session, old: Value, new: Value) -> None:
    s.tlbrehi = (((new << 16).s >> 16) & ~mask(13)) | (new & mask(6))


def _read_pgd(s: Session) -> Value:
    """The root table for the address that caused the exception."""
    address = s.select(tlb.in_refill(s), s.tlbrbadv, s.badv)
    return s.select(address.bit(63), s.pgdh, s.pgdl)


def _write_walk(s: Session, old: Value, new: Value) -> None:
    """PWCH has its switch where the core can walk."""
    s.pwch = new & (mask(24) | (walk.ENABLED if s.config.has("HPTW") else 0))


_field(0x010, "tlbidx", tlb.NE | mask(6) << 24 | tlb.INDEX)
_declare(0x011, "tlbehi", _state("tlbehi"), _write_pair)
_field(0x012, "tlbelo0", tlb.PAGE_FIELDS)
_field(0x013, "tlbelo1", tlb.PAGE_FIELDS)
_declare(0x018, "asid", _read_asid, _write_asid)
_field(0x019, "pgdl", _PAGE)
_field(0x01A, "pgdh", _PAGE)
_declare(0x01B, "pgd", _read_pgd)
_field(0x01C, "pwcl", mask(32))
_declare(0x01D, "pwch", _state("pwch"), _write_walk)
_field(0x01E, "stlbps", mask(6), _view_changed)
_field(0x01F, "rvacfg", mask(4))
_field(0x088, "tlbrentry", mask(48) & _PAGE)
_field(0x089, "tlbrbadv")
_field(0x08A, "tlbrera", ~2)
_field(0x08B, "tlbrsave")
_field(0x08C, "tlbrelo0", tlb.PAGE_FIELDS)
_field(0x08D, "tlbrelo1", tlb.PAGE_FIELDS)
_declare(0x08E, "tlbrehi", _state("tlbrehi"), _write_refill_pair)
_field(0x08F, "tlbrprmd", mask(5) & ~8)
_file(0x180, "dmw", 4, 0xF << 60 | 0x3F, _view_changed)


# --- what the core is ---------------------------------------------------------------------------------------------------

#: Registers for software to keep things in.
SAVE_COUNT = 8
#: Page sizes that the MTLB takes: 4 KiB to 512 MiB.
_PAGE_SIZES = mask(30) & ~mask(12)

_declare(0x020, "cpuid", _state("cpuid"))
_constant(0x021, "prcfg1", SAVE_COUNT | (clock.TIMER_BITS - 1) << 4 | 7 << 12)
_constant(0x022, "prcfg2", _PAGE_SIZES)
_constant(0x023, "prcfg3", 2 | (tlb.MTLB - 1) << 4 | (tlb.WAYS - 1) << 12 | (tlb.SETS.bit_length() - 1) << 20)
_file(0x030, "save", SAVE_COUNT, file="saved")


# --- timer --------------------------------------------------------------------------------------------------------------


def _write_tcfg(s: Session, old: Value, new: Value) -> None:
    clock.write_timer(s, new)


def _clear_timer(s: Session, old: Value, new: Value) -> None:
    with s.when(new.bit(0)):
        s.timer_fired = 0


_field(0x040, "tid", mask(32))
_declare(0x041, "tcfg", _state("tcfg"), _write_tcfg)
_declare(0x042, "tval", clock.read_timer)
_field(0x043, "cntc")
_declare(0x044, "ticlr", lambda s: s.const(0), _clear_timer)


# --- load reservations --------------------------------------------------------------------------------------------------


def _read_llbctl(s: Session) -> Value:
    shown: Value = s.llbctl | (s.reserve_addr != -1).zext(64)
    return shown


def _write_llbctl(s: Session, old: Value, new: Value) -> None:
    s.llbctl = new & traps.KLO
    s.reserve_addr = s.select(new.bit(1), s.const(-1), s.reserve_addr)


_declare(0x060, "llbctl", _read_llbctl, _write_llbctl)


# --- of the implementation; errors of the machine ---------------------------------------------------------------------------

_field(0x080, "impctl1")
_field(0x081, "impctl2")
_field(0x090, "merrctl", 0x1FCE)    # but for IsMERR and PIE, which no error ever sets
_field(0x091, "merrinfo1")
_field(0x092, "merrinfo2")
_field(0x093, "merrentry", mask(48) & _PAGE)
_field(0x094, "merrera")
_field(0x095, "merrsave")
_field(0x098, "ctag")


# --- performance monitors ---------------------------------------------------------------------------------------------------


def _declare_monitor(n: int) -> None:
    def configure(s: Session, old: Value, new: Value) -> None:
        s.python(counters.configure(n), new)
        traps.check_interrupts(s)

    def count(s: Session, old: Value, new: Value) -> None:
        s.python(counters.set_count(n), new)
        traps.check_interrupts(s)

    number = 0x200 + 2 * n
    CSRS[number] = Csr(number, f"pmcfg{n}", lambda s: s.pmcfg[n], configure, short=True, has="PMP")
    CSRS[number + 1] = Csr(
        number + 1, f"pmcnt{n}", lambda s: counters.read_count(s, n), count, has="PMP", level=counters.may_read,
    )  # fmt: skip


for _n in range(cpucfg.MONITORS):
    _declare_monitor(_n)
