"""System calls one by one, asked for by scripts in place of guest programs; hostile arguments among them."""

from __future__ import annotations

import errno
import os
import random
import signal
from pathlib import Path

import pytest

from ratite.user.abi import abi
from ratite.user.host import NUMBERS
from ratite.user.signalnumbers import SA_RESTART
from ratite.user.syscalls import AREAS, CALLS
from ratite.user.table import slots
from tests.user.fake import FakeVcpu, Script, Steps, Stop, run_script

NUMBER = {name: number for number, name in abi("riscv64").numbers.items()}
NUMBER32 = {name: number for number, name in abi("riscv32").numbers.items()}
FDCWD = -100


def exits(script: Script, arch: str = "riscv64", **options: object) -> int:
    """Exit status of a script, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(run_script(script, arch, **options))


def ask(v: FakeVcpu, name: str, *arguments: int) -> Stop:
    return v.call(NUMBER[name], *arguments)


def test_every_call_is_declared_once_and_bound() -> None:
    """Each declared call is in some ABI's table and binds for every ABI that has it."""
    assert len(AREAS) > 10
    for arch in ("riscv64", "riscv32"):
        known = abi(arch)
        for name in known.numbers.values():
            if name in CALLS:
                assert CALLS[name].bind(known)
                assert max(slots(known, CALLS[name].kinds), default=0) < 6
    everywhere = set(abi("riscv64").numbers.values()) | set(abi("riscv32").numbers.values())
    assert set(CALLS) - everywhere == {"renameat"}, "calls that only older ABIs number"
    for name in set(CALLS) - set(NUMBERS):    # not the host's names: those of 32-bit ABIs, and of the ISA
        assert "64" in name or name == "llseek" or name == "mmap2" or name.startswith("riscv_")


def test_numbers_against_the_headers() -> None:
    """Known numbers of both ABIs; 32-bit RISC-V has no call with a 32-bit time."""
    names = ("openat", "clone", "execve", "mmap", "statx")
    assert [NUMBER[name] for name in names] == [56, 220, 221, 222, 291]
    assert (NUMBER["newfstatat"], NUMBER["riscv_flush_icache"], NUMBER["clone3"], NUMBER["futex_waitv"]) == (
        79, 259, 435, 449)
    assert "renameat" not in NUMBER
    assert (NUMBER32["mmap2"], NUMBER32["llseek"], NUMBER32["futex_time64"], NUMBER32["clock_gettime64"]) == (
        222, 62, 422, 403)
    assert not {"futex", "clock_gettime", "newfstatat", "fstat", "wait4", "getrlimit", "nanosleep"} & set(NUMBER32)


def test_files_of_the_process(tmp_path: Path) -> None:
    """/proc/self of the guest: executable, maps, command line and auxiliary vector are the guest's own."""
    def script(v: FakeVcpu) -> Steps:
        path, buffer = v.memory(b"/proc/self/exe\0"), v.memory()
        yield ask(v, "readlinkat", FDCWD, path, buffer, 100)
        assert v.result == 0    # nothing is loaded
        v.space.write(path, b"/proc/self/maps\0")
        yield ask(v, "openat", FDCWD, path, os.O_RDONLY, 0)
        fd = v.result
        assert fd >= 0
        yield ask(v, "read", fd, buffer, 4096)
        text = v.space.read(buffer, v.result).decode()
        start, end = (int(word, 16) for word in text.split()[0].split("-"))
        assert start <= path < end and "rw-p" in text
        v.space.write(path, b"/proc/cpuinfo\0")
        yield ask(v, "openat", FDCWD, path, os.O_RDONLY, 0)
        yield ask(v, "read", v.result, buffer, 4096)
        assert b"isa\t\t: rv64imafdc" in v.space.read(buffer, v.result)
        v.space.write(path, b"/proc/self/maps\0")
        yield ask(v, "openat", FDCWD, path, os.O_WRONLY, 0)
        assert v.result == -errno.EACCES or v.result >= 0
        yield ask(v, "exit_group", 5)
    assert exits(script) == 5


def test_own_files_can_not_be_closed() -> None:
    """A descriptor of Ratite itself is not there for close, dup3 and close_range."""
    def body(v: FakeVcpu) -> Steps:
        own = v.thread_script.process.keep_private(os.open("/dev/null", os.O_RDONLY))  # type: ignore[attr-defined]
        yield ask(v, "close", own)
        assert v.result == -errno.EBADF
        yield ask(v, "dup3", 1, own, 0)
        assert v.result == -errno.EBADF
        yield ask(v, "close_range", 3, 0xFFFF_FFFF, 0)
        assert v.result == 0
        os.fstat(own)
        yield ask(v, "exit_group", 0)
    assert exits(with_process(body)) == 0


