"""What can be told of finished x86-64 code: whether a fault leaves the guest's registers intact, and where register numbers are.

Encodings: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, chapter 2 (instruction format, REX and VEX prefixes).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ratite.codegen import host_x86_64 as host

_NAMES = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)))
#: The pinned registers by number in instructions.
_PINS = {_NAMES[n]: pin for pin, n in enumerate(host.PIN_REGISTERS)}
#: What must hold the guest's state when an access faults: the pinned registers and the state pointer.
_STATE = "r13"
_STATE_REGISTERS = frozenset({*_PINS, _STATE})
#: Bases of accesses that can not fault: the state and the stack.
_SAFE_BASES = frozenset({"r13", "rsp", "rip"})

_LEGACY_PREFIXES = frozenset((0x66, 0xF2, 0xF3, 0xF0, 0x2E, 0x36, 0x3E, 0x26, 0x64, 0x65, 0x67))
_VEX3, _VEX2 = 0xC4, 0xC5
#: Prefixes of vector instructions with 32 registers, and others of which there is no need to know more.
_UNKNOWN_PREFIXES = frozenset((0x62, 0xD5, 0x8F))


class RegisterField(NamedTuple):
    """Where an instruction has the number of a register.

    which: the register, as index of `host.CANONICAL`. high, bit, inverted: the byte and the bit of the number's fourth bit, and whether it is
    stored as its opposite; bit -1: all four bits are in one field, inverted, at bit 3 of byte `high`. low, shift: byte and bit of the lower
    three bits.
    """

    which: int
    high: int
    bit: int
    inverted: bool
    low: int
    shift: int


@functools.cache
def _disassembler() -> Any:
    import capstone

    machine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    machine.detail = True
    return machine


@functools.cache
def _whole_register(number: int) -> str:
    """The 64-bit register that a capstone register is a part of."""
    name: str = _disassembler().reg_name(number) or ""
    if name[:1] == "r" and name[1:2].isdigit():
        return name.rstrip("bwd")
    stem = name.lstrip("re").rstrip("xhl")
    return {"a": "rax", "b": "rbx", "c": "rcx", "d": "rdx", "si": "rsi", "di": "rdi", "sp": "rsp", "bp": "rbp"}.get(stem, name)


def is_precise(code: bytes) -> bool:
    """Whether the pinned registers are as at the code's start wherever an access to guest memory may fault.

    `cmpxchg16b` does not count: memory is written just before it, to find that out.
    """
    written_at: list[int] = []
    last = -1
    for i in _disassembler().disasm(code, 0):
        memory = [o.mem for o in i.operands if o.type == 3]  # capstone.x86.X86_OP_MEM
        if not i.mnemonic.endswith(("lea", "cmpxchg16b")) and any(m.base == 0 or _whole_register(m.base) not in _SAFE_BASES for m in memory):
            last = max(last, i.address)
        if i.mnemonic.startswith("j") and i.operands[0].type == 2 and 0 <= i.operands[0].imm <= last < i.address:
            last = i.address  # a loop around an access
        if any(_whole_register(r) in _STATE_REGISTERS for r in i.regs_access()[1]):
            written_at.append(i.address)
    return all(at >= last for at in written_at)


def state_accesses(code: bytes) -> list[tuple[int, int, int]] | None:
    """Every access to the state: its distance from the state pointer, and place and size of the number that says so in the code. None where the
    state pointer is used in any other way."""
    found = []
    end = 0
    for i in _disassembler().disasm(code, 0):
        end = i.address + i.size
        for o in i.operands:
            if o.type == 1 and _whole_register(o.reg) == _STATE:  # capstone.x86.X86_OP_REG
                return None
            if o.type != 3 or _STATE not in (_whole_register(o.mem.base), _whole_register(o.mem.index)):
                continue
            place, size = i.address + i.encoding.disp_offset, i.encoding.disp_size
            written = int.from_bytes(code[place : place + size], "little", signed=True)
            if o.mem.index or i.mnemonic == "lea" or written != o.mem.disp:
                return None
            if size:
                found.append((written, place, size))
    return found if end == len(code) else None


# --- renaming -----------------------------------------------------------------------------------------------------------------------
def register_fields(code: bytes, count: int) -> tuple[tuple[RegisterField, ...], tuple[int, ...]] | None:
    """Every place where `code` names one of the first `count` canonical registers, and the other pinned registers it uses, with which these can
    not be exchanged; None where it has instructions that are not understood here."""
    ours = {_NAMES[host.PIN_REGISTERS[pin]]: n for n, pin in enumerate(host.CANONICAL[:count])}
    numbers = {host.PIN_REGISTERS[pin]: n for n, pin in enumerate(host.CANONICAL[:count])}
    fields: list[RegisterField] = []
    others: set[int] = set()
    for i in _disassembler().disasm(code, 0):
        used = {_whole_register(r) for both in i.regs_access() for r in both}
        others |= {_PINS[name] for name in used & _PINS.keys() - ours.keys()}
        if any(_is_high_vector(name) for name in used):
            return None
        places = {(f[1:], n) for f, n in _numbers(i) if n in numbers}
        if (used & ours.keys()) != {_NAMES[n] for _, n in places}:
            return None
        fields += [RegisterField(numbers[n], *place) for place, n in sorted(places)]
    if others & {*host.CANONICAL}:
        return None
    return (tuple(fields), tuple(sorted(others))) if _renames_well(code, fields, count) else None


def _is_high_vector(name: str) -> bool:
    """Whether a register is a vector register whose number could be taken for that of a canonical one."""
    return name[1:3] == "mm" and name[3:].isdigit() and int(name[3:]) >= 8


def _numbers(i: Any) -> Iterator[tuple[tuple[int, int, int, bool, int, int], int]]:
    """The register fields of an instruction: (0, high, bit, inverted, low, shift) and the number there."""
    code, start = bytes(i.bytes), i.address
    at = 0
    while code[at] in _LEGACY_PREFIXES:
        at += 1
    first = code[at]
    if first in _UNKNOWN_PREFIXES:
        return
    if first == _VEX2:
        bits, inverted, vvvv = {"R": 7}, True, at + 1
    elif first == _VEX3:
        bits, inverted, vvvv = {"R": 7, "X": 6, "B": 5}, True, at + 2
    elif first & 0xF0 == 0x40:
        bits, inverted, vvvv = {"R": 2, "X": 1, "B": 0}, False, 0
    else:
        return
    high = at + (1 if inverted else 0)

    def field(letter: str, low: int, shift: int) -> Iterator[tuple[tuple[int, int, int, bool, int, int], int]]:
        if letter in bits:
            top = (code[high] >> bits[letter] & 1) ^ inverted
            yield (0, start + high, bits[letter], inverted, start + low, shift), top << 3 | code[low] >> shift & 7

    if vvvv:
        yield (0, start + vvvv, -1, True, start + vvvv, 3), ~(code[vvvv] >> 3) & 15
    modrm = i.encoding.modrm_offset
    if not modrm:
        opcode = at + 2 if code[at + 1] == 0x0F else at + 1
        yield from field("B", opcode, 0)
        return
    yield from field("R", modrm, 3)
    if code[modrm] >> 6 != 3 and code[modrm] & 7 == 4:
        yield from field("X", modrm + 1, 3)
        yield from field("B", modrm + 1, 0)
    else:
        yield from field("B", modrm, 0)


def rename(code: bytes, fields: Sequence[RegisterField], pins: Sequence[int]) -> bytes:
    """The code with the canonical registers replaced by the pinned registers `pins`."""
    data = bytearray(code)
    for which, high, bit, inverted, low, shift in fields:
        n = host.PIN_REGISTERS[pins[which]]
        if bit < 0:
            data[low] = data[low] & ~0x78 | (~n & 15) << 3
        else:
            top = (n >> 3) ^ inverted
            data[high] = data[high] & ~(1 << bit) | top << bit
            data[low] = data[low] & ~(7 << shift) | (n & 7) << shift
    return bytes(data)


#: Pinned registers to try renaming with: all others.
_TRIAL = tuple(n for n in range(host.PINNED) if n not in host.CANONICAL)


def _renames_well(code: bytes, fields: Sequence[RegisterField], count: int) -> bool:
    """Whether renamed code disassembles to the same instructions with the other registers."""
    words: dict[str, str] = {}
    for n, pin in enumerate(host.CANONICAL[:count]):
        old, new = _NAMES[host.PIN_REGISTERS[pin]], _NAMES[host.PIN_REGISTERS[_TRIAL[n]]]
        words |= dict(zip(_parts(old), _parts(new), strict=True))
    pattern = re.compile(r"\b(" + "|".join(words) + r")\b") if words else None
    lines = [(m, pattern.sub(lambda w: words[w[0]], o) if pattern else o) for _, _, m, o in _lines(code)]
    return lines == [(m, o) for _, _, m, o in _lines(rename(code, fields, _TRIAL))]


def _lines(code: bytes) -> Iterator[tuple[int, int, str, str]]:
    found: Iterator[tuple[int, int, str, str]] = _disassembler().disasm_lite(code, 0)
    return found


def _parts(name: str) -> tuple[str, str, str, str]:
    """Names of a register's parts: all of it, four bytes, two, one."""
    if name[1:].isdigit():
        return name, name + "d", name + "w", name + "b"
    short = name[1:]
    return name, "e" + short, short, short + "l" if short in ("si", "di", "sp", "bp") else short[0] + "l"
