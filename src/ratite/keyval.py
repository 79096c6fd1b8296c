"""`key=value` lists as QEMU command lines write them, and their JSON form.

`virtio-blk-device,drive=hd0,serial=a,,b` is a list of pairs: commas separate, a doubled comma stands for one inside a
value, the first item may leave its key out when the option implies one (`driver` here), and a later item without a
value is a switch that is on. An option that starts with `{` is a JSON object instead: nested objects flatten to
dotted keys, `true` and `false` become `on` and `off`.

Pairs keep their order and may repeat (`hostfwd` does); `Pairs.to_dict` is for options where a repetition is a mistake
or the last one wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ratite.errors import UsageError, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SUFFIXES = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50, "E": 1 << 60}
_SWITCH = {"on": True, "yes": True, "true": True, "y": True, "off": False, "no": False, "false": False, "n": False}


class Pairs:
    """An ordered list of `key=value` pairs."""

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items = list(items)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == (other._items if isinstance(other, Pairs) else other)

    def __repr__(self) -> str:
        return f"Pairs({self._items!r})"

    def __str__(self) -> str:
        return ",".join(f"{key}={value.replace(',', ',,')}" for key, value in self._items)

    def get(self, key: str, default: str = "") -> str:
        """The last value given for `key`."""
        return next((value for name, value in reversed(self._items) if name == key), default)

    def all(self, key: str) -> list[str]:
        """Every value given for `key`, in order."""
        return [value for name, value in self._items if name == key]

    def without(self, *keys: str) -> Pairs:
        """The pairs whose key is none of `keys`."""
        return Pairs((key, value) for key, value in self._items if key not in keys)

    def to_dict(self) -> dict[str, str]:
        """A dictionary in which the last of repeated keys wins."""
        return dict(self._items)

    def expect(self, kind: str, known: Iterable[str]) -> None:
        """Raise a UsageError that names the first key outside `known`; `kind` says whose keys they are."""
        names = set(known)
        for key, _ in self._items:
            if key not in names:
                raise unknown(kind, key, names)


def parse(text: str, implied: str = "") -> Pairs:
    """Read a comma list or a JSON object. `implied` is the key that the first item may leave out."""
    if text.startswith("{"):
        return _parse_json(text)
    pairs: list[tuple[str, str]] = []
    for number, item in enumerate(_split(text)):
        key, equals, value = item.partition("=")
        if number == 0 and implied and not equals:
            pairs.append((implied, item))
        elif not key:
            raise UsageError(f"'{text}' has an item without a name")
        else:
            pairs.append((key, value if equals else "on"))
    return Pairs(pairs)


def _split(text: str) -> Iterator[str]:
    """Cut at single commas; a doubled one is a comma of the item."""
    for item in text.replace(",,", "\0").split(","):
        if item:
            yield item.replace("\0", ",")


def _parse_json(text: str) -> Pairs:
    import json

    try:
        return Pairs(_flatten("", json.loads(text)))
    except RecursionError:
        raise UsageError("the JSON option is nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"'{text}' is not valid JSON: {error}") from None


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if members is None:
        yield prefix, _scalar(value)
        return
    for key, member in members:
        yield from _flatten(f"{prefix}.{key}" if prefix else str(key), member)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else str(value)


def size(text: str, unit: str = "B") -> int:
    """A size in bytes: a whole or decimal number with a suffix B, K, M, G, T, P or E; `unit` is the suffix meant when
    there is none.
    """
    number, suffix = text.strip(), unit
    if number and number[-1].upper() in _SUFFIXES and not number.lower().startswith("0x"):
        number, suffix = number[:-1], number[-1].upper()
    try:
        amount = int(number, 0) * _SUFFIXES[suffix] if "." not in number else int(float(number) * _SUFFIXES[suffix])
    except (ValueError, OverflowError):
        raise UsageError(f"'{text}' is not a size: expected a number with an optional suffix K, M, G or T") from None
    if not 0 <= amount < 1 << 63:
        raise UsageError(f"'{text}' is out of range for a size")
    return amount


def switch(text: str) -> bool:
    """on or off, in the spellings that QEMU takes."""
    try:
        return _SWITCH[text]
    except KeyError:
        raise UsageError(f"'{text}' is neither 'on' nor 'off'") from None


def number(text: str, least: int = 0, most: int = (1 << 64) - 1) -> int:
    """A whole number, decimal or 0x..., within bounds."""
    try:
        value = int(text, 0)
    except ValueError:
        try:
            value = int(text, 10)    # 010 is ten
        except ValueError:
            raise UsageError(f"'{text}' is not a number") from None
    if not least <= value <= most:
        raise UsageError(f"'{text}' is out of range: expected {least} to {most}")
    return value