def with_process(body: Script) -> Script:
    """A script that can reach its process as `v.thread_script.process`."""
    class Holder:
        process: object = None

        def __call__(self, v: FakeVcpu) -> Steps:
            import gc

            from ratite.user.process import Process

            self.process = next(found for found in gc.get_objects() if isinstance(found, Process))
            yield from body(v)
    return Holder()


def test_unknown_numbers_and_options_are_told() -> None:
    """ENOSYS and one line each."""
    lines: list[str] = []

    def script(v: FakeVcpu) -> Steps:
        yield v.call(9999, 1, 2, 3)
        assert v.result == -errno.ENOSYS
        yield ask(v, "io_setup", 1, 2)
        assert v.result == -errno.ENOSYS
        yield ask(v, "ioctl", 0, 0xDEAD, 0)
        assert v.result == -errno.ENOTTY
        yield ask(v, "prctl", 4711, 0)
        assert v.result == -errno.EINVAL
        assert lines == ["system call number 9999 is not implemented", "system call io_setup is not implemented",
                         "ioctl 0xdead is not implemented", "prctl option 4711 is not implemented"]
        yield ask(v, "exit_group", 0)
    assert exits(script, unimplemented=lines.append) == 0


def test_handlers_run_and_return() -> None:
    """A signal sent to itself enters the handler with number and frame, and sigreturn goes back."""
    def script(v: FakeVcpu) -> Steps:
        action = v.memory((0x7777_0000).to_bytes(8, "little") + SA_RESTART.to_bytes(8, "little") + bytes(8))
        v.state.x[2] = v.memory(size=16384) + 16384
        yield ask(v, "rt_sigaction", signal.SIGUSR1, action, 0, 8)
        assert v.result == 0
        v.state.pc = 0x5000
        yield ask(v, "kill", os.getpid(), signal.SIGUSR1)
        assert v.state.pc == 0x7777_0000
        assert v.state.x[10] == signal.SIGUSR1
        yield ask(v, "rt_sigprocmask", 0, 0, action + 64, 8)
        assert int.from_bytes(v.space.read(action + 64, 8), "little") == 1 << signal.SIGUSR1 - 1
        yield ask(v, "rt_sigreturn")
        assert v.state.pc == 0x5004
        assert v.result == 0
        yield ask(v, "rt_sigprocmask", 0, 0, action + 64, 8)
        assert int.from_bytes(v.space.read(action + 64, 8), "little") == 0
        yield ask(v, "exit_group", 3)
    assert exits(script) == 3


def test_signals_that_come_while_native_code_runs() -> None:
    """The interrupt byte is set, and the handler entered as soon as native code leaves."""
    def script(v: FakeVcpu) -> Steps:
        action = v.memory((0x7777_0000).to_bytes(8, "little") + bytes(16))
        v.state.x[2] = v.memory(size=16384) + 16384
        yield ask(v, "rt_sigaction", signal.SIGALRM, action, 0, 8)
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        while not v.interrupted():
            pass
        yield Stop("interrupt")
        assert v.state.pc == 0x7777_0000
        yield ask(v, "exit_group", 0)
    assert exits(script) == 0


@pytest.mark.parametrize(("flags", "restarted"), [(0, False), (SA_RESTART, True)])
def test_interrupted_reads(flags: int, restarted: bool) -> None:
    """With SA_RESTART the pc stays at the call with its arguments; without, the call fails with EINTR."""
    def script(v: FakeVcpu) -> Steps:
        action = v.memory((0x7777_0000).to_bytes(8, "little") + flags.to_bytes(8, "little") + bytes(8))
        v.state.x[2] = v.memory(size=16384) + 16384
        yield ask(v, "rt_sigaction", signal.SIGALRM, action, 0, 8)
        reading, _ = os.pipe()
        v.state.pc = 0x5000
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        yield ask(v, "read", reading, action + 100, 1)
        assert v.state.pc == 0x7777_0000
        yield ask(v, "rt_sigreturn")
        if restarted:
            assert (v.state.pc, v.state.x[10], v.state.x[11]) == (0x5000, reading, action + 100)
        else:
            assert (v.state.pc, v.result) == (0x5004, -errno.EINTR)
        yield ask(v, "exit_group", 0)
    assert exits(script) == 0


