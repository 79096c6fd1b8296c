"""A checker for answers: loads the condensed schema of tests/data and compares a value with a type, member by member."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).parents[1] / "data" / "guest_agent_7.1.txt"

INTEGERS = {
    "int": (-(1 << 63), (1 << 63) - 1),
    "uint16": (0, (1 << 16) - 1),
    "uint64": (0, (1 << 64) - 1),
}


class Member(NamedTuple):
    name: str
    type: str
    optional: bool


class Entry(NamedTuple):
    """A command: its arguments, the type of its answer, and whether it answers when it succeeds."""

    arguments: list[Member]
    returns: str
    answers: bool


def members(words: Iterable[str]) -> list[Member]:
    found = []
    for word in words:
        name, _, kind = word.partition(":")
        found.append(Member(name.rstrip("?"), kind, name.endswith("?")))
    return found


class Schema:
    """The commands and types of the file."""

    def __init__(self) -> None:
        self.commands: dict[str, Entry] = {}
        self.types: dict[str, tuple[str, list[str]]] = {}
        for line in FILE.read_text().splitlines():
            kind, *words = line.split() or ["#"]
            if kind == "command":
                self.commands[words[0]] = Entry(members(words[1:-2]), words[-1], words[-2] == "->")
            elif kind != "#":
                self.types[words[0]] = (kind, words[1:])

    def check(self, value: Any, kind: str, where: str = "answer") -> None:
        """Fail when `value` is not of type `kind`."""
        if kind == "empty":
            assert value == {}, where
        elif kind.startswith("["):
            assert isinstance(value, list), where
            for number, item in enumerate(value):
                self.check(item, kind[1:-1], f"{where}[{number}]")
        elif kind in INTEGERS:
            low, high = INTEGERS[kind]
            assert type(value) is int and low <= value <= high, f"{where}: {value!r} is no {kind}"
        elif kind in ("str", "bool", "number"):
            expected = {"str": str, "bool": bool, "number": (int, float)}[kind]
            assert isinstance(value, expected), f"{where}: {value!r} is no {kind}"    # type: ignore[arg-type]
        else:
            self._check_named(value, kind, where)

    def _check_named(self, value: Any, name: str, where: str) -> None:
        kind, words = self.types[name]
        if kind == "enum":
            assert value in words, f"{where}: {value!r} is none of {name}"
        elif kind == "object":
            self._check_members(value, members(words), where)
        elif kind == "union":
            tag, *variants = words
            (tag_member,) = members([tag])
            variant = dict(word.split("=") for word in variants).get(value[tag_member.name])
            more = members(self.types[variant][1]) if variant else []
            self._check_members(value, [tag_member, *more], where)
        else:
            raise AssertionError(f"{name}: no answer has an {kind}")

    def _check_members(self, value: Any, known: list[Member], where: str) -> None:
        assert isinstance(value, dict), where
        assert not value.keys() - {member.name for member in known}, f"{where}: unknown members"
        for member in known:
            if member.name in value:
                self.check(value[member.name], member.type, f"{where}.{member.name}")
            else:
                assert member.optional, f"{where}: {member.name} is missing"
