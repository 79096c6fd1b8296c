"""`key=value` lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite import keyval
from ratite.errors import UsageError
from ratite.keyval import Pairs

names = st.text("abcdefghij-_0123456789", min_size=1, max_size=8)
values = st.text(st.characters(exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(names, values), min_size=1, max_size=6))
def test_writing_and_reading_are_inverse(items: list[tuple[str, str]]) -> None:
    """What `str` writes, `parse` reads, commas and equals signs in values included."""
    pairs = Pairs(items)
    assert keyval.parse(str(pairs)) == pairs


@pytest.mark.parametrize(
    "text, items",
    [
        ("a", [("driver", "a")]),
        ("a,b", [("driver", "a"), ("b", "on")]),
        ("driver=a,x=1", [("driver", "a"), ("x", "1")]),
        ("a,,b,x=,,", [("driver", "a,b"), ("x", ",")]),
        ("", []),
        ("k=v=w", [("k", "v=w")]),
        ('{"driver":"d","a":{"b":[1,true]},"n":null}', [("driver", "d"), ("a.b.0", "1"), ("a.b.1", "on"), ("n", "")]),
    ],
)
def test_reading(text: str, items: list[tuple[str, str]]) -> None:
    """The implied first key, switches, doubled commas, JSON."""
    assert keyval.parse(text, "driver") == items


def test_repeated_keys_stay() -> None:
    """`get` gives the last, `all` every one."""
    pairs = keyval.parse("user,hostfwd=a,id=n,hostfwd=b", "type")
    assert pairs.all("hostfwd") == ["a", "b"]
    assert pairs.get("hostfwd") == "b"
    assert pairs.without("hostfwd", "type").to_dict() == {"id": "n"}


@given(st.text(max_size=30))
def test_any_text_is_pairs_or_an_error(text: str) -> None:
    """No text makes anything else happen."""
    for source in (text, "{" + text):
        try:
            keyval.parse(source)
        except UsageError:
            pass


def test_json_nested_beyond_reason_is_refused() -> None:
    """Depth does not exhaust the stack."""
    with pytest.raises(UsageError, match="nested too deeply"):
        keyval.parse('{"a":' * 20000 + "1" + "}" * 20000)


@pytest.mark.parametrize(
    "text, size", [("1", 1), ("1k", 1024), ("2G", 2 << 30), ("0x1000", 4096), ("1.5K", 1536), ("7B", 7)]
)
def test_sizes(text: str, size: int) -> None:
    """Suffixes in both cases, hexadecimal, fractions."""
    assert keyval.size(text) == size


@pytest.mark.parametrize("text", ["", "K", "-1", "1X", "1e400K", "9E9E", "99999999999E", "nan", "1.2.3", "0x"])
def test_sizes_that_are_none(text: str) -> None:
    """One UsageError, whatever the text."""
    with pytest.raises(UsageError):
        keyval.size(text)


def test_numbers_have_bounds() -> None:
    """Leading zeros are decimal, as on QEMU's command line; the error names the bounds."""
    assert keyval.number("010") == 10
    assert keyval.number("0x10") == 16
    with pytest.raises(UsageError, match="expected 1 to 8"):
        keyval.number("9", 1, 8)


def test_switches() -> None:
    """on and off with their other spellings."""
    assert keyval.switch("yes") is True
    assert keyval.switch("off") is False
    with pytest.raises(UsageError, match="neither 'on' nor 'off'"):
        keyval.switch("maybe")
