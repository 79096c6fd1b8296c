"""Solaris 11 and illumos: shutdown(8), ipadm(8), dladm(8), kstat(8), with the text of their parseable output."""

from __future__ import annotations

import re

from ratite.agent.errors import AgentError
from ratite.agent.system.base import Counters, Interface, Method, Power, System

_RUN_LEVEL = {Power.POWERDOWN: "5", Power.HALT: "0", Power.REBOOT: "6"}
_FIELDS = re.compile(r"(?<!\\):")
_STATISTIC = re.compile(r"link:\d+:([^:]+):([^:\s]+)\s+(\d+)\s*")
_COUNTERS = (
    "rbytes64", "ipackets64", "ierrors", "norcvbuf",
    "obytes64", "opackets64", "oerrors", "noxmtbuf",
)    # fmt: skip


class Solaris(System):
    """Solaris and illumos. Not offered: passwords (passwd(1) wants a terminal), reading the hardware clock, and all that
    Linux's /proc and /sys tell.
    """

    offers = frozenset({"shutdown", "clock", "network"})
    channels = {Method.VIRTIO_SERIAL: "/dev/vport/org.qemu.guest_agent.0", Method.ISA_SERIAL: "/dev/term/a"}

    def shutdown(self, mode: Power) -> None:
        words = [self.need("shutdown"), "-y", "-g0", f"-i{_RUN_LEVEL[mode]}", "hypervisor initiated shutdown"]
        outcome = self.run(words)
        if outcome.status:
            raise AgentError(f"child process has failed to shutdown: {outcome.error.strip()}")

    def write_hardware_clock(self, nanoseconds: int) -> None:
        """Nothing to do: clock_settime(3C) sets this clock, too."""

    def interfaces(self) -> list[Interface]:
        """Interfaces with addresses, and physical links without."""
        addresses = self._output("ipadm", "show-addr", "-p", "-o", "addrobj,addr")
        links = self._output("dladm", "show-phys", "-m", "-p", "-o", "link,address")
        counters = self.run([self.need("kstat"), "-p", "-m", "link"]).output
        return parse_interfaces(addresses, links, counters)

    def _output(self, program: str, *words: str) -> str:
        outcome = self.run([self.need(program), *words])
        if outcome.status:
            raise AgentError(f"{program} failed: {outcome.error.strip()}")
        return outcome.output


def parse_interfaces(addresses: str, links: str, statistics: str) -> list[Interface]:
    """Join the output of `ipadm show-addr`, `dladm show-phys -m` and `kstat -p -m link`."""
    found: dict[str, Interface] = {}
    for name, hardware in map(_fields, links.splitlines()):
        if name not in found:    # a card may have several; the first is the one in use
            found[name] = Interface(name, ":".join(part.zfill(2) for part in hardware.split(":")))
    for name, address in map(_fields, addresses.splitlines()):
        local, _, prefix = address.split("->")[0].partition("/")
        interface = name.split("/")[0]
        if local and "?" not in local:
            entry = found.setdefault(interface, Interface(interface))
            entry.addresses.append((local.partition("%")[0], _prefix(local, prefix or address.rpartition("/")[2])))
    for name, counters in parse_kstat(statistics).items():
        if name in found:
            found[name].counters = counters
    return list(found.values())


def parse_kstat(text: str) -> dict[str, Counters]:
    """Counters by link in lines of `link:INSTANCE:NAME:STATISTIC VALUE`."""
    values: dict[str, dict[str, int]] = {}
    for match in map(_STATISTIC.fullmatch, text.splitlines()):
        if match:
            values.setdefault(match[1], {})[match[2]] = int(match[3])
    return {name: Counters(*(row.get(field, 0) for field in _COUNTERS)) for name, row in values.items()}


def _fields(line: str) -> tuple[str, str]:
    """Two fields of parseable output: colons between them, and a backslash before colons inside them."""
    first, *rest = (field.replace("\\:", ":").replace("\\\\", "\\") for field in _FIELDS.split(line))
    return first, rest[0] if rest else ""


def _prefix(address: str, text: str) -> int:
    """The prefix length; a point-to-point address may have none, and is one host."""
    return int(text) if text.isdigit() else 128 if ":" in address else 32
