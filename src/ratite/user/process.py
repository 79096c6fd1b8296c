"""A guest process: what its threads share, and how it forks, starts threads, and becomes another program.

fork is the host's fork. A thread is a host thread with a vCPU of its own. execve of a program of the same architecture
happens inside this process: Python, the translator and its finished stencils stay, the guest's memory goes.
"""

from __future__ import annotations

import os
import struct
import sys
from _thread import RLock, allocate_lock, start_new_thread
from collections.abc import Callable, Sequence
from errno import E2BIG, EAGAIN, ENOSYS
from resource import RLIMIT_AS, RLIMIT_CORE, RLIMIT_DATA, RLIMIT_STACK, getrlimit, setrlimit

from ratite import log
from ratite.user import loader
from ratite.user.abi.base import Abi
from ratite.user.failure import SyscallError
from ratite.user.host import native, quick
from ratite.user.mailbox import SETXID
from ratite.user.paths import Paths
from ratite.user.signals import Signals
from ratite.user.space import GuestSpace
from ratite.user.syscalls import CALLS
from ratite.user.thread import ProcessExit, Thread, ThreadExit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.cpu.statistics import Statistics
    from ratite.user.strace import Tracer
    from ratite.user.table import Run
    from ratite.user.vcpu import Vcpu

STACK_BOUNDS = 128 << 10, 1 << 30
SWITCH_INTERVAL = 1e-4
"""Seconds after which a thread that translates lets another one serve its system call."""
_INFINITY = (1 << 64) - 1
VFORK_WINDOW = 8192
"""How much of the stack above a vfork child's frame its parent gets back when the child ends without execve."""

Unimplemented = Callable[[str], None]


