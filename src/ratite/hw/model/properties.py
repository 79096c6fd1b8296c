"""Properties: what a user may choose of a device or a machine.

    class Uart(Device, name="serial-mm", size=8):
        regshift = Property(UINT8, 0, "distance of two registers: bytes, as a power of two")

gives a constructor keyword, an attribute, `-device serial-mm,regshift=2`, a line of `-device serial-mm,help`, and
errors that name the property and what it accepts. A property whose name is no Python identifier (`hart-config`) is
declared with underscores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar, overload

from ratite import keyval
from ratite.errors import UsageError, unknown

T = TypeVar("T")

Links = Mapping[str, Mapping[str, Any]]
"""What link properties may refer to: for each kind (`chardev`, `drive`, ...) the objects by their ids."""
NO_LINKS: Links = MappingProxyType({})


class Kind(Generic[T]):
    """A type of property value: how it is written, checked and shown."""

    def __init__(
        self, name: str, accepts: str, parse: Callable[[str], T], check: Callable[[object], bool],
        show: Callable[[T], str] = str,
    ) -> None:
        self.name, self.accepts, self.parse, self.check, self.show = name, accepts, parse, check, show

    def convert(self, value: object, links: Links) -> T:
        """Turn text, or a value that already has the right type, into the value. Raises UsageError."""
        if self.check(value):
            return value    # type: ignore[return-value]
        if isinstance(value, str):
            try:
                return self.parse(value)
            except UsageError:
                pass
        raise UsageError(f"'{value}' is not accepted; expected {self.accepts}")


def _integer(name: str, least: int, most: int) -> Kind[int]:
    return Kind(
        name, f"a number from {least} to {most:#x}", lambda text: keyval.number(text, least, most),
        lambda value: type(value) is int and least <= value <= most,
    )


BOOL: Kind[bool] = Kind("bool", "on or off", keyval.switch, lambda value: isinstance(value, bool),
                        lambda value: "on" if value else "off")
UINT8, UINT16, UINT32, UINT64 = (_integer(f"uint{width}", 0, (1 << width) - 1) for width in (8, 16, 32, 64))
INT32, INT64 = (_integer(f"int{width}", -(1 << width - 1), (1 << width - 1) - 1) for width in (32, 64))
SIZE: Kind[int] = Kind("size", "a number of bytes, with an optional suffix K, M, G or T", keyval.size,
                       lambda value: type(value) is int and 0 <= value < 1 << 63)
STR: Kind[str] = Kind("str", "text", str, lambda value: isinstance(value, str))


def one_of(*choices: str) -> Kind[str]:
    """A kind whose values are these words."""
    def parse(text: str) -> str:
        raise UsageError(text)    # reached for a word that is none of them

    return Kind("str", "one of " + ", ".join(choices), parse, lambda value: value in choices)


class Link(Kind[Any]):
    """A reference to another object of the machine; text is its id. `None` where nothing is connected."""

    def __init__(self, target: str) -> None:
        super().__init__("str", f"the id of a {target}", str, lambda value: not isinstance(value, str))
        self.target = target

    def convert(self, value: object, links: Links) -> Any:
        if not isinstance(value, str):
            return value
        there = links.get(self.target, {})
        if value not in there:
            raise unknown(self.target, value, there)
        return there[value]


class Property(Generic[T]):
    """Declares one property of a `PropertyOwner` class."""

    def __init__(self, kind: Kind[T], default: T, description: str) -> None:
        self.kind, self.default, self.description = kind, default, description
        self.attribute = self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name
        self.name = self.name or name.replace("_", "-")

    def named(self, name: str) -> Property[T]:
        """Use this name towards users, where QEMU's has an underscore or is a word of Python."""
        self.name = name
        return self

    @overload
    def __get__(self, owner: None, kind: type) -> Property[T]: ...
    @overload
    def __get__(self, owner: object, kind: type) -> T: ...
    def __get__(self, owner: object | None, kind: type) -> T | Property[T]:
        return self    # an object has its value in its own dictionary, which wins over this


GlobalDefaults = Mapping[str, Mapping[str, object]]
"""Defaults that a user has set with `-global`: for each kind of object, values by property name."""
_global_defaults: ContextVar[GlobalDefaults] = ContextVar("global property defaults", default=MappingProxyType({}))


@contextmanager
def global_defaults(defaults: GlobalDefaults) -> Iterator[None]:
    """Objects made in this block start with these defaults; arguments of their own still win."""
    token = _global_defaults.set(defaults)
    try:
        yield
    finally:
        _global_defaults.reset(token)


class PropertyOwner:
    """Anything with properties. Keyword arguments of the constructor are property values by attribute name."""

    properties: ClassVar[dict[str, Property[Any]]] = {}
    """Declared properties by their user-visible name, those of base classes first."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        own = {value.name: value for value in vars(cls).values() if isinstance(value, Property)}
        cls.properties = {**cls.properties, **own}

    def __init__(self, **values: Any) -> None:
        for prop in self.properties.values():
            self.__dict__[prop.attribute] = prop.default
        for name, value in _global_defaults.get().get(self.kind_name(), {}).items():
            self.set_property(name, value)
        names = {prop.attribute: name for name, prop in self.properties.items()}
        for attribute, value in values.items():
            self.set_property(names.get(attribute, attribute), value)

    @classmethod
    def kind_name(cls) -> str:
        """What errors call the class."""
        return cls.__name__

    @classmethod
    def from_options(cls, options: Mapping[str, object], links: Links = NO_LINKS) -> Any:
        """Build one from a command line's properties, given by their user-visible names. Raises UsageError."""
        return cls(**dict(cls._convert(name, value, links) for name, value in options.items()))

    def set_property(self, name: str, value: object, links: Links = NO_LINKS) -> None:
        """Set one property from text or from a value of its type. Raises UsageError."""
        attribute, converted = self._convert(name, value, links)
        self.__dict__[attribute] = converted

    @classmethod
    def _convert(cls, name: str, value: object, links: Links) -> tuple[str, Any]:
        prop = cls.properties.get(name)
        if prop is None:
            raise unknown(f"property of {cls.kind_name()}", name, cls.properties)
        try:
            return prop.attribute, prop.kind.convert(value, links)
        except UsageError as error:
            raise UsageError(f"{cls.kind_name()}: property '{name}': {error}") from None

    @classmethod
    def help_text(cls) -> str:
        """The properties as `-device NAME,help` prints them."""
        lines = [f"{cls.kind_name()} options:"]
        for name, prop in sorted(cls.properties.items()):
            default = "" if prop.default in (None, "") else f" (default: {prop.kind.show(prop.default)})"
            lines.append(f"  {name + '=<' + prop.kind.name + '>':<30} - {prop.description}{default}")
        return "\n".join(lines) + "\n"
