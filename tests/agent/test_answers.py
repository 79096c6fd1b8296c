"""What the agent tells about this very machine, against the schema and against other programs' readings of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import CHANGING, Client

QUERIES = [
    "guest-get-time", "guest-info", "guest-fsfreeze-status", "guest-network-get-interfaces", "guest-get-vcpus", "guest-get-disks",
    "guest-get-fsinfo", "guest-get-memory-blocks", "guest-get-host-name", "guest-get-users", "guest-get-timezone",
    "guest-get-osinfo", "guest-get-devices", "guest-get-diskstats", "guest-get-cpustats",
]    # fmt: skip


def text(*words: str) -> str:
    """What a program prints."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} here")
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{words[0]} fails here: {done.stderr.strip()}")
    return done.stdout


def output(*words: str) -> Any:
    """The JSON that a program prints."""
    return json.loads(text(*words))


@pytest.mark.parametrize("name", QUERIES)
def test_schema(host: Client, name: str) -> None:
    """Every query's answer has the members and types of QEMU's, and no others."""
    host.ask(name)


def test_commands_that_change_the_machine_are_blocked_here(host: Client) -> None:
    """So that no mistake in these tests can freeze or stop it."""
    rows = host.ask("guest-info")["supported_commands"]
    assert {row["name"] for row in rows if not row["enabled"]} == set(CHANGING)


def test_time_and_names(host: Client) -> None:
    """As Python's own functions have them."""
    before = time.time_ns()
    assert before <= host.ask("guest-get-time") <= time.time_ns()
    assert host.ask("guest-get-host-name") == {"host-name": Path("/proc/sys/kernel/hostname").read_text().strip()}
    assert host.ask("guest-get-host-name")["host-name"] == socket.gethostname()
    zone = host.ask("guest-get-timezone")
    assert zone == {"zone": time.strftime("%Z"), "offset": time.localtime().tm_gmtoff}
    name, sign, hours, minutes = re.fullmatch(r"(\S+) ([+-])(\d\d)(\d\d)\n", text("date", "+%Z %z")).groups()    # type: ignore[union-attr]
    assert zone == {"zone": name, "offset": int(f"{sign}1") * (int(hours) * 3600 + int(minutes) * 60)}


def test_osinfo(host: Client) -> None:
    """The kernel as /proc tells it, the distribution as a shell reads the file."""
    info = host.ask("guest-get-osinfo")
    assert info["kernel-release"] == Path("/proc/sys/kernel/osrelease").read_text().strip()
    assert info["kernel-version"] == Path("/proc/sys/kernel/version").read_text().strip()
    if Path("/etc/os-release").exists():
        script = '. /etc/os-release; printf "%s|" "$ID" "$NAME" "$PRETTY_NAME" "$VERSION" "$VERSION_ID"'
        words = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split("|")
        for name, value in zip(("id", "name", "pretty-name", "version", "version-id"), words, strict=False):
            assert info.get(name, "") == value


def test_interfaces(host: Client) -> None:
    """Names, addresses and counters as ip(8) prints them; counters have not gone backwards since."""
    links = output("ip", "-j", "-s", "address")
    rows = host.ask("guest-network-get-interfaces")
    assert [row["name"] for row in rows] == [link["ifname"] for link in links]
    for row, link in zip(rows, links, strict=True):
        assert row.get("hardware-address", "") == link.get("address", "")
        addresses = [(entry["local"], entry["prefixlen"]) for entry in link["addr_info"]]
        assert [(entry["ip-address"], entry["prefix"]) for entry in row.get("ip-addresses", [])] == addresses
        for direction in ("rx", "tx"):
            counters = link["stats64"][direction]
            for name, theirs in (("bytes", "bytes"), ("packets", "packets"), ("errs", "errors"), ("dropped", "dropped")):
                assert row["statistics"][f"{direction}-{name}"] >= counters[theirs]


def test_counters_are_those_of_sysfs(host: Client) -> None:
    """In sysfs each has a file of its own."""
    for row in host.ask("guest-network-get-interfaces"):
        folder = Path("/sys/class/net", row["name"], "statistics")
        for name, file in (("rx-packets", "rx_packets"), ("tx-bytes", "tx_bytes"), ("rx-errs", "rx_errors"), ("tx-dropped", "tx_dropped")):
            if folder.exists():
                assert row["statistics"][name] <= int((folder / file).read_text())


def test_processors(host: Client) -> None:
    """Those that Python counts, and those of /proc/stat."""
    rows = host.ask("guest-get-vcpus")
    online = {row["logical-id"] for row in rows if row["online"]}
    assert len(rows) == os.sysconf("SC_NPROCESSORS_CONF") and len(online) == os.sysconf("SC_NPROCESSORS_ONLN")
    assert {row["cpu"] for row in host.ask("guest-get-cpustats")} == online
    listed = {row["cpu"]: row["online"] for row in output("lscpu", "-J", "-a", "-e=CPU,ONLINE")["cpus"]}
    assert {row["logical-id"]: row["online"] for row in rows} == listed


