"""guest-get-vcpus, guest-set-vcpus."""

from __future__ import annotations

from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.command import BOOL, INT, Argument, ListOf, Record, command
from ratite.agent.errors import AgentError, system_error
from ratite.agent.linux.hotplug import PROCESSORS, Fixed, Missing

_PROCESSOR = Record(Argument("logical-id", INT), Argument("online", BOOL), Argument("can-offline", BOOL, optional=True))


@command("guest-get-vcpus", needs="processors")
def get_processors(agent: Agent) -> list[dict[str, Any]]:
    """Processors, by number. One without a switch is always on."""
    system = agent.system
    try:
        numbers = PROCESSORS.numbers(system)
    except OSError as error:
        raise system_error(f"cannot list {PROCESSORS.folder}", error) from None
    return [
        {"logical-id": number, "online": PROCESSORS.online(system, number), "can-offline": PROCESSORS.can_go_offline(system, number)}
        for number in numbers
    ]    # fmt: skip


@command("guest-set-vcpus", Argument("vcpus", ListOf(_PROCESSOR)), needs="processors")
def set_processors(agent: Agent, vcpus: list[dict[str, Any]]) -> int:
    """Switch processors on and off in the given order, up to the first failure; returns how many. A failure of the first
    is an error.
    """
    for count, processor in enumerate(vcpus):
        try:
            _switch(agent, processor["logical_id"], processor["online"])
        except AgentError:
            if count == 0:
                raise
            return count
    return len(vcpus)


def _switch(agent: Agent, number: int, online: bool) -> None:
    try:
        PROCESSORS.switch(agent.system, number, online)
    except Missing:
        raise AgentError(f"logical processor #{number} does not exist") from None
    except Fixed:
        raise AgentError(f"logical processor #{number} can't be offlined") from None
    except OSError as error:
        raise system_error(f"cannot switch logical processor #{number}", error) from None
