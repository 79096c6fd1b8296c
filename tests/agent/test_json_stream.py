"""Finding requests in a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratite.agent import json_stream
from ratite.agent.json_stream import JsonStream, Malformed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=4),
)
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4).filter(lambda value: "\ud800" not in str(value))


def feed(*pieces: bytes) -> list[Any]:
    stream = JsonStream()
    return [value for piece in pieces for value in stream.feed(piece)]


def errors(*pieces: bytes) -> list[str]:
    return [value.reason if isinstance(value, Malformed) else f"value {value}" for value in feed(*pieces)]


@settings(max_examples=60)
@given(st.lists(OBJECTS, max_size=3), st.data(), st.booleans())
def test_values_come_out_however_they_are_cut(values: list[Any], data: st.DataObject, ascii_only: bool) -> None:
    """Values without space between them are found again, whatever the pieces in which they arrive."""
    raw = "".join(json.dumps(value, ensure_ascii=ascii_only) for value in values).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    assert feed(*(raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True))) == values


@given(st.binary(max_size=60), st.data())
def test_the_reset_byte_ends_any_garbage(garbage: bytes, data: st.DataObject) -> None:
    """After 0xFF the next request is read from its first byte on; the same errors come, however the garbage is cut."""
    whole = feed(garbage + b'\xff{"a": 1}')
    assert whole[-1] == {"a": 1}
    cut = data.draw(st.integers(0, len(garbage)))
    assert feed(garbage[:cut], garbage[cut:] + b'\xff{"a": 1}') == whole
    assert feed(*(bytes([byte]) for byte in garbage), b'\xff{"a": 1}') == whole


def test_single_quotes() -> None:
    """QEMU's extension of JSON, with either quote inside."""
    assert feed(b"""{'a': 'x"y', "b": "it's", 'c': '\\'\\n\\\\'}""") == [{"a": 'x"y', "b": "it's", "c": "'\n\\"}]


def test_scalars_end_where_something_else_begins() -> None:
    """Numbers and words need an end that can be seen; strings and lists have one."""
    assert feed(b"12", b"3 ", b'"a"[1]true{}') == [123, "a", [1], True, {}]
    assert feed(b"123") == []


@pytest.mark.parametrize(("raw", "text"), [
    (b"garbage ", "invalid keyword 'garbage'"),
    (b"{]", "stray ']'"),
    (b"}", "stray '}'"),
    (b"\xff", "stray 0xFF"),
    (b'{"a\nb": 1}', "stray 0x0A in a string"),
    (b'{"a": 1, "a": 2}', "duplicate key"),
    (b'{"a": "\\ud800"}', "not a valid Unicode character"),
    (b'{"a": "\xc0\x80"}', "invalid UTF-8"),
    (b'{"a": 1e999}', "number out of range"),
    (b'{"a": NaN}', "invalid keyword 'NaN'"),
    (b'{"a" 1}', "expecting"),
    (b"[" * 600, "nesting depth"),
])    # fmt: skip
def test_malformed(raw: bytes, text: str) -> None:
    """What is no JSON value is named, once, and the stream goes on behind it."""
    found = feed(raw, b'\n\xff{"next": 1}')
    assert text in found[0].reason
    assert found[-1] == {"next": 1}


def test_integers_of_64_bits_are_exact_and_longer_ones_are_not() -> None:
    """Long digits become floating-point numbers; a million digits cost no time."""
    assert feed(b"[18446744073709551615, -9223372036854775808]") == [[(1 << 64) - 1, -(1 << 63)]]
    assert feed(b"[" + b"1" * 30 + b"]") == [[float("1" * 30)]]
    assert errors(b"[" + b"1" * 1_000_000 + b"]") == ["JSON parse error, number out of range"]


def test_a_request_has_a_longest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless string is given up, and memory with it."""
    monkeypatch.setattr(json_stream, "LONGEST", 10_000)
    stream = JsonStream()
    found = [value for _ in range(30) for value in stream.feed(b'{"a": "' + b"x" * 1000)]
    assert any(isinstance(value, Malformed) and "size limit" in value.reason for value in found)
    assert len(stream._buffer) <= 11_000
    assert stream.feed(b'\xff{"b": 2}')[-1] == {"b": 2}


def test_a_request_has_a_largest_number_of_values() -> None:
    """Nine megabytes of empty objects would be a gigabyte of them."""
    assert errors(b"[" + b"{}," * (3 << 20) + b"{}]") == ["JSON token count limit exceeded"]
    assert len(feed(b"[" + b"0," * 1_000_000 + b"0]")[0]) == 1_000_001


def test_a_large_request_takes_one_pass() -> None:
    """A string of 30 MB in pieces of 64 KiB is looked at once, not once a piece."""
    stream, piece = JsonStream(), b"A" * 65536
    found = stream.feed(b'{"a": "')
    for _ in range(480):
        found += stream.feed(piece)
    found += stream.feed(b'"}')
    assert len(found) == 1 and len(found[0]["a"]) == 480 * 65536
