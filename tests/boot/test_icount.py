"""Debian's riscv64 kernel where time goes by instructions: two boots are the same to the last byte and instruction."""

from __future__ import annotations

import pytest

from ratite import Machine
from ratite.fetch.guest import Guest
from tests.boot.session import BOOT_SECONDS

pytestmark = [pytest.mark.boot, pytest.mark.slow]

#: What the shell does before it powers off: time, random numbers, interrupts, processes.
SCRIPT = (
    "/bin/busybox --install -s /bin; mount -t proc proc /proc; mount -t devtmpfs dev /dev; uname -a; date; cat /proc/uptime /proc/interrupts;"
    "head -c 16 /dev/urandom | od -x; (sleep 1; echo slept) & ls /; wait; cat /proc/uptime; poweroff -f"
)


def boot(guest: Guest, *options: str) -> tuple[str, int | None]:
    """Everything on the console, and how many instructions it took."""
    files = ("-kernel", str(guest.kernel), "-initrd", str(guest.initrd))
    append = f'{guest.append} panic=-1 rdinit=/bin/sh -- -c "{SCRIPT}"'
    with Machine("virt", "-m", "512", *files, "-append", append, "-bios", "builtin", "-no-reboot", *options) as machine:
        assert machine.wait(BOOT_SECONDS) == 0
        return machine.console.read(), machine.instructions


@pytest.mark.parametrize("harts", [1, 2])
def test_boots_repeat(debian: Guest, harts: int) -> None:
    """The same console output and number of instructions."""
    options = ("-smp", str(harts), "-icount", "shift=3,sleep=off")
    first = boot(debian, *options)
    assert "slept" in first[0]
    assert first == boot(debian, *options)
