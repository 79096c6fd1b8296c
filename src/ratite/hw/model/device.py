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

from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Any, ClassVar

from ratite import log
from ratite.errors import DefinitionError, ImageError
from ratite.hw.model.block import RegisterBlock
from ratite.hw.model.bus import Bus
from ratite.hw.model.clock import Clock, Timer
from ratite.hw.model.line import Line, OutputDeclaration
from ratite.hw.model.platform import Platform
from ratite.hw.model.properties import PropertyOwner
from ratite.memory import AddressSpace, RamBlock

DEVICES: dict[str, type[Device]] = {}
"""Every device class that has been imported, by its `-device` name."""

ALIASES: dict[str, str] = {}
"""Further names for `-device`."""

SYSTEM_BUS = "System"
"""The bus of devices that a board places at an address."""


class Device(RegisterBlock, PropertyOwner):
    """Base of all devices.

    Class keywords: `name` as in `-device`; those of RegisterBlock for its registers; `bus` is the kind of bus that the
    device is plugged into; `alias` is a further name; `abstract` keeps a base class out of the registry.
    """

    bus: ClassVar[str] = SYSTEM_BUS
    outputs: ClassVar[dict[str, OutputDeclaration]] = {}
    state: ClassVar[tuple[str, ...]] = ()
    """Names of further attributes that belong to the saved state: numbers, text, bytes, lists, dicts with text keys,
    enumerations, timers."""
    memories: tuple[RamBlock, ...] = ()
    """Memory of its own that the guest sees; its content is saved with the machine's RAM."""

    def __init_subclass__(
        cls, name: str = "", bus: str = "", alias: str = "", abstract: bool = False, **keywords: Any,
    ) -> None:
        super().__init_subclass__(**keywords)
        cls.name, cls.bus = name or cls.name, bus or cls.bus
        lines = {key: value for key, value in vars(cls).items() if isinstance(value, OutputDeclaration)}
        cls.outputs = {**cls.outputs, **lines}
        if name and not abstract:
            if name in DEVICES:
                raise DefinitionError(f"two devices are called {name}")
            DEVICES[name] = cls
        if alias:
            ALIASES[alias] = name

    def __init__(self, **properties: Any) -> None:
        super().__init__(**properties)
        self.id = ""
        """The user's name for it (`id=`), or the board's."""
        self.path = ""
        """Its place in the machine's tree of objects, such as `/machine/peripheral/disk0`."""
        self.parent_bus: Bus | None = None
        """The bus that it is plugged into; known before `realize`."""
        self.buses: list[Bus] = []
        """Buses that it offers to other devices."""
        self.setup()
        for key, output in self.outputs.items():
            self.__dict__[key] = output.build(self)
        self._build_map()

    @classmethod
    def kind_name(cls) -> str:
        return cls.name

    @property
    def label(self) -> str:
        return self.id or self.name

    def __repr__(self) -> str:
        return f"<{self.name} {self.id or self.path}>"

    # --- hooks for the device's author

    def setup(self) -> None:
        """Called once when the properties are known, before registers exist."""

    def realized(self) -> None:
        """Called once when clock and memory are there: create timers, attach back ends."""

    def reset(self) -> None:
        """Take the state after power-on. Overriders call this first."""
        self.reset_registers()

    def loaded(self) -> None:
        """Called after saved state was loaded: rebuild what is derived from it."""

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

    def unimplemented(self, text: str) -> None:
        """Log that the guest asked for what is not modelled."""
        if log.enabled("unimp"):
            log.write("unimp", f"{self.label}: {text}")

    # --- saved state

    def save(self) -> dict[str, Any]:
        """The whole state as numbers, text, bytes, lists and dicts."""
        return {
            "registers": self.save_registers(),
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
        self.restore_registers(saved["registers"])
        for line, level in zip(self.lines(), saved["lines"], strict=True):
            line.level = bool(level)
        for key in self.state:
            self.__dict__[key] = _thawed(getattr(self, key), saved["state"][key])


def find_device(name: str) -> type[Device]:
    """The device class with this `-device` name, or alias. Raises UsageError."""
    from ratite.errors import unknown
    from ratite.hw import load_all

    load_all()
    name = ALIASES.get(name, name)
    if name not in DEVICES:
        raise unknown("device", name, [*DEVICES, *ALIASES])
    return DEVICES[name]


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
