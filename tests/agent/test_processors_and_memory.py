"""guest-get-vcpus, guest-set-vcpus, and the same for blocks of memory, in folders as sysfs has them."""

from __future__ import annotations

import errno
import os

import pytest

from .conftest import Client, RecordedLinux

CPU, MEMORY = "/sys/devices/system/cpu", "/sys/devices/system/memory"


@pytest.fixture(autouse=True)
def folders(system: RecordedLinux) -> None:
    """Processors 0 (which has no switch), 1, 2 (off), 10; blocks of memory 0, 1 (off), 32 (cannot be switched off)."""
    system.add(f"{CPU}/cpu0/crash_notes")
    for number, online in ((1, 1), (2, 0), (10, 1)):
        system.add(f"{CPU}/cpu{number}/online", f"{online}\n")
    os.makedirs(system.path(f"{CPU}/cpufreq"))
    for number, state, removable in ((0, "online", 1), (1, "offline", 1), (32, "online", 0)):
        system.add(f"{MEMORY}/memory{number}/state", f"{state}\n")
        system.add(f"{MEMORY}/memory{number}/removable", f"{removable}\n")
    system.add(f"{MEMORY}/block_size_bytes", "8000000\n")


def test_processors(client: Client) -> None:
    """In the order of their numbers; one without a switch is on and stays so."""
    rows = client.ask("guest-get-vcpus")
    assert [(row["logical-id"], row["online"], row["can-offline"]) for row in rows] == [
        (0, True, False), (1, True, True), (2, False, True), (10, True, True),
    ]    # fmt: skip


def test_switching_processors(client: Client, system: RecordedLinux) -> None:
    """What was asked for is written, and only that."""
    wanted = [{"logical-id": 1, "online": False}, {"logical-id": 2, "online": True}, {"logical-id": 0, "online": True, "can-offline": False}]
    assert client.ask("guest-set-vcpus", vcpus=wanted) == 3
    assert [system.text(f"{CPU}/cpu{number}/online")[0] for number in (1, 2, 10)] == ["0", "1", "1"]
    assert client.ask("guest-set-vcpus", vcpus=[]) == 0


def test_processors_that_cannot_be_switched(client: Client) -> None:
    """The first failure is an error, a later one ends the work and shows in the count."""
    assert client.error("guest-set-vcpus", vcpus=[{"logical-id": 7, "online": True}]) == "logical processor #7 does not exist"
    assert client.error("guest-set-vcpus", vcpus=[{"logical-id": -1, "online": True}]) == "logical processor #-1 does not exist"
    assert client.error("guest-set-vcpus", vcpus=[{"logical-id": 0, "online": False}]) == "logical processor #0 can't be offlined"
    wanted = [{"logical-id": 1, "online": False}, {"logical-id": 0, "online": False}, {"logical-id": 10, "online": False}]
    assert client.ask("guest-set-vcpus", vcpus=wanted) == 1
    assert client.ask("guest-get-vcpus")[3]["online"]


def test_memory(client: Client, system: RecordedLinux) -> None:
    """Blocks by number, and the size that the kernel writes in hexadecimal."""
    rows = client.ask("guest-get-memory-blocks")
    assert [(row["phys-index"], row["online"], row["can-offline"]) for row in rows] == [(0, True, True), (1, False, True), (32, True, False)]
    assert client.ask("guest-get-memory-block-info") == {"size": 128 << 20}
    system.add(f"{MEMORY}/block_size_bytes", "")
    assert "no memory blocks" in client.error("guest-get-memory-block-info")


def test_switching_memory(client: Client, system: RecordedLinux, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer for each block: done, nothing to do, not there, not possible, failed with the system's number."""
    wanted = [(0, False), (1, False), (5, True), (32, False), (1 << 63, True)]
    rows = client.ask("guest-set-memory-blocks", mem_blks=[{"phys-index": index, "online": online} for index, online in wanted])
    assert [(row["phys-index"], row["response"]) for row in rows] == [
        (0, "success"), (1, "success"), (5, "not-found"), (32, "operation-not-supported"), (1 << 63, "not-found"),
    ]    # fmt: skip
    assert system.text(f"{MEMORY}/memory0/state").startswith("offline")

    def busy(name: str, text: str) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(system, "write", busy)
    (row,) = client.ask("guest-set-memory-blocks", mem_blks=[{"phys-index": 1, "online": True}])
    assert row == {"phys-index": 1, "response": "operation-failed", "error-code": errno.EBUSY}
    assert client.error("guest-set-memory-blocks", mem_blks=[{"phys-index": -1, "online": True}]).startswith("Invalid parameter type")


def test_a_kernel_without_memory_hotplug(client: Client, system: RecordedLinux) -> None:
    """It has no such folder, and so no blocks."""
    os.rename(system.path(MEMORY), system.path("/gone"))
    assert client.ask("guest-get-memory-blocks") == []
