"""guest-get-memory-blocks, guest-set-memory-blocks, guest-get-memory-block-info (admin-guide/mm/memory-hotplug)."""

from __future__ import annotations

import os
import re
from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.command import BOOL, UINT64, Argument, ListOf, Record, command
from ratite.agent.errors import Unsupported, system_error

_FOLDER = "/sys/devices/system/memory"
_BLOCK = Record(Argument("phys-index", UINT64), Argument("online", BOOL), Argument("can-offline", BOOL, optional=True))


@command("guest-get-memory-blocks", needs="memory")
def get_blocks(agent: Agent) -> list[dict[str, Any]]:
    """Blocks of memory that can be switched, by number; none on a kernel without memory hotplug."""
    try:
        names = os.listdir(agent.system.path(_FOLDER))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise system_error(f"cannot list {_FOLDER}", error) from None
    numbers = sorted(int(match[1]) for match in (re.fullmatch(r"memory(\d+)", name) for name in names) if match)
    return [_describe(agent, number) for number in numbers]


@command("guest-set-memory-blocks", Argument("mem-blks", ListOf(_BLOCK)), needs="memory")
def set_blocks(agent: Agent, mem_blks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Switch blocks on and off; tells for each what happened."""
    return [{"phys-index": block["phys_index"], **_switch(agent, block["phys_index"], block["online"])} for block in mem_blks]


@command("guest-get-memory-block-info", needs="memory")
def block_info(agent: Agent) -> dict[str, int]:
    """The size of a block in bytes."""
    text = agent.system.read_line(f"{_FOLDER}/block_size_bytes")
    if not re.fullmatch(r"[0-9a-f]+", text):
        raise Unsupported("the kernel has no memory blocks")
    return {"size": int(text, 16)}


def _describe(agent: Agent, number: int) -> dict[str, Any]:
    folder = f"{_FOLDER}/memory{number}"
    removable = agent.system.read_line(f"{folder}/removable") != "0"
    return {"phys-index": number, "online": agent.system.read_line(f"{folder}/state") == "online", "can-offline": removable}


def _switch(agent: Agent, number: int, online: bool) -> dict[str, Any]:
    folder = f"{_FOLDER}/memory{number}"
    if not os.path.isdir(agent.system.path(folder)):
        return {"response": "not-found"}
    wanted = "online" if online else "offline"
    if agent.system.read_line(f"{folder}/state") == wanted:
        return {"response": "success"}
    if not online and not _describe(agent, number)["can-offline"]:
        return {"response": "operation-not-supported"}
    try:
        agent.system.write(f"{folder}/state", wanted)
    except OSError as error:
        return {"response": "operation-failed", "error-code": error.errno or 0}
    return {"response": "success"}
