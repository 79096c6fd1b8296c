"""x86-64 Linux as a host: its system call numbers, and native code for what Python cannot do without a race.

A signal may arrive at any instant: while generated code runs, while Python runs, or just before a system call that
would then sleep for ever. The handler below, one for all signals, therefore does as little as possible: it leaves
the signal in the mailbox of the thread it hit, blocks all further ones in that thread until Python has read the
mailbox, and raises the vCPU's interrupt byte. (Those that can not be blocked have places of their own there.) If it
finds the thread between the look at the mailbox and the `syscall` instruction of `guarded`, it makes that call return
`TURNED_BACK` instead of entering the kernel. So no signal is lost, and none waits for the end of a call that it should
have interrupted.

The code is kept as bytes because user mode must start without a compiler; a test assembles the text beside them and
compares.

Sources: the Linux kernel's user interface headers (`asm/unistd_64.h`, `asm/sigcontext.h`, `asm/ucontext.h`); the
System V x86-64 psABI.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Callable

from ratite.errors import HostError

SYSCALLS_FROM_0 = """
    read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask
    rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe select sched_yield mremap msync mincore madvise
    shmget shmat shmctl dup dup2 pause nanosleep getitimer alarm setitimer getpid sendfile socket connect accept
    sendto recvfrom sendmsg recvmsg shutdown bind listen getsockname getpeername socketpair setsockopt
    getsockopt clone fork vfork execve exit wait4 kill uname semget semop semctl shmdt msgget msgsnd msgrcv
    msgctl fcntl flock fsync fdatasync truncate ftruncate getdents getcwd chdir fchdir rename mkdir rmdir creat
    link unlink symlink readlink chmod fchmod chown fchown lchown umask gettimeofday getrlimit getrusage sysinfo
    times ptrace getuid syslog getgid setuid setgid geteuid getegid setpgid getppid getpgrp setsid setreuid
    setregid getgroups setgroups setresuid getresuid setresgid getresgid getpgid setfsuid setfsgid getsid capget
    capset rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend sigaltstack utime mknod uselib
    personality ustat statfs fstatfs sysfs getpriority setpriority sched_setparam sched_getparam
    sched_setscheduler sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval
    mlock munlock mlockall munlockall vhangup modify_ldt pivot_root _sysctl prctl arch_prctl adjtimex setrlimit
    chroot sync acct settimeofday mount umount2 swapon swapoff reboot sethostname setdomainname iopl ioperm
    create_module init_module delete_module get_kernel_syms query_module quotactl nfsservctl getpmsg putpmsg
    afs_syscall tuxcall security gettid readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr
    listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr tkill time futex sched_setaffinity
    sched_getaffinity set_thread_area io_setup io_destroy io_getevents io_submit io_cancel get_thread_area
    lookup_dcookie epoll_create epoll_ctl_old epoll_wait_old remap_file_pages getdents64 set_tid_address
    restart_syscall semtimedop fadvise64 timer_create timer_settime timer_gettime timer_getoverrun timer_delete
    clock_settime clock_gettime clock_getres clock_nanosleep exit_group epoll_wait epoll_ctl tgkill utimes
    vserver mbind set_mempolicy get_mempolicy mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify
    mq_getsetattr kexec_load waitid add_key request_key keyctl ioprio_set ioprio_get inotify_init
    inotify_add_watch inotify_rm_watch migrate_pages openat mkdirat mknodat fchownat futimesat newfstatat
    unlinkat renameat linkat symlinkat readlinkat fchmodat faccessat pselect6 ppoll unshare set_robust_list
    get_robust_list splice tee sync_file_range vmsplice move_pages utimensat epoll_pwait signalfd timerfd_create
    eventfd fallocate timerfd_settime timerfd_gettime accept4 signalfd4 eventfd2 epoll_create1 dup3 pipe2
    inotify_init1 preadv pwritev rt_tgsigqueueinfo perf_event_open recvmmsg fanotify_init fanotify_mark
    prlimit64 name_to_handle_at open_by_handle_at clock_adjtime syncfs sendmmsg setns getcpu process_vm_readv
    process_vm_writev kcmp finit_module sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create
    kexec_file_load bpf execveat userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect
    pkey_alloc pkey_free statx io_pgetevents rseq
"""
SYSCALLS_FROM_424 = """
    pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig
    fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2
    mount_setattr quotactl_fd landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret
    process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2
