"""Registers as declarations: fields with access modes, arrays, hooks.

A device declares its registers as nested classes:

    class ie(Register, offset=0x10):
        tx, rx = RW(0), RW(1)
        def on_write(self, dev: Uart) -> None: dev.update_irq()

    class enable(Register, offset=0x2000, count=32, stride=4): ...

In the device, `self.ie` is the register object and `self.enable[3]` one of the array. A register without fields is one
plain field over all its bits. Bits that no field covers read as zero and ignore writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast

from ratite.errors import DefinitionError

if TYPE_CHECKING:
    from ratite.hw.model.block import RegisterBlock

Mode = Literal["rw", "ro", "wo", "w1c", "w1s", "w0c", "rc"]
T = TypeVar("T")


class Field:
    """A run of bits in a register, and what guest accesses do to it. Device code reads and writes it freely."""

    def __init__(self, hi: int, lo: int | None, mode: Mode, reset: int) -> None:
        self.hi, self.lo = hi, hi if lo is None else lo
        self.mode: Mode = mode
        self.ones = (1 << (self.hi - self.lo + 1)) - 1
        self.mask = self.ones << self.lo
        self.reset = reset << self.lo
        self.name = ""
        if self.hi < self.lo or reset & ~self.ones:
            raise DefinitionError(f"field [{hi}:{lo}] with reset value {reset:#x} is impossible")

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, register: Register | None, owner: type) -> Any:
        return self if register is None else register.value >> self.lo & self.ones

    def __set__(self, register: Register, value: int) -> None:
        register.value = register.value & ~self.mask | (value & self.ones) << self.lo


# These return a Field; they are typed as what the attribute of a register object is.

def RW(hi: int, lo: int | None = None, reset: int = 0) -> int:
    """The guest reads and writes it."""
    return cast(int, Field(hi, lo, "rw", reset))


def RO(hi: int, lo: int | None = None, reset: int = 0) -> int:
    """The guest's writes are ignored."""
    return cast(int, Field(hi, lo, "ro", reset))


def WO(hi: int, lo: int | None = None, reset: int = 0) -> int:
    """The guest reads zero."""
    return cast(int, Field(hi, lo, "wo", reset))


def W1C(hi: int, lo: int | None = None, reset: int = 0) -> int:
    """Bits written as one are cleared."""
    return cast(int, Field(hi, lo, "w1c", reset))


def W0C(hi: int, lo: int | None = None, reset: int = 0) -> int:
    """Bits written as zero are cleared."""
    return cast(int, Field(hi, lo, "w0c", reset))


def W1S(hi: int, lo: int | None = None, reset: int = 0) -> int:
    """Bits written as one are set, zeros leave them alone."""
    return cast(int, Field(hi, lo, "w1s", reset))


def RC(hi: int, lo: int | None = None, reset: int = 0) -> int:
    """A read clears it; writes are ignored."""
    return cast(int, Field(hi, lo, "rc", reset))


class _RegisterType(type):
    """Lets a type checker see `device.enable[3]` where `enable` is the declaration of a register array."""

    def __getitem__(cls: type[T], index: int) -> T:
        raise TypeError(f"{cls.__name__} is a declaration; the registers are in the device")

    def __iter__(cls: type[T]) -> Iterator[T]:
        raise TypeError(f"{cls.__name__} is a declaration; the registers are in the device")

    def __len__(cls) -> int:
        raise TypeError(f"{cls.__name__} is a declaration; the registers are in the device")


