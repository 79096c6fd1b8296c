"""guest-get-vcpus, guest-set-vcpus (Documentation/ABI/testing/sysfs-devices-system-cpu)."""

from __future__ import annotations

import os
import re
from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.command import BOOL, INT, Argument, ListOf, Record, command
from ratite.agent.errors import AgentError, system_error

_FOLDER = "/sys/devices/system/cpu"
_PROCESSOR = Record(Argument("logical-id", INT), Argument("online", BOOL), Argument("can-offline", BOOL, optional=True))


@command("guest-get-vcpus", needs="processors")
def get_processors(agent: Agent) -> list[dict[str, Any]]:
    """Processors, by number. One without a switch is always on."""
    try:
        names = os.listdir(agent.system.path(_FOLDER))
    except OSError as error:
        raise system_error(f"cannot list {_FOLDER}", error) from None
    numbers = sorted(int(match[1]) for match in (re.fullmatch(r"cpu(\d+)", name) for name in names) if match)
    return [_describe(agent, number) for number in numbers]


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


def _describe(agent: Agent, number: int) -> dict[str, Any]:
    switch = agent.system.read_line(f"{_FOLDER}/cpu{number}/online")
    return {"logical-id": number, "online": switch != "0", "can-offline": switch != ""}


def _switch(agent: Agent, number: int, online: bool) -> None:
    folder = f"{_FOLDER}/cpu{number}"
    if number < 0 or not os.path.isdir(agent.system.path(folder)):
        raise AgentError(f"logical processor #{number} does not exist")
    if not os.path.exists(agent.system.path(f"{folder}/online")):
        if not online:
            raise AgentError(f"logical processor #{number} can't be offlined")
        return
    if _describe(agent, number)["online"] == online:
        return
    try:
        agent.system.write(f"{folder}/online", "1" if online else "0")
    except OSError as error:
        raise system_error(f"cannot switch logical processor #{number}", error) from None
