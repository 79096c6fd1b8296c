"""Command lines in QEMU's manner: long names after one dash or two, an argument that follows as its own word, no
bundling.

A program declares its options as a table of `Option` rows. A row says how the option is written, what it does in a
line, and where its value goes: into a field of the program's configuration object. Reading the table gives the
parser, `-h`, and the page in the reference documentation.

Options that QEMU has and Ratite does not are rows too (`Refused`), so that their user learns what is missing instead
of a guess at a typing mistake.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ratite.errors import RatiteError, UsageError, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Action = Callable[[Any, str], None]


class Option:
    """One option.

    `names` are its spellings, the first one being the usual; `argument` is how its argument is shown, empty for a
    switch; `help` is one line. `action(config, text)` takes the argument in; `env` names an environment variable that
    gives the same option when it is set.
    """

    __slots__ = ("action", "argument", "env", "group", "help", "names")

    def __init__(self, names: str, argument: str, help: str, action: Action, env: str = "") -> None:
        self.names = tuple(names.split())
        self.argument = argument
        self.help = help
        self.action = action
        self.env = env
        self.group = ""

    @property
    def name(self) -> str:
        """The usual spelling."""
        return self.names[0]


class Refused(Option):
    """An option of QEMU's that is not supported yet. `help` says what there is instead, and may be empty."""

    __slots__ = ()

    def __init__(self, names: str, help: str = "") -> None:
        super().__init__(names, "", help, self._refuse)

    def _refuse(self, config: object, text: str) -> None:
        raise UsageError("not supported yet" + (f"; {self.help}" if self.help else ""))


def store(field: str, read: Callable[[str], object] = str) -> Action:
    """Put the argument, as `read` understands it, into a field; the last one on the command line wins."""
    return _Into(field, lambda config, text: setattr(config, field, read(text)))


def append(field: str, read: Callable[[str], object] = str) -> Action:
    """Add the argument to the list in a field."""
    return _Into(field, lambda config, text: getattr(config, field).append(read(text)))


def extend(field: str, read: Callable[[str], Iterable[object]]) -> Action:
    """Add all that `read` finds in the argument to the list in a field."""
    return _Into(field, lambda config, text: getattr(config, field).extend(read(text)))


def switch(field: str, value: object = True) -> Action:
    """Set a field to a fixed value."""
    return _Into(field, lambda config, text: setattr(config, field, value))


def accept() -> Action:
    """Take the option and do nothing, because what it asks for is always so here."""
    return lambda config, text: None


class _Into:
    """An action and the name of the field it fills, so that a test can compare the two."""

    __slots__ = ("_act", "field")

    def __init__(self, field: str, act: Action) -> None:
        self.field = field
        self._act = act

    def __call__(self, config: Any, text: str) -> None:
        self._act(config, text)


class OptionTable:
    """All options of a program, by group."""

    def __init__(self, usage: str, groups: Mapping[str, Sequence[Option]], epilog: str = "") -> None:
        self.usage = usage
        self.epilog = epilog
        self.groups = groups
        self._by_name: dict[str, Option] = {}
        for title, rows in groups.items():
            for row in rows:
                row.group = title
                self._by_name.update(dict.fromkeys(row.names, row))

    def __iter__(self) -> Iterator[Option]:
        for rows in self.groups.values():
            yield from rows

    def parse(self, words: Sequence[str], config: object, *, stop_at_positional: bool = False) -> list[str]:
        """Apply `words` to `config` and return those that are not options.

        With `stop_at_positional` the first such word ends the options, and all that follows is returned as it stands.
        """
        rest: list[str] = []
        position = 0
        while position < len(words):
            word = words[position]
            position += 1
            if not word.startswith("-") or word == "-":
                rest.append(word)
                if stop_at_positional:
                    return rest + list(words[position:])
                continue
            row = self._find(word)
            text = ""
            if row.argument:
                if position == len(words):
                    raise UsageError(f"{word}: an argument is missing: {row.name} {row.argument}")
                text = words[position]
                position += 1
            _apply(row, config, text, word)
        return rest

    def parse_environment(self, config: object, environment: Mapping[str, str] = os.environ) -> None:
        """Apply the options that environment variables give; the command line, parsed afterwards, overrides them."""
        for row in self:
            if row.env and row.env in environment:
                _apply(row, config, environment[row.env], row.env)

    def _find(self, word: str) -> Option:
        name = word[1:] if word.startswith("--") else word
        row = self._by_name.get(name)
        if row is None:
            raise unknown("option", word, (name for row in self if not isinstance(row, Refused) for name in row.names))
        return row

    def help(self, program: str) -> str:
        """The text of `-h`."""
        lines = [f"usage: {program} {self.usage}", ""]
        for title, rows in self.groups.items():
            shown = [row for row in rows if not isinstance(row, Refused)]
            lines += [f"{title}:", *(_help_lines(row) for row in shown), ""] if shown else []
        return "\n".join(lines) + self.epilog


def _apply(row: Option, config: object, text: str, spelling: str) -> None:
    """Run the row's action; an error of it begins with the option as the user wrote it."""
    try:
        row.action(config, text)
    except RatiteError as error:
        raise type(error)(f"{spelling}{' ' + text if text and row.argument else ''}: {error}") from None


def _help_lines(row: Option) -> str:
    left = f"  {', '.join(row.names)} {row.argument}".rstrip()
    env = f" [{row.env}]" if row.env else ""
    return f"{left:<34} {row.help}{env}" if len(left) <= 34 else f"{left}\n{'':35}{row.help}{env}"
