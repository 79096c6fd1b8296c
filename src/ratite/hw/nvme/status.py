"""How commands end (NVM Express 1.4, chapter 4.6.1): a status type in the upper byte, a status code in the lower."""

from __future__ import annotations

from enum import IntEnum

DO_NOT_RETRY = 1 << 14


class Status(IntEnum):
    """Outcomes of commands."""

    SUCCESS = 0x000
    INVALID_OPCODE = 0x001
    INVALID_FIELD = 0x002
    TRANSFER_ERROR = 0x004
    INTERNAL_ERROR = 0x006
    INVALID_NAMESPACE = 0x00B
    INVALID_PRP_OFFSET = 0x013
    WRITE_PROTECTED = 0x020
    LBA_OUT_OF_RANGE = 0x080
    INVALID_COMPLETION_QUEUE = 0x100
    INVALID_QUEUE = 0x101
    INVALID_QUEUE_SIZE = 0x102
    TOO_MANY_EVENT_REQUESTS = 0x105
    INVALID_VECTOR = 0x108
    INVALID_LOG_PAGE = 0x109
    INVALID_QUEUE_DELETION = 0x10C
    FEATURE_NOT_CHANGEABLE = 0x10E
    WRITE_FAULT = 0x280
    READ_ERROR = 0x281
    COMPARE_FAILURE = 0x285


class CommandError(Exception):
    """A command cannot be carried out; caught where commands are begun."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status
