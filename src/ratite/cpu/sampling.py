"""Where the vCPUs of an engine spend their time, found by sampling.

Every thread that runs a vCPU gets a timer on its own processor time. The timer's signal is answered by native code
(`ratite.codegen.sampling`), which notes where the thread was; here the notes are read, and added up. So a sample costs a microsecond, no exit,
and falls anywhere: inside a translation, a native helper, or Python. Time in which a thread does not run is not sampled. Of that the host tells
how long the thread could have run, had a processor been free (/proc/PID/task/TID/schedstat); the rest it waited.

The signal is SIGSTKFLT, for which Linux has no use. A guest process that blocks it is not seen meanwhile; one that handles it takes it away.
The host's kernel looks at such timers only when its own clock ticks, mostly 250 times a second; a higher frequency gives no more samples, but
samples that count for more.

Not sampled: threads that run no guest code (compiling regions, input and output), and the children of a fork.
"""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ratite.codegen.sampling import DEPTH, HEAD_SIZE, HELPER, RECORD_SIZE, RECORDS, ROW_SIZE, ROWS, TRANSLATION
from ratite.cpu.codepage import RegionUnit
from ratite.cpu.cputimer import SIGNAL, THREAD_CPU_CLOCK, CpuTimer
from ratite.cpu.faults import install
from ratite.cpu.hostmem import HostBuffer
from ratite.errors import HostError
from ratite.isa.arch import Exit

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.vcpu import Vcpu

_IGNORE = 1  # SIG_IGN, as a handler
#: Seconds between two looks at the notes. A ring has room for more samples than come in this time.
_INTERVAL = 0.25
#: A record of more ticks than this was kept from the thread, which had its signals blocked; where it came is not where the time went.
_LATE_SECONDS = 0.5

#: Nanoseconds after which the result is handed over for the first time, in case there is no other; then after twice the time, and so on.
_FIRST_SAVE = 10**9

_RECORD = struct.Struct(f"<8Q{DEPTH}Q")
_ROW = struct.Struct("<6Q")

NATIVE, HELPERS, HOST = "native", "helpers", "host library"
STATES = {
    NATIVE: "translated guest code",
    HELPERS: "native helpers: page walks, traps, jumps that the jump cache does not have",
    HOST: "what native helpers call",
    "translation": "making, compiling and restoring translations",
    "device": "devices and rare instructions, in the reference evaluator",
    "code changes": "stores into pages with translated code",
    "firmware": "calls to the firmware that Ratite provides",
    "system calls": "exceptions that Python delivers: system calls in user mode",
    "scheduling": "between the turns of a CPU: interrupts of its run, halts",
    "blocked": "signals were blocked, so nobody knows",
}
"""What a vCPU's thread may be found at."""

_OF_EXIT = {
    Exit.TRANSLATE: "translation", Exit.INTERPRET: "device", Exit.DEVICE: "device", Exit.BOARD: "device",
    Exit.CODE_WRITE: "code changes", Exit.CODE_SYNC: "code changes",
    Exit.STRADDLE: "code changes", Exit.FIRMWARE: "firmware", Exit.TRAP: "system calls", Exit.FAULT: "system calls",
    Exit.MISS: HELPERS, Exit.POLL: HELPERS, Exit.INTERRUPT: "scheduling", Exit.HALT: "scheduling",
    Exit.ALARM: "scheduling",
}  # fmt: skip


class Found(NamedTuple):
    """What a sample found. state: one of STATES. detail: the native helper, where one was running. stack: guest addresses, innermost first: where
    execution was, what the return address register held, the return addresses of the frames.
    """

    state: str
    detail: str
    stack: tuple[int, ...]


def _run_delay(thread: int) -> int:
    """Nanoseconds that a thread of this process was ready and had no processor; 0 where the host does not tell."""
    try:
        with open(f"/proc/self/task/{thread}/schedstat") as f:
            return int(f.read().split()[1])
    except (OSError, IndexError, ValueError):
        return 0


