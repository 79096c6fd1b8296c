"""Signal 33, which the host's C library has for itself and musl uses for pthread_cancel: its handler blocks it and sends it again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.user.cross import RISCV_CC, needs_riscv_cc

_SOURCE = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

struct action { void (*handler)(int, siginfo_t *, void *); unsigned long flags; unsigned long mask; };
static volatile int count;

static void handler(int number, siginfo_t *info, void *context)
{
    ucontext_t *interrupted = context;
    if (count++ == 0) {
        ((unsigned long *)&interrupted->uc_sigmask)[0] |= 1ul << 32;
        syscall(SYS_tkill, syscall(SYS_gettid), number);
    }
}

int main(void)
{
    struct action action = {handler, SA_SIGINFO | SA_RESTART, ~0ul};
    unsigned long mask = 1ul << 32;
    syscall(SYS_rt_sigaction, 33, &action, 0, 8);
    syscall(SYS_tkill, syscall(SYS_gettid), 33);
    printf("delivered %d\n", count);
    syscall(SYS_getppid);
    printf("still %d\n", count);
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, 0, 8);
    printf("unblocked %d\n", count);
    return 0;
}
"""


@needs_riscv_cc
@pytest.mark.parametrize("emulator", ["qemu", "ratite"])
def test_a_signal_that_is_blocked_in_its_handler_waits(emulator: str, tmp_path: Path) -> None:
    assert RISCV_CC is not None
    if emulator == "qemu" and not shutil.which("qemu-riscv64-static"):
        pytest.skip("qemu-riscv64-static not installed")
    (tmp_path / "program.c").write_text(_SOURCE)
    program = tmp_path / "program"
    subprocess.run([RISCV_CC, "-static", "-O1", "-o", str(program), str(tmp_path / "program.c")], check=True)
    own = [sys.executable, "-c", "import sys; from ratite.cli.user import riscv64; sys.exit(riscv64())"]
    command = ["qemu-riscv64-static"] if emulator == "qemu" else own
    done = subprocess.run([*command, str(program)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "delivered 1\nstill 1\nunblocked 2\n"