"""

NUMBERS: dict[str, int] = {
    **{name: number for number, name in enumerate(SYSCALLS_FROM_0.split())},
    **{name: number for number, name in enumerate(SYSCALLS_FROM_424.split(), 424)},
}

# label: or: bytes, instruction; a semicolon starts a comment
NATIVE = """
quick:                ; long quick(const uint64_t call[7]): number and six arguments
    48 8b 07              mov rax, [rdi]
    48 8b 77 10           mov rsi, [rdi+16]
    48 8b 57 18           mov rdx, [rdi+24]
    4c 8b 57 20           mov r10, [rdi+32]
    4c 8b 47 28           mov r8, [rdi+40]
    4c 8b 4f 30           mov r9, [rdi+48]
    48 8b 7f 08           mov rdi, [rdi+8]
    0f 05                 syscall
    c3                    ret
guarded:              ; long guarded(const uint64_t call[8]): the same and the address of the mailbox
    4c 8b 5f 38           mov r11, [rdi+56]
    48 8b 07              mov rax, [rdi]
    48 8b 77 10           mov rsi, [rdi+16]
    48 8b 57 18           mov rdx, [rdi+24]
    4c 8b 57 20           mov r10, [rdi+32]
    4c 8b 47 28           mov r8, [rdi+40]
    4c 8b 4f 30           mov r9, [rdi+48]
    48 8b 7f 08           mov rdi, [rdi+8]
window:               ; until window_end the handler sends this thread to turned_back
    41 83 3b 00           cmp dword ptr [r11], 0
    75 03                 jne turned_back
    0f 05                 syscall
window_end:
    c3                    ret
turned_back:
    48 c7 c0 00 fe ff ff  mov rax, -512
    c3                    ret
restorer:             ; where the kernel has a handler return to
    b8 0f 00 00 00        mov eax, 15               ; rt_sigreturn
    0f 05                 syscall
handler:              ; void handler(int signo, siginfo_t *info, ucontext_t *context)
    b8 ba 00 00 00        mov eax, 186              ; gettid
    0f 05                 syscall
    4c 8d 05 ad 0f 00 00  lea r8, [rip+threads]
scan:
    49 8b 08              mov rcx, [r8]
    48 85 c9              test rcx, rcx
    0f 84 84 00 00 00     je stray
    48 39 c1              cmp rcx, rax
    74 06                 je found
    49 83 c0 10           add r8, 16
    eb e9                 jmp scan
found:
    4d 8b 40 08           mov r8, [r8+8]            ; the mailbox
    31 c0                 xor eax, eax              ; which slot: SIGSEGV, SIGBUS and 33 have their own
    83 ff 0b              cmp edi, 11
    74 1b                 je segv
    83 ff 07              cmp edi, 7
    74 14                 je bus
    83 ff 21              cmp edi, 33
    74 0d                 je setxid
    49 8b 48 10           mov rcx, [r8+16]
    48 89 8a 28 01 00 00  mov [rdx+296], rcx        ; signals blocked once the handler has returned
    eb 06                 jmp keep
setxid:
    ff c0                 inc eax
bus:
    ff c0                 inc eax
segv:
    ff c0                 inc eax
keep:
    41 80 3c 00 00        cmp byte ptr [r8+rax], 0
    75 15                 jne kept                  ; the one that waits stands for both, as in the kernel
    41 c6 04 00 01        mov byte ptr [r8+rax], 1
    c1 e0 07              shl eax, 7
    49 8d 7c 00 40        lea rdi, [r8+rax+64]
    b9 10 00 00 00        mov ecx, 16
    f3 48 a5              rep movsq                 ; keep siginfo
kept:
    49 8b 40 08           mov rax, [r8+8]
    c6 00 01              mov byte ptr [rax], 1     ; interrupts the vCPU
    48 8b 82 a8 00 00 00  mov rax, [rdx+168]        ; the interrupted rip
    4c 8d 0d 6a ff ff ff  lea r9, [rip+window]
    4c 39 c8              cmp rax, r9
    72 1a                 jb done
    4c 8d 0d 66 ff ff ff  lea r9, [rip+window_end]
    4c 39 c8              cmp rax, r9
    73 0e                 jae done
    4c 8d 0d 5b ff ff ff  lea r9, [rip+turned_back]
    4c 89 8a a8 00 00 00  mov [rdx+168], r9
done:
    c3                    ret