@dataclass(frozen=True)
class Times:
    """Of threads that run vCPUs, in nanoseconds: processor time, how long they were ready and did not run, time by the clock; samples lost."""

    cpu: int = 0
    delay: int = 0
    clock: int = 0
    lost: int = 0

    def __add__(self, other: Times) -> Times:
        return Times(self.cpu + other.cpu, self.delay + other.delay, self.clock + other.clock, self.lost + other.lost)


class _Row:
    """A thread: its ring, its timer, its clocks in nanoseconds."""

    def __init__(self, index: int, code: tuple[int, int, int], table: memoryview, period: int) -> None:
        self.thread = threading.get_native_id()
        self.vcpu: Vcpu | None = None
        self._ring = HostBuffer(HEAD_SIZE + RECORDS * RECORD_SIZE)
        self._words = self._ring.view.cast("Q")
        self._at, self._code, self._table, self._period = index * ROW_SIZE, code, table, period
        self.index = index
        self._timer: CpuTimer | None = None
        self.begin = time.monotonic_ns()
        self.cpu_before = self.cpu = time.thread_time_ns()
        self.delay_before = self.delay = _run_delay(self.thread)
        self._clock = ~self.thread << 3 | 6  # the thread's processor time (clock_getcpuclockid(3), Linux)
        self.end = self.begin

    def runs(self, vcpu: Vcpu) -> None:
        """From now on the thread runs this vCPU."""
        first, self.vcpu = self.vcpu is None, vcpu
        _ROW.pack_into(self._table, self._at, self._ring.address, vcpu.env, *self._code, os.getpid())
        if first:
            self._arm()

    def _arm(self) -> None:
        try:
            self._timer = CpuTimer(THREAD_CPU_CLOCK, self.index)
        except OSError as error:
            raise HostError(f"no timer for a profile: {error.strerror}") from None
        self._timer.set(self._period, self._period)

    def look(self) -> None:
        """Read the thread's clocks."""
        try:
            self.cpu = time.clock_gettime_ns(self._clock)
            self.end = time.monotonic_ns()
            self.delay = _run_delay(self.thread)
        except OSError:
            pass  # it has ended

    def take(self) -> list[tuple[int, ...]]:
        """The records that have not been read, and how many did not fit."""
        words = self._words
        head, tail = words[0], words[1]
        at = [HEAD_SIZE + (n % RECORDS) * RECORD_SIZE for n in range(tail, head)]
        found = [_RECORD.unpack_from(self._ring.view, place) for place in at]
        words[1] = head
        return found

    @property
    def times(self) -> Times:
        """What the clocks have shown."""
        return Times(self.cpu - self.cpu_before, max(0, self.delay - self.delay_before), self.end - self.begin, self._words[2])

    def stop(self) -> None:
        """Take no more samples. A signal that is still on its way finds no ring."""
        self.look()
        if self._timer is not None:
            self._timer.close()
        _ROW.pack_into(self._table, self._at, 0, 0, 0, 0, 0, 0)


