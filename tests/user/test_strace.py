"""The log of system calls."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ratite.user.strace import Tracer
from tests.user.fake import FakeVcpu, Steps, run_script
from tests.user.test_syscalls import FDCWD, NUMBER


def test_lines(tmp_path: Path) -> None:
    """Arguments by kind, paths in quotes, results and error names; calls that do not come back are written first."""
    log = tmp_path / "log"

    def write(line: str) -> None:
        with log.open("a") as file:
            file.write(line + "\n")

    def script(v: FakeVcpu) -> Steps:
        path = v.memory(b"/nonexistent/\xff\0")
        yield v.call(NUMBER["openat"], FDCWD, path, 0, 0)
        yield v.call(NUMBER["dup"], -5)
        yield v.call(NUMBER["getppid"])
        yield v.call(NUMBER["openat"], FDCWD, 8, 0, 0)
        yield v.call(4711, 1, 2, 3, 4, 5, 6)
        yield v.call(NUMBER["exit_group"], 3)
    assert os.waitstatus_to_exitcode(run_script(script, tracer=Tracer(write))) == 3
    lines = [re.sub(r"^\d+ ", "", line) for line in log.read_text().splitlines()]
    assert lines == [
        r'openat(-100, "/nonexistent/\udcff", 0, 0) = -1 errno=2 (ENOENT: No such file or directory)',
        "dup(-5) = -1 errno=9 (EBADF: Bad file descriptor)",
        f"getppid() = {os.getpid()}",
        "openat(-100, 0x8, 0, 0) = -1 errno=14 (EFAULT: Bad address)",
        "syscall_4711(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 errno=38 (ENOSYS: Function not implemented)",
        "exit_group(3)",
    ]
