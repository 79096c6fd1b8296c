"""guest-get-memory-blocks, guest-set-memory-blocks, guest-get-memory-block-info (admin-guide/mm/memory-hotplug)."""

from __future__ import annotations

import re
from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.command import BOOL, UINT64, Argument, ListOf, Record, command
from ratite.agent.errors import Unsupported, system_error
from ratite.agent.linux.hotplug import MEMORY, Fixed, Missing

_BLOCK = Record(Argument("phys-index", UINT64), Argument("online", BOOL), Argument("can-offline", BOOL, optional=True))


@command("guest-get-memory-blocks", needs="memory")
def get_blocks(agent: Agent) -> list[dict[str, Any]]:
    """Blocks of memory that can be switched, by number; none on a kernel without memory hotplug."""
    system = agent.system
    try:
        numbers = MEMORY.numbers(system)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise system_error(f"cannot list {MEMORY.folder}", error) from None
    return [
        {"phys-index": number, "online": MEMORY.online(system, number), "can-offline": MEMORY.can_go_offline(system, number)}
        for number in numbers
    ]    # fmt: skip


@command("guest-set-memory-blocks", Argument("mem-blks", ListOf(_BLOCK)), needs="memory")
def set_blocks(agent: Agent, mem_blks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Switch blocks on and off; tells for each what happened."""
    return [{"phys-index": block["phys_index"], **_switch(agent, block["phys_index"], block["online"])} for block in mem_blks]


@command("guest-get-memory-block-info", needs="memory")
def block_info(agent: Agent) -> dict[str, int]:
    """The size of a block in bytes."""
    text = agent.system.read_line(f"{MEMORY.folder}/block_size_bytes")
    if not re.fullmatch(r"[0-9a-f]+", text):
        raise Unsupported("the kernel has no memory blocks")
    return {"size": int(text, 16)}


def _switch(agent: Agent, number: int, online: bool) -> dict[str, Any]:
    try:
        MEMORY.switch(agent.system, number, online)
    except Missing:
        return {"response": "not-found"}
    except Fixed:
        return {"response": "operation-not-supported"}
    except OSError as error:
        return {"response": "operation-failed", "error-code": error.errno or 0}
    return {"response": "success"}
