"""The agent without its channel: takes a request, runs the command, makes the answer."""

from __future__ import annotations

import json
import resource
import traceback
from collections.abc import Iterable
from typing import Any

from ratite.agent.command import COMMANDS, Command
from ratite.agent.commands import load_all
from ratite.agent.errors import GENERIC, AgentError, CommandNotFound, SetupError
from ratite.agent.files import OpenFiles
from ratite.agent.json_stream import Malformed
from ratite.agent.log import Log
from ratite.agent.processes import Processes
from ratite.agent.reactor import Reactor
from ratite.agent.state import State
from ratite.agent.system.base import System

PROTOCOL_VERSION = "7.1.0"    # of QEMU, whose commands these are

_RESERVED_DESCRIPTORS = 64
_MEMBERS = {"execute", "arguments", "id"}


class Agent:
    """The state that commands share. Requests are answered one after the other."""

    def __init__(
        self, system: System, state: State, reactor: Reactor, log: Log, *, blocked: Iterable[str] = (), hook: str = ""
    ) -> None:
        """`blocked` are commands that clients may not use; `hook` is a program to call around freezing, empty for none.
        Raises SetupError.
        """
        load_all()
        self.system = system
        self.state = state
        self.log = log
        self.hook = hook
        self.blocked = frozenset(blocked)
        self.files = OpenFiles(state)
        self.processes = Processes(reactor)
        self.sync_delimited = False
        for name in self.blocked - COMMANDS.keys():
            raise SetupError(f"'{name}' cannot be blocked, because there is no such command; '-b help' lists them")
        if self.frozen:
            self.log.info("file systems are frozen, by an agent before this one")
        self.log.enabled = not self.frozen

    @property
    def frozen(self) -> bool:
        """Whether the guest's file systems are frozen; only a few commands are allowed then."""
        return self.state.frozen

    def set_frozen(self, frozen: bool) -> None:
        """Enter or leave the frozen state. Raises AgentError."""
        self.state.set_frozen(frozen)
        self.log.enabled = not frozen

    def refusal(self, command: Command) -> str:
        """Why a command cannot be used now; empty when it can."""
        if command.name in self.blocked or (command.needs and command.needs not in self.system.offers):
            return f"Command {command.name} has been disabled"
        if self.frozen and not command.while_frozen:
            return f"Command {command.name} has been disabled: the agent is in frozen state"
        return ""

    def check_room(self, count: int) -> None:
        """Raises AgentError when clients have so many files and programs that `count` more descriptors are too many: the
        agent keeps some, with which it can serve every other command and the next client.
        """
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = len(self.files) + self.processes.descriptors
        if soft != resource.RLIM_INFINITY and taken + count > max(count, soft - _RESERVED_DESCRIPTORS):
            raise AgentError(f"too many open files and programs: they have {taken} descriptors; close some")

    def answer(self, request: Any) -> bytes:
        """Act on a value from the stream; returns what to send, which is empty for some commands when they succeed."""
        answer: dict[str, Any] = {}
        self.sync_delimited = False
        try:
            result = self._act(request)
            if result is not None:
                answer["return"] = result
        except AgentError as error:
            answer["error"] = {"class": error.kind, "desc": str(error)}
        except OSError as error:
            answer["error"] = {"class": GENERIC, "desc": f"{error.strerror or error}: {error.filename or 'no file'}"}
        except Exception as error:    # a mistake of ours must not end the agent, which nobody would start again
            self.log.error(traceback.format_exc())
            answer["error"] = {"class": GENERIC, "desc": f"internal error: {type(error).__name__}: {error}"}
        if not answer:
            return b""
        if isinstance(request, dict) and "id" in request:
            answer["id"] = request["id"]
        if "error" in answer:
            self.log.debug(f"error: {answer['error']['desc']}")
        return b"\xff" * self.sync_delimited + json.dumps(answer).encode() + b"\n"

    def close(self) -> None:
        """Give back what requests have taken; programs that were started go on."""
        self.files.close()
        self.processes.close()

    def _act(self, request: Any) -> Any:
        command, arguments = self._read(request)
        if reason := self.refusal(command):
            raise CommandNotFound(reason)
        self.log.debug(f"command: {command.name}")
        result = command.call(self, arguments)
        if result is None:
            return {} if command.success_response else None
        return result

    def _read(self, request: Any) -> tuple[Command, dict[str, Any]]:
        """The command and its arguments, not yet checked."""
        if isinstance(request, Malformed):
            raise AgentError(request.reason)
        if not isinstance(request, dict):
            raise AgentError("QMP input must be a JSON object")
        for member in request:
            if member not in _MEMBERS:
                raise AgentError(f"QMP input member '{member[:100]}' is unexpected")
        if "execute" not in request:
            raise AgentError("QMP input lacks member 'execute'")
        name, arguments = request["execute"], request.get("arguments", {})
        if not isinstance(name, str):
            raise AgentError("QMP input member 'execute' must be a string")
        if not isinstance(arguments, dict):
            raise AgentError("QMP input member 'arguments' must be an object")
        if name not in COMMANDS:
            raise CommandNotFound(f"The command {name[:100]} has not been found")
        return COMMANDS[name], arguments
