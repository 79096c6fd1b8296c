"""Linux: channels, power, clocks, passwords, interfaces."""

from __future__ import annotations

import calendar
import os
import struct
import time

from ratite.agent.errors import AgentError, Unsupported, system_error
from ratite.agent.linux import netlink
from ratite.agent.linux.ioctls import read_code, write_code
from ratite.agent.system.base import Interface, Method, Power, Sleep, System

DEFAULT_PORT = "org.qemu.guest_agent.0"
VIRTIO_PATH = f"/dev/virtio-ports/{DEFAULT_PORT}"
_MESSAGE = "hypervisor initiated shutdown"

# reboot(8) of sysvinit and systemd; busybox and others have one program for each.
_SHUTDOWN = {Power.POWERDOWN: "-P", Power.HALT: "-H", Power.REBOOT: "-r"}
_PROGRAMS = {Power.POWERDOWN: "poweroff", Power.HALT: "halt", Power.REBOOT: "reboot"}

_SYSTEMD = {Sleep.DISK: "hibernate", Sleep.RAM: "suspend", Sleep.HYBRID: "hybrid-sleep"}
_PM_UTILS = {Sleep.DISK: "pm-hibernate", Sleep.RAM: "pm-suspend", Sleep.HYBRID: "pm-suspend-hybrid"}
_POWER_STATE = {Sleep.DISK: "disk", Sleep.RAM: "mem", Sleep.HYBRID: "disk"}

# struct rtc_time of <linux/rtc.h>: seconds to years since 1900, and three numbers that nobody uses.
_RTC_TIME = struct.Struct("=9i")
_RTC_RD_TIME = read_code("p", 0x09, _RTC_TIME.size)
_RTC_SET_TIME = write_code("p", 0x0A, _RTC_TIME.size)
_SECOND = 10**9


class Linux(System):
    """Linux, with systemd or without."""

    offers = frozenset({
        "shutdown", "suspend", "clock", "freeze", "trim", "network", "processors", "memory", "disks", "statistics",
        "devices", "logins", "passwords",
    })
    channels = {Method.VIRTIO_SERIAL: VIRTIO_PATH, Method.ISA_SERIAL: "/dev/ttyS0"}

    def channel(self, method: Method) -> str:
        """The path; without udev, which makes links by name, the port is looked up in sysfs."""
        path = super().channel(method)
        if method is Method.VIRTIO_SERIAL and not os.path.exists(self.path(path)):
            return self._port_by_name() or path
        return path

    def _port_by_name(self) -> str:
        folder = "/sys/class/virtio-ports"
        try:
            ports = sorted(os.listdir(self.path(folder)))
        except OSError:
            return ""
        return next((f"/dev/{port}" for port in ports if self.read_line(f"{folder}/{port}/name") == DEFAULT_PORT), "")

    # --- power

    def shutdown(self, mode: Power) -> None:
        shutdown = self.find("shutdown")
        if shutdown is not None:
            words = [shutdown, "-h", _SHUTDOWN[mode], "+0", _MESSAGE] if mode is not Power.REBOOT else [
                shutdown, "-r", "+0", _MESSAGE]
        else:
            words = [self.need(_PROGRAMS[mode])]
        outcome = self.run(words)
        if outcome.status:
            raise AgentError(f"child process has failed to shutdown: {_last_line(outcome.error)}")

    def suspend(self, mode: Sleep) -> None:
        """By systemd where it runs, else by pm-utils, else by the kernel's own file (admin-guide/pm/sleep-states)."""
        systemctl, pm_utils = self.find("systemctl"), self.find(_PM_UTILS[mode])
        if systemctl is not None and os.path.isdir(self.path("/run/systemd/system")):
            self._sleep_by([systemctl, _SYSTEMD[mode]])
        elif pm_utils is not None:
            self._sleep_by([pm_utils])
        else:
            self._sleep_by_kernel(mode)

    def _sleep_by(self, words: list[str]) -> None:
        outcome = self.run(words, seconds=None)
        if outcome.status:
            raise AgentError(f"the requested suspend mode is not supported by the guest: {_last_line(outcome.error)}")

    def _sleep_by_kernel(self, mode: Sleep) -> None:
        state = _POWER_STATE[mode]
        if state not in self.read_line("/sys/power/state").split():
            raise Unsupported("the requested suspend mode is not supported by the guest")
        try:
            if mode is Sleep.HYBRID:
                self._sleep_hybrid()
            else:
                self.write("/sys/power/state", state)
        except OSError as error:
            raise system_error("failed to suspend", error) from None

    def _sleep_hybrid(self) -> None:
        """Write the image to disk and then suspend to memory. What the kernel does after an image is as before, afterwards."""
        modes = self.read_line("/sys/power/disk").split()
        before = next((mode.strip("[]") for mode in modes if mode.startswith("[")), "")
        if "suspend" not in (mode.strip("[]") for mode in modes):
            raise Unsupported("the requested suspend mode is not supported by the guest")
        self.write("/sys/power/disk", "suspend")
        try:
            self.write("/sys/power/state", "disk")
        finally:
            if before:
                self.write("/sys/power/disk", before)

    # --- clocks (rtc(4))

    def write_hardware_clock(self, nanoseconds: int) -> None:
        seconds = nanoseconds // _SECOND
        when = time.localtime(seconds) if self._clock_is_local() else time.gmtime(seconds)
        fields = _RTC_TIME.pack(when.tm_sec, when.tm_min, when.tm_hour, when.tm_mday, when.tm_mon - 1, when.tm_year - 1900, 0, 0, 0)
        self._clock_call(_RTC_SET_TIME, fields, "set")

    def read_hardware_clock(self) -> int:
        fields = bytearray(_RTC_TIME.size)
        self._clock_call(_RTC_RD_TIME, fields, "read")
        second, minute, hour, day, month, year, *_ = _RTC_TIME.unpack(fields)
        when = (year + 1900, month + 1, day, hour, minute, second, 0, 0, -1)
        return int(time.mktime(when) if self._clock_is_local() else calendar.timegm(when)) * _SECOND

    def _clock_is_local(self) -> bool:
        """The third line of /etc/adjtime says in which zone the clock runs (adjtime_config(5))."""
        return self.read_line("/etc/adjtime").splitlines()[2:3] == ["LOCAL"]

    def _clock_call(self, request: int, fields: bytes | bytearray, verb: str) -> None:
        path = next((path for path in ("/dev/rtc", "/dev/rtc0") if os.path.exists(self.path(path))), None)
        if path is None:
            raise Unsupported("the machine has no hardware clock")
        try:
            descriptor = os.open(self.path(path), os.O_RDONLY | os.O_CLOEXEC)
            try:
                self.ioctl(descriptor, request, fields)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise system_error(f"failed to {verb} the hardware clock {path}", error) from None

    # --- network, users

    def interfaces(self) -> list[Interface]:
        return netlink.interfaces(self.netlink_dump(netlink.RTM_GETLINK), self.netlink_dump(netlink.RTM_GETADDR))

    def netlink_dump(self, kind: int) -> bytes:
        """The kernel's answer to a request for all links or addresses. Raises AgentError."""
        return netlink.dump(kind)

    def set_password(self, user: str, password: str, crypted: bool) -> None:
        """By chpasswd(8)."""
        words = [self.need("chpasswd"), *(["-e"] if crypted else [])]
        outcome = self.run(words, f"{user}:{password}\n".encode())
        if outcome.status:
            raise AgentError("child process has failed to set user password")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"
