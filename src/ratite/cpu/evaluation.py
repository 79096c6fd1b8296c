"""What the reference evaluator's functions ask a virtual processor for: instructions, memory, atomics, flags (`ratite.codegen.reference`).

It is all done under the engine's lock: one instruction at a time, in order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from ratite.bits import mask
from ratite.codegen.endings import GuestTrap
from ratite.codegen.tables import RESERVATION_BITS, RESERVATIONS
from ratite.cpu.codepage import PAGE
from ratite.cpu.core import Core
from ratite.errors import MemoryAccessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.codegen.forms import Form
    from ratite.codegen.reference import Evaluator
    from ratite.cpu.engine import Engine
    from ratite.isa.dsl import Insn

#: Most instruction words of which the reference evaluator keeps what they mean: a guest may make up as many as it likes.
_MOST_DECODED = 1 << 14


class Evaluation(Core):
    """A processor that instructions can be evaluated on."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._evaluators: dict[Any, Evaluator] = {}
        self._decoded: dict[tuple[int, int], tuple[Evaluator, list[int]]] = {}

    # --- instructions ---------------------------------------------------------------------------------------------------------------
    def fetch(self, pc: int) -> tuple[int, int]:
        """The instruction word at `pc` and its length in bytes. Raises GuestTrap where it can not be fetched."""
        first = self._fetch_unit(pc)
        units = self.engine.arch.long[first]
        for n in range(1, units):
            first |= self._fetch_unit((pc + 2 * n) & self._mask) << (16 * n)
        return first, 2 * units

    def _fetch_unit(self, pc: int) -> int:
        if self.engine.user is not None:
            try:
                return int.from_bytes(self.engine.user.fetch(pc, 2), "little")
            except (MemoryAccessError, ValueError):
                raise GuestTrap(self.engine.arch.fetch_fault, pc) from None
        key = self.page_key(pc)
        if key is None:
            status = self.call("mmu_fill", pc, 2)
            raise GuestTrap(status - 16 if status >= 16 else self.engine.arch.fetch_fault, pc)
        return int.from_bytes(ctypes.string_at(key[0] + (pc & (PAGE - 1)), 2), "little")

    def decoded(self, word: int, length: int) -> tuple[Evaluator, list[int]]:
        """The function of an instruction word, and its registers and immediates."""
        return self._decoded.get((word, length)) or self._decode(word, length)

    def _decode(self, word: int, length: int) -> tuple[Evaluator, list[int]]:
        arch = self.engine.arch
        insn = arch.decoder.decode(word, length) or arch.illegal
        form, operands = self.form(insn, word)
        evaluate = self._evaluators.get(form)
        if evaluate is None:
            from ratite.codegen.reference import evaluator
            from ratite.codegen.stencil import block_of

            evaluate = self._evaluators[form] = evaluator(block_of(insn, arch, form), insn, arch.layout)
        if not insn.text.privileged:
            if len(self._decoded) == _MOST_DECODED:
                self._decoded.clear()
            self._decoded[word, length] = evaluate, operands
        return evaluate, operands

    def form(self, insn: Insn, word: int) -> tuple[Form, list[int]]:
        """The form of an instruction word in the present context, and its registers and immediates."""
        from ratite.codegen.forms import form_of

        static_of, reg_of, imm_of = insn.getters
        form = form_of(insn, tuple(int(g(word)) for g in static_of), int(self.state.context_index))
        return form, [g(word) for g in (*reg_of, *imm_of)]

    # --- floating point -------------------------------------------------------------------------------------------------------------
    def raise_fp_flags(self, flags: int) -> None:
        """Set sticky floating-point flags."""
        self.state.fp_flags = self.state.fp_flags | flags

    # --- memory ---------------------------------------------------------------------------------------------------------------------
    def _where(self, va: int, size: int, access: int) -> list[tuple[int, int]]:
        """Guest-physical pieces of an access: (address, size). Raises GuestTrap."""
        pieces = []
        while size:
            n = min(size, PAGE - (va & (PAGE - 1)))
            status = self.call("translate", va & self._mask, access)
            if status >= 16:
                raise GuestTrap(status - 16, va & self._mask)
            pieces.append((int(self.state.walk_pa), n))
            check = self.engine.arch.check_access
            if status and check is not None and not check(self, pieces[-1][0], n, access):
                raise GuestTrap(self.engine.arch.access_faults[access], va & self._mask)
            va, size = va + n, size - n
        return pieces

    def load(self, va: int, size: int) -> int:
        """A load of an evaluated instruction."""
        if self.engine.user is not None:
            return int.from_bytes(self._user_read(va, size), "little")
        pieces = self._where(va, size, 0)
        space = self.engine.space
        assert space is not None
        value = shift = 0
        try:
            for pa, n in pieces:
                if n in (1, 2, 4, 8):
                    value |= space.read(pa, n) << shift
                else:
                    value |= int.from_bytes(bytes(space.read(pa + k, 1) for k in range(n)), "little") << shift
                shift += 8 * n
        except MemoryAccessError:
            raise GuestTrap(self.engine.arch.access_faults[0], va & self._mask) from None
        return value

    def store(self, va: int, size: int, value: int) -> None:
        """A store of an evaluated instruction."""
        if self.engine.user is not None:
            self._user_write(va, value.to_bytes(size, "little"))
            return
        pieces = self._where(va, size, 1)
        space = self.engine.space
        assert space is not None
        try:
            for pa, n in pieces:
                part = value & mask(8 * n)
                if n in (1, 2, 4, 8):
                    space.write(pa, n, part)
                else:
                    for k in range(n):
                        space.write(pa + k, 1, part >> 8 * k & 0xFF)
                value >>= 8 * n
        except MemoryAccessError:
            raise GuestTrap(self.engine.arch.access_faults[1], va & self._mask) from None

    def _user_read(self, va: int, size: int) -> bytes:
        assert self.engine.user is not None
        try:
            return self.engine.user.read(va, size)
        except (MemoryAccessError, ValueError):
            raise GuestTrap(self.engine.arch.access_faults[0], va) from None

    def _user_write(self, va: int, data: bytes) -> None:
        assert self.engine.user is not None
        try:
            self.engine.user.write(va, data)
        except (MemoryAccessError, ValueError):
            raise GuestTrap(self.engine.arch.access_faults[1], va) from None

    def amo(self, op: str, va: int, size: int, value: int) -> int:
        """An atomic read-modify-write of an evaluated instruction."""
        with self.engine.exclusive:
            self._count_atomic(va, size)
            old = self.load(va, size)
            self.store(va, size, _AMO[op](old, value, 8 * size) & mask(8 * size))
            return old

    def cas(self, va: int, size: int, expected: int, new: int) -> int:
        """A compare-and-swap of an evaluated instruction."""
        with self.engine.exclusive:
            self._count_atomic(va, size)
            old = self.load(va, size)
            if old == expected:
                self.store(va, size, new)
            return old

    def load_reserved(self, va: int, size: int) -> int:
        """A load of an evaluated instruction that makes a reservation."""
        with self.engine.exclusive:
            value, s = self.load(va, size), self.state
            s.reserve_addr, s.reserve_value, s.reserve_version = va, value, self._counter(va, size, 0)[0] & ~1
            return value

    def store_conditional(self, va: int, size: int, new: int) -> int:
        """A store of an evaluated instruction to the reserved address; 1 if it was done, 0 if the reservation did not hold."""
        with self.engine.exclusive:
            counter = self._counter(va, size, 1)
            if counter[0] != self.state.reserve_version or self.load(va, size) != self.state.reserve_value & mask(8 * size):
                return 0
            counter[0] = counter[0] + 2 & mask(32)
            self.store(va, size, new)
            return 1

    def _counter(self, va: int, size: int, access: int) -> memoryview:
        """The number of atomic operations on an address. Raises GuestTrap where the access is not allowed."""
        place = va if self.engine.user is not None else self.call("ram_host", self._where(va, size, access)[0][0])
        at = 4 * (place >> RESERVATION_BITS & RESERVATIONS - 1)
        return self.engine.reservations.view[at : at + 4].cast("I")

    def _count_atomic(self, va: int, size: int) -> None:
        counter = self._counter(va, size, 1)
        counter[0] = counter[0] + 2 & mask(32)


def _s(v: int, w: int) -> int:
    return v - (1 << w) if v >> (w - 1) else v


_AMO: dict[str, Callable[[int, int, int], int]] = {
    "xchg": lambda a, b, w: b,
    "add": lambda a, b, w: a + b,
    "and": lambda a, b, w: a & b,
    "or": lambda a, b, w: a | b,
    "xor": lambda a, b, w: a ^ b,
    "max": lambda a, b, w: max(a, b, key=lambda v: _s(v, w)),
    "min": lambda a, b, w: min(a, b, key=lambda v: _s(v, w)),
    "umax": lambda a, b, w: max(a, b),
    "umin": lambda a, b, w: min(a, b),
}
