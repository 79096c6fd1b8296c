"""virtio-rng-device: random numbers for the guest (Virtual I/O Device 1.2, chapter 5.4)."""

from __future__ import annotations

from ratite.errors import UsageError
from ratite.hw.model import UINT32, UINT64, Link, Property, Timer
from ratite.hw.virtio.device import VirtioDevice
from ratite.hw.virtio.entropy import BuiltinEntropy, EntropySource
from ratite.hw.virtio.queue import Queue

_LARGEST = 64 << 10       # bytes for one buffer; a device may give fewer than fit
_MILLISECOND = 1_000_000
_UNLIMITED = (1 << 63) - 1


class VirtioRng(VirtioDevice, name="virtio-rng-device", size=0):
    """An entropy source. With `max-bytes` the guest gets at most that many bytes in each `period`."""

    virtio_id = 4
    state = ("quota",)

    rng = Property(Link("rng"), None, "where the bytes come from; the host's generator by default")
    max_bytes = Property(UINT64, _UNLIMITED, "bytes that the guest gets in a period")
    period = Property(UINT32, 65536, "length of a period in milliseconds")

    def setup(self) -> None:
        super().setup()
        if not self.period or not self.max_bytes:
            raise UsageError(f"{self.name}: 'period' and 'max-bytes' must not be 0")

    def make_queues(self) -> list[int]:
        return [8]

    def realized(self) -> None:
        super().realized()
        self.source: EntropySource = self.rng or BuiltinEntropy()
        self.quota = self.max_bytes
        self._timer: Timer = self.clock.timer(self._new_period)
        self._ticket: object = None    # of the request that the source has
        self._serving = False

    def reset(self) -> None:
        super().reset()
        self._ticket = None

    def loaded(self) -> None:
        super().loaded()
        self._limit()

    def handle_queue(self, queue: Queue) -> None:
        """Ask the source for the next buffer's bytes, one request at a time."""
        self._serving = True    # a source that answers at once must not call us again for each buffer
        for chain in queue.take():
            queue.unpop()    # it is popped when the bytes are there
            if self._ticket is not None or self.quota <= 0:
                break
            self._request(min(chain.room, self.quota, _LARGEST) or 1)
        self._serving = False
        self._limit()

    def _request(self, count: int) -> None:
        self._ticket = ticket = object()
        self.source.request(count, lambda data: self._receive(ticket, data))

    def _receive(self, ticket: object, data: bytes) -> None:
        if ticket is not self._ticket:    # asked for before a reset
            return
        self._ticket = None
        queue = self.queues[0]
        if (chain := queue.pop()) is not None:
            self.quota -= len(data)
            queue.push(chain, chain.fill(data))
            queue.notify()
        if not self._serving:
            self.notify_queue(0)

    # --- the rate limit

    def _limit(self) -> None:
        if self.quota < self.max_bytes and not self._timer.pending:
            self._timer.after(self.period * _MILLISECOND)

    def _new_period(self) -> None:
        self.quota = self.max_bytes
        self.notify_queue(0)
