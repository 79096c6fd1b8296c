"""guest-shutdown, guest-suspend-*, guest-set-time: what would be done, on a recorded system."""

from __future__ import annotations

import calendar
import struct
from typing import Any

import pytest

from ratite.agent.system.base import Outcome

from .conftest import NOW, Client, RecordedLinux

READ_CLOCK, SET_CLOCK = 0x80247009, 0x40247 << 12 | 0x00A    # RTC_RD_TIME, RTC_SET_TIME


@pytest.mark.parametrize(("mode", "words"), [
    (None, ["-h", "-P", "+0"]), ("powerdown", ["-h", "-P", "+0"]), ("halt", ["-h", "-H", "+0"]), ("reboot", ["-r", "+0"]),
])    # fmt: skip
def test_shutdown(client: Client, system: RecordedLinux, mode: str | None, words: list[str]) -> None:
    """shutdown(8) in the three ways, and no answer."""
    system.program("/sbin/shutdown")
    client.ask("guest-shutdown", **({} if mode is None else {"mode": mode}))
    (run,) = system.runs
    assert run[0] == ["/sbin/shutdown", *words, "hypervisor initiated shutdown"]


@pytest.mark.parametrize(("mode", "program"), [("powerdown", "poweroff"), ("halt", "halt"), ("reboot", "reboot")])
def test_shutdown_of_small_systems(client: Client, system: RecordedLinux, mode: str, program: str) -> None:
    """Those with busybox have a program for each way; without one the client is told."""
    assert client.error("guest-shutdown", mode=mode) == f"the program '{program}' is not installed"
    system.program(f"/sbin/{program}")
    client.ask("guest-shutdown", mode=mode)
    assert [words for words, _ in system.runs] == [[f"/sbin/{program}"]]


def test_shutdown_errors(client: Client, system: RecordedLinux) -> None:
    """A mode that does not exist, and a program that fails."""
    assert client.error("guest-shutdown", mode="off") == "mode is invalid (valid values are: halt|powerdown|reboot)"
    system.program("/usr/sbin/shutdown", Outcome(1, "", "warning\nFailed to talk to init\n"))
    assert client.error("guest-shutdown") == "child process has failed to shutdown: Failed to talk to init"


@pytest.mark.parametrize(("command", "systemd", "pm_utils", "state"), [
    ("guest-suspend-disk", "hibernate", "pm-hibernate", "disk"),
    ("guest-suspend-ram", "suspend", "pm-suspend", "mem"),
    ("guest-suspend-hybrid", "hybrid-sleep", "pm-suspend-hybrid", "disk"),
])    # fmt: skip
def test_suspend(client: Client, system: RecordedLinux, command: str, systemd: str, pm_utils: str, state: str) -> None:
    """By the kernel's file, by pm-utils, by systemd where it runs: the first of these, from the end, that is there."""
    assert "not supported" in client.error(command)
    system.add("/sys/power/disk", "[platform] shutdown reboot suspend")
    system.add("/sys/power/state", "freeze mem disk")
    client.ask(command)
    assert system.text("/sys/power/state").startswith(state)
    system.program(f"/usr/sbin/{pm_utils}")
    client.ask(command)
    system.program("/usr/bin/systemctl")
    client.ask(command)
    assert system.runs[-1][0] == [f"/usr/sbin/{pm_utils}"], "systemd is installed, but does not run"
    system.add("/run/systemd/system/.here")
    client.ask(command)
    assert system.runs[-1][0] == ["/usr/bin/systemctl", systemd]
    system.outcomes["/usr/bin/systemctl"] = Outcome(1, "", "Sleep verb not supported\n")
    assert client.error(command).endswith("Sleep verb not supported")


