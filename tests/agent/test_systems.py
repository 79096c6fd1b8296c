"""FreeBSD and Solaris: what is run there, and how the text of those systems' programs is read.

`tests/data/recorded` has what such systems have printed; its README says where it is from. The texts below are of cases
that are not among them, and follow the manual pages. The tests run on neither system.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratite.agent.system.base import Method, Outcome
from ratite.agent.system.freebsd import FreeBSD, parse_ifconfig, parse_netstat
from ratite.agent.system.solaris import Solaris, parse_interfaces, parse_kstat

from .conftest import NOW, Client, Recorder

RECORDED = Path(__file__).parents[1] / "data" / "recorded"


def recorded(name: str) -> str:
    """What a program has printed on a real system."""
    return (RECORDED / name).read_text()


def addresses(row: dict[str, Any]) -> list[tuple[str, int]]:
    """An interface's addresses in an answer."""
    return [(entry["ip-address"], entry["prefix"]) for entry in row.get("ip-addresses", [])]


class RecordedFreeBSD(Recorder, FreeBSD):
    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.record()


class RecordedSolaris(Recorder, Solaris):
    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.record()


@pytest.fixture
def freebsd(tmp_path: Path) -> RecordedFreeBSD:
    return RecordedFreeBSD(str(tmp_path / "root"))


@pytest.fixture
def solaris(tmp_path: Path) -> RecordedSolaris:
    return RecordedSolaris(str(tmp_path / "root"))


IFCONFIG = """\
vtnet0: flags=1008843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST,LOWER_UP> metric 0 mtu 1500
\toptions=4c07bb<RXCSUM,TXCSUM,VLAN_MTU,VLAN_HWTAGGING,JUMBO_MTU,VLAN_HWCSUM,TSO4,TSO6,LRO,VLAN_HWTSO,LINKSTATE,TXCSUM_IPV6>
\tether 52:54:00:12:34:56
\tinet 10.0.2.15 netmask 0xffffff00 broadcast 10.0.2.255
\tinet6 fe80::5054:ff:fe12:3456%vtnet0 prefixlen 64 scopeid 0x1
\tinet6 fec0::5054:ff:fe12:3456 prefixlen 64 autoconf pltime 14400 vltime 86400
\tmedia: Ethernet autoselect (10Gbase-T <full-duplex>)
\tstatus: active
lo0: flags=1008049<UP,LOOPBACK,RUNNING,MULTICAST,LOWER_UP> metric 0 mtu 16384
\toptions=680003<RXCSUM,TXCSUM,LINKSTATE,RXCSUM_IPV6,TXCSUM_IPV6>
\tinet6 ::1 prefixlen 128
\tinet6 fe80::1%lo0 prefixlen 64 scopeid 0x2
\tinet 127.0.0.1/8
\tgroups: lo
tun0: flags=1008051<UP,POINTOPOINT,RUNNING,MULTICAST,LOWER_UP> metric 0 mtu 1500
\tinet 10.8.0.2 --> 10.8.0.1 netmask 0xffffffff
"""
NETSTAT = """{"statistics": {"interface": [
{"name":"vtnet0","mtu":"1500","network":"<Link#1>","address":"52:54:00:12:34:56","received-packets":7011,"received-errors":1,
 "dropped-packets":2,"received-bytes":9001234,"sent-packets":3502,"send-errors":3,"sent-bytes":412345,"collisions":0},
{"name":"vtnet0","network":"10.0.2.0/24","address":"10.0.2.15","received-packets":6900,"received-bytes":8800000,"sent-packets":3400,
 "sent-bytes":390000},
{"name":"lo0","mtu":"16384","network":"<Link#2>","received-packets":5,"received-errors":0,"dropped-packets":0,"received-bytes":400,
 "sent-packets":5,"send-errors":0,"sent-bytes":400,"collisions":0}]}}
"""


def test_a_recorded_freebsd(freebsd: RecordedFreeBSD, connect: Callable[..., Client]) -> None:
    """A virtual machine with two cards, and the counters of another one with a card of the same name."""
    freebsd.program("/sbin/ifconfig", Outcome(0, recorded("freebsd-ifconfig-vm.txt"), ""))
    freebsd.program("/usr/bin/netstat", Outcome(0, recorded("freebsd-netstat.json"), ""))
    first, second, loopback = connect(freebsd).ask("guest-network-get-interfaces")
    assert [row["name"] for row in (first, second, loopback)] == ["vtnet0", "vtnet1", "lo0"]
    assert (first["hardware-address"], second["hardware-address"]) == ("52:54:00:cc:08:d2", "52:54:00:52:0b:b5")
    assert addresses(first) == [("fe80::5054:ff:fecc:8d2", 64), ("192.168.122.10", 24)]
    assert addresses(second) == [("fe80::5054:ff:fe52:bb5", 64), ("10.73.5.237", 23)]
    assert addresses(loopback) == [("::1", 128), ("fe80::1", 64), ("127.0.0.1", 8)] and "hardware-address" not in loopback
    assert first["statistics"] == {
        "rx-bytes": 3661133356, "rx-packets": 14409097, "rx-errs": 0, "rx-dropped": 0,
        "tx-bytes": 4606661018, "tx-packets": 14006498, "tx-errs": 0, "tx-dropped": 0,
    }    # fmt: skip
    assert "statistics" not in second and loopback["statistics"]["rx-bytes"] == 7314451024
    assert [words for words, _ in freebsd.runs] == [["/sbin/ifconfig", "-a"], ["/usr/bin/netstat", "-i", "-b", "-n", "--libxo", "json"]]


