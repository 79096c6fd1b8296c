"""What the host process of a guest program has mapped: nothing that can be written and executed at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cpu.test_engine_close import writable_and_executable

COMPILER = "riscv64-linux-gnu-gcc"
SOURCE = r"""
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    char c;
    int child = fork();
    if (child == 0) {
        printf("child %d\n", getpid());
        fflush(stdout);
        return read(0, &c, 1) != 1;
    }
    printf("parent %d\n", getpid());
    fflush(stdout);
    int status;
    return wait(&status) != child || status;
}
"""


@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no {COMPILER}")
def test_nothing_is_writable_and_executable(tmp_path: Path) -> None:
    """/proc/PID/maps of a process that runs, and of its fork, has no such mapping but the page in which Python's ctypes keeps its callbacks."""
    program, source = tmp_path / "forks", tmp_path / "forks.c"
    source.write_text(SOURCE)
    subprocess.run([COMPILER, "-O1", "-static", "-o", program, source], check=True)
    command = [sys.executable, "-c", "from ratite.cli.user import riscv64; raise SystemExit(riscv64())", str(program)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    pids = dict(process.stdout.readline().split() for _ in range(2))
    found = {who: writable_and_executable(int(pid)) for who, pid in pids.items()}
    process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert set(found) == {"parent", "child"}
    assert all(sizes <= {4096} for sizes in found.values()), found
