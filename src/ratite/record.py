"""Records: classes whose annotated attributes are the parameters of their constructor.

    class Reading(Record, frozen=True):
        sensor: str
        value: float = 0.0

They are what dataclasses are, but for this: no source is generated and compiled for them. What every start of a program imports is made of these,
because `dataclasses`, the modules that it imports, and the compiling are a quarter of the time of such a start. Where that does not
count, dataclasses are the better choice: making one of their objects is faster.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, NoReturn, Self, dataclass_transform
else:

    def dataclass_transform():
        return lambda cls: cls


@dataclass_transform()
class Record:
    """Base of records. Attributes with defaults follow those without; a default that is an empty dict or list is a new one for every record.

    frozen: its attributes can not be assigned. `check` is called in the end of the constructor.
    """

    _names: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, frozen: bool = False) -> None:
        own = vars(cls).get("__annotations__", {})
        names = [name for name, kind in own.items() if not str(kind).startswith("ClassVar")]
        cls._names = (*cls._names, *names)
        cls._defaults = cls._defaults | {name: cls.__dict__[name] for name in names if name in cls.__dict__}
        if frozen:
            cls.__setattr__ = cls.__delattr__ = _frozen  # type: ignore[assignment,method-assign]

    def __init__(self, *values: Any, **named: Any) -> None:
        names = self._names
        found = dict(zip(names, values, strict=False))
        if len(values) > len(names) or found.keys() & named.keys() or named.keys() - set(names):
            raise TypeError(f"{type(self).__name__}{names} does not take {values} and {named}")
        found |= named
        for name in names[len(values) :]:
            if name not in found:
                if name not in self._defaults:
                    raise TypeError(f"{type(self).__name__} needs {name}")
                default = self._defaults[name]
                found[name] = default.copy() if type(default) in (dict, list) else default
        self.__dict__.update(found)
        self.check()

    def check(self) -> None:
        """Raise where the attributes contradict each other."""

    def changed(self, **changes: Any) -> Self:
        """The same with other values."""
        return type(self)(**{name: getattr(self, name) for name in self._names} | changes)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash((type(self), _values(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._names)})"


def _values(record: Any) -> tuple[Any, ...]:
    return tuple([getattr(record, name) for name in record._names])


def _frozen(record: Record, name: str, value: object = None) -> NoReturn:
    raise AttributeError(f"{type(record).__name__} can not be changed, nor its {name}")
