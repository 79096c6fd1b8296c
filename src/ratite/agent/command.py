"""Declaring commands: their names, their arguments, and the checks that arguments pass before the command runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ratite.agent.errors import AgentError, invalid_type

if TYPE_CHECKING:
    from ratite.agent.agent import Agent

Function = Callable[..., Any]


class Kind:
    """A type of argument. `check` returns the value as commands get it, or raises AgentError with `name` in it."""

    def check(self, name: str, value: Any) -> Any:
        """Check one value."""
        raise NotImplementedError


class Integer(Kind):
    """A whole number of 64 bits."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def check(self, name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise invalid_type(name, "integer")
        return value


class Text(Kind):
    """A string. A NUL is refused: no name or path of the system can have one."""

    def check(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise invalid_type(name, "string")
        if "\0" in value:
            raise AgentError(f"Parameter '{name}' must not contain a NUL character")
        return value


class Boolean(Kind):
    """true or false."""

    def check(self, name: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise invalid_type(name, "boolean")
        return value


class ListOf(Kind):
    """A list of values of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def check(self, name: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise invalid_type(name, "array")
        return [self.kind.check(f"{name}[{number}]", item) for number, item in enumerate(value)]


class Argument(NamedTuple):
    """A member of a command's arguments or of a record; the command's parameter has _ for - in its name."""

    name: str
    kind: Kind
    optional: bool = False


class Record(Kind):
    """An object with given members."""

    def __init__(self, *members: Argument) -> None:
        self.members = members

    def check(self, name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise invalid_type(name, "object")
        return check_members(self.members, value, f"{name}.")


INT = Integer(-(1 << 63), (1 << 63) - 1)
UINT64 = Integer(0, (1 << 64) - 1)
TEXT = Text()
BOOL = Boolean()


def check_members(members: tuple[Argument, ...], given: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Check an object's members; returns them with Python's names. Raises AgentError."""
    checked: dict[str, Any] = {}
    for member in members:
        name = prefix + member.name
        if member.name in given:
            checked[member.name.replace("-", "_")] = member.kind.check(name, given[member.name])
        elif not member.optional:
            raise AgentError(f"Parameter '{name}' is missing")
    known = {member.name for member in members}
    for extra in given:
        if extra not in known:
            raise AgentError(f"Parameter '{prefix}{extra[:100]}' is unexpected")
    return checked


class Command(NamedTuple):
    """A declared command."""

    name: str
    arguments: tuple[Argument, ...]
    function: Function
    needs: str
    """What the operating system must offer (`System.offers`); empty: nothing special."""
    while_frozen: bool
    success_response: bool

    def call(self, agent: Agent, given: dict[str, Any]) -> Any:
        """Check the arguments and run the command. Raises AgentError."""
        return self.function(agent, **check_members(self.arguments, given))


COMMANDS: dict[str, Command] = {}


def command(
    name: str, *arguments: Argument, needs: str = "", while_frozen: bool = False, success_response: bool = True
) -> Callable[[Function], Function]:
    """Declare the decorated function as a command. It gets the Agent and its arguments; None is the empty answer.

    `while_frozen`: it touches no file system, and is allowed while those are frozen. `success_response=False`: an
    answer only when it fails.
    """

    def declare(function: Function) -> Function:
        assert name not in COMMANDS, name
        COMMANDS[name] = Command(name, arguments, function, needs, while_frozen, success_response)
        return function

    return declare
