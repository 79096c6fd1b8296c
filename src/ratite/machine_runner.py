"""From a command line's configuration to a running machine and back to an exit status."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ratite import log
from ratite.boards.family import find_family
from ratite.boards.machine import Machine
from ratite.chardev.base import ChardevContext
from ratite.chardev.loop import IoLoop
from ratite.chardev.manager import Chardevs
from ratite.cli.machine_options import SystemConfig
from ratite.cpu.engine import Engine, Tuning
from ratite.cpu.garbage import short_pauses, sweep
from ratite.cpu.icount import CountedTurns, InstructionCount
from ratite.cpu.scheduler import Parallel, Processor, Scheduler, Turns
from ratite.hw.model import CountedClock, RealClock

#: Where the time of day begins for runs that are to repeat exactly.
FIRST_DAY = "2022-01-01"


class Emulation:
    """A machine with everything around it: back ends, engine, scheduler."""

    def __init__(self, config: SystemConfig) -> None:
        self.config = config
        self.lock = threading.RLock()
        self.counter: InstructionCount | None = None
        self.clock = self._make_clock()
        self.loop = IoLoop(self.lock)
        self.engine: Engine | None = None
        self.family = find_family(config.arch, config.cpu or "")
        self.status: int | None = None
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._closers: list[Callable[[], None]] = []
        self._random = _random_bytes(config)
        self.chardevs = Chardevs(ChardevContext(self.loop, self.quit, _say))
        self._closers.append(self.chardevs.close)
        self.serials = self._serial_ports()
        self._back_ends()
        self.machine = self._build()
        self.processors: list[Processor] = self.machine.cpus
        self.scheduler = self._scheduler()
        self.machine.on_request = self.scheduler.interrupt
        for processor in self.processors:
            processor.single_step = config.single_step
        self._power_on()

    @property
    def instructions(self) -> int | None:
        """How many instructions the machine has executed; None where nobody counts (`-icount`)."""
        return None if self.counter is None else self.counter()

    # --- building ---------------------------------------------------------------------------------------------------------------
    def _make_clock(self) -> RealClock | CountedClock:
        wall, icount = _wall_clock(self.config), self.config.icount
        if icount is None:
            return RealClock(self.lock, wall)
        self.counter = InstructionCount()
        return CountedClock(self.lock, self.counter, icount.shift, time.time_ns() if wall is None else wall, icount.adaptive)

    def _serial_ports(self) -> list[Any]:
        specs = list(self.config.serial)
        if not specs and self.config.defaults:
            specs = ["mon:stdio"] if self.config.nographic or self.config.display == "" else []
        return [self.chardevs.serial(spec, f"serial{n}") for n, spec in enumerate(specs)]

    def _back_ends(self) -> None:
        """Drives, networks and other things that devices refer to."""
        from ratite.cli.back_ends import BackEnds

        for option in self.config.chardevs:
            self.chardevs.add(option)
        counted = self.clock if isinstance(self.clock, CountedClock) else None
        self.back_ends = BackEnds(self.config, self.loop, self.lock, self.chardevs, random=self._random, clock=counted)
        self._closers.append(self.back_ends.close)

    def _make_cpu(self, machine: Machine, number: int) -> Processor:
        """A processor; the first one brings the engine into being."""
        if self.engine is None:
            c = self.config
            tuning = Tuning(region=c.regions, cache=c.disk_cache, perf=c.perf_map, counting=c.icount is not None)
            self.engine = Engine(self.family.make_arch(machine), machine.memory, lock=self.lock, tuning=tuning)
            self.engine.urgent = self._timers_wait
            self._observe(self.engine)
        return self.family.make_processor(self.engine, number, self.clock, self.lock)

    def _timers_wait(self) -> bool:
        return isinstance(self.clock, RealClock) and self.clock.waits

    def _observe(self, engine: Engine) -> None:
        """Have names or samples of what the engine does written, where they are asked for."""
        if self.config.perf_map:
            from ratite.cpu.perfmap import PerfMap
            from ratite.profiling.symbols import first_of, load

            engine.perf_map = PerfMap(engine, first_of([load(path).find for path in self.config.symbols]))
        if self.config.profile is not None:
            from ratite.profiling.recording import record

            record(engine, self.config.profile, f"ratite-system-{self.config.arch}")

    def _build(self) -> Machine:
        c = self.config
        options: dict[str, object] = dict(c.machine_properties)
        for name, value in (
            ("kernel", c.kernel), ("initrd", c.initrd), ("append", c.append), ("dtb", c.dtb), ("firmware", c.bios),
        ):  # fmt: skip
            if value:
                options[name] = value
        machine = Machine(
            c.machine, arch=c.arch, make_cpu=self._make_cpu, cpus=c.cpus, ram_size=c.memory, options=options,
            serial=self.serials, flash=self.back_ends.flash(), fw_cfg=self.back_ends.fw_cfg(),
            firmware_folders=c.data_folders, lock=self.lock, clock=self.clock, random=self._random,
        )  # fmt: skip
        self._closers.append(machine.close)
        self.back_ends.plug(machine)
        if log.enabled("page"):
            machine.memory.on_change(lambda: log.write("page", machine.mtree().rstrip()))
            log.write("page", machine.mtree().rstrip())
        return machine

    def _scheduler(self) -> Scheduler:
        if isinstance(self.clock, CountedClock) and self.counter is not None and self.config.icount is not None:
            return CountedTurns(self.processors, self.clock, self.counter, self.config.icount.sleep)
        parallel = self.config.parallel and len(self.processors) > 1
        if (parallel or len(self.processors) == 1) and self.engine is not None:
            self.engine.start_alarms()
        if parallel:
            return Parallel(self.processors)
        return Turns(self.processors, lambda call, ns: self.clock.timer(call).after(ns))

    def _power_on(self) -> None:
        """Let firmware inside Ratite do its part, after each reset too."""
        self.family.power_on(self.machine, self.processors, self.serials[0] if self.serials else None)

    # --- running ----------------------------------------------------------------------------------------------------------------
    def quit(self) -> None:
        """End the program as the user asks (C-a x); from any thread."""
        self._finish(0)

    def _finish(self, status: int) -> None:
        if self.status is None:
            self.status = status
        self.scheduler.interrupt()
        self._done.set()

    @property
    def ended(self) -> bool:
        """Whether the machine has powered off, or was told to end."""
        return self._done.is_set()

    def start(self) -> None:
        """Let the processors run, on a thread of their own."""
        if self.machine.shutdown_status is not None:    # building it was all that was asked for
            self._finish(self.machine.shutdown_status)
            return
        self.loop.start()
        sys.setswitchinterval(1e-5)
        self._thread = threading.Thread(target=self._run_processors, name="ratite-vcpu", daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end, at most `timeout` seconds; the exit status, None when the machine still runs."""
        if not self._done.wait(timeout):
            return None
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self.status or 0

    def run(self) -> int:
        """Run until the machine powers off or the user quits; the exit status."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: self._finish(0))
        self.start()
        return self.wait() or 0

    def _run_processors(self) -> None:
        try:
            while self.status is None:
                self.scheduler.run_until(self._asked)
                if self.machine.shutdown_status is not None:
                    self._finish(self.machine.shutdown_status)
                elif self.machine.reset_requested and self.status is None:
                    self._reset()
        except BaseException as error:
            self._failure = error
            self._finish(1)
        finally:
            self.scheduler.close()

    def _asked(self) -> bool:
        return self.status is not None or self.machine.shutdown_status is not None or self.machine.reset_requested

    def _reset(self) -> None:
        if not self.config.reboot:
            self._finish(0)
            return
        self.machine.reset()
        self._power_on()
        sweep()

    def close(self) -> None:
        """Give everything back, the terminal's mode first."""
        for close in self._closers:
            close()
        self.loop.close()
        if self.engine is not None:
            if log.enabled("stats"):
                from ratite.cpu import statistics

                log.write("stats", statistics.listing(statistics.read(self.engine)))
            self.engine.close()


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _random_bytes(config: SystemConfig) -> Callable[[int], bytes]:
    """Where random numbers for the guest come from."""
    if config.seed is None and config.icount is None:
        return os.urandom
    import random

    return random.Random(config.seed or 0).randbytes


def _wall_clock(config: SystemConfig) -> int | None:
    """Time of day that the machine starts with, in nanoseconds since 1970; None for the host's."""
    import datetime

    base = config.rtc_base or ("utc" if config.icount is None else FIRST_DAY)
    if base == "utc":
        return None
    if base == "localtime":
        now = datetime.datetime.now().replace(tzinfo=datetime.UTC)
    else:
        now = datetime.datetime.fromisoformat(base)
        now = now if now.tzinfo else now.replace(tzinfo=datetime.UTC)
    return int(now.timestamp() * 1e9)


def run(config: SystemConfig) -> int:
    """Build the machine that a command line describes and run it; the exit status."""
    log.configure(config.log_items, config.log_file or None)
    if config.pid_file:
        with open(config.pid_file, "w") as f:
            f.write(f"{os.getpid()}\n")
    emulation = Emulation(config)
    if tree := emulation.machine.options.dumpdtb:
        _say(f"The device tree is in {tree}; the machine does not start.")
    try:
        with short_pauses():
            return emulation.run()
    finally:
        emulation.close()
