"""guest-sync, guest-sync-delimited, guest-ping, guest-info."""

from __future__ import annotations

from typing import Any

from ratite.agent.agent import PROTOCOL_VERSION, Agent
from ratite.agent.command import COMMANDS, INT, Argument, command


@command("guest-sync", Argument("id", INT), while_frozen=True)
def sync(agent: Agent, id: int) -> int:
    """Give the number back, so that the client knows which answer is its own."""
    return id


@command("guest-sync-delimited", Argument("id", INT), while_frozen=True)
def sync_delimited(agent: Agent, id: int) -> int:
    """The same, with the byte 0xFF before the answer, up to which the client can skip old answers."""
    agent.sync_delimited = True
    return id


@command("guest-ping", while_frozen=True)
def ping(agent: Agent) -> None:
    """Do nothing."""


@command("guest-info", while_frozen=True)
def info(agent: Agent) -> dict[str, Any]:
    """The version of the protocol, and the commands with whether they can be used now."""
    rows = [
        {"name": entry.name, "enabled": not agent.refusal(entry), "success-response": entry.success_response}
        for entry in COMMANDS.values()
    ]
    return {"version": PROTOCOL_VERSION, "supported_commands": rows}
