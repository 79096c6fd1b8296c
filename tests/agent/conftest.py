"""An agent on a recorded system: a root folder of the test's own, and lists of what was run, called and set."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ratite.agent.agent import Agent
from ratite.agent.json_stream import JsonStream
from ratite.agent.log import Log
from ratite.agent.reactor import Reactor
from ratite.agent.state import State
from ratite.agent.system.base import Outcome, System
from ratite.agent.system.linux import Linux

from .schema import Schema

NOW = 1_700_000_000_123_456_789


class Recorder(System):
    """Mixed into a system: nothing that it does leaves the root folder."""

    def record(self) -> None:
        """Begin."""
        self.runs: list[tuple[list[str], bytes]] = []
        self.outcomes: dict[str, Outcome] = {}
        self.calls: list[int] = []
        self.clock: list[int] = []
        self.on_ioctl: Callable[[int, int, Any], int] = lambda descriptor, request, argument: 0
        self.accounts: dict[str, pwd.struct_passwd] = {}
        self.devices: dict[int, tuple[int, int]] = {}

    def add(self, name: str, text: str | bytes = "", mode: int = 0o644) -> Path:
        """Put a file into the root."""
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)
        return path

    def link(self, name: str, target: str) -> None:
        """Put a relative link to another path of the root into it."""
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.path.relpath(self.path(target), path.parent))

    def program(self, name: str, outcome: Outcome = Outcome(0, "", "")) -> None:
        """Install a program that does nothing, and say how it ends."""
        self.add(name, "", 0o755)
        self.outcomes[name] = outcome

    def text(self, name: str) -> str:
        return Path(self.path(name)).read_text()

    def run(self, words: Any, text: bytes = b"", seconds: float | None = None) -> Outcome:
        self.runs.append((list(words), text))
        return self.outcomes.get(words[0], Outcome(0, "", ""))

    def ioctl(self, descriptor: int, request: int, argument: Any = 0) -> int:
        self.calls.append(request)
        return self.on_ioctl(descriptor, request, argument)

    def time(self) -> int:
        return NOW

    def set_clock(self, nanoseconds: int) -> None:
        self.clock.append(nanoseconds)

    def user(self, name: str) -> pwd.struct_passwd | None:
        return self.accounts.get(name)


class RecordedLinux(Recorder, Linux):
    """Linux without a kernel."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.record()

    def is_mounted(self, descriptor: int, device: tuple[int, int], kind: str) -> bool:
        return True


class Client:
    """Asks an agent in this process, through the stream as a host would."""

    def __init__(self, system: System, folder: Path, **options: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.reactor = Reactor()
        self.log = folder / "log"
        self.state = folder
        self.agent = Agent(system, State(str(folder)), self.reactor, Log(str(self.log), verbose=True), **options)
        self.stream = JsonStream()
        self.schema = Schema()

    def send(self, data: bytes) -> list[bytes]:
        """Answers to a piece of the stream."""
        return [answer for answer in map(self.agent.answer, self.stream.feed(data)) if answer]

    def request(self, name: str, **arguments: Any) -> Any:
        """The whole answer; None when there is none."""
        words = {key.replace("_", "-"): value for key, value in arguments.items()}
        answers = self.send(json.dumps({"execute": name, "arguments": words}).encode())
        assert len(answers) <= 1
        return json.loads(answers[0].lstrip(b"\xff")) if answers else None

    def ask(self, name: str, **arguments: Any) -> Any:
        """What a command that succeeds returns; it is checked against the schema."""
        answer = self.request(name, **arguments)
        entry = self.schema.commands[name]
        if not entry.answers:
            assert answer is None
            return None
        assert "return" in answer, answer
        self.schema.check(answer["return"], entry.returns, name)
        return answer["return"]

    def error(self, name: str, **arguments: Any) -> str:
        """What a command that fails says."""
        answer = self.request(name, **arguments)
        assert answer is not None and set(answer) == {"error"}, answer
        assert set(answer["error"]) == {"class", "desc"}
        text: str = answer["error"]["desc"]
        assert "internal error" not in text, text
        return text

    def close(self) -> None:
        self.agent.close()
        self.reactor.close()


@pytest.fixture
def system(tmp_path: Path) -> RecordedLinux:
    root = tmp_path / "root"
    root.mkdir()
    return RecordedLinux(str(root))


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Makes clients, each of an agent of its own, and closes them."""
    clients: list[Client] = []

    def make(system: System, **options: Any) -> Client:
        clients.append(Client(system, tmp_path / "state", **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(system: RecordedLinux, connect: Callable[..., Client]) -> Client:
    """An agent on the recorded Linux."""
    return connect(system)


@pytest.fixture
def host(connect: Callable[..., Client]) -> Client:
    """An agent on this very machine, without the commands that change it."""
    return connect(Linux(), blocked=CHANGING)


CHANGING = (
    "guest-shutdown", "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid", "guest-set-time", "guest-set-vcpus",
    "guest-set-memory-blocks", "guest-set-user-password", "guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list",
    "guest-fsfreeze-thaw", "guest-fstrim", "guest-ssh-add-authorized-keys", "guest-ssh-remove-authorized-keys",
)    # fmt: skip