class Register(metaclass=_RegisterType):
    """One register, or one of an array.

    Class keywords: `offset` in bytes; `width` in bytes (default: the device's); `count` and `stride` for an array, each
    a number, a name of a device attribute (for `count`), or a tuple of them for a table of two dimensions, which is one
    list in row-major order; `mode` and `reset` of the one field of a register that declares none; `live` for a register
    whose `on_read` may be called at any time: a write to part of it then keeps the rest as it is at that moment, not as
    it was last read. A class without `offset` is no register yet, but a layout that registers inherit.
    """

    offset: ClassVar[int]
    width: ClassVar[int]
    counts: ClassVar[tuple[int | str, ...]]
    strides: ClassVar[tuple[int, ...]]
    fields: ClassVar[dict[str, Field]]
    reset_value: ClassVar[int]
    live: ClassVar[bool]
    value: int
    """What the register holds."""
    written: int
    """The last word that the guest wrote, before field modes."""
    _mode: ClassVar[Mode]
    _reset: ClassVar[int]
    _readable: ClassVar[int]
    _clear_on_read: ClassVar[int]
    _masks: ClassVar[tuple[int, int, int, int]]
    _plain: ClassVar[bool]

    def __init_subclass__(
        cls, offset: int = -1, width: int = 0, count: int | str | tuple[int | str, ...] = (),
        stride: int | tuple[int, ...] = (), mode: Mode = "rw", reset: int = 0,
        live: bool = False,
    ) -> None:
        cls.offset, cls.width, cls.live = offset, width, live
        cls.counts = count if isinstance(count, tuple) else (count,)
        cls.strides = stride if isinstance(stride, tuple) else (stride,)
        if len(cls.counts) != len(cls.strides):
            raise DefinitionError(f"register {cls.__name__} needs one stride for each count")
        cls.fields = {name: value for base in reversed(cls.__mro__) for name, value in vars(base).items()
                      if isinstance(value, Field)}
        cls._check_overlap()
        cls._mode, cls._reset = mode, reset

    def __init__(self, dev: RegisterBlock, index: int) -> None:
        self.dev, self.index = dev, index
        self.value = self.written = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.value:#x}>"

    # --- hooks for the device's author

    def on_read(self, dev: Any) -> None:
        """Bring the register up to date before the guest reads it."""

    def on_write(self, dev: Any) -> None:
        """Act on what the guest has just written."""

    # --- what the bus does

    def reset(self) -> None:
        """Take the reset value."""
        self.value, self.written = self.reset_value, 0

    def guest_read(self) -> int:
        """The value that a guest sees, with the side effects of a read."""
        self.on_read(self.dev)
        value = self.value & self._readable
        if self._clear_on_read:
            self.value &= ~self._clear_on_read
        return value

    def guest_write(self, word: int, lanes: int = -1) -> None:
        """A guest's write; only the bits in `lanes` are part of the access."""
        self.written = word & lanes
        if self._plain:
            self.value = self.value & ~lanes & self._masks[0] | word & lanes & self._masks[0]
        else:
            self._write_fields(word, lanes)
        self.on_write(self.dev)

    def _write_fields(self, word: int, lanes: int) -> None:
        rw, w1c, w0c, w1s = self._masks
        value = self.value & ~(rw & lanes) | word & rw & lanes
        self.value = value & ~(word & w1c & lanes) & ~(~word & w0c & lanes) | word & w1s & lanes

    # --- declaration

    @classmethod
    def _check_overlap(cls) -> None:
        used = 0
        for field in cls.fields.values():
            if used & field.mask:
                raise DefinitionError(f"{cls.__name__}.{field.name} overlaps another field")
            used |= field.mask

    @classmethod
    def finish(cls, device: str, width: int) -> None:
        """Complete the declaration when the device class, and with it the default width, is known."""
        cls.width = cls.width or width
        ones = (1 << 8 * cls.width) - 1
        fields = list(cls.fields.values()) or [Field(8 * cls.width - 1, 0, cls._mode, cls._reset)]

        def union(*modes: Mode) -> int:
            return sum(field.mask for field in fields if field.mode in modes)

        if union("rw", "ro", "wo", "w1c", "w0c", "w1s", "rc") & ~ones:
            raise DefinitionError(f"{device}.{cls.__name__}: a field does not fit in {cls.width} bytes")
        cls.reset_value = sum(field.reset for field in fields)
        cls._readable, cls._clear_on_read = ones & ~union("wo"), union("rc")
        cls._masks = union("rw", "wo"), union("w1c"), union("w0c"), union("w1s")
        cls._plain = cls._masks[0] == ones

    @classmethod
    def build(cls, dev: RegisterBlock) -> list[Register]:
        """All registers of this declaration for one device."""
        total = 1
        for count in cls.counts:
            total *= getattr(dev, count) if isinstance(count, str) else count
        return [cls(dev, index) for index in range(total)]

    @classmethod
    def offset_of(cls, dev: RegisterBlock, index: int) -> int:
        """Where the register with this index is, in bytes from the device's base."""
        offset = cls.offset
        for count, stride in zip(reversed(cls.counts), reversed(cls.strides), strict=True):
            index, place = divmod(index, getattr(dev, count) if isinstance(count, str) else count)
            offset += place * stride
        return offset


class Window:
    """A run of bytes in a device that is not made of registers: a buffer, a port, another device's configuration.

    Declared like a register: `class data(Window, offset=0x100, length=0x100)`, with `read` and `write` overridden.
    """

    offset: ClassVar[int]
    length: ClassVar[int]

    def __init_subclass__(cls, offset: int, length: int) -> None:
        cls.offset, cls.length = offset, length

    def read(self, dev: Any, offset: int, size: int) -> int:
        """The value at `offset`, counted from the start of the window; `size` is 1, 2, 4 or 8."""
        return 0

    def write(self, dev: Any, offset: int, size: int, value: int) -> None:
        """A guest's write at `offset`."""
