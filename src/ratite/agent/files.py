"""Files that clients have open, by handle."""

from __future__ import annotations

import os

from ratite.agent.errors import AgentError
from ratite.agent.state import State

_MOST = 1000


class OpenFiles:
    """Descriptors by handle. Handles are never given out twice, not even after a restart."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._open: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def check_room(self) -> None:
        """Raises AgentError when there are too many."""
        if len(self._open) >= _MOST:
            raise AgentError(f"too many open files: {_MOST} is the limit; close some")

    def add(self, descriptor: int) -> int:
        """Take a descriptor; returns its handle. Raises AgentError, and closes it, when no handle can be had."""
        try:
            handle = self._state.new_handle()
        except AgentError:
            os.close(descriptor)
            raise
        self._open[handle] = descriptor
        return handle

    def __getitem__(self, handle: int) -> int:
        if handle not in self._open:
            raise AgentError(f"handle '{handle}' has not been found")
        return self._open[handle]

    def remove(self, handle: int) -> None:
        """Close the file. Raises AgentError, or OSError when its data could not be written."""
        descriptor = self[handle]
        del self._open[handle]
        os.close(descriptor)

    def close(self) -> None:
        """Close all."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
