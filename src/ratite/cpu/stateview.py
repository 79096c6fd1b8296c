"""The declared state of a virtual processor, by name."""

from __future__ import annotations

from ratite.bits import mask
from ratite.isa.dsl.state import ISA_BASE, RegFile, Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.cpu.core import Core


class _File:
    """`state.x[5]`: one register file."""

    __slots__ = ("_count", "_first", "_mask", "_parts", "_step", "_words")

    def __init__(self, words: memoryview, first: int, slot: Slot) -> None:
        self._words, self._first, self._count, self._mask = words, first, slot.count, mask(slot.width)
        self._step, self._parts = slot.stride // 8, max(1, slot.width // 64)

    def __getitem__(self, n: int) -> int:
        if not 0 <= n < self._count:
            raise IndexError(n)
        at = self._first + n * self._step
        if self._parts == 1:
            return self._words[at] & self._mask
        return int.from_bytes(self._words[at : at + self._parts].tobytes(), "little")

    def __setitem__(self, n: int, value: int) -> None:
        if not 0 <= n < self._count:
            raise IndexError(n)
        at = self._first + n * self._step
        for part in range(self._parts):
            self._words[at + part] = (value & self._mask) >> 64 * part & mask(64)

    def __len__(self) -> int:
        return self._count


class StateView:
    """The declared state by name: `state.pc`, `state.x[10]`, `state.mepc`. Values are unsigned integers."""

    def __init__(self, vcpu: Core) -> None:
        d = self.__dict__
        d["_vcpu"] = vcpu
        d["_slots"] = slots = vcpu.engine.arch.layout.slots
        for slot in slots.values():
            if isinstance(slot.decl, RegFile):
                d[slot.name] = _File(vcpu.words, vcpu.base8 + slot.offset // 8, slot)

    @property
    def pc(self) -> int:
        """Where execution goes on."""
        return int(self.next_pc)

    @pc.setter
    def pc(self, value: int) -> None:
        self.next_pc = value

    def __getattr__(self, name: str) -> Any:
        slot = self.__dict__["_slots"].get(name)
        if slot is None:
            raise AttributeError(name)
        vcpu = self.__dict__["_vcpu"]
        if slot.width == 8:
            return vcpu.bytes[vcpu.base + slot.offset]
        return vcpu.words[vcpu.base8 + slot.offset // 8] & mask(slot.width)

    def __setattr__(self, name: str, value: int) -> None:
        slot = self._slots.get("next_pc" if name == "pc" else name)
        if slot is None:
            raise AttributeError(name)
        vcpu = self._vcpu
        if slot.width == 8:
            vcpu.bytes[vcpu.base + slot.offset] = value & 0xFF
        else:
            vcpu.words[vcpu.base8 + slot.offset // 8] = value & mask(slot.width)

    def save(self) -> dict[str, Any]:
        """All declared state, for migration and comparison; registers within wider ones are part of these."""
        result: dict[str, Any] = {"pc": self.pc, "fp_flags": self.fp_flags, "fp_round": self.fp_round}
        tables = self._vcpu.tables
        for slot in self._slots.values():
            if slot.name in tables:
                result[slot.name] = bytes(tables[slot.name].view)
            elif (slot.offset >= ISA_BASE or slot.offset < 0) and not getattr(slot.decl, "within", ""):
                result[slot.name] = list(getattr(self, slot.name)) if isinstance(slot.decl, RegFile) else getattr(self, slot.name)
        return result

    def load(self, saved: dict[str, Any]) -> None:
        """Restore what `save` gave. There is no load reservation then."""
        self.reserve_addr = mask(64)
        for name, value in saved.items():
            if name == "fp_round":
                self._vcpu.set_fp_round(value)
            elif name in self._vcpu.tables:
                self._vcpu.tables[name].view[:] = value
            elif isinstance(value, list):
                file = getattr(self, name)
                for n, v in enumerate(value):
                    file[n] = v
            else:
                setattr(self, name, value)

    def reset(self, *kept: str) -> None:
        """Give everything declared its value after reset, tables and rounding included; what is `kept` belongs to devices."""
        for slot in self._slots.values():
            if slot.name in kept or slot.name in self._vcpu.tables or 0 <= slot.offset < ISA_BASE:
                continue
            if isinstance(slot.decl, RegFile):
                file = getattr(self, slot.name)
                for n in range(slot.count):
                    file[n] = 0
            else:
                setattr(self, slot.name, slot.decl.reset)
        for table in self._vcpu.tables.values():
            table.clear()
        self.fp_flags, self.reserve_addr = 0, mask(64)
        self._vcpu.set_fp_round(0)

    if TYPE_CHECKING:  # declared by the engine for every ISA
        next_pc: int
        attention: int
        fp_flags: int
        fp_round: int
        reserve_addr: int
