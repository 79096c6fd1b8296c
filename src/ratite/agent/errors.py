"""What can go wrong, as the client is told."""

from __future__ import annotations

GENERIC = "GenericError"
NOT_FOUND = "CommandNotFound"


class AgentError(Exception):
    """A request failed; the text becomes `desc` of the answer."""

    kind = GENERIC


class CommandNotFound(AgentError):
    """A command that does not exist, is disabled, or is not allowed now."""

    kind = NOT_FOUND


class Unsupported(AgentError):
    """This operating system, or this machine, has no such thing."""

    def __init__(self, what: str = "this feature or command is not currently supported") -> None:
        super().__init__(what)


class SetupError(Exception):
    """The agent cannot start: an option, a file or a device; one line for the user."""


def invalid_type(name: str, expected: str) -> AgentError:
    """The error for an argument of the wrong JSON type."""
    return AgentError(f"Invalid parameter type for '{name}', expected: {expected}")


def invalid_value(argument: str, value: object) -> AgentError:
    """The error for a number that is out of an argument's range."""
    return AgentError(f"value '{value}' is invalid for argument {argument}")


def system_error(what: str, error: OSError) -> AgentError:
    """The error for a failed call of the operating system."""
    return AgentError(f"{what}: {error.strerror or error}")