stray:                ; not a guest thread: pass the signal to the first of them
    89 fa                 mov edx, edi
    49 89 f2              mov r10, rsi
    b8 27 00 00 00        mov eax, 39               ; getpid
    0f 05                 syscall
    89 c7                 mov edi, eax
    48 8b 35 f8 0e 00 00  mov rsi, [rip+leader]
    b8 29 01 00 00        mov eax, 297              ; rt_tgsigqueueinfo, which other threads may use for queued signals alone
    0f 05                 syscall
    85 c0                 test eax, eax
    79 07                 jns passed
    b8 ea 00 00 00        mov eax, 234              ; tgkill: what siginfo said is lost
    0f 05                 syscall
passed:
    c3                    ret
"""

TURNED_BACK = -512
"""Result of `guarded` when a signal was waiting: the call was not made. (No errno is that large.)"""

LEADER_OFFSET = 0x1000    # tid of the thread that stray signals are passed to
THREADS_OFFSET = 0x1010   # pairs (tid, address of its mailbox), ended by a zero tid
REGION_SIZE = 0x41000

PENDING_OFFSET, INTERRUPT_OFFSET, BLOCK_OFFSET, SIGINFO_OFFSET = 0, 8, 16, 64
SLOTS, SIGINFO_SIZE = 4, 128
"""Places for signals: 0 for what can be blocked, then SIGSEGV, SIGBUS and 33. A byte for each says whether it is full."""
MAILBOX_SIZE = SIGINFO_OFFSET + SLOTS * SIGINFO_SIZE

CALL = struct.Struct("8Q")
"""A call as `quick` and `guarded` take it: number, six arguments, address of the mailbox (0 for `quick`)."""

# A block of bytes is one argument: ctypes spends 0.2 us on each.
_QUICK = ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_char_p)
_GUARDED = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_char_p)


def assemble() -> tuple[bytes, dict[str, int]]:
    """The native code and the offset of each label in it."""
    code, labels = bytearray(), {}
    for line in NATIVE.strip().splitlines():
        text = line.partition(";")[0]
        if text[0] != " ":
            labels[text.strip().rstrip(":")] = len(code)
        else:
            code += bytes.fromhex(text[4:26])
    return bytes(code), labels


class Native:
    """The native code and its table of threads, in memory of their own.

    `quick(call)` makes a host system call that can not sleep; other Python threads wait meanwhile. `guarded(call)`
    makes one that may sleep, unless there is a signal in the mailbox; `quick_guarded(call)` one that can not, but for
    that. `call` is a packed `CALL`; all return the kernel's result, which is `-errno` on failure.
    """

    def __init__(self) -> None:
        code, labels = assemble()
        self._region = mmap.mmap(-1, REGION_SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._region[:len(code)] = code
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._region))
        executable = mmap.PROT_READ | mmap.PROT_EXEC
        if ctypes.CDLL(None).mprotect(ctypes.c_void_p(base), ctypes.c_size_t(LEADER_OFFSET), executable):
            raise HostError("this host does not let a program make memory executable; user mode needs that")
        self.quick: Callable[[bytes], int] = _QUICK(base + labels["quick"])
        self.guarded: Callable[[bytes], int] = _GUARDED(base + labels["guarded"])
        self.quick_guarded: Callable[[bytes], int] = _QUICK(base + labels["guarded"])
        self.handler = base + labels["handler"]
        self.restorer = base + labels["restorer"]
        self._threads = memoryview(self._region)[LEADER_OFFSET:].cast("q")

    def enlist(self, tid: int, mailbox: int) -> None:
        """Have signals that hit thread `tid` put into the mailbox at that address."""
        table = self._threads
        slot = 2
        while table[slot] > 0:
            slot += 2
        if slot + 3 >= len(table):
            raise HostError("too many threads")
        table[slot + 1] = mailbox
        table[slot] = tid
        if not table[0]:
            table[0] = tid

    def discharge(self, tid: int) -> None:
        """Forget a thread; it must have blocked its signals before."""
        table = self._threads
        slot = 2
        while table[slot] != tid:
            slot += 2
        table[slot] = -1    # not zero, which would hide the threads behind it
        if table[0] == tid:
            table[0] = next((table[n] for n in range(2, len(table), 2) if table[n] >= 0), 0)

    def after_fork(self) -> None:
        """Forget all threads: in a child process none of them is left."""
        table = self._threads
        slot = 2
        while table[slot]:
            table[slot] = 0
            slot += 2
        table[0] = 0