def test_processor_statistics(host: Client) -> None:
    """Two readings of /proc/stat, before and after, are the limits of each number."""
    def read() -> dict[int, list[int]]:
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines() if line.startswith("cpu")]
        return {int(words[0][3:]): [int(word) * 1000 // os.sysconf("SC_CLK_TCK") for word in words[1:]] for words in lines[1:]}

    before, rows, after = read(), host.ask("guest-get-cpustats"), read()
    for row in rows:
        names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestnice")
        assert [name for name in row if name not in ("type", "cpu")] == list(names[: len(before[row["cpu"]])])
        for column, name in enumerate(names[: len(before[row["cpu"]])]):
            if name == "iowait":    # proc_stat(5): it may go down
                continue
            assert before[row["cpu"]][column] <= row[name] <= after[row["cpu"]][column]


def test_disks(host: Client) -> None:
    """Disks and partitions as lsblk(8) lists them, those without a size left out."""
    def flatten(devices: list[Any]) -> list[Any]:
        return [entry for device in devices for entry in (device, *flatten(device.get("children", [])))]

    listed = [entry for entry in flatten(output("lsblk", "-J", "-b", "-o", "NAME,PATH,TYPE,SIZE,SERIAL,PKNAME")["blockdevices"]) if entry["size"]]
    rows = {row["name"]: row for row in host.ask("guest-get-disks")}
    assert set(rows) == {entry["path"] for entry in listed if not entry["path"].startswith("/dev/mapper/")}
    for entry in listed:
        if entry["path"] in rows:
            assert rows[entry["path"]]["partition"] == (entry["type"] == "part")
            assert entry["pkname"] is None or f"/dev/{entry['pkname']}" in rows[entry["path"]]["dependencies"]
            if entry.get("serial") and "address" in rows[entry["path"]]:
                assert entry["serial"] in rows[entry["path"]]["address"]["serial"]


# The columns of /sys/block/*/stat, as Documentation/block/stat has them, with the answer's names.
COUNTERS = (
    "read-ios", "read-merges", "read-sectors", "read-ticks", "write-ios", "write-merges", "write-sectors", "write-ticks",
    "ios-pgr", "total-ticks", "weight-ticks", "discard-ios", "discard-merges", "discard-sectors", "discard-ticks",
    "flush-ios", "flush-ticks",
)    # fmt: skip


def test_disk_statistics(host: Client) -> None:
    """Each device's own file in sysfs has the same numbers, which only grow."""
    before = {path.parent.name: path.read_text().split() for path in Path("/sys/block").glob("*/stat")}
    rows = {row["name"]: row for row in host.ask("guest-get-diskstats")}
    for name, numbers in before.items():
        if name in rows:
            stats = rows[name]["stats"]
            for column, member in enumerate(COUNTERS[: len(numbers)]):
                assert member == "ios-pgr" or stats[member] >= int(numbers[column])
            assert set(stats) == set(COUNTERS[: len(numbers)])
            assert f"{rows[name]['major']}:{rows[name]['minor']}" == Path(f"/sys/block/{name}/dev").read_text().strip()


def test_file_systems(host: Client) -> None:
    """Mount points on block devices as findmnt(8) lists them, with types and sizes."""
    def flatten(entries: list[Any]) -> list[Any]:
        return [entry for item in entries for entry in (item, *flatten(item.get("children", [])))]

    listed = flatten(output("findmnt", "-J", "-o", "TARGET,SOURCE,FSTYPE,MAJ:MIN")["filesystems"])
    expected = {(entry["target"], entry["fstype"]) for entry in listed if not entry["maj:min"].strip().startswith("0:")}
    rows = host.ask("guest-get-fsinfo")
    assert {(row["mountpoint"], row["type"]) for row in rows if row["type"] != "btrfs"} == expected
    for row in rows:
        space = os.statvfs(row["mountpoint"])
        assert abs(row["used-bytes"] - (space.f_blocks - space.f_bfree) * space.f_frsize) < 1 << 30
        assert row["total-bytes"] >= row["used-bytes"]
    sizes = {entry["target"]: entry for entry in flatten(output("findmnt", "-J", "-b", "-o", "TARGET,USED,AVAIL")["filesystems"])}
    for row in rows:
        used, free = int(sizes[row["mountpoint"]]["used"]), int(sizes[row["mountpoint"]]["avail"])
        assert abs(row["used-bytes"] - used) < 1 << 30 and abs(row["total-bytes"] - used - free) < 1 << 30


def test_devices(host: Client) -> None:
    """Those that hang below a driver in sysfs, each with what its own files say."""
    folder = Path("/sys/bus/pci/drivers")
    listed = sorted((path.name, path.parent.name, path) for path in folder.glob("*/*:*:*.*")) if folder.exists() else []
    rows = host.ask("guest-get-devices")
    assert [row["driver-name"] for row in rows] == [driver for _, driver, _ in listed]
    for row, (_, _, path) in zip(rows, listed, strict=True):
        ids = row["id"]
        assert f"0x{ids['vendor-id']:04x} 0x{ids['device-id']:04x}" == " ".join((path / name).read_text().strip() for name in ("vendor", "device"))


def test_memory_blocks(host: Client) -> None:
    """Where the kernel can switch memory: as many blocks as folders, and online ones make up at least the memory that is there."""
    folder = Path("/sys/devices/system/memory")
    rows = host.ask("guest-get-memory-blocks")
    assert len(rows) == len(list(folder.glob("memory[0-9]*")))
    if rows:
        size = host.ask("guest-get-memory-block-info")["size"]
        online = sum(row["online"] for row in rows) * size
        assert online >= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        listed = output("lsmem", "-J", "-b", "-a", "-o", "SIZE,STATE,BLOCK")["memory"]
        blocks = {number: entry["state"] == "online" for entry in listed for number in span(str(entry["block"]))}
        assert {row["phys-index"]: row["online"] for row in rows} == blocks
        assert sum(entry["size"] for entry in listed) == size * len(rows)


def span(words: str) -> range:
    """The numbers of 4 or 4-7."""
    first, _, last = words.partition("-")
    return range(int(first), int(last or first) + 1)
