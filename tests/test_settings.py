"""Options as records: types, names, repetition, errors."""

from __future__ import annotations

from enum import Enum

import pytest

from ratite import keyval
from ratite.errors import UsageError
from ratite.settings import describe, fill, setting, settings


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@settings
class Paint:
    colour: Colour = setting("which", default=Colour.RED)
    coats: int = setting("how many", default=1)
    glossy: bool = setting("whether it shines", default=False, aliases=("shiny",))
    drying_time: int | None = setting("seconds", default=None)
    kind: str = setting("sort", default="", name="if")
    rule: list[str] = setting("may be repeated", default_factory=list)
    volume: int = setting("bytes", default=0, parse=keyval.size)


def paint(text: str) -> Paint:
    return fill(Paint, keyval.parse(text), "-paint")


def test_every_type() -> None:
    """Each kind of field takes its own kind of text; the rest keeps its default."""
    made = paint("colour=blue,coats=0x10,shiny,drying-time=5,if=oil,rule=a,rule=b,volume=2K")
    assert made == Paint(Colour.BLUE, 16, True, 5, "oil", ["a", "b"], 2048)
    assert paint("") == Paint()


def test_json_lists() -> None:
    """A JSON list fills a repeatable option, with bare strings or the objects that QEMU's schema has."""
    assert paint('{"rule": ["a", {"str": "b"}], "glossy": true}') == Paint(rule=["a", "b"], glossy=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("color=red", "-paint: option 'color' is not known: did you mean 'colour'?"),
        ("colour=green", "-paint: colour: 'green' is not one of red, blue"),
        ("coats=many", "-paint: coats: 'many' is not a number"),
        ("glossy=perhaps", "-paint: glossy: 'perhaps' is neither 'on' nor 'off'"),
        ("coats.0=1", "'coats.0' is not known"),
    ],
)
def test_errors_name_the_option(text: str, message: str) -> None:
    """A mistake is one line with the option and what it accepts."""
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        paint(text)


def test_describe_lists_all() -> None:
    """Help texts come from the declaration."""
    assert ("if", "sort") in describe(Paint)
    assert len(describe(Paint)) == 7
