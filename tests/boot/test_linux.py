"""Debian's riscv64 kernel to a shell: firmware, processors, time, power."""

from __future__ import annotations

import time

import pytest

from ratite.cli.console import Console
from ratite.fetch.guest import Guest
from tests.boot.session import BOOT_SECONDS, boot, emulator, linux

pytestmark = [pytest.mark.boot, pytest.mark.slow]


def test_time_and_power_off(debian: Guest) -> None:
    """With built-in firmware: the guest's clocks go as the host's, a sleep lasts as long as asked for, and power-off ends with 0."""
    shell = boot([*linux(debian), "-bios", "builtin"])
    with shell.console:
        now = shell.number("echo =$(date +%s)=")
        assert abs(now - time.time()) < 5

        before_first = time.monotonic()
        first = shell.number("echo =$(cut -d' ' -f1 /proc/uptime)=")
        after_first = time.monotonic()
        shell.run("sleep 2")
        before_second = time.monotonic()
        second = shell.number("echo =$(cut -d' ' -f1 /proc/uptime)=")
        after_second = time.monotonic()
        assert before_second - after_first >= 2
        tick = 0.02  # /proc/uptime has two digits
        assert before_second - after_first - tick <= second - first <= after_second - before_first + tick

        assert shell.power_off() == 0


@pytest.mark.parametrize("sstc", ["on", "off"])
def test_the_timer_of_supervisor_mode(debian: Guest, sstc: str) -> None:
    """Linux finds Sstc where it is, says so, and its timers come: by stimecmp, or by calls to firmware."""
    shell = boot([*linux(debian), "-bios", "builtin", "-cpu", f"rv64,sstc={sstc}"])
    with shell.console:
        assert ("_sstc" in shell.run("cat /proc/cpuinfo")) == (sstc == "on")
        assert shell.number("echo =$(dmesg | grep -c 'available via sstc')=") == (sstc == "on")
        before = shell.number("echo =$(awk '/riscv-timer/ {print $2}' /proc/interrupts)=")
        shell.run("sleep 1")
        assert shell.number("echo =$(awk '/riscv-timer/ {print $2}' /proc/interrupts)=") > before
        assert shell.power_off() == 0


def test_four_harts(debian: Guest) -> None:
    """With the firmware that is installed, four harts come up, all of them run, and -no-reboot ends the process with 0."""
    shell = boot([*linux(debian), "-smp", "4", "-no-reboot"])
    with shell.console:
        assert shell.number("echo =$(nproc)=") == 4
        work = "for n in 0 1 2 3; do taskset -c $n sh -c 'i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done; echo done' & done; wait"
        assert shell.run(work).count("\ndone") == 4
        shell.console.send("reboot -f")
        assert shell.console.finish(60) == 0


def test_the_installer(debian: Guest) -> None:
    """Debian's own installer, with the RAM disk that ships with it, asks for a language; C-a x leaves."""
    options = ["-M", "virt", "-m", "1G", "-nographic", "-kernel", str(debian.kernel), "-initrd", str(debian.installer)]
    with Console([*emulator("riscv64"), *options, "-append", debian.append]) as console:
        console.wait_for("Select a language", BOOT_SECONDS)
        console.send("\x01x")
        assert console.finish(30) == 0
