"""Admin commands (NVM Express 1.4, chapter 5): queues, identification, log pages, features, event requests.

Not modelled: events (requests for them wait for ever), namespace management, formats, firmware updates, security,
saved features.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from ratite.errors import MemoryAccessError
from ratite.hw.nvme import identify
from ratite.hw.nvme.namespace import CHANGING, Io
from ratite.hw.nvme.prp import pieces
from ratite.hw.nvme.queues import Command, CompletionQueue, SubmissionQueue
from ratite.hw.nvme.status import CommandError, Status

if TYPE_CHECKING:
    from ratite.hw.nvme.controller import Nvme

_ALL_NAMESPACES = 0xFFFF_FFFF
_CONTIGUOUS = 1
_LARGEST_LOG = 4096
_NOT_ABORTED = 1


class Admin(IntEnum):
    """Opcodes."""

    DELETE_SUBMISSION_QUEUE = 0x00
    CREATE_SUBMISSION_QUEUE = 0x01
    GET_LOG_PAGE = 0x02
    DELETE_COMPLETION_QUEUE = 0x04
    CREATE_COMPLETION_QUEUE = 0x05
    IDENTIFY = 0x06
    ABORT = 0x08
    SET_FEATURES = 0x09
    GET_FEATURES = 0x0A
    EVENT_REQUEST = 0x0C


class Feature(IntEnum):
    """Features (5.21.1)."""

    ARBITRATION = 0x01
    POWER = 0x02
    TEMPERATURE = 0x04
    ERROR_RECOVERY = 0x05
    WRITE_CACHE = 0x06
    QUEUES = 0x07
    COALESCING = 0x08
    VECTOR = 0x09
    ATOMICITY = 0x0A
    EVENTS = 0x0B


_SETTABLE = frozenset(Feature) - {Feature.WRITE_CACHE, Feature.QUEUES}
"""Features that are remembered and have no further effect."""


class AdminCommands:
    """The commands of one controller. An answer is the completion's first word; None: it comes later, or never."""

    def __init__(self, controller: Nvme) -> None:
        self.controller = controller
        self.features: dict[int, int] = {}
        self.event_requests: list[int] = []

    def reset(self) -> None:
        """Forget what the guest has set."""
        self.features = {Feature.TEMPERATURE: 0x157}
        self.event_requests = []

    def run(self, command: Command) -> int | None:
        """Carry a command out. Raises CommandError."""
        action = self._ACTIONS.get(command.opcode)
        if action is None:
            raise CommandError(Status.INVALID_OPCODE)
        return action(self, command)

    # --- queues

    def _create_completion_queue(self, command: Command) -> int:
        nvme, number, size = self.controller, *self._new_queue(command)
        vector = command.word11 >> 16
        if number in nvme.completion_queues:
            raise CommandError(Status.INVALID_QUEUE)
        if vector >= nvme.vector_limit:
            raise CommandError(Status.INVALID_VECTOR)
        interrupts = bool(command.word11 & 2)
        nvme.completion_queues[number] = CompletionQueue(number, command.prp1, size, vector, interrupts)
        return 0

    def _create_submission_queue(self, command: Command) -> int:
        nvme, number, size = self.controller, *self._new_queue(command)
        completions = command.word11 >> 16
        if number in nvme.submission_queues:
            raise CommandError(Status.INVALID_QUEUE)
        if not completions or completions not in nvme.completion_queues:
            raise CommandError(Status.INVALID_COMPLETION_QUEUE)
        nvme.submission_queues[number] = SubmissionQueue(number, command.prp1, size, completions)
        return 0

    def _new_queue(self, command: Command) -> tuple[int, int]:
        """Number and size of a queue that may be created."""
        nvme, number, size = self.controller, command.word10 & 0xFFFF, (command.word10 >> 16) + 1
        if not 0 < number <= nvme.max_ioqpairs:
            raise CommandError(Status.INVALID_QUEUE)
        if not 1 < size <= nvme.largest_queue:
            raise CommandError(Status.INVALID_QUEUE_SIZE)
        if not command.word11 & _CONTIGUOUS:
            raise CommandError(Status.INVALID_FIELD)
        if not command.prp1 or command.prp1 % nvme.page:
            raise CommandError(Status.INVALID_PRP_OFFSET)
        return number, size

    def _delete_submission_queue(self, command: Command) -> int:
        nvme, number = self.controller, command.word10 & 0xFFFF
        if not number or number not in nvme.submission_queues:
            raise CommandError(Status.INVALID_QUEUE)
        nvme.submission_queues[number].busy = True    # begins nothing more
        nvme.namespace.drive.drain()
        del nvme.submission_queues[number]
        return 0

    def _delete_completion_queue(self, command: Command) -> int:
        nvme, number = self.controller, command.word10 & 0xFFFF
        if not number or number not in nvme.completion_queues:
            raise CommandError(Status.INVALID_QUEUE)
        if any(queue.completions == number for queue in nvme.submission_queues.values()):
            raise CommandError(Status.INVALID_QUEUE_DELETION)
        del nvme.completion_queues[number]
        nvme.update_pin()
        return 0

    # --- identification and logs

    def _identify(self, command: Command) -> int:
        what, about = command.word10 & 0xFF, self.controller.about()
        if what == 0x00:
            if command.namespace not in (1, _ALL_NAMESPACES):
                raise CommandError(Status.INVALID_NAMESPACE)
            page = identify.namespace(about)
        elif what == 0x01:
            page = identify.controller(about)
        elif what == 0x02:
            if command.namespace >= _ALL_NAMESPACES - 1:
                raise CommandError(Status.INVALID_NAMESPACE)
            page = identify.active_namespaces(command.namespace)
        elif what == 0x03:
            if command.namespace != 1:
                raise CommandError(Status.INVALID_NAMESPACE)
            page = identify.descriptors(about)
        else:
            raise CommandError(Status.INVALID_FIELD)
        self._give(command, page)
        return 0

    def _get_log_page(self, command: Command) -> int:
        size = 4 * ((command.word10 >> 16 | (command.word11 & 0xFFFF) << 16) + 1)
        offset = command.word13 << 32 | command.word12
        log = self._log(command.word10 & 0xFF)
        if offset > len(log) or offset & 3:
            raise CommandError(Status.INVALID_FIELD)
        part = log[offset:offset + size]
        self._give(command, part.ljust(min(size, _LARGEST_LOG), b"\0"))
        return 0

    def _log(self, which: int) -> bytes:
        space = self.controller.namespace
        if which == 1:
            return bytes(64)    # no errors are recorded
        if which == 2:
            return identify.health(*space.units(), space.reads, space.writes)
        if which == 3:
            return identify.firmware_slots()
        if which == 5:
            return identify.effects(frozenset(Admin), frozenset(Io), CHANGING)
        raise CommandError(Status.INVALID_LOG_PAGE)

    def _give(self, command: Command, data: bytes) -> None:
        """Write data to where the command says."""
        nvme = self.controller
        where = pieces(nvme.memory, command.prp1, command.prp2, len(data), nvme.page)
        try:
            for piece in where:
                nvme.memory.dma_write(piece.address, data[:piece.size])
                data = data[piece.size:]
        except MemoryAccessError:
            raise CommandError(Status.TRANSFER_ERROR) from None

    # --- features

    def _set_features(self, command: Command) -> int:
        which, value = command.word10 & 0xFF, command.word11
        if command.word10 >> 31:    # save
            raise CommandError(Status.INVALID_FIELD)
        if which == Feature.QUEUES:
            if value & 0xFFFF == 0xFFFF or value >> 16 == 0xFFFF:
                raise CommandError(Status.INVALID_FIELD)
            return self._queue_counts()
        if which == Feature.WRITE_CACHE:
            self.controller.cache_writes(bool(value & 1))
        elif which in _SETTABLE:
            self.features[which] = value
        else:
            raise CommandError(Status.INVALID_FIELD)
        return 0

    def _get_features(self, command: Command) -> int:
        which, select = command.word10 & 0xFF, command.word10 >> 8 & 7
        if which not in frozenset(Feature) or select > 3:
            raise CommandError(Status.INVALID_FIELD)
        if select == 3:    # what can be done with it: it can be changed
            return 1 << 2
        if which == Feature.QUEUES:
            return self._queue_counts()
        if which == Feature.WRITE_CACHE:
            return int(not self.controller.namespace.drive.write_through)
        return self.features.get(which, 0)

    def _queue_counts(self) -> int:
        last = self.controller.max_ioqpairs - 1
        return last << 16 | last

    # --- the rest

    def _abort(self, command: Command) -> int:
        return _NOT_ABORTED    # what is under way ends by itself

    def _event_request(self, command: Command) -> None:
        if len(self.event_requests) >= self.controller.about().event_requests:
            raise CommandError(Status.TOO_MANY_EVENT_REQUESTS)
        self.event_requests.append(command.number)

    _ACTIONS: ClassVar[dict[int, Callable[[AdminCommands, Command], int | None]]] = {
        Admin.CREATE_COMPLETION_QUEUE: _create_completion_queue, Admin.CREATE_SUBMISSION_QUEUE: _create_submission_queue,
        Admin.DELETE_COMPLETION_QUEUE: _delete_completion_queue, Admin.DELETE_SUBMISSION_QUEUE: _delete_submission_queue,
        Admin.IDENTIFY: _identify, Admin.GET_LOG_PAGE: _get_log_page, Admin.SET_FEATURES: _set_features,
        Admin.GET_FEATURES: _get_features, Admin.ABORT: _abort, Admin.EVENT_REQUEST: _event_request,
    }
