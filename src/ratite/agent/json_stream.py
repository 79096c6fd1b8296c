"""Finding JSON values in a stream of bytes, and getting back in step after garbage (RFC 8259).

Values follow each other with or without space between them. As QEMU's parser does, this one also takes strings in
single quotes. The byte 0xFF, which no UTF-8 text contains, always ends what came before: a client sends it to be sure
that its next request is read from its first byte on.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple, NoReturn

LONGEST = 64 << 20       # bytes of one request; QEMU's limit for one token
DEEPEST = 512            # nested lists and objects
MOST_VALUES = 2 << 20    # in one request, about; QEMU's limit for tokens. Small values take much more memory than text

_SPACE = re.compile(rb"[ \t\r\n]*")
_WORD = re.compile(rb"[^ \t\r\n{}\[\],:\"'\xff]+")
_MARK = re.compile(rb"[{}\[\]\"'\xff]")
_IN_STRING = {ord(quote): re.compile(rb"[\\\x00-\x1f\xff" + quote + rb"]") for quote in (b'"', b"'")}
_RESYNC = re.compile(rb"[\n\xff{]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"' + r"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_QUOTE = re.compile(r"\\.|\"", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}
_RESET = 0xFF
_LONGEST_INTEGER = 20    # characters; what is longer does not fit 64 bits and is a floating-point number


class Malformed(NamedTuple):
    """Something in the stream that is no JSON value."""

    reason: str


class JsonStream:
    """Takes pieces of a stream, gives out the values that they complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.reset()

    def reset(self) -> None:
        """Forget an unfinished value: the other side has changed."""
        self._buffer.clear()
        self._begin()
        self._recovering = False

    def feed(self, data: bytes) -> list[Any]:
        """The values (or `Malformed`) that are complete with `data`, in order."""
        self._buffer += data
        found: list[Any] = []
        while self._step(found):
            pass
        if len(self._buffer) > LONGEST:
            self._drop(len(self._buffer), found, "JSON token size limit exceeded")
        return found

    # --- the scanner: at the top level, inside a value, or inside one of its strings

    def _begin(self) -> None:
        self._position = 0
        self._open: list[int] = []    # the brackets that will close what is open
        self._quote = 0
        self._single_quotes = False

    def _step(self, found: list[Any]) -> bool:
        """Go on by one mark; False when more input is needed."""
        if self._recovering:
            return self._recover()
        if self._quote:
            return self._step_in_string(found)
        if self._open:
            return self._step_in_value(found)
        return self._step_at_top(found)

    def _step_at_top(self, found: list[Any]) -> bool:
        space = _SPACE.match(self._buffer)
        del self._buffer[: space.end() if space else 0]
        if not self._buffer:
            return False
        first = self._buffer[0]
        if first in _CLOSING:
            self._open, self._position = [_CLOSING[first]], 1
        elif first in _IN_STRING:
            self._enter_string(first, 1)
        elif word := _WORD.match(self._buffer):
            if word.end() == len(self._buffer):
                return False
            self._position = word.end()
            self._finish(found)
        else:
            self._drop(1, found, "JSON parse error, stray " + ("0xFF" if first == _RESET else f"'{chr(first)}'"))
            self._recovering = False
        return True

    def _step_in_value(self, found: list[Any]) -> bool:
        mark = _MARK.search(self._buffer, self._position)
        if mark is None:
            self._position = len(self._buffer)
            return False
        byte, self._position = mark[0][0], mark.end()
        if byte in _CLOSING:
            self._open.append(_CLOSING[byte])
            if len(self._open) > DEEPEST:
                self._drop(self._position, found, "JSON nesting depth limit exceeded")
        elif byte in _IN_STRING:
            self._enter_string(byte, self._position)
        elif byte == self._open[-1]:
            self._open.pop()
            if not self._open:
                self._finish(found)
        else:
            self._drop(self._position, found, "JSON parse error, " + _stray(byte))
        return True

    def _step_in_string(self, found: list[Any]) -> bool:
        mark = _IN_STRING[self._quote].search(self._buffer, self._position)
        if mark is None:
            self._position = len(self._buffer)
            return False
        byte = mark[0][0]
        if byte == ord("\\"):
            if mark.end() == len(self._buffer):
                self._position = mark.start()
                return False
            self._position = mark.end() + (self._buffer[mark.end()] != _RESET)
            return True
        self._position = mark.end()
        if byte != self._quote:
            self._drop(self._position, found, "JSON parse error, " + _stray(byte) + " in a string")
            self._recovering = byte not in b"\n\xff"
            return True
        self._quote = 0
        if not self._open:
            self._finish(found)
        return True

    def _enter_string(self, quote: int, position: int) -> None:
        self._quote, self._position = quote, position
        self._single_quotes = self._single_quotes or quote == ord("'")

    def _finish(self, found: list[Any]) -> None:
        text = bytes(self._buffer[: self._position])
        single_quotes = self._single_quotes
        del self._buffer[: self._position]
        self._begin()
        found.append(_parse(text, single_quotes))

    def _drop(self, count: int, found: list[Any], reason: str) -> None:
        """Give up the value that ends here; skip to where a new one may begin."""
        reset = self._buffer[count - 1] == _RESET
        del self._buffer[:count]
        self._begin()
        found.append(Malformed(reason))
        self._recovering = not reset

    def _recover(self) -> bool:
        mark = _RESYNC.search(self._buffer)
        if mark is None:
            self._buffer.clear()
            return False
        del self._buffer[: mark.start() if mark[0] == b"{" else mark.end()]
        self._recovering = False
        return True


def _stray(byte: int) -> str:
    return f"stray '{chr(byte)}'" if 0x20 <= byte < 0x7F else f"stray 0x{byte:02X}"


# --- one value


def _parse(raw: bytes, single_quotes: bool) -> Any:
    if raw.count(b",") > MOST_VALUES:
        return Malformed("JSON token count limit exceeded")
    try:
        text = raw.decode()
        if single_quotes:
            text = _STRING.sub(_double_quoted, text)
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
    except UnicodeDecodeError:
        return Malformed("JSON parse error, invalid UTF-8 sequence in string")
    except RecursionError:
        return Malformed("JSON nesting depth limit exceeded")
    except json.JSONDecodeError as error:
        return Malformed(f"JSON parse error, {_keyword(raw) or error.msg[:1].lower() + error.msg[1:]}")
    except ValueError as error:
        return Malformed(f"JSON parse error, {error}")


def _keyword(raw: bytes) -> str:
    """The complaint about a word that stands alone."""
    return f"invalid keyword '{raw[:40].decode(errors='replace')}'" if _WORD.fullmatch(raw) else ""


def _double_quoted(match: re.Match[str]) -> str:
    body = match[1]
    return match[0] if body is None else '"' + _QUOTE.sub(_requote, body) + '"'


def _requote(match: re.Match[str]) -> str:
    return {"\\'": "'", '"': '\\"'}.get(match[0], match[0])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    for name, value in pairs:
        for text in (name, value, *(value if isinstance(value, list) else ())):
            if isinstance(text, str) and _SURROGATE.search(text):
                raise ValueError("an escape is not a valid Unicode character")
    return members


def _integer(digits: str) -> Any:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else _number(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"invalid keyword '{name}'")
