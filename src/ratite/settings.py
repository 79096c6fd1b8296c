"""Options of a back end as a record: one field is one option, with its type, default and meaning.

`@settings` makes a dataclass of a class whose fields are `setting`s. `fill(TapOptions, pairs, "-netdev tap")` reads
the pairs of a command line (or of a JSON object, `ratite.keyval`) into the dataclass. The type of the field decides
what a value may look like: `bool` is on or off, `int` a number, an `Enum` one of its values, `list[str]` may be
repeated; `parse=` overrides that. Every error names the option and says what it accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum
from typing import Any, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

from ratite import keyval
from ratite.errors import UsageError, unknown

T = TypeVar("T")
Parser = Callable[[str], Any]


def setting(
    meaning: str,
    *,
    default: Any = MISSING,
    default_factory: Any = MISSING,
    name: str = "",
    aliases: tuple[str, ...] = (),
    parse: Parser | None = None,
) -> Any:
    """Declare a field with its meaning. `name` is the option's name where it is no Python name;
    `default_factory=list` makes it repeatable.
    """
    metadata = {"meaning": meaning, "name": name, "aliases": aliases, "parse": parse}
    return field(default=default, default_factory=default_factory, metadata=metadata)


@dataclass_transform(field_specifiers=(setting,))
def settings(record: type[T]) -> type[T]:
    """Make a record of options: a dataclass."""
    return dataclass(record)


def option_name(item: Field[Any]) -> str:
    """The name of a field on the command line."""
    return item.metadata.get("name") or item.name.replace("_", "-")


def fill(record: type[T], pairs: keyval.Pairs, what: str) -> T:
    """Make a `record` of the given pairs; `what` (`-netdev tap`) opens the text of a UsageError."""
    known = _names(record)
    hints = get_type_hints(record)
    values: dict[str, Any] = {}
    for key, text in pairs:
        item = known.get(key) or _list_member(known, hints, key)
        if item is None:
            raise unknown(f"{what}: option", key, {option_name(one) for one in known.values()})
        try:
            value = _converter(hints[item.name], item.metadata["parse"])(text)
        except UsageError as error:
            raise UsageError(f"{what}: {key}: {error}") from None
        if get_origin(hints[item.name]) is list:
            values.setdefault(item.name, []).append(value)
        else:
            values[item.name] = value
    return record(**values)


def describe(record: type[Any]) -> list[tuple[str, str]]:
    """The options of a record as (name, meaning), for help texts."""
    return [(option_name(item), item.metadata["meaning"]) for item in fields(record) if "meaning" in item.metadata]


def _names(record: type[Any]) -> dict[str, Field[Any]]:
    declared = [item for item in fields(record) if "meaning" in item.metadata]
    return {name: item for item in declared for name in (option_name(item), *item.metadata["aliases"])}


def _list_member(known: dict[str, Field[Any]], hints: dict[str, Any], key: str) -> Field[Any] | None:
    """JSON lists arrive flattened: `hostfwd.0.str` and `hostfwd.0` are members of `hostfwd`."""
    name, _, rest = key.partition(".")
    item = known.get(name)
    index = rest.removesuffix(".str")
    return item if item is not None and index.isdecimal() and get_origin(hints[item.name]) is list else None


def _converter(hint: Any, parse: Parser | None) -> Parser:
    if parse is not None:
        return parse
    if get_origin(hint) is not None:    # list[X], X | None
        hint = next(part for part in get_args(hint) if part is not type(None))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda text: _member(hint, text)
    return _CONVERTERS[hint]


_CONVERTERS: dict[Any, Parser] = {bool: keyval.switch, int: keyval.number, str: str}


def _member(kind: type[Enum], text: str) -> Enum:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"'{text}' is not one of " + ", ".join(str(member.value) for member in kind)) from None
