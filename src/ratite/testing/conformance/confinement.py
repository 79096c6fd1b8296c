"""Whatever a random instruction asks of the system does not reach the host.

Instructions that call the system are left out of comparisons, but one can be jumped to, or be what a mistake makes of another. Then

- Ratite's user mode has no system calls but those of linux_peer.c, which touch memory of the guest and the standard streams:

      python -m ratite.testing.conformance.confinement riscv64 [OPTIONS] PROGRAM

  Any other ends the run and is named;
- an outside emulator is a process (`confine`) that the host's kernel kills when it is about to change files, to send signals to other
  processes, or to change the host's settings.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable, Sequence
from errno import errorcode

from ratite.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.user.abi.base import Abi
    from ratite.user.table import Run
    from ratite.user.thread import Thread

#: The system calls of linux_peer.c.
ALLOWED = {"read", "write", "mmap", "mmap2", "rt_sigaction", "rt_sigreturn", "sigaltstack", "exit"}

#: Exit status after any other.
CALLED = 97

#: System calls of an emulator that change more than itself.
DENIED = (
    "creat", "mknod", "mknodat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat",
    "symlink", "symlinkat", "truncate", "fallocate", "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utime",
    "utimes", "utimensat", "futimesat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "mount",
    "umount2", "pivot_root", "chroot", "swapon", "swapoff", "acct", "quotactl", "kill", "tkill", "pidfd_send_signal", "rt_sigqueueinfo",
    "rt_tgsigqueueinfo", "ptrace", "process_vm_writev", "socket", "socketpair", "reboot", "syslog", "settimeofday", "clock_settime",
    "adjtimex", "clock_adjtime", "sethostname", "setdomainname", "setns", "unshare", "init_module", "finit_module", "delete_module",
    "kexec_load", "bpf", "shmget", "shmctl", "msgget", "msgctl", "semget", "semctl", "mq_open", "mq_unlink", "io_uring_setup",
    "open_by_handle_at", "openat2",
)  # fmt: skip

#: Those that open files, and which argument has the flags.
_OPENING = {"open": 1, "openat": 2}
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC


# --- Ratite -----------------------------------------------------------------------------------------------------------


def _refuse(name: str) -> Callable[[Abi], Run]:
    """What stands in the place of a system call."""
    from ratite.user.thread import ProcessExit

    def refused(t: Thread, a: Sequence[int]) -> int:
        print(f"an instruction under test called {name}", file=sys.stderr, flush=True)
        raise ProcessExit(CALLED)

    return lambda abi: refused


def main(words: Sequence[str]) -> int:
    """Run a program of an architecture, as `ratite-ARCH` does, with few system calls."""
    from ratite.cli import user
    from ratite.user.syscalls import CALLS
    from ratite.user.table import Call

    for name in set(CALLS) - ALLOWED:
        CALLS[name] = Call(name, [], False, _refuse(name))
    return user.main(words[0], words[1:])


# --- outside emulators ------------------------------------------------------------------------------------------------

# Of linux/filter.h and linux/seccomp.h.
_LOAD, _EQUAL, _ANY_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF_0000, 0x8000_0000
_NUMBER, _ARGUMENTS = 0, 16  # offsets in struct seccomp_data
_PR_SET_SECCOMP, _FILTER, _PR_SET_NO_NEW_PRIVS = 22, 2, 38


def _filter(numbers: dict[str, int]) -> bytes:
    """The kernel's program that looks at every system call."""
    steps: list[tuple[int, int, int, int]] = []
    for name, argument in _OPENING.items():
        steps += [
            (_LOAD, 0, 0, _NUMBER), (_EQUAL, 0, 3, numbers[name]),
            (_LOAD, 0, 0, _ARGUMENTS + 8 * argument), (_ANY_SET, 0, 1, _WRITING), (_RETURN, 0, 0, _KILL),
        ]  # fmt: skip
    steps.append((_LOAD, 0, 0, _NUMBER))
    for name in DENIED:
        steps += [(_EQUAL, 0, 1, numbers[name]), (_RETURN, 0, 0, _KILL)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def confine() -> Callable[[], None]:
    """What a process is to call between fork and exec (`preexec_fn`): it and what it executes are confined from then on. It raises
    OSError where the host's kernel has no such filters."""
    from ratite.user.host import NUMBERS

    if missing := [name for name in (*_OPENING, *DENIED) if name not in NUMBERS]:
        raise HostError(f"no numbers of {' '.join(missing)}")
    code = _filter(NUMBERS)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def apply() -> None:
        keep = buffer
        if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
            raise OSError(ctypes.get_errno(), errorcode.get(ctypes.get_errno(), "prctl"), len(keep))

    return apply


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