def test_recorded_cards_of_freebsd() -> None:
    """Real cards print more: factory addresses, optics, VLANs, options without a number, prefix lengths with a slash."""
    rows = {row.name: row for row in parse_ifconfig(recorded("freebsd-ifconfig-cards.txt"))}
    assert {name: row.hardware for name, row in rows.items()} == {
        "cxl3": "00:07:43:3d:b7:70", "ix0": "00:1b:21:8b:f8:2c", "mce0": "0c:42:a1:2b:03:74", "re0.33": "80:00:73:63:5c:48",
    }    # fmt: skip
    assert rows["cxl3"].addresses == rows["re0.33"].addresses == []
    assert rows["ix0"].addresses == [("10.10.2.101", 24)]
    assert rows["mce0"].addresses == [("23.246.26.130", 25), ("fe80::e42:a1ff:fe2b:374", 64), ("2a00:86c0:1026:1026::130", 64)]


def test_freebsd_interfaces(freebsd: RecordedFreeBSD, connect: Callable[..., Client]) -> None:
    """Addresses with prefix lengths from either way to write them; the counters of links, not those of addresses."""
    freebsd.program("/sbin/ifconfig", Outcome(0, IFCONFIG, ""))
    freebsd.program("/usr/bin/netstat", Outcome(0, NETSTAT, ""))
    card, loopback, tunnel = connect(freebsd).ask("guest-network-get-interfaces")
    assert (card["name"], card["hardware-address"]) == ("vtnet0", "52:54:00:12:34:56")
    assert [(row["ip-address"], row["prefix"]) for row in card["ip-addresses"]] == [
        ("10.0.2.15", 24), ("fe80::5054:ff:fe12:3456", 64), ("fec0::5054:ff:fe12:3456", 64),
    ]    # fmt: skip
    assert card["statistics"] == {
        "rx-bytes": 9001234, "rx-packets": 7011, "rx-errs": 1, "rx-dropped": 2,
        "tx-bytes": 412345, "tx-packets": 3502, "tx-errs": 3, "tx-dropped": 0,
    }    # fmt: skip
    assert [(row["ip-address"], row["prefix"]) for row in loopback["ip-addresses"]] == [("::1", 128), ("fe80::1", 64), ("127.0.0.1", 8)]
    assert "hardware-address" not in loopback and loopback["statistics"]["rx-bytes"] == 400
    assert tunnel["ip-addresses"] == [{"ip-address": "10.8.0.2", "ip-address-type": "ipv4", "prefix": 32}]
    assert "statistics" not in tunnel
    assert parse_ifconfig("garbage\n\tinet 1.2.3.4\n") == []
    assert parse_netstat("[]") == parse_netstat("{}") == parse_netstat("") == {}


def test_freebsd_without_counters(freebsd: RecordedFreeBSD, connect: Callable[..., Client]) -> None:
    """A netstat that prints no JSON costs the statistics only."""
    freebsd.program("/sbin/ifconfig", Outcome(0, IFCONFIG, ""))
    freebsd.program("/usr/bin/netstat", Outcome(0, "Name Mtu\n", ""))
    client = connect(freebsd)
    assert not any("statistics" in row for row in client.ask("guest-network-get-interfaces"))
    freebsd.outcomes["/sbin/ifconfig"] = Outcome(1, "", "no\n")
    assert client.error("guest-network-get-interfaces") == "ifconfig failed: no"


@pytest.mark.parametrize(("mode", "letter"), [("powerdown", "-p"), ("halt", "-h"), ("reboot", "-r")])
def test_freebsd_shutdown(freebsd: RecordedFreeBSD, connect: Callable[..., Client], mode: str, letter: str) -> None:
    """shutdown(8) has a letter for each way."""
    freebsd.program("/sbin/shutdown")
    connect(freebsd).ask("guest-shutdown", mode=mode)
    assert freebsd.runs[0][0][:3] == ["/sbin/shutdown", letter, "+0"]


