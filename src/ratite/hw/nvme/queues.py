"""Submission and completion queues (NVM Express 1.4, chapter 4.1): rings in guest memory with heads and tails."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

ENTRY, COMPLETION = 64, 16    # bytes
_UNDER_WAY = 256              # commands of one queue
_COMMAND = struct.Struct("<BBHIQQQQ6I")
_ANSWER = struct.Struct("<IIHHHH")


class Command(NamedTuple):
    """A submission queue entry (4.2), with the six words that each command has for itself."""

    opcode: int
    flags: int
    number: int
    namespace: int
    reserved: int
    metadata: int
    prp1: int
    prp2: int
    word10: int
    word11: int
    word12: int
    word13: int
    word14: int
    word15: int

    @classmethod
    def unpack(cls, raw: bytes) -> Command:
        """From its 64 bytes."""
        return cls(*_COMMAND.unpack(raw))


class Answer(NamedTuple):
    """What a completion says, but for the parts that belong to the ring."""

    result: int
    queue: int
    number: int
    status: int


@dataclass
class SubmissionQueue:
    """Commands from the guest; completions go to the queue numbered `completions`."""

    number: int
    address: int
    size: int
    completions: int
    head: int = 0
    tail: int = 0
    running: int = field(default=0, compare=False)
    """Commands that have no completion yet."""
    busy: bool = field(default=False, compare=False)
    """Whether it is being emptied at this moment."""

    @property
    def waiting(self) -> bool:
        """Whether there is a command, and room for one more under way."""
        return self.head != self.tail and self.running < min(self.size, _UNDER_WAY)


@dataclass
class CompletionQueue:
    """Completions for the guest; `vector` interrupts if `interrupts`."""

    number: int
    address: int
    size: int
    vector: int
    interrupts: bool
    head: int = 0
    tail: int = 0
    phase: int = 1
    unannounced: bool = False
    backlog: deque[Answer] = field(default_factory=deque)
    """What finds no room; bounded by the sizes of the submission queues."""

    @property
    def full(self) -> bool:
        """Whether there is no room."""
        return (self.tail + 1) % self.size == self.head

    def place(self, answer: Answer, submission_head: int) -> tuple[int, bytes]:
        """Where the next completion goes, and its bytes; the ring moves on."""
        raw = _ANSWER.pack(
            answer.result & 0xFFFF_FFFF, answer.result >> 32, submission_head, answer.queue, answer.number,
            answer.status << 1 & 0xFFFE | self.phase,
        )
        at = self.address + COMPLETION * self.tail
        self.tail = (self.tail + 1) % self.size
        if not self.tail:
            self.phase ^= 1
        return at, raw


def saved(queue: SubmissionQueue | CompletionQueue) -> dict[str, Any]:
    """The state of a queue."""
    state = asdict(queue)
    if isinstance(queue, CompletionQueue):
        state["backlog"] = [list(answer) for answer in queue.backlog]
    return state


def restored_submission(state: dict[str, Any]) -> SubmissionQueue:
    """A queue from its state; nothing is under way."""
    return SubmissionQueue(**state | {"running": 0, "busy": False})


def restored_completion(state: dict[str, Any]) -> CompletionQueue:
    """The same."""
    return CompletionQueue(**state | {"backlog": deque(Answer(*values) for values in state["backlog"])})
