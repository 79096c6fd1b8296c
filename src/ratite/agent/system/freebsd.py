"""FreeBSD: virtio_console(4), shutdown(8), ifconfig(8), netstat(1), pw(8), with the text that they print in FreeBSD 13 and 14."""

from __future__ import annotations

import json
import re
from typing import Any

from ratite.agent.errors import AgentError
from ratite.agent.system.base import Counters, Interface, Method, Power, System

_SHUTDOWN = {Power.POWERDOWN: "-p", Power.HALT: "-h", Power.REBOOT: "-r"}
_INTERFACE = re.compile(r"^(\S+): flags=")
_HARDWARE = re.compile(r"^\s+ether ([0-9a-f:]{17})")
_IPV4 = re.compile(r"^\s+inet (\d+\.\d+\.\d+\.\d+)(?: --> \S+)?(?:/(\d+)| netmask (0x[0-9a-f]{8}))?")
_IPV6 = re.compile(r"^\s+inet6 ([0-9a-f:.]+)(?:%\S+?)?(?: --> \S+)?(?:/| prefixlen )(\d+)")
_COUNTERS = (
    "received-bytes", "received-packets", "received-errors", "dropped-packets",
    "sent-bytes", "sent-packets", "send-errors", "",
)    # fmt: skip


class FreeBSD(System):
    """FreeBSD. Not offered: reading the hardware clock (the kernel keeps it), and all that Linux's /proc and /sys tell."""

    offers = frozenset({"shutdown", "clock", "network", "passwords"})
    channels = {Method.VIRTIO_SERIAL: "/dev/vtcon/org.qemu.guest_agent.0", Method.ISA_SERIAL: "/dev/cuau0"}
    echoing_channels = frozenset({Method.VIRTIO_SERIAL, Method.ISA_SERIAL})
    config_file = "/usr/local/etc/qemu/qemu-ga.conf"
    hook = "/usr/local/etc/qemu/fsfreeze-hook"

    def shutdown(self, mode: Power) -> None:
        outcome = self.run([self.need("shutdown"), _SHUTDOWN[mode], "+0", "hypervisor initiated shutdown"])
        if outcome.status:
            raise AgentError(f"child process has failed to shutdown: {outcome.error.strip()}")

    def write_hardware_clock(self, nanoseconds: int) -> None:
        """Nothing to do: clock_settime(2) sets this clock, too."""

    def interfaces(self) -> list[Interface]:
        outcome = self.run([self.need("ifconfig"), "-a"])
        if outcome.status:
            raise AgentError(f"ifconfig failed: {outcome.error.strip()}")
        found = parse_ifconfig(outcome.output)
        statistics = self.run([self.need("netstat"), "-i", "-b", "-n", "--libxo", "json"])
        counters = parse_netstat(statistics.output) if statistics.status == 0 else {}
        for interface in found:
            interface.counters = counters.get(interface.name)
        return found

    def set_password(self, user: str, password: str, crypted: bool) -> None:
        """By pw(8), which reads a password from descriptor 0: plain with -h, as a hash with -H."""
        words = [self.need("pw"), "usermod", "-n", user, "-H" if crypted else "-h", "0"]
        if self.run(words, f"{password}\n".encode()).status:
            raise AgentError("child process has failed to set user password")


def parse_ifconfig(text: str) -> list[Interface]:
    """The interfaces in the output of `ifconfig -a`."""
    found: list[Interface] = []
    for line in text.splitlines():
        if match := _INTERFACE.match(line):
            found.append(Interface(match[1]))
        elif not found:
            continue
        elif match := _HARDWARE.match(line):
            found[-1].hardware = match[1]
        elif match := _IPV4.match(line):
            prefix = int(match[2]) if match[2] else bin(int(match[3] or "0xffffffff", 16)).count("1")
            found[-1].addresses.append((match[1], prefix))
        elif match := _IPV6.match(line):
            found[-1].addresses.append((match[1], int(match[2])))
    return found


def parse_netstat(text: str) -> dict[str, Counters]:
    """Counters by interface in the output of `netstat -ibn --libxo json`: the row of the link, not those of addresses."""
    try:
        rows = json.loads(text)["statistics"]["interface"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {row["name"]: _counters(row) for row in rows if str(row.get("network", "")).startswith("<Link")}


def _counters(row: dict[str, Any]) -> Counters:
    """Dropped packets are incoming ones; the others would have the same name, and are not asked for."""
    return Counters(*(int(row.get(name, 0)) for name in _COUNTERS))