def test_a_recorded_shutdown(freebsd: RecordedFreeBSD, connect: Callable[..., Client]) -> None:
    """What shutdown(8) prints when it has begun is no answer; what it says when it cannot is."""
    freebsd.program("/sbin/shutdown", Outcome(0, recorded("freebsd-shutdown.txt"), ""))
    client = connect(freebsd)
    client.ask("guest-shutdown", mode="reboot")
    freebsd.outcomes["/sbin/shutdown"] = Outcome(1, "", "shutdown: NOT super-user\n")
    assert client.error("guest-shutdown").endswith("failed to shutdown: shutdown: NOT super-user")


def test_freebsd_time_and_passwords(freebsd: RecordedFreeBSD, connect: Callable[..., Client]) -> None:
    """The kernel sets the hardware clock with its own, and does not show it; pw reads a password from a pipe."""
    client = connect(freebsd)
    client.ask("guest-set-time", time=NOW)
    assert freebsd.clock == [NOW]
    assert "not currently supported" in client.error("guest-set-time")
    freebsd.program("/usr/sbin/pw")
    for crypted, letter in ((False, "-h"), (True, "-H")):
        client.ask("guest-set-user-password", username="ann", password=base64.b64encode(b"pw").decode(), crypted=crypted)
        assert freebsd.runs[-1] == (["/usr/sbin/pw", "usermod", "-n", "ann", letter, "0"], b"pw\n")


ADDRESSES = r"""lo0/v4:127.0.0.1/8
net0/dhcp:10.0.2.15/24
net1/tunnel:10.1.0.1->10.1.0.2
net2/dhcp:?
lo0/v6:\:\:1/128
net0/addrconf:fe80\:\:8\:20ff\:fe12\:3456%net0/10
"""
LINKS = r"""net0:8\:0\:20\:12\:34\:56
net0:8\:0\:20\:12\:34\:57
net1:2\:8\:20\:a\:b\:c
"""
KSTAT = """\
link:0:net0:brdcstrcv\t12
link:0:net0:class\tnet
link:0:net0:ierrors\t1
link:0:net0:ipackets64\t7011
link:0:net0:norcvbuf\t2
link:0:net0:noxmtbuf\t4
link:0:net0:obytes64\t412345
link:0:net0:oerrors\t3
link:0:net0:opackets64\t3502
link:0:net0:rbytes64\t9001234
link:0:net9:rbytes64\t1
unix:0:system_misc:ncpus\t2
"""


def test_a_recorded_illumos(solaris: RecordedSolaris, connect: Callable[..., Client]) -> None:
    """A SmartOS machine: a card without an address, one with, a virtual link, the loopback in both families."""
    for program, name in (("/usr/sbin/ipadm", "ipadm"), ("/usr/sbin/dladm", "dladm"), ("/usr/bin/kstat", "kstat")):
        solaris.program(program, Outcome(0, recorded(f"illumos-{name}.txt"), ""))
    rows = {row["name"]: row for row in connect(solaris).ask("guest-network-get-interfaces")}
    assert list(rows) == ["igb0", "ixgbe3", "lo0", "external0"]
    assert rows["igb0"] == {"name": "igb0", "hardware-address": "24:6e:96:24:2f:5c"}
    assert rows["ixgbe3"]["hardware-address"] == "24:6e:96:24:2f:5a"
    assert addresses(rows["ixgbe3"]) == [("10.65.245.20", 24)]
    assert addresses(rows["external0"]) == [("10.65.246.20", 24)]
    assert addresses(rows["lo0"]) == [("127.0.0.1", 8), ("::1", 128)]
    assert [words for words, _ in solaris.runs] == [
        ["/usr/sbin/ipadm", "show-addr", "-p", "-o", "addrobj,addr"],
        ["/usr/sbin/dladm", "show-phys", "-m", "-p", "-o", "link,address"],
        ["/usr/bin/kstat", "-p", "-m", "link"],
    ]


def test_recorded_counters_of_illumos() -> None:
    """Two links of a zone, among statistics that are no numbers or not asked for."""
    counters = parse_kstat(recorded("illumos-kstat.txt"))
    assert {name: row._asdict() for name, row in counters.items()} == {
        "net0": {"rx_bytes": 113983614, "rx_packets": 682834, "rx_errs": 0, "rx_dropped": 0,
                 "tx_bytes": 12820668, "tx_packets": 105445, "tx_errs": 0, "tx_dropped": 0},
        "net1": {"rx_bytes": 304384894, "rx_packets": 4947620, "rx_errs": 0, "rx_dropped": 0,
                 "tx_bytes": 73324, "tx_packets": 1594, "tx_errs": 0, "tx_dropped": 0},
    }    # fmt: skip
    (link,) = (row for row in parse_interfaces("", "net0:2\\:8\\:20\\:1\\:2\\:3\n", recorded("illumos-kstat.txt")) if row.name == "net0")
    assert link.counters == counters["net0"]