@pytest.mark.parametrize(("stop", "signo"), [
    (Stop("trap", 2), signal.SIGILL), (Stop("trap", 3), signal.SIGTRAP), (Stop("trap", 4, 5), signal.SIGBUS),
    (Stop("trap", 12, 0x99), signal.SIGSEGV), (Stop("fault", 0, 0x10, 11, 1), signal.SIGSEGV),
    (Stop("fault", 0, 0x10, 7, 2), signal.SIGBUS),
])
def test_faults_kill(stop: Stop, signo: int) -> None:
    """Without a handler the process dies by the signal, as its parent sees."""
    def script(v: FakeVcpu) -> Steps:
        yield stop
    assert exits(script) == -signo


def test_faults_tell_what_was_wrong() -> None:
    """si_code says whether memory was mapped; the host's view of the reserve does not shine through."""
    def script(v: FakeVcpu) -> Steps:
        action = v.memory((0x7777_0000).to_bytes(8, "little") + (4).to_bytes(8, "little") + bytes(8))
        v.state.x[2] = v.memory(size=65536) + 65536
        yield ask(v, "rt_sigaction", signal.SIGSEGV, action, 0, 8)
        for address, code in ((0x10, 1), (action, 2), ((1 << 64) - 8, 1)):
            yield Stop("fault", 0, address, 11, 2)
            info = v.space.read(v.state.x[11], 24)
            assert int.from_bytes(info[8:12], "little") == code
            assert int.from_bytes(info[16:24], "little") == address
            yield ask(v, "rt_sigreturn")
        yield ask(v, "exit_group", 0)
    assert exits(script) == 0


def test_default_actions() -> None:
    """Signals that the guest sends to itself end it as on Linux, SIGSEGV and blocked ones included."""
    for signo in (signal.SIGTERM, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, 40):
        def script(v: FakeVcpu, signo: int = signo) -> Steps:
            yield ask(v, "tgkill", os.getpid(), os.getpid(), signo)
            yield ask(v, "exit_group", 1)
        assert exits(script) == -signo

    def ignored(v: FakeVcpu) -> Steps:
        yield ask(v, "kill", os.getpid(), signal.SIGCHLD)
        yield ask(v, "kill", os.getpid(), signal.SIGWINCH)
        yield ask(v, "exit_group", 1)
    assert exits(ignored) == 1


def test_fork_wait_and_pipes() -> None:
    """A child writes to a pipe and exits; the parent reads, waits, and sees the status."""
    def script(v: FakeVcpu) -> Steps:
        buffer = v.memory()
        yield ask(v, "pipe2", buffer, os.O_CLOEXEC)
        reading, writing = (int.from_bytes(v.space.read(buffer + at, 4), "little") for at in (0, 4))
        yield ask(v, "clone", signal.SIGCHLD, 0, 0, 0, 0)
        if v.result == 0:
            v.space.write(buffer, b"from the child")
            yield ask(v, "write", writing, buffer, 14)
            yield ask(v, "exit_group", 42)
        child = v.result
        yield ask(v, "read", reading, buffer + 100, 100)
        assert v.space.read(buffer + 100, v.result) == b"from the child"
        assert v.space.read(buffer, 4) != b"from"
        yield ask(v, "wait4", child, buffer, 0, 0)
        assert v.result == child
        assert v.space.read(buffer, 4) == (42 << 8).to_bytes(4, "little")
        yield ask(v, "wait4", -1, 0, 0, 0)
        assert v.result == -errno.ECHILD
        yield ask(v, "exit_group", 0)
    assert exits(script) == 0


def test_vfork_brings_back_the_parents_frame() -> None:
    """The parent sleeps until the child is done, and finds what the child wrote to its stack, but not elsewhere."""
    vfork_flags = 0x4100 | signal.SIGCHLD

    def script(v: FakeVcpu) -> Steps:
        stack = v.memory(b"unchanged", 16384)
        other = v.memory(b"elsewhere")
        v.state.x[2] = stack
        yield ask(v, "clone", vfork_flags, 0, 0, 0, 0)
        if v.result == 0:
            v.space.write(stack + 16, b"error 2!")
            v.space.write(other, b"x")
            yield ask(v, "exit", 127)
        child = v.result
        assert v.space.read(stack, 24) == b"unchanged".ljust(16, b"\0") + b"error 2!"
        assert v.space.read(other, 9) == b"elsewhere"
        yield ask(v, "wait4", child, 0, 0, 0)
        yield ask(v, "exit_group", 0)
    assert exits(script) == 0


