"""nvme: an NVM Express controller with one namespace (NVM Express 1.4; registers are chapter 3.1).

Commands run as the guest rings doorbells; reads and writes go straight between the image and guest memory, in worker
threads. Not modelled: further namespaces and subsystems, scatter-gather lists, controller memory buffers, zones,
virtual functions; see the modules of the commands, too.
"""

from __future__ import annotations

from typing import Any

from ratite.errors import MemoryAccessError, UsageError
from ratite.hw.model import RO, RW, SIZE, STR, UINT8, UINT16, UINT32, Link, Property, Register, Window, one_of
from ratite.hw.nvme.admin import AdminCommands
from ratite.hw.nvme.identify import VERSION, About
from ratite.hw.nvme.namespace import Namespace
from ratite.hw.nvme.queues import (
    ENTRY,
    Answer,
    Command,
    CompletionQueue,
    SubmissionQueue,
    restored_completion,
    restored_submission,
    saved,
)
from ratite.hw.nvme.status import DO_NOT_RETRY, CommandError, Status
from ratite.hw.pci.bar import Bar
from ratite.hw.pci.device import PciDevice
from ratite.hw.pci.express import Express, PortType
from ratite.hw.pci.gpex import REDHAT
from ratite.hw.pci.header import Identity
from ratite.hw.pci.msix import MOST_VECTORS, Msix
from ratite.hw.pci.power import PowerManagement

_LARGEST_QUEUE = 2048
_SMALLEST_PAGE, _LARGEST_PAGE = 12, 16    # as powers of two
_DOORBELLS, _TABLE, _PENDING, _SIZE = 0x1000, 0x2000, 0x3000, 0x4000
_MOST_PAIRS = 128                         # whose doorbells fit before the table
_COMPLETE = 2                             # of a shutdown
_AT_ONCE = 256                            # commands; then others get the machine's lock
_MOMENT = 50_000                          # nanoseconds for them


