"""A run of addresses that is made of registers and windows.

A device is one; further ones are parts of a device that the guest reaches elsewhere, such as the configuration space
of a PCI function or its tables of interrupt messages.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from ratite import log
from ratite.errors import DefinitionError
from ratite.hw.model.register import Register, Window


class RegisterBlock:
    """Registers and windows, declared as nested classes, at offsets from a common base.

    Class keywords: `size` in bytes (an instance may set its own before it calls `_build_map`); `width` of a register
    in bytes; `access` = narrowest and widest access that is understood: a wider one is split, low half first, a
    narrower one is an error of the guest (reads zero, ignored). Hooks of registers get the block.
    """

    name: ClassVar[str] = ""
    size: int = 0
    access: ClassVar[tuple[int, int]] = (1, 8)
    registers: ClassVar[dict[str, type[Register]]] = {}
    windows: ClassVar[dict[str, type[Window]]] = {}

    def __init_subclass__(
        cls, size: int | None = None, width: int = 4, access: tuple[int, int] | None = None, **keywords: Any,
    ) -> None:
        super().__init_subclass__(**keywords)
        cls.size = cls.size if size is None else size
        cls.access = access or cls.access
        cls.registers = {**cls.registers, **_nested(cls, Register)}
        cls.windows = {**cls.windows, **_nested(cls, Window)}
        for register in _nested(cls, Register).values():
            register.finish(cls.__name__, width)

    @property
    def label(self) -> str:
        """What logs call it."""
        return self.name

    def place(self, offset: int) -> int:
        """Where a declared offset really is, for devices whose register distance is a property."""
        return offset

    # --- accesses by the guest

    def mmio_read(self, offset: int, size: int) -> int:
        """The guest reads `size` bytes (1, 2, 4, 8) at `offset`."""
        read = self._reads.get(offset << 4 | size)
        return read() if read is not None else self._read_odd(offset, size)

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        """The guest writes."""
        write = self._writes.get(offset << 4 | size)
        if write is not None:
            write(value)
        else:
            self._write_odd(offset, size, value)

    def guest_error(self, text: str) -> None:
        """Log that the guest did what the manual forbids."""
        if log.enabled("guest_errors"):
            log.write("guest_errors", f"{self.label}: {text}")

    # --- values of all registers

    def reset_registers(self) -> None:
        """Give every register its reset value."""
        for registers in self._register_lists.values():
            for register in registers:
                register.reset()

    def save_registers(self) -> dict[str, list[int]]:
        """The values, by the names of the declarations."""
        return {key: [register.value for register in registers] for key, registers in self._register_lists.items()}

    def restore_registers(self, saved: Mapping[str, Any]) -> None:
        """Take over what `save_registers` gave. Raises KeyError, TypeError or ValueError where it does not fit."""
        for key, registers in self._register_lists.items():
            for register, value in zip(registers, saved[key], strict=True):
                register.value = int(value) & (1 << 8 * register.width) - 1

    # --- inside

    def _build_map(self) -> None:
        self._register_lists: dict[str, list[Register]] = {}
        self._reads: dict[int, Callable[[], int]] = {}
        self._writes: dict[int, Callable[[int], None]] = {}
        places: list[tuple[int, int, Register | Window]] = []
        for name, declaration in self.registers.items():
            registers = self._register_lists[name] = declaration.build(self)
            self.__dict__[name] = registers if declaration.counts else registers[0]
            for register in registers:
                start = self.place(declaration.offset_of(self, register.index))
                places.append((start, start + declaration.width, register))
                self._reads[start << 4 | declaration.width] = register.guest_read
                self._writes[start << 4 | declaration.width] = register.guest_write
        for name, window in self.windows.items():
            self.__dict__[name] = opened = window()
            start = self.place(window.offset)
            places.append((start, start + window.length, opened))
        self._places = sorted(places, key=lambda place: place[0])
        self._starts = [place[0] for place in self._places]
        self._check_map()

    def _check_map(self) -> None:
        low, high = self.access
        for (_, end, first), (start, _, second) in zip(self._places, self._places[1:], strict=False):
            if end > start:
                raise DefinitionError(f"{self.name}: {first!r} and {second!r} overlap at {start:#x}")
        for key in [key for key in self._reads if not low <= key & 15 <= high]:    # wider ones arrive in pieces
            del self._reads[key], self._writes[key]

    def _touched(self, offset: int, size: int) -> Iterator[tuple[int, int, Register | Window]]:
        """The registers that an access overlaps, and the window in which it begins."""
        index = max(bisect_right(self._starts, offset) - 1, 0)
        for place in self._places[index:]:
            if place[0] >= offset + size:
                return
            if place[1] > offset and (place[0] <= offset or not isinstance(place[2], Window)):
                yield place

    def _read_odd(self, offset: int, size: int) -> int:
        """An access that is not exactly one register: split, combined, in a window, or to nothing."""
        low, high = self.access
        if size > high:
            return sum(self.mmio_read(offset + i, high) << 8 * i for i in range(0, size, high))
        value, answered = 0, False
        if size >= low:
            for start, _, place in self._touched(offset, size):
                answered = True
                if isinstance(place, Window):
                    value |= place.read(self, offset - start, size) & (1 << 8 * size) - 1
                else:
                    value |= _shift(place.guest_read(), 8 * (start - offset))
        if not answered:
            self.guest_error(f"read of {size} bytes at offset {offset:#x}, where there is no such register")
        return value & (1 << 8 * size) - 1

    def _write_odd(self, offset: int, size: int, value: int) -> None:
        low, high = self.access
        if size > high:
            for i in range(0, size, high):
                self.mmio_write(offset + i, high, value >> 8 * i & (1 << 8 * high) - 1)
            return
        answered, lanes = False, (1 << 8 * size) - 1
        if size >= low:
            for start, _, place in self._touched(offset, size):
                answered, shift = True, 8 * (offset - start)
                if isinstance(place, Window):
                    place.write(self, offset - start, size, value & lanes)
                else:
                    if place.live:
                        place.on_read(self)
                    place.guest_write(_shift(value & lanes, shift), _shift(lanes, shift))
        if not answered:
            self.guest_error(f"write of {size} bytes at offset {offset:#x}, where there is no such register")


def _nested(cls: type, kind: Any) -> dict[str, Any]:
    """The declarations of this kind in a class body; a register class without an offset is only a layout."""
    return {key: value for key, value in vars(cls).items()
            if isinstance(value, type) and issubclass(value, kind) and getattr(value, "offset", -1) >= 0}


def _shift(value: int, places: int) -> int:
    return value << places if places >= 0 else value >> -places