def test_the_hybrid_way_leaves_the_other_as_it_was(client: Client, system: RecordedLinux, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the next guest-suspend-disk would not switch the machine off. Also when the kernel refuses."""
    system.add("/sys/power/disk", "[platform] shutdown reboot suspend")
    system.add("/sys/power/state", "freeze mem disk")
    written: list[tuple[str, str]] = []

    def write(name: str, text: str) -> None:
        written.append((name, text))
        if text == "disk" and len(written) > 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(system, "write", write)
    client.ask("guest-suspend-hybrid")
    expected = [("/sys/power/disk", "suspend"), ("/sys/power/state", "disk"), ("/sys/power/disk", "platform")]
    assert written == expected
    assert client.error("guest-suspend-hybrid") == "failed to suspend: No space left on device"
    assert written == expected * 2


def test_suspend_modes_that_a_kernel_lacks(client: Client, system: RecordedLinux) -> None:
    """Nothing is written."""
    system.add("/sys/power/disk", "[platform] shutdown")
    system.add("/sys/power/state", "freeze disk")
    assert "not supported" in client.error("guest-suspend-ram")
    assert "not supported" in client.error("guest-suspend-hybrid")
    assert system.text("/sys/power/state") == "freeze disk"


class HardwareClock:
    """/dev/rtc: struct rtc_time in and out."""

    def __init__(self, system: RecordedLinux) -> None:
        self.fields = struct.pack("=9i", 30, 45, 12, 14, 6, 124, 0, 0, 0)    # 14 July 2024, 12:45:30
        system.add("/dev/rtc0")
        system.on_ioctl = self.call

    def call(self, descriptor: int, request: int, argument: Any) -> int:
        if request == READ_CLOCK:
            argument[:] = self.fields
        else:
            assert request == SET_CLOCK
            self.fields = bytes(argument)
        return 0


def test_set_time(client: Client, system: RecordedLinux) -> None:
    """Both clocks: the system's to the nanosecond, the hardware's to the second."""
    clock = HardwareClock(system)
    client.ask("guest-set-time", time=NOW)
    assert system.clock == [NOW]
    second, minute, hour, day, month, year, *_ = struct.unpack("=9i", clock.fields)
    assert calendar.timegm((year + 1900, month + 1, day, hour, minute, second)) == NOW // 10**9
    assert client.ask("guest-get-time") == NOW


def test_set_time_from_the_hardware_clock(client: Client, system: RecordedLinux) -> None:
    """Without a time, as after the machine was stopped."""
    HardwareClock(system)
    client.ask("guest-set-time")
    assert system.clock == [calendar.timegm((2024, 7, 14, 12, 45, 30)) * 10**9]


def test_a_hardware_clock_in_local_time(client: Client, system: RecordedLinux, monkeypatch: pytest.MonkeyPatch) -> None:
    """As /etc/adjtime says: in Kathmandu, 5:45 ahead."""
    import time

    monkeypatch.setenv("TZ", "NPT-5:45")
    time.tzset()
    clock = HardwareClock(system)
    system.add("/etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n")
    client.ask("guest-set-time")
    assert system.clock == [calendar.timegm((2024, 7, 14, 7, 0, 30)) * 10**9]
    client.ask("guest-set-time", time=system.clock[0])
    assert struct.unpack("=9i", clock.fields)[:6] == (30, 45, 12, 14, 6, 124)
    assert client.ask("guest-get-timezone") == {"zone": "NPT", "offset": 20700}
    monkeypatch.delenv("TZ")
    time.tzset()


def test_set_time_errors(client: Client, system: RecordedLinux) -> None:
    """No hardware clock: the given time is set all the same, but there is nothing to read. Times before 1970."""
    client.ask("guest-set-time", time=5)
    assert system.clock == [5]
    assert client.error("guest-set-time") == "the machine has no hardware clock"
    assert client.error("guest-set-time", time=-1) == "Time -1 is out of range"

    def refuse(nanoseconds: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    system.set_clock = refuse    # type: ignore[method-assign]
    assert client.error("guest-set-time", time=1) == "Failed to set time to guest: Operation not permitted"
