"""The running agent: a channel, the stream of requests, and the answers."""

from __future__ import annotations

from collections import deque
from typing import Any

from ratite.agent import channel
from ratite.agent.agent import Agent
from ratite.agent.json_stream import JsonStream
from ratite.agent.log import Log
from ratite.agent.options import Options
from ratite.agent.reactor import Reactor
from ratite.agent.state import State
from ratite.agent.system.base import System


class Service:
    """Everything that options ask for, ready to run."""

    def __init__(self, options: Options, system: System) -> None:
        """Raises SetupError."""
        self.reactor = Reactor()
        self.log = Log(options.logfile, options.verbose)
        self.agent = Agent(
            system, State(options.statedir), self.reactor, self.log, blocked=options.blocked, hook=options.fsfreeze_hook
        )
        self._stream = JsonStream()
        self._waiting: deque[Any] = deque()
        self.channel = channel.make(
            options.method, options.path, options.retry_path, system, self.reactor, self.log, self
        )
        self.channel.open()

    def run(self) -> None:
        """Serve until a signal or a broken channel ends it."""
        self.reactor.run()

    def close(self) -> None:
        """Give everything back."""
        self.channel.close()
        self.agent.close()
        self.reactor.close()

    def on_data(self, data: bytes) -> None:
        """Take a piece of the stream."""
        self._waiting.extend(self._stream.feed(data))
        self.on_room()

    def on_new_peer(self) -> None:
        """Forget what the one before has asked."""
        self._stream.reset()
        self._waiting.clear()

    def on_room(self) -> None:
        """Answer requests as long as somebody takes the answers: a small request can have a large one."""
        while self._waiting and self.channel.has_room:
            self.channel.send(self.agent.answer(self._waiting.popleft()))
