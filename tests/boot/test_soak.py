"""The same work in a guest over and over: results stay the same, and the emulator's memory does not grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratite.fetch.guest import Guest
from tests.boot.session import Shell, boot, linux

pytestmark = [pytest.mark.boot, pytest.mark.slow]

ROUNDS = 60
#: MiB by which memory may grow after the first rounds: translations of code that ran late.
GROWTH = 24

#: Checksums, compression and back, arithmetic, text, processes, and code that is written before it runs (the shell's scripts).
WORK = (
    "head -c 300000 /bin/busybox | tee /tmp/a | sha256sum; gzip -c /tmp/a | gunzip -c | cmp - /tmp/a && echo same; "
    "awk 'BEGIN { for (i = 1; i < 3000; i++) s += i * i / 7; printf \"%.6f\\n\", s }'; "
    "sort -r /etc/passwd /proc/filesystems 2>/dev/null | md5sum; "
    "for n in 1 2 3 4 5 6 7 8; do (echo $n; true) | cat; done | sort -n | tr '\\n' ' '; echo"
)


def resident(process: int) -> float:
    """MiB of memory of a process."""
    line = next(text for text in Path(f"/proc/{process}/status").read_text().splitlines() if text.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def results(shell: Shell) -> str:
    """What the work prints, without the echo of the line."""
    return shell.run(WORK).split("\n", 1)[1]


def test_the_same_work_gives_the_same_results(debian: Guest) -> None:
    shell = boot([*linux(debian), "-smp", "2"])
    with shell.console:
        shell.run("dmesg -n 1")  # the kernel complains on the console when the host is busy
        expected, start = results(shell), 0.0
        assert "same" in expected
        for number in range(ROUNDS):
            assert results(shell) == expected, f"round {number}"
            if number == 10:
                start = resident(shell.console.process_number)
        assert resident(shell.console.process_number) - start < GROWTH
        assert shell.power_off() == 0