def test_threads_share_memory_and_end_alone() -> None:
    """A thread gets its stack and thread pointer, knows its id, clears its word at the end and wakes the waiter."""
    flags = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x8_0000 | 0x10_0000 | 0x20_0000

    def script(v: FakeVcpu) -> Steps:
        word, stack = v.memory(), v.memory()

        def thread(child: FakeVcpu) -> Steps:
            assert (child.state.x[2], child.state.x[4], child.state.x[10]) == (stack + 4096, 0x1234, 0)
            yield ask(child, "gettid")
            assert child.result == child.space.read_u32(word) != os.getpid()
            child.space.write(word + 64, b"shared")
            yield ask(child, "exit", 0)
        v.thread_script = thread
        yield ask(v, "clone", flags, stack + 4096, word, 0x1234, word)
        child = v.result
        assert child > 0
        while v.space.read_u32(word):
            yield ask(v, "futex", word, 0, child, 0, 0, 0)
            assert v.result in (0, -errno.EAGAIN)
        assert v.space.read(word + 64, 6) == b"shared"
        yield ask(v, "exit_group", 0)
    assert exits(script) == 0


def test_execve_replaces_the_program(tmp_path: Path) -> None:
    """Registers, memory, handlers and close-on-exec files are new; the process is the same."""
    from tests.user.test_loader import simple, write

    path = write(tmp_path, "program", simple())

    def script(v: FakeVcpu) -> Steps:
        name = v.memory(path + b"\0")
        vector = v.memory(name.to_bytes(8, "little") + bytes(8))
        keep, gone = os.open("/dev/null", os.O_RDONLY), os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(keep, True)
        action = v.memory((0x7777_0000).to_bytes(8, "little") + bytes(16))
        yield ask(v, "rt_sigaction", signal.SIGUSR1, action, 0, 8)
        v.state.x[20] = 99
        yield ask(v, "execve", name, vector, 0)
        assert (v.state.pc, v.state.x[20]) == (0x10000, 0)
        assert v.space.read(v.state.x[2], 8) == (1).to_bytes(8, "little")
        assert v.space.protection(name) is None or name >= v.space.areas.at(name).start  # type: ignore[union-attr]
        os.fstat(keep)
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(gone)
        area = v.memory()
        yield ask(v, "rt_sigaction", signal.SIGUSR1, 0, area, 8)
        assert v.space.read(area, 8) == bytes(8)
        yield ask(v, "exit_group", 8)
    assert exits(script) == 8


def test_execve_of_a_host_program(tmp_path: Path) -> None:
    """A program for the host is started by the host, with the guest's words and variables."""
    out = tmp_path / "out"

    def script(v: FakeVcpu) -> Steps:
        texts = [b"/bin/sh", b"sh", b"-c", b'echo "$0 $TEST" > ' + os.fsencode(out), b"zero", b"TEST=variable"]
        at = [v.memory(text + b"\0") for text in texts]
        argv = v.memory(b"".join(pointer.to_bytes(8, "little") for pointer in [*at[1:5], 0]))
        envp = v.memory(b"".join(pointer.to_bytes(8, "little") for pointer in [at[5], 0]))
        yield ask(v, "execve", at[0], argv, envp)
        raise AssertionError(v.result)
    assert exits(script) == 0
    assert out.read_text() == "zero variable\n"


@pytest.mark.parametrize("content", [b"", b"text", b"\x7fELF", b"#!/absent\n", b"#!\n"])
def test_execve_that_fails_leaves_all_as_it_was(tmp_path: Path, content: bytes) -> None:
    """Errors come back to the old program."""
    from tests.user.test_loader import write

    path = write(tmp_path, "program", content)

    def script(v: FakeVcpu) -> Steps:
        name = v.memory(path + b"\0")
        yield ask(v, "execve", name, 0, 0)
        assert v.result in (-errno.ENOEXEC, -errno.ENOENT)
        assert v.space.read_cstr(name) == path
        yield ask(v, "execve", name, 8, 0)
        assert v.result == -errno.EFAULT
        yield ask(v, "exit_group", 6)
    assert exits(script) == 6


def test_limits_that_would_hit_ratite_are_kept_aside() -> None:
    """A small limit of memory is remembered and told, and Ratite goes on."""
    def script(v: FakeVcpu) -> Steps:
        block = v.memory((1 << 20).to_bytes(8, "little") * 2)
        resource_as = 9
        yield ask(v, "prlimit64", 0, resource_as, block, block + 64)
        assert v.result == 0
        v.memory(size=1 << 24)
        yield ask(v, "getrlimit", resource_as, block + 128)
        assert v.space.read(block + 128, 16) == v.space.read(block, 16)
        yield ask(v, "exit_group", 0)
    assert exits(script) == 0