class Process:
    """The process of one guest program."""

    def __init__(self, abi: Abi, make_vcpu: Callable[[GuestSpace], Vcpu], *, sysroot: bytes = b"", isa: str = "",
                 release: bytes = b"", stack_size: int = 8 << 20, seed: int | None = None, single_step: bool = False,
                 tracer: Tracer | None = None, unimplemented: Unimplemented | None = None) -> None:
        self.abi = abi
        self.isa = isa or "imafdc"
        """The CPU's ISA string, for AT_HWCAP and /proc/cpuinfo."""
        self.release = release
        """Kernel release that uname tells; empty for the host's."""
        self.stack_size = stack_size
        self.seed = seed
        self.single_step = single_step
        """Run in the reference evaluator."""
        self.tracer = tracer
        self.unimplemented = unimplemented or (lambda text: None)
        """Told one line about each call that is not done."""
        self.paths = Paths(sysroot)
        self.space = GuestSpace(abi.bits)
        self.signals = Signals()
        self.calls: dict[int, tuple[Run, bool]] = {}
        """Bound system calls by number, with whether they restart."""
        self.trampoline = 0
        self.auxv = b""
        self.argument_range = self.environment_range = (0, 0)
        self.private_fds: set[int] = set()
        """Host files of Ratite itself, which the guest can not close."""
        self.personality = 0
        self.limits: dict[int, tuple[int, int]] = {}
        """Resource limits that are kept here, because they would hit Ratite itself."""
        self.threads: dict[int, Thread] = {}
        self._lock = allocate_lock()
        self._fork_lock = RLock()
        """Held while a file is open that other children must not inherit."""
        self._gone = allocate_lock()
        self._gone.acquire()
        self._stopper: Thread | None = None
        """The thread that wants to be the only one, for execve."""
        vcpu = make_vcpu(self.space)
        self.space.on_code_change(vcpu.invalidate, vcpu.lock)
        self.main = Thread(self, vcpu, _host_mask())
        self._take_limits()

    def _take_limits(self) -> None:
        """Keep limits that would hit Ratite itself; a core file would hold Ratite too, so there is none."""
        for limit in (RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE):
            soft, hard = getrlimit(limit)
            self.limits[limit] = (soft & _INFINITY, hard & _INFINITY)
        self.limits[RLIMIT_STACK] = (self.stack_size, self.limits[RLIMIT_STACK][1])
        self.drop_core_limit()

    def drop_core_limit(self) -> None:
        """Let the host write no core file of this process."""
        setrlimit(RLIMIT_CORE, (0, getrlimit(RLIMIT_CORE)[1]))

    def restore_core_limit(self) -> None:
        """Give the host process the guest's limit of core files, for a host program to inherit."""
        hard = getrlimit(RLIMIT_CORE)[1]
        soft = self.limits[RLIMIT_CORE][0]
        setrlimit(RLIMIT_CORE, (hard if soft > hard & _INFINITY else _signed(soft), hard))

    # Running

    def run(self) -> int:
        """Run the loaded program on the calling thread; returns the exit status of the process, or of a fork of it."""
        thread = self.main
        thread.mailbox.block()
        thread.adopt()
        self.threads[thread.tid] = thread
        thread.vcpu.leave_sent_faults_to(native.handler)
        thread.signals.set_mask(thread.signals.mask)
        try:
            thread.loop()
        except ProcessExit as end:
            if len(self.threads) > 1:
                self.leave(end.status)
            return end.status
        except ThreadExit as end:
            return self._end_thread(thread, end.status, first=True)
        raise AssertionError("the loop ends by an exception")

    def _run_thread(self, thread: Thread) -> None:
        try:
            self.check_stopped(thread)
            thread.signals.set_mask(thread.signals.mask)
            thread.loop()
        except ProcessExit as end:
            self.leave(end.status)
        except ThreadExit as end:
            self._end_thread(thread, end.status, first=False)
        except BaseException:
            import traceback

            traceback.print_exc()
            self.leave(1)

    def _end_thread(self, thread: Thread, status: int, first: bool) -> int:
        """End a thread. The process ends with its last one; the host's first thread waits for that."""
        thread.end()
        with self._lock:
            native.discharge(thread.tid)
            del self.threads[thread.tid]
            last = not self.threads
        if last:
            self.leave(status)
        if self._stopper is not None and self._gone.locked():
            self._gone.release()
        if first:
            never = allocate_lock()
            never.acquire()
            never.acquire()
        return status

    def statistics(self) -> Statistics:
        """What the engine and the CPUs of the threads have counted so far."""
        from ratite.cpu import statistics

        return statistics.read(self.main.vcpu.engine)

    def leave(self, status: int) -> None:
        """End the host process at once: all that the guest has written is written already."""
        self.finish()
        os._exit(status & 0xFF)

    def finish(self) -> None:
        """Keep what the next process can use, and say what was counted, before this one ends, which it does in any case."""
        try:
            if log.enabled("stats"):
                from ratite.cpu.statistics import listing

                log.write("stats", listing(self.statistics()))
            self.main.vcpu.finish()
        except Exception:
            import traceback

            traceback.print_exc()

    def bind(self, number: int) -> tuple[Run, bool]:
        """Bind the system call of a number to this ABI, at its first use."""
        name = self.abi.numbers.get(number, "")
        call = CALLS.get(name)
        if call is None:
            what = name or f"number {number}"

            def missing(t: Thread, a: Sequence[int]) -> int:
                self.unimplemented(f"system call {what} is not implemented")
                return -ENOSYS
            bound: tuple[Run, bool] = missing, False
        else:
            bound = call.bind(self.abi), call.restart
        self.calls[number] = bound
        return bound

    # Threads

    def start_thread(self, parent: Thread, sp: int, tls: int | None, child_tid: int, parent_tid: int,
                     clear_tid: int) -> int:
        """Start a guest thread; returns its id. Addresses of zero mean "not asked for"."""
        child = Thread(self, parent.vcpu.clone(), parent.signals.mask)
        child.clear_child_tid = clear_tid
        self.abi.start_thread(child.registers, sp, tls)
        started = allocate_lock()
        started.acquire()

        def tell(tid: int) -> None:
            for address in (child_tid, parent_tid):
                if address:
                    self.space.write_u32(address, tid)

        def begin() -> None:
            with self._lock:
                child.adopt()
                self.threads[child.tid] = child
            try:
                tell(child.tid)
            except SyscallError:
                pass    # unmapped by another thread just now
            started.release()
            self._run_thread(child)

        tell(0)    # fails here, where the guest can be told
        parent.mailbox.block()
        sys.setswitchinterval(SWITCH_INTERVAL)
        try:
            start_new_thread(begin, ())
            started.acquire()
        except RuntimeError:
            raise SyscallError(EAGAIN) from None
        finally:
            parent.mailbox.open(parent.signals.mask)
        return child.tid

    def check_stopped(self, thread: Thread) -> None:
        """End the calling thread where another one is about to execve."""
        if self._stopper is not None and self._stopper is not thread:
            raise ThreadExit(0)

    def stop_others(self, thread: Thread) -> None:
        """End all threads but the calling one."""
        if len(self.threads) == 1:
            return
        with self._lock:
            if self._stopper is not None:
                raise ThreadExit(0)
            self._stopper = thread
        self.signals.have_native_handler(SETXID)
        told: set[int] = set()
        while len(self.threads) > 1:
            for other in set(self.threads) - told - {thread.tid}:
                quick("tgkill", os.getpid(), other, SETXID)
                told.add(other)
            self._gone.acquire(timeout=0.05)
        self._stopper = None

    # fork

    def fork(self, thread: Thread) -> int:
        """Fork the host process with the calling thread; returns the child's id, or 0 in the child."""
        with self._fork_lock, thread.vcpu.fork_lock(), self.space.lock, self._lock:
            thread.mailbox.block()
            try:
                child = os.fork()
                if not child:
                    self._after_fork(thread)
            finally:
                thread.mailbox.open(thread.signals.mask)
        return child

    def _after_fork(self, thread: Thread) -> None:
        native.after_fork()
        thread.mailbox.clear()
        thread.signals.queued.clear()
        thread.robust_list = (0, 0)
        thread.clear_child_tid = 0
        thread.adopt()
        self.threads = {thread.tid: thread}
        self._stopper = None
        self._close_report(thread)
        self.space.after_fork()

    def vfork(self, thread: Thread, prepare: Callable[[], None]) -> int:
        """Fork, and wait until the child has called execve or has ended, as vfork promises.

        The child has a copy of the memory, not the memory itself. What it writes to the stack of its parent's frame
        (posix_spawn reports failures there) comes back through a pipe; other writes stay its own.
        """
        top = thread.abi.stack_pointer(thread.registers)
        before = self.space.read(top, self.space.readable_size(top, VFORK_WINDOW))
        with self._fork_lock:
            reading, writing = os.pipe2(os.O_CLOEXEC)
            child = self.fork(thread)
            os.close(writing if child else reading)
        if not child:
            thread.vfork_report = self.keep_private(writing)
            thread.vfork_frame = (top, before)
            prepare()
            return 0
        report = _read_all(reading)
        os.close(reading)
        if len(report) == len(before):
            _apply_changes(self.space, top, before, report)
        return child

    def end_vfork(self, thread: Thread, ended: bool) -> None:
        """Let a vfork parent go on: the child calls execve, or has `ended`."""
        if ended and thread.vfork_report >= 0:
            top, before = thread.vfork_frame
            try:
                os.write(thread.vfork_report, self.space.read(top, len(before)))
            except (OSError, SyscallError):
                pass
        self._close_report(thread)

    def _close_report(self, thread: Thread) -> None:
        if thread.vfork_report >= 0:
            os.close(thread.vfork_report)
            self.private_fds.discard(thread.vfork_report)
            thread.vfork_report = -1

    def keep_private(self, fd: int) -> int:
        """Move a file of Ratite's own to a number that guests do not use."""
        import fcntl

        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 512)
        os.close(fd)
        self.private_fds.add(moved)
        return moved

    # execve

    def load(self, thread: Thread, found: loader.Executable, env: Sequence[bytes]) -> None:
        """Make an empty space into a program's and set the thread's registers to its start."""
        image = loader.load(found, env, self.space, self.abi, self._main_stack_size(), self.abi.hwcap(self.isa),
                            self._random_bytes())
        self.trampoline = self.space.map_code(self.abi.trampoline, b"[sigpage]")
        self.auxv, self.argument_range, self.environment_range = image.auxv, image.arguments, image.environment
        self.paths.executable = os.path.realpath(found.path)
        self.abi.start(thread.registers, image.entry, image.sp)
        name = os.path.basename(found.filename)[:15] + b"\0"
        pr_set_name = 15
        quick("prctl", pr_set_name, thread.scratch.put(name))

    def _main_stack_size(self) -> int:
        """What the guest's limit of the stack allows, within reason."""
        soft = self.limits[RLIMIT_STACK][0]
        return self.stack_size if soft == _INFINITY else min(max(soft, STACK_BOUNDS[0]), STACK_BOUNDS[1])

    def _random_bytes(self) -> bytes:
        if self.seed is None:
            return os.urandom(16)
        return struct.pack("<QQ", self.seed & (1 << 64) - 1, ~self.seed & (1 << 64) - 1)

    def execute(self, thread: Thread, found: loader.Executable, env: Sequence[bytes]) -> None:
        """Become another program; from here on there is no way back."""
        self.stop_others(thread)
        self.end_vfork(thread, ended=False)
        self.signals.reset_handlers()
        thread.signals.forget_stack()
        thread.clear_child_tid, thread.robust_list = 0, (0, 0)
        code = self.space.clear()
        try:
            self.load(thread, found, env)
            self.space.forget_code(code)
        except (SyscallError, OSError):
            self.signals.die(9)
        finally:
            found.close()
        self._close_on_exec()

    def check_size(self, argv: Sequence[bytes], env: Sequence[bytes]) -> None:
        """Refuse words that would fill more than a quarter of the stack."""
        word = self.abi.model.word
        if sum(len(text) + 1 + word for text in [*argv, *env]) > self._main_stack_size() // 4:
            raise SyscallError(E2BIG)

    def _close_on_exec(self) -> None:
        for name in os.listdir("/proc/self/fd"):
            fd = int(name)
            try:
                if fd not in self.private_fds and not os.get_inheritable(fd):
                    os.close(fd)
            except OSError:
                continue    # the listing's own


def _host_mask() -> int:
    import ctypes

    buffer = ctypes.create_string_buffer(8)
    quick("rt_sigprocmask", 0, 0, ctypes.addressof(buffer), 8)
    return int.from_bytes(buffer.raw, "little")


def _signed(limit: int) -> int:
    """A limit as Python's resource module has it: -1 for none."""
    return -1 if limit == _INFINITY else limit


def _read_all(fd: int) -> bytes:
    """What comes through a pipe until it is closed. Signals wait meanwhile, as they do in vfork."""
    pieces = []
    while piece := os.read(fd, VFORK_WINDOW):
        pieces.append(piece)
    return b"".join(pieces)


def _apply_changes(space: GuestSpace, start: int, before: bytes, after: bytes) -> None:
    """Write back the 8-byte words that differ."""
    for at in range(0, len(before), 8):
        if before[at:at + 8] != after[at:at + 8]:
            space.write(start + at, after[at:at + 8])



