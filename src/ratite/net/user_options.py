"""The options of `-netdev user` and the addresses that follow from them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TypeVar

from ratite.errors import UsageError
from ratite.settings import setting, settings

V4 = ipaddress.IPv4Address
V6 = ipaddress.IPv6Address
Address = TypeVar("Address", V4, V6)


@settings
class UserOptions:
    ipv4: bool = setting("whether the guest gets IPv4", default=True)
    ipv6: bool = setting("whether the guest gets IPv6", default=True)
    net: str = setting("IPv4 network of the guest, ADDRESS[/MASK]", default="10.0.2.0/24")
    host: str = setting("the host as the guest sees it; default: the network's address .2", default="")
    dhcpstart: str = setting("first address given out; default: the network's address .15", default="")
    dns: str = setting("the name server as the guest sees it; default: the network's address .3", default="")
    ipv6_net: str = setting("IPv6 prefix of the guest, ADDRESS[/LENGTH]", default="fec0::/64")
    ipv6_host: str = setting("the host as the guest sees it; default: the prefix's address ::2", default="")
    ipv6_dns: str = setting("the name server as the guest sees it; default: the prefix's address ::3", default="")
    hostname: str = setting("the client name that DHCP tells the guest", default="")
    domainname: str = setting("the domain name that DHCP tells the guest", default="")
    dnssearch: list[str] = setting("a domain search entry of DHCP; may be repeated", default_factory=list)
    restrict: bool = setting("keep the guest from the host and the outside, except for forwarded ports", default=False)
    hostfwd: list[str] = setting(
        "tcp|udp:[HOSTADDRESS]:PORT-[GUESTADDRESS]:PORT makes a port of the host lead to the guest; may be repeated",
        default_factory=list,
    )
    tftp: str = setting("folder that the guest may read with TFTP", default="")
    tftp_server_name: str = setting("the TFTP server's name in DHCP answers", default="")
    bootfile: str = setting("the boot file that DHCP tells the guest", default="")


@dataclass(frozen=True)
class Forward:
    """A port of the host that leads to the guest."""

    udp: bool
    host: V4
    host_port: int
    guest: V4
    guest_port: int
    rule: str


@dataclass(frozen=True)
class Plan4:
    """The IPv4 network of the guest."""

    network: ipaddress.IPv4Network
    host: V4
    dhcp_start: V4
    dns: V4


@dataclass(frozen=True)
class Plan6:
    """The IPv6 network of the guest."""

    network: ipaddress.IPv6Network
    host: V6
    dns: V6


def plan_ipv4(options: UserOptions) -> Plan4:
    """Work out the addresses, with the defaults that depend on the network. Raises UsageError."""
    try:
        network = ipaddress.IPv4Network(options.net if "/" in options.net else f"{options.net}/24", strict=False)
    except ValueError as error:
        raise UsageError(f"net: '{options.net}' is not a network: {error}") from None
    if network.num_addresses < 16:
        raise UsageError(f"net: '{options.net}' is too small: host, name server and guests need 16 addresses")

    def member(key: str, text: str, number: int) -> V4:
        address = _address(V4, key, text) if text else network.network_address + number
        return _inside(key, address, address in network, str(network))

    host, dns = member("host", options.host, 2), member("dns", options.dns, 3)
    plan = Plan4(network, host, member("dhcpstart", options.dhcpstart, 15), dns)
    if plan.host == plan.dns:
        raise UsageError(f"dns: {plan.dns} is the host's address; the name server needs one of its own")
    return plan


def plan_ipv6(options: UserOptions) -> Plan6:
    """The same for IPv6."""
    text = options.ipv6_net
    try:
        network = ipaddress.IPv6Network(text if "/" in text else f"{text}/64", strict=False)
    except ValueError as error:
        raise UsageError(f"ipv6-net: '{text}' is not a prefix: {error}") from None
    if network.prefixlen > 126:
        raise UsageError(f"ipv6-net: a prefix of {network.prefixlen} bits leaves no room for host and name server")

    def member(key: str, text: str, number: int) -> V6:
        address = _address(V6, key, text) if text else network.network_address + number
        return _inside(key, address, address in network, str(network))

    return Plan6(network, member("ipv6-host", options.ipv6_host, 2), member("ipv6-dns", options.ipv6_dns, 3))


def read_forward(rule: str) -> Forward:
    """Read a hostfwd rule. Raises UsageError."""
    def wrong(why: str) -> UsageError:
        return UsageError(f"hostfwd: '{rule}' {why}; expected tcp|udp:[HOSTADDRESS]:PORT-[GUESTADDRESS]:PORT")

    protocol, colon, rest = rule.partition(":")
    outside, dash, inside = rest.partition("-")
    if protocol not in ("tcp", "udp", "") or not colon:
        raise wrong("names no protocol")
    if not dash:
        raise wrong("has no '-' between host and guest")
    ends = []
    for end in (outside, inside):
        address, colon, port = end.rpartition(":")
        if not colon:
            raise wrong("needs a ':' before each port")
        if not port.isdecimal() or not 0 <= int(port) < 1 << 16:
            raise wrong(f"has '{port}' for a port")
        ends.append((_address(V4, "hostfwd", address) if address else V4(0), int(port)))
    if ends[1][1] == 0:
        raise wrong("has no port of the guest")
    return Forward(protocol == "udp", *ends[0], *ends[1], rule)


def _address(kind: type[Address], key: str, text: str) -> Address:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{key}: '{text}' is not an address") from None


def _inside(key: str, address: Address, inside: bool, network: str) -> Address:
    if not inside:
        raise UsageError(f"{key}: {address} is not in the network {network}")
    return address
