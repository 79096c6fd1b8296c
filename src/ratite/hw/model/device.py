"""The device model: one class is one device, with its registers, properties, lines and saved state.

    class SiFiveUart(Device, name="sifive-uart", size=0x1000):
        \"\"\"SiFive UART (FE310-G002 manual, chapter 18). Not modelled: baud timing.\"\"\"
        chardev = Property(Link("chardev"), None, "the host side")
        irq = Output("interrupt request")
        state = ("rx",)
        class txdata(Register, offset=0x00): ...

Life of a device: the constructor takes the properties, calls `setup` (make what the properties decide), builds lines
and registers; the machine adds it to its map and calls `realize`, which gives it clock and memory (`realized` is the
hook); `reset` puts it into the state after power-on, and may come again at any time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, ClassVar

from ratite import log
from ratite.errors import DefinitionError, ImageError
from ratite.hw.model.bus import Bus
from ratite.hw.model.clock import Clock, Timer
from ratite.hw.model.line import Line, OutputDeclaration
from ratite.hw.model.platform import Platform
from ratite.hw.model.properties import PropertyOwner
from ratite.hw.model.register import Register, Window
from ratite.memory import AddressSpace, RamBlock

DEVICES: dict[str, type[Device]] = {}
"""Every device class that has been imported, by its `-device` name."""

SYSTEM_BUS = "System"
"""The bus of devices that a board places at an address."""


class Device(PropertyOwner):
    """Base of all devices.

    Class keywords: `name` as in `-device`; `size` of its registers in bytes (an instance may set its own in `setup`);
    `width` of a register in bytes; `access` = narrowest and widest access that the device understands: a wider one
    is split, low half first, a narrower one is an error of the guest (reads zero, ignored); `bus` is the kind of bus
    that the device is plugged into; `abstract` keeps a base class out of the registry.
    """

    name: ClassVar[str] = ""
    bus: ClassVar[str] = SYSTEM_BUS
    size: int = 0
    access: ClassVar[tuple[int, int]] = (1, 8)
    registers: ClassVar[dict[str, type[Register]]] = {}
    windows: ClassVar[dict[str, type[Window]]] = {}
    outputs: ClassVar[dict[str, OutputDeclaration]] = {}
    state: ClassVar[tuple[str, ...]] = ()
    """Names of further attributes that belong to the saved state: numbers, text, bytes, lists, dicts with text keys,
    enumerations, timers."""
    memories: tuple[RamBlock, ...] = ()
    """Memory of its own that the guest sees; its content is saved with the machine's RAM."""

    def __init_subclass__(
        cls, name: str = "", size: int | None = None, width: int = 4, access: tuple[int, int] | None = None,
        bus: str = "", abstract: bool = False, **keywords: Any,
    ) -> None:
        super().__init_subclass__(**keywords)
        cls.name, cls.size = name or cls.name, cls.size if size is None else size
        cls.access, cls.bus = access or cls.access, bus or cls.bus
        cls.registers = {**cls.registers, **_nested(cls, Register)}
        cls.windows = {**cls.windows, **_nested(cls, Window)}
        lines = {key: value for key, value in vars(cls).items() if isinstance(value, OutputDeclaration)}
        cls.outputs = {**cls.outputs, **lines}
        for register in _nested(cls, Register).values():
            register.finish(cls.__name__, width)
        if name and not abstract:
            if name in DEVICES:
                raise DefinitionError(f"two devices are called {name}")
            DEVICES[name] = cls

    def __init__(self, **properties: Any) -> None:
        super().__init__(**properties)
        self.id = ""
        """The user's name for it (`id=`), or the board's."""
        self.path = ""
        """Its place in the machine's tree of objects, such as `/machine/peripheral/disk0`."""
        self.buses: list[Bus] = []
        """Buses that it offers to other devices."""
        self.setup()
        for key, output in self.outputs.items():
            self.__dict__[key] = output.build(self)
        self._build_map()

    @classmethod
    def kind_name(cls) -> str:
        return cls.name

    def __repr__(self) -> str:
        return f"<{self.name} {self.id or self.path}>"

    # --- hooks for the device's author

    def setup(self) -> None:
        """Called once when the properties are known, before registers exist."""

    def realized(self) -> None:
        """Called once when clock and memory are there: create timers, attach back ends."""

    def reset(self) -> None:
        """Take the state after power-on. Overriders call this first."""
        for registers in self._register_lists.values():
            for register in registers:
                register.reset()

    def loaded(self) -> None:
        """Called after saved state was loaded: rebuild what is derived from it."""

    def place(self, offset: int) -> int:
        """Where a declared offset really is, for devices whose register distance is a property."""
        return offset

    # --- the machine's side

    platform: Platform
    memory: AddressSpace
    clock: Clock

    def realize(self, platform: Platform) -> None:
        """Become part of a machine, in the state after power-on."""
        self.platform, self.memory, self.clock = platform, platform.memory, platform.clock
        self.realized()
        self.reset()

    def map_into(self, memory: AddressSpace, base: int) -> None:
        """Answer at `base`. A device with memory of its own, or with several regions, overrides this."""
        memory.add_io(base, self.size, self, self.id or self.name)

    def lines(self) -> Iterator[Line]:
        """All outputs."""
        for key in self.outputs:
            value = self.__dict__[key]
            if isinstance(value, Line):
                yield value
            else:
                yield from value

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
            log.write("guest_errors", f"{self.id or self.name}: {text}")

    def unimplemented(self, text: str) -> None:
        """Log that the guest asked for what is not modelled."""
        if log.enabled("unimp"):
            log.write("unimp", f"{self.id or self.name}: {text}")

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
        """The registers and windows that an access overlaps."""
        index = max(bisect_right(self._starts, offset) - 1, 0)
        for place in self._places[index:]:
            if place[0] >= offset + size:
                return
            if place[1] > offset:
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

    # --- saved state

    def save(self) -> dict[str, Any]:
        """The whole state as numbers, text, bytes, lists and dicts."""
        return {
            "registers": {key: [register.value for register in registers]
                          for key, registers in self._register_lists.items()},
            "lines": [line.level for line in self.lines()],
            "state": {key: _frozen(getattr(self, key)) for key in self.state},
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Take over a saved state. Inputs of other devices are not told: their state is saved with them.

        Raises ImageError when it is not the state of such a device.
        """
        try:
            self.restore(saved)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ImageError(f"the saved state of {self.name} {self.id} does not fit: {error!r}") from None
        self.loaded()

    def restore(self, saved: dict[str, Any]) -> None:
        """Take over what `save` gave; an overrider of `save` overrides this, too."""
        for key, registers in self._register_lists.items():
            for register, value in zip(registers, saved["registers"][key], strict=True):
                register.value = int(value) & (1 << 8 * register.width) - 1
        for line, level in zip(self.lines(), saved["lines"], strict=True):
            line.level = bool(level)
        for key in self.state:
            self.__dict__[key] = _thawed(getattr(self, key), saved["state"][key])


def find_device(name: str) -> type[Device]:
    """The device class with this `-device` name. Raises UsageError."""
    from ratite.errors import unknown
    from ratite.hw import load_all

    load_all()
    if name not in DEVICES:
        raise unknown("device", name, DEVICES)
    return DEVICES[name]


def _nested(cls: type, kind: Any) -> dict[str, Any]:
    """The declarations of this kind in a class body; a register class without an offset is only a layout."""
    return {key: value for key, value in vars(cls).items()
            if isinstance(value, type) and issubclass(value, kind) and getattr(value, "offset", -1) >= 0}


def _shift(value: int, places: int) -> int:
    return value << places if places >= 0 else value >> -places


def _frozen(value: Any) -> Any:
    """A copy that later changes of the device leave alone."""
    if isinstance(value, Timer):
        return value.deadline
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, (list, tuple, deque)):
        return [_frozen(item) for item in value]
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value


def _thawed(present: Any, saved: Any) -> Any:
    """The saved value in the type that the device keeps it in."""
    if isinstance(present, Timer):
        if saved is None:
            present.cancel()
        else:
            present.at(int(saved))
        return present
    if isinstance(present, (bytearray, bytes, Enum)):
        return type(present)(saved)
    if isinstance(present, (list, deque, tuple)):
        return type(present)(_frozen(saved))
    return _frozen(saved)