class Nvme(PciDevice, name="nvme", size=_SIZE):
    """An NVM Express controller with one namespace, which is a drive."""

    identity = Identity(REDHAT, 0x0010, 0x01_0802, 2)

    drive = Property(Link("drive"), None, "the namespace's content")
    serial = Property(STR, "", "serial number, of up to 20 bytes; there must be one")
    logical_block_size = Property(SIZE, 512, "bytes of a block: 512 or 4096").named("logical_block_size")
    max_ioqpairs = Property(UINT32, 64, "how many queues of each kind the guest may create").named("max_ioqpairs")
    msix_qsize = Property(UINT16, 65, "interrupt messages").named("msix_qsize")
    mdts = Property(UINT8, 7, "largest transfer: a power of two, in pages of 4 KiB")
    aerl = Property(UINT8, 3, "how many requests for events may wait, less one")
    write_cache = Property(one_of("auto", "on", "off"), "auto", "whether written data may stay in a cache")

    # --- life

    def setup(self) -> None:
        if self.logical_block_size not in (512, 4096):
            raise UsageError(f"{self.name}: logical_block_size is 512 or 4096, not {self.logical_block_size}")
        if not 1 <= self.max_ioqpairs <= _MOST_PAIRS:
            raise UsageError(f"{self.name}: max_ioqpairs is 1 to {_MOST_PAIRS}, not {self.max_ioqpairs}")
        if not 1 <= self.msix_qsize <= (_PENDING - _TABLE) // 16 or self.msix_qsize > MOST_VECTORS:
            raise UsageError(f"{self.name}: msix_qsize is 1 to {(_PENDING - _TABLE) // 16}, not {self.msix_qsize}")
        if not 1 <= self.mdts <= 11:
            raise UsageError(f"{self.name}: mdts is 1 to 11, not {self.mdts}")
        self.admin = AdminCommands(self)
        self.admin.reset()
        self.submission_queues: dict[int, SubmissionQueue] = {}
        self.completion_queues: dict[int, CompletionQueue] = {}
        self.page = 1 << _SMALLEST_PAGE
        self.largest_queue = _LARGEST_QUEUE

    @property
    def extended(self) -> bool:
        return True

    def realized(self) -> None:
        self._take_drive()
        self._later = self.clock.timer(self._run_queues)
        self.add_bar(Bar(0, _SIZE, self, wide=True))
        self.power = self.config.add_capability(PowerManagement(self), 0x60)
        kind = PortType.ENDPOINT if self.on_express_link else PortType.INTEGRATED_ENDPOINT
        self.express = self.config.add_capability(Express(self, kind), 0x80)
        self.msix = self.config.add_capability(
            Msix(self, self.msix_qsize, bar=0, table=_TABLE, pending=_PENDING), 0x40
        )

    def _take_drive(self) -> None:
        if self.drive is None:
            raise UsageError(f"{self.name}: property 'drive' is missing: it names the namespace's content")
        if not 0 < len(self.serial.encode()) <= 20:
            raise UsageError(f"{self.name}: property 'serial' is missing, or longer than 20 bytes")
        me = self.id or self.path or self.name
        if self.drive.user not in ("", me):
            raise UsageError(f"{self.name}: drive '{self.drive.name}' is already in use by {self.drive.user}")
        self.drive.user = me
        through = self.drive.options.cache.write_through if self.write_cache == "auto" else self.write_cache == "off"
        self._initially_cached = not through
        bits = self.logical_block_size.bit_length() - 1
        self.namespace = Namespace(self.drive, bits, 1 << self.mdts + _SMALLEST_PAGE)

    def reset(self) -> None:
        self._stop()
        super().reset()
        self.cache_writes(self._initially_cached)

    def _stop(self) -> None:
        """Finish what is under way and forget all queues."""
        for queue in self.submission_queues.values():
            queue.busy = True    # begins nothing more
        self.namespace.drive.drain()
        self._later.cancel()
        self.submission_queues.clear()
        self.completion_queues.clear()
        self.admin.reset()
        self.set_interrupt(False)

    def cache_writes(self, cached: bool) -> None:
        """Let written data stay in a cache until a flush, or make every write last at once."""
        self.namespace.drive.write_through = not cached

    def about(self) -> About:
        """What Identify tells."""
        return About(REDHAT, self.serial, self.mdts, self.aerl + 1, self.namespace.blocks, self.namespace.block_bits)

    def save(self) -> dict[str, Any]:
        self.namespace.drive.drain()
        return super().save() | {
            "submission": [saved(queue) for queue in self.submission_queues.values()],
            "completion": [saved(queue) for queue in self.completion_queues.values()],
            "page": self.page, "cached": not self.namespace.drive.write_through,
            "features": {str(number): value for number, value in self.admin.features.items()},
            "events": list(self.admin.event_requests),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        self._stop()
        super().restore(saved)
        self.page = int(saved["page"])
        self.completion_queues.update((state["number"], restored_completion(state)) for state in saved["completion"])
        self.submission_queues.update((state["number"], restored_submission(state)) for state in saved["submission"])
        self.admin.features = {int(number): int(value) for number, value in saved["features"].items()}
        self.admin.event_requests = [int(number) for number in saved["events"]]
        self.cache_writes(bool(saved["cached"]))

    def loaded(self) -> None:
        super().loaded()
        self._later.after(_MOMENT)

    # --- registers

    class cap(Register, offset=0x00, width=8, mode="ro"):
        largest_queue = RO(15, 0, reset=_LARGEST_QUEUE - 1)
        contiguous = RO(16, reset=1)
        timeout = RO(31, 24, reset=0x0F)
        command_sets = RO(44, 37, reset=1)
        largest_page = RO(55, 52, reset=_LARGEST_PAGE - 12)

    class version(Register, offset=0x08, mode="ro", reset=VERSION):
        pass

    class mask_set(Register, offset=0x0C, mode="w1s"):
        """Vectors that do not interrupt; for the pin alone."""

        def on_write(self, dev: Nvme) -> None:
            dev.update_pin()

    class mask_clear(Register, offset=0x10):
        def on_read(self, dev: Nvme) -> None:
            self.value = dev.mask_set.value

        def on_write(self, dev: Nvme) -> None:
            dev.mask_set.value &= ~self.written
            dev.update_pin()

    class configuration(Register, offset=0x14):
        enable, command_set, page = RW(0), RW(6, 4), RW(10, 7)
        arbitration, shutdown = RW(13, 11), RW(15, 14)
        submission_entry, completion_entry = RW(19, 16), RW(23, 20)

        def on_write(self, dev: Nvme) -> None:
            dev.configure()

    class state_(Register, offset=0x1C, mode="ro"):
        ready, fatal, shutdown = RO(0), RO(1), RO(3, 2)

    class subsystem_reset(Register, offset=0x20, mode="ro"):
        pass

    class admin_sizes(Register, offset=0x24):
        submission, completion = RW(11, 0), RW(27, 16)

    class admin_submission(Register, offset=0x28, width=8):
        address = RW(63, 12)

    class admin_completion(Register, offset=0x30, width=8):
        address = RW(63, 12)

    class memory_buffer(Register, offset=0x38, width=8, mode="ro"):
        pass

    class doorbell(Register, offset=_DOORBELLS, count=2 * (_MOST_PAIRS + 1), stride=4, mode="wo"):
        def on_write(self, dev: Nvme) -> None:
            number, completion = divmod(self.index, 2)
            ring = dev.ring_head if completion else dev.ring_tail
            ring(number, self.written)

    class messages_(Window, offset=_TABLE, length=_SIZE - _TABLE):
        def read(self, dev: Nvme, offset: int, size: int) -> int:
            place = dev.msix.mmio_at(_TABLE + offset) if dev.msix is not None else None
            return 0 if place is None else place[0].mmio_read(place[1], size)

        def write(self, dev: Nvme, offset: int, size: int, value: int) -> None:
            place = dev.msix.mmio_at(_TABLE + offset) if dev.msix is not None else None
            if place is not None:
                place[0].mmio_write(place[1], size, value)

    # --- the controller as a whole

    def configure(self) -> None:
        """The guest wrote the configuration register."""
        configuration, state = self.configuration, self.state_
        if configuration.enable and not state.ready and not state.fatal:
            self._start()
        elif not configuration.enable and (state.ready or state.fatal):
            self._stop()
            state.ready = state.fatal = 0
        if configuration.shutdown and not state.shutdown:
            self.namespace.drive.drain()
            self.namespace.drive.flush(lambda errno: None)
            state.shutdown = _COMPLETE
        elif not configuration.shutdown:
            state.shutdown = 0

    def _start(self) -> None:
        sizes, page = self.admin_sizes, _SMALLEST_PAGE + self.configuration.page
        good = page <= _LARGEST_PAGE and sizes.submission and sizes.completion and not self.configuration.command_set
        submission, completion = self.admin_submission.value, self.admin_completion.value
        if not good or (submission | completion) % (1 << min(page, _LARGEST_PAGE)):
            self.guest_error("the configuration makes no sense")
            self.state_.fatal = 1
            return
        self.page = 1 << page
        self.completion_queues[0] = CompletionQueue(0, completion, sizes.completion + 1, 0, True)
        self.submission_queues[0] = SubmissionQueue(0, submission, sizes.submission + 1, 0)
        self.state_.ready = 1

    @property
    def vector_limit(self) -> int:
        """How many vectors queues may choose from."""
        return self.msix_qsize if self.msix is not None and self.msix.enabled else 1

    # --- queues

    def ring_tail(self, number: int, tail: int) -> None:
        """The guest has added commands."""
        queue = self.submission_queues.get(number)
        if queue is None or tail >= queue.size:
            self.guest_error(f"submission queue {number} is not there, or has no entry {tail}")
            return
        queue.tail = tail
        self.run_queue(queue)

    def ring_head(self, number: int, head: int) -> None:
        """The guest has taken completions."""
        queue = self.completion_queues.get(number)
        if queue is None or head >= queue.size:
            self.guest_error(f"completion queue {number} is not there, or has no entry {head}")
            return
        queue.head = head
        while queue.backlog and not queue.full:
            self._post(queue, queue.backlog.popleft())
        self._announce(queue)
        for submission in list(self.submission_queues.values()):
            if submission.completions == number:
                self.run_queue(submission)

    def _run_queues(self) -> None:
        for queue in list(self.submission_queues.values()):
            self.run_queue(queue)

    def run_queue(self, queue: SubmissionQueue) -> None:
        """Begin what the guest has queued. Completions that come meanwhile are announced together at the end."""
        if queue.busy or not self.memory.enabled:
            return
        queue.busy = True
        for _ in range(_AT_ONCE):
            if not queue.waiting:
                break
            try:
                raw = self.memory.dma_read(queue.address + ENTRY * queue.head, ENTRY)
            except MemoryAccessError as error:
                self.guest_error(f"submission queue {queue.number}: {error}")
                self.state_.fatal = 1
                break
            queue.head = (queue.head + 1) % queue.size
            self._begin(queue, Command.unpack(raw))
        else:
            self._later.after(_MOMENT)
        if self.submission_queues.get(queue.number) is queue:
            queue.busy = False
        completions = self.completion_queues.get(queue.completions)
        if completions is not None:
            self._announce(completions)

    def _begin(self, queue: SubmissionQueue, command: Command) -> None:
        queue.running += 1
        try:
            if command.flags:    # fused commands and scatter-gather lists
                raise CommandError(Status.INVALID_FIELD)
            if queue.number:
                self._begin_io(queue, command)
            else:
                result = self.admin.run(command)
                if result is not None:
                    self._complete(queue, command, Status.SUCCESS, result)
                else:
                    queue.running -= 1    # a request for events takes no place
        except CommandError as error:
            self._complete(queue, command, error.status | DO_NOT_RETRY)

    def _begin_io(self, queue: SubmissionQueue, command: Command) -> None:
        if command.namespace != 1 and not (command.opcode == 0 and command.namespace == 0xFFFF_FFFF):
            raise CommandError(Status.INVALID_NAMESPACE)

        def finish(status: Status) -> None:
            self._complete(queue, command, status)
            if not queue.busy:
                self.run_queue(queue)    # announces, too

        self.namespace.begin(command, self.memory, self.page, finish)

    def _complete(self, queue: SubmissionQueue, command: Command, status: int, result: int = 0) -> None:
        completions = self.completion_queues.get(queue.completions)
        if completions is None or self.submission_queues.get(queue.number) is not queue:    # deleted meanwhile
            return
        answer = Answer(result, queue.number, command.number, status)
        if completions.full or completions.backlog:
            completions.backlog.append(answer)
        else:
            self._post(completions, answer)

    def _post(self, queue: CompletionQueue, answer: Answer) -> None:
        submission = self.submission_queues.get(answer.queue)
        if submission is not None:
            submission.running = max(submission.running - 1, 0)
        address, raw = queue.place(answer, 0 if submission is None else submission.head)
        try:
            self.memory.dma_write(address, raw)
        except MemoryAccessError as error:
            self.guest_error(f"completion queue {queue.number}: {error}")
            self.state_.fatal = 1
        queue.unannounced = True

    # --- interrupts

    def _announce(self, queue: CompletionQueue) -> None:
        """Interrupt for completions that the guest does not know of."""
        if queue.unannounced:
            queue.unannounced = False
            if queue.interrupts and self.msix is not None and self.msix.enabled:
                self.msix.notify(queue.vector)
        self.update_pin()

    def update_pin(self) -> None:
        """The pin is high while a queue has completions that the guest has not taken."""
        mask = self.mask_set.value
        self.set_interrupt(any(
            queue.head != queue.tail for queue in self.completion_queues.values()
            if queue.interrupts and not (queue.vector < 32 and mask >> queue.vector & 1)
        ))
