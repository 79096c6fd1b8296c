"""guest-exec, guest-exec-status."""

from __future__ import annotations

import base64
from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.base64_text import decode
from ratite.agent.command import BOOL, INT, TEXT, Argument, ListOf, command


@command(
    "guest-exec",
    Argument("path", TEXT),
    Argument("arg", ListOf(TEXT), optional=True),
    Argument("env", ListOf(TEXT), optional=True),
    Argument("input-data", TEXT, optional=True),
    Argument("capture-output", BOOL, optional=True),
)
def execute(
    agent: Agent,
    path: str,
    arg: list[str] | None = None,
    env: list[str] | None = None,
    input_data: str | None = None,
    capture_output: bool = False,
) -> dict[str, Any]:
    """Start a program; a name without a slash is looked for in PATH. `env` replaces the whole environment."""
    text = None if input_data is None else decode(input_data)
    environment = None if env is None else dict(_assignment(pair) for pair in env)
    agent.check_room(2 * capture_output + (text is not None))
    pid = agent.processes.start([path, *(arg or [])], environment, text, capture_output)
    agent.log.info(f"guest-exec: {path!r}: process {pid}")
    return {"pid": pid}


@command("guest-exec-status", Argument("pid", INT))
def execute_status(agent: Agent, pid: int) -> dict[str, Any]:
    """Whether a program has ended, how, and what it has printed. After it has told the end, the program is forgotten."""
    child = agent.processes[pid]
    if not child.exited:
        return {"exited": False}
    status = child.process.returncode
    answer: dict[str, Any] = {"exited": True, **({"signal": -status} if status < 0 else {"exitcode": status})}
    for prefix, output in child.outputs.items():
        if output.data:
            answer[f"{prefix}-data"] = base64.b64encode(output.data).decode()
        if output.truncated:
            answer[f"{prefix}-truncated"] = True
    agent.processes.remove(pid)
    return answer


def _assignment(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return name, value
