"""Saving and restoring a processor: all that an instruction set declares, with random values."""

from __future__ import annotations

import random
from collections.abc import Iterator

from ratite.cpu.vcpu import Vcpu
from ratite.isa.arch import Arch
from ratite.isa.dsl import RegFile
from ratite.isa.dsl.state import ISA_BASE

#: Of the engine's fields, those that are a processor's state: none of them may get lost.
ENGINE_STATE = ("next_pc", "fp_flags", "fp_round")

#: The bits of the host's floating-point control that say how to round.
_ROUNDING = 3 << 13


def elements(arch: Arch) -> Iterator[tuple[str, int | None]]:
    """Every register and field that is a processor's state: its name, and its number within a file."""
    for slot in arch.layout.slots.values():
        declared = slot.decl
        if slot.name in arch.tables or (0 <= slot.offset < ISA_BASE and slot.name not in ENGINE_STATE):
            continue
        if isinstance(declared, RegFile):
            yield from ((slot.name, n) for n in range(slot.count) if n != declared.zero and not declared.within)
        else:
            yield slot.name, None


def lost(arch: Arch, seed: int = 0) -> tuple[int, list[str]]:
    """Give everything a random value, save it, and restore it in a processor of another machine: how much there was, and
    what has another value then, the contents of tables included."""
    from ratite.cpu.engine import Engine
    from ratite.memory import AddressSpace

    first, second = (Vcpu(Engine(arch, AddressSpace(), code_size=8 << 20)) for _ in range(2))
    values = random.Random(seed)
    for name, n in elements(arch):
        _set(first, name, n, 2 if name == "fp_round" else values.getrandbits(arch.layout.slots[name].width))
    for table in first.tables.values():
        table.view[:] = values.randbytes(len(table.view))
    second.state.load(first.state.save())
    found = [f"{name}[{n}]" if n is not None else name for name, n in elements(arch) if _get(first, name, n) != _get(second, name, n)]
    found += [name for name, table in first.tables.items() if bytes(table.view) != bytes(second.tables[name].view)]
    if (first.state.mxcsr ^ second.state.mxcsr) & _ROUNDING:
        found.append("rounding of machine code")
    return sum(1 for _ in elements(arch)) + len(arch.tables), found


def _get(vcpu: Vcpu, name: str, n: int | None) -> int:
    value: int = getattr(vcpu.state, name) if n is None else getattr(vcpu.state, name)[n]
    return value


def _set(vcpu: Vcpu, name: str, n: int | None, value: int) -> None:
    if name == "fp_round":
        vcpu.set_fp_round(value)
    elif n is None:
        setattr(vcpu.state, name, value)
    else:
        getattr(vcpu.state, name)[n] = value