class Sampler:
    """Samples an engine from its making until `close`. `done` gets it then; the file of a profile is written there.

    frequency: samples for a second of a thread's processor time. seconds: how long; with 0 until the end, and since a process in user mode may
    be ended by a signal without a chance to say so, `done` is then called now and again before.
    """

    #: The one that the signal belongs to.
    _active: ClassVar[Sampler | None] = None

    def __init__(self, engine: Engine, frequency: int, seconds: float, done: Callable[[Sampler], None]) -> None:
        """Raises HostError when another engine of this program is being sampled."""
        if Sampler._active is not None:
            raise HostError("one machine of a program is profiled at a time")
        Sampler._active = self
        self._engine, self.frequency, self._done = engine, frequency, done
        self._table = HostBuffer(ROWS * ROW_SIZE)
        memory = engine.memory
        self._code = memory.base, memory.base + memory.floor, memory.base + memory.size
        self._helpers = engine.helper_ranges()
        self._rows: dict[int, _Row] = {}
        self._free = list(range(ROWS))
        self._stopped: list[_Row] = []
        self._lock = threading.Lock()
        self.found: Counter[Found] = Counter()
        self._past = Times()
        self.begin = time.monotonic_ns()
        self._process_before = time.process_time_ns()
        self._next_save = _FIRST_SAVE
        self._deadline = time.monotonic() + seconds if seconds else None
        self._closing = threading.Event()
        self._closed = False
        memory.patch(engine.symbols["sampling"], self._table.address.to_bytes(8, "little"))
        install(SIGNAL, engine.symbols["on_sample"])
        self._reader = threading.Thread(target=self._read, name="ratite-profile", daemon=True)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._reader.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    # --- on the threads of vCPUs --------------------------------------------------------------------------------------------------------
    def began(self, vcpu: Vcpu) -> None:
        """The calling thread is about to run a vCPU."""
        row = self._rows.get(threading.get_ident())
        if row is None:
            with self._lock:
                if self._closed or not self._free:
                    return
                row = _Row(self._free.pop(0), self._code, self._table.view, 10**9 // self.frequency)
                self._rows[threading.get_ident()] = row
        if row.vcpu is not vcpu:
            row.runs(vcpu)

    def ended(self) -> None:
        """The calling thread runs no vCPU any more."""
        with self._lock:
            row = self._rows.pop(threading.get_ident(), None)
            if row is not None:
                self._finish(row)
                self._free.append(row.index)

    # --- reading ------------------------------------------------------------------------------------------------------------------------
    def _read(self) -> None:
        while not self._closing.wait(_INTERVAL):
            with self._lock:
                for row in self._rows.values():
                    row.look()
                    self._take(row)
                due = self._deadline is None and self.wall_ns >= self._next_save
                if due and not self._closed:
                    self._next_save *= 2
                    self._done(self)
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self.close()

    def _finish(self, row: _Row) -> None:
        row.stop()
        self._take(row)
        self._past += row.times

    @property
    def times(self) -> Times:
        """Of all threads that have run a vCPU."""
        total = self._past
        for row in list(self._rows.values()):  # threads come and go
            total += row.times
        return total

    @property
    def wall_ns(self) -> int:
        """Nanoseconds since the sampler was made."""
        return time.monotonic_ns() - self.begin

    @property
    def other_ns(self) -> int:
        """Processor time of the threads that have run no vCPU."""
        return max(0, time.process_time_ns() - self._process_before - self.times.cpu)

    def _take(self, row: _Row) -> None:
        records = row.take()
        with self._engine.lock:
            for record in records:
                self.found[self._classify(record)] += record[1]

    def close(self) -> None:
        """Stop, and hand the result over; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            while self._rows:
                row = self._rows.popitem()[1]
                self._finish(row)
                self._stopped.append(row)  # its thread may be in the handler at this moment, and has its memory
            install(SIGNAL, _IGNORE)
            Sampler._active = None
            self._closing.set()
            self._done(self)

    def _classify(self, record: tuple[int, ...]) -> Found:
        """What a record means; the frames are only those of this moment where a translation or Python was interrupted."""
        address, ticks, reason, pc, link, kind, count, _, *frames = record
        if ticks > _LATE_SECONDS * self.frequency:
            return Found("blocked", "", ())
        stack = (link, *frames[: min(count, DEPTH)])
        if kind == TRANSLATION:
            unit = self._engine.translator.unit_of(address)
            if unit is None:
                return Found(NATIVE, "", ())  # its code memory was emptied meanwhile
            at = unit.locate(address)
            if isinstance(unit, RegionUnit):
                return Found(NATIVE, "region", (at or unit.page.base,))
            return Found(NATIVE, "", (unit.page.base + unit.pcs[0] if at is None else at, *stack))
        if reason:
            return Found(_OF_EXIT.get(reason, "scheduling"), "", (pc, *stack))
        return Found(HELPERS, self._helper(address), ()) if kind == HELPER else Found(HOST, "", ())

    def _helper(self, address: int) -> str:
        n = bisect_right(self._helpers, address, key=lambda row: row[0]) - 1
        return self._helpers[n][2] if n >= 0 else ""