def test_recorded_addresses_of_solaris() -> None:
    """A link-local address with its prefix length of 10 bits. Here the first field, which names the address, was the state."""
    text = recorded("solaris-ipadm-state.txt").replace("ok:", "net0/x:")
    (row,) = parse_interfaces(text, "", "")
    assert row.addresses == [("127.0.0.1", 8), ("172.16.50.146", 24), ("::1", 128), ("fe80::20c:29ff:fe3d:f60c", 10)]


def test_solaris_interfaces(solaris: RecordedSolaris, connect: Callable[..., Client]) -> None:
    """Three programs' parseable output joined by the links' names; escaped colons, hardware addresses without zeros."""
    outputs = {"/usr/sbin/ipadm": ADDRESSES, "/usr/sbin/dladm": LINKS, "/usr/bin/kstat": KSTAT}
    for program, text in outputs.items():
        solaris.program(program, Outcome(0, text, ""))
    rows: dict[str, Any] = {row["name"]: row for row in connect(solaris).ask("guest-network-get-interfaces")}
    assert list(rows) == ["net0", "net1", "lo0"]
    assert rows["net0"]["hardware-address"] == "08:00:20:12:34:56"
    assert [(row["ip-address"], row["ip-address-type"], row["prefix"]) for row in rows["net0"]["ip-addresses"]] == [
        ("10.0.2.15", "ipv4", 24), ("fe80::8:20ff:fe12:3456", "ipv6", 10),
    ]    # fmt: skip
    assert rows["net0"]["statistics"] == {
        "rx-bytes": 9001234, "rx-packets": 7011, "rx-errs": 1, "rx-dropped": 2,
        "tx-bytes": 412345, "tx-packets": 3502, "tx-errs": 3, "tx-dropped": 4,
    }    # fmt: skip
    assert rows["net1"]["ip-addresses"] == [{"ip-address": "10.1.0.1", "ip-address-type": "ipv4", "prefix": 32}]
    assert [(row["ip-address"], row["prefix"]) for row in rows["lo0"]["ip-addresses"]] == [("127.0.0.1", 8), ("::1", 128)]
    solaris.outcomes["/usr/sbin/ipadm"] = Outcome(1, "", "insufficient privileges\n")
    assert connect(solaris).error("guest-network-get-interfaces") == "ipadm failed: insufficient privileges"


@pytest.mark.parametrize(("mode", "level"), [("powerdown", "-i5"), ("halt", "-i0"), ("reboot", "-i6")])
def test_solaris_shutdown(solaris: RecordedSolaris, connect: Callable[..., Client], mode: str, level: str) -> None:
    """shutdown(8) goes to a run level, without a question and at once."""
    solaris.program("/usr/sbin/shutdown")
    client = connect(solaris)
    client.ask("guest-shutdown", mode=mode)
    assert solaris.runs[0][0][:4] == ["/usr/sbin/shutdown", "-y", "-g0", level]
    client.ask("guest-set-time", time=NOW)
    assert solaris.clock == [NOW]


def test_what_a_system_lacks_is_disabled(freebsd: RecordedFreeBSD, solaris: RecordedSolaris, connect: Callable[..., Client]) -> None:
    """guest-info says so, and the commands are refused; the rest of the 42 works everywhere."""
    common = {"guest-suspend-ram", "guest-fsfreeze-freeze", "guest-get-vcpus", "guest-get-disks", "guest-get-cpustats", "guest-fstrim"}
    for system, more in ((freebsd, set[str]()), (solaris, {"guest-set-user-password"})):
        client = connect(system)
        disabled = {row["name"] for row in client.ask("guest-info")["supported_commands"] if not row["enabled"]}
        assert common | more <= disabled
        assert not disabled & {"guest-exec", "guest-file-open", "guest-shutdown", "guest-set-time", "guest-get-osinfo"}
        assert client.error("guest-get-vcpus") == "Command guest-get-vcpus has been disabled"


def test_channels(freebsd: RecordedFreeBSD, solaris: RecordedSolaris) -> None:
    """Each system's names of the devices; on FreeBSD a port is a terminal, too."""
    assert freebsd.channel(Method.VIRTIO_SERIAL) == "/dev/vtcon/org.qemu.guest_agent.0"
    assert Method.VIRTIO_SERIAL in freebsd.echoing_channels and Method.VIRTIO_SERIAL not in solaris.echoing_channels
    assert solaris.channel(Method.ISA_SERIAL) == "/dev/term/a"
    assert solaris.channel(Method.UNIX_LISTEN) == ""