# Calls that end, block or change the test itself when they are asked at random.
NOT_AT_RANDOM = """
    exit exit_group kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal reboot rt_sigreturn
    execve execveat clone clone3 rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 pause wait4 waitid ppoll
    pselect6 ppoll_time64 pselect6_time64 epoll_pwait epoll_pwait2 futex futex_time64 futex_waitv read readv
    preadv preadv2 recvfrom recvmsg recvmmsg recvmmsg_time64 accept accept4 nanosleep clock_nanosleep
    clock_nanosleep_time64 msgrcv msgsnd semop semtimedop semtimedop_time64 setitimer timer_settime timer_create
    sethostname setdomainname chroot pivot_root mount umount2 unshare setns close_range close dup3 settimeofday
    clock_settime clock_settime64 adjtimex clock_adjtime swapon swapoff acct vhangup setuid setgid setreuid
    setregid setresuid setresgid setfsuid setfsgid setgroups capset personality prlimit64 setrlimit prctl
    sched_setscheduler sched_setattr setpriority ioprio_set sync syncfs sched_setaffinity mq_timedreceive
    mq_timedsend write writev pwrite64 unlinkat renameat2 linkat symlinkat mkdirat mknodat fchmodat fchownat
    fchmod fchown truncate ftruncate chdir fchdir setsid setpgid signalfd4 fcntl fcntl64 flock ioctl openat
    openat2 mlock mlock2 sendfile splice tee vmsplice fallocate umask shmctl msgctl semctl fanotify_init
    mq_timedreceive_time64 mq_timedsend_time64 syslog sched_setparam
"""


@pytest.mark.parametrize("arch", ["riscv64", "riscv32"])
def test_hostile_arguments(arch: str) -> None:
    """Every other call, asked many times with addresses and numbers at the edges, returns a number or an errno."""
    numbers = sorted(number for number, name in abi(arch).numbers.items() if name not in NOT_AT_RANDOM.split())
    top = (1 << abi(arch).bits) - 1

    def script(v: FakeVcpu) -> Steps:
        generator = random.Random(1)
        nowhere = os.open("/dev/null", os.O_RDWR)
        for fd in range(256):    # the test runner's own files, moved and cut at random, would spoil its output
            if fd != nowhere:
                os.dup2(nowhere, fd)
        good = v.memory(b"/nonexistent\0", 65536)
        v.space.mmap(good - 8192, 4096, 0, 0x32)
        edges = [0, 1, 2, 8, 64, 4095, 4096, good, good + 65532, good - 8192, good + 65536, 1 << 31, (1 << 31) - 1,
                 1 << 32, top, top - 7, 1 << 63, v.space.limit, v.space.limit - 1, 1000, FDCWD, -1]
        for number in numbers:
            for _ in range(40):
                arguments = [generator.choice(edges) & top for _ in range(6)]
                if abi(arch).numbers[number] in ("munmap", "mmap", "mmap2", "mremap", "mprotect", "shmat", "brk"):
                    # Not in the way of the pages that the other calls use.
                    arguments[0] = 0x5000_0000
                yield v.call(number, *arguments)
                assert -4096 < v.result <= top
        yield v.call({name: n for n, name in abi(arch).numbers.items()}["exit_group"], 21)
    assert exits(script, arch) == 21


def test_32_bit_times_and_offsets(tmp_path: Path) -> None:
    """A 32-bit program passes 64-bit offsets in two registers and gets 64-bit times."""
    path = tmp_path / "file"

    def script(v: FakeVcpu) -> Steps:
        block = v.memory(os.fsencode(path) + b"\0")
        yield v.call(NUMBER32["openat"], FDCWD, block, os.O_RDWR | os.O_CREAT, 0o600)
        fd = v.state.x[10]
        yield v.call(NUMBER32["pwrite64"], fd, block, 4, 5, 1)
        assert v.state.x[10] == 4
        yield v.call(NUMBER32["llseek"], fd, 0, 0, block + 512, 2)
        assert int.from_bytes(v.space.read(block + 512, 8), "little") == (1 << 32) + 9
        yield v.call(NUMBER32["ftruncate64"], fd, 100, 0)
        yield v.call(NUMBER32["statx"], fd, block + 510, 0x1000, 0x7FF, block + 1024)
        yield v.call(NUMBER32["clock_gettime64"], 0, block + 512)
        seconds = int.from_bytes(v.space.read(block + 512, 8), "little")
        assert seconds > 1_600_000_000
        yield v.call(NUMBER32["getrusage"], 0, block + 512)
        assert v.state.x[10] == 0
        yield v.call(NUMBER32["close"], 1000)
        assert v.state.x[10] == (1 << 32) - errno.EBADF
        yield v.call(NUMBER32["exit_group"], 0)
    assert exits(script, "riscv32") == 0
    assert path.stat().st_size == 100


