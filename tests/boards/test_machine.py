"""What a Machine does for every board."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import pytest

from ratite.boards import BOARDS, boards_of, find_board
from ratite.boards.machine import Machine
from ratite.boards.registry import FOLDERS, load_all
from ratite.errors import DefinitionError, ImageError, UsageError
from ratite.hw.char.ns16550 import Ns16550
from ratite.hw.intc.sifive_plic import SiFivePlic
from ratite.hw.misc.sifive_test import SiFiveTest
from ratite.testing import FakeChardev
from tests.boards.conftest import Build


def test_every_board_is_described() -> None:
    """Name, summary, architectures; `-M help` prints them."""
    assert [board.name for board in boards_of("riscv64")] == ["virt"]
    assert all(board.summary and board.build.__doc__ for board in BOARDS.values())


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_hides_a_board(folder: str) -> None:
    """Registration is by explicit import in the folder; a board in a file that nobody imports would be lost."""
    load_all()
    known = set(BOARDS)
    package = importlib.import_module(f"ratite.boards.{folder}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
        assert set(BOARDS) == known, f"{module.name} is not imported by ratite.boards.{folder}"


def test_a_mistyped_board_or_option_gets_a_hint(build: Build) -> None:
    """One line each."""
    with pytest.raises(UsageError, match="machine 'vitr' is not known: did you mean 'virt'"):
        find_board("riscv64", "vitr")
    with pytest.raises(UsageError, match="property of machine 'aclimt' is not known: did you mean 'aclint'"):
        build(options={"aclimt": "on"})
    with pytest.raises(UsageError, match="expected on or off"):
        build(options={"aclint": "sometimes"})
    with pytest.raises(UsageError, match="runs 1 to 512 CPUs, not 513"):
        build(cpus=513)


def test_overlaps_in_a_board_are_found(build: Build) -> None:
    """With the names of both parts."""
    machine = build()
    with pytest.raises(DefinitionError, match=r"second at 0x10000004 overlaps uart0 at 0x10000000"):
        machine.add("second", Ns16550(), at=0x1000_0004)
    with pytest.raises(DefinitionError, match="two devices at /machine/uart0"):
        machine.add("uart0", Ns16550(), at=0x5000_0000)


def test_unmodelled_hardware_reads_zero(build: Build) -> None:
    """A place in the map with a name."""
    machine = build()
    machine.unmodelled("qspi0", at=0x1004_0000, size=0x1000)
    assert machine.memory.read(0x1004_0010, 4) == 0
    assert "qspi0" in machine.mtree() and "qspi0" in machine.page()


def test_plugging_devices(build: Build) -> None:
    """As `-device`: newest free bus first, or the one that is named; ids become paths."""
    machine = build()
    first = machine.plug("virtio-rng-device", {"id": "r0"})
    machine.plug("virtio-rng-device", {"bus": "virtio-mmio-bus.2"})
    assert first.path == "/machine/peripheral/r0" and machine.device("r0") is first
    taken = {bus.name for bus in machine.buses() if bus.devices and bus.kind == "virtio-bus"}
    assert taken == {"virtio-mmio-bus.7", "virtio-mmio-bus.2"}
    assert machine.memory.read(0x1000_8008, 4) == 4    # the virtio number of an entropy source
    assert "/peripheral-anon/device[0] (virtio-rng-device)" in machine.qom_tree()


@pytest.mark.parametrize(("driver", "options", "message"), [
    ("virtio-rng-devise", {}, "did you mean 'virtio-rng-device'"),
    ("virtio-rng-device", {"bus": "virtio-mmio-bus.9"}, "bus 'virtio-mmio-bus.9' is not known"),
    ("virtio-rng-device", {"perod": "1"}, "did you mean 'period'"),
    ("serial-mm", {}, "needs a System bus"),
    ("virtio-rng-device", {"id": "taken"}, "cannot have the id 'taken'"),
    ("virtio-rng-device", {"bus": "virtio-mmio-bus.7"}, "no room for device 'virtio-rng-device'"),
])
def test_devices_that_cannot_be_plugged(build: Build, driver: str, options: dict[str, str], message: str) -> None:
    """The error says why, and nothing of the device stays behind."""
    machine = build()
    machine.plug("virtio-rng-device", {"id": "taken"})
    before = set(machine.devices)
    with pytest.raises(UsageError, match=message):
        machine.plug(driver, options)
    assert set(machine.devices) == before


def test_all_slots_taken(build: Build) -> None:
    """Eight, and no more."""
    machine = build()
    for _ in range(8):
        machine.plug("virtio-rng-device", {})
    with pytest.raises(UsageError, match="no free virtio-bus"):
        machine.plug("virtio-rng-device", {})


def test_global_defaults_hold_for_the_boards_own_devices(build: Build) -> None:
    """`-global virtio-mmio.force-legacy=false`; a wrong one is refused."""
    machine = build(defaults={"virtio-mmio": {"force-legacy": "off"}})
    assert machine.memory.read(0x1000_1004, 4) == 2
    assert build().memory.read(0x1000_1004, 4) == 1
    with pytest.raises(UsageError, match="property of virtio-mmio"):
        build(defaults={"virtio-mmio": {"force": "off"}})


def test_requests_reach_whoever_runs_the_machine(build: Build) -> None:
    """The finisher asks; the first status counts; a reset is done by whoever stops the CPUs."""
    machine = build()
    calls: list[int] = []
    machine.on_request = lambda: calls.append(1)
    machine.memory.write(0x10_0000, 4, 0x7777)
    assert machine.reset_requested and machine.shutdown_status is None
    machine.reset()
    assert not machine.reset_requested and machine.cpus[0].resets == 2
    machine.memory.write(0x10_0000, 4, 0x0003_3333)
    machine.memory.write(0x10_0000, 4, 0x5555)
    assert machine.shutdown_status == 3 and len(calls) == 3


def test_serial_ports_reach_their_back_ends(build: Build) -> None:
    """Through the board's UART."""
    chardev = FakeChardev()
    machine = build(serial=[chardev])
    for byte in b"ok":
        machine.memory.write(0x1000_0000, 1, byte)
    chardev.type(b"x")
    assert chardev.output == b"ok" and machine.memory.read(0x1000_0000, 1) == ord("x")


def use(machine: Machine) -> None:
    """Leave traces in every part."""
    machine.memory.write(0x200_0000, 4, 1)
    machine.memory.write(0x200_4000, 8, 100)
    machine.memory.write(0x1000_0001, 1, 2)
    for address, value in ((0xC00_0028, 1), (0xC00_2000, 1 << 10), (0x10_1010, 1)):
        machine.memory.write(address, 4, value)


def test_saved_state_of_a_whole_machine(build: Build) -> None:
    """A second machine takes it over: registers, harts' inputs, time; and lines say their levels again."""
    first, second = build(cpus=2), build(cpus=2)
    use(first)
    first.clock.advance(50_000)    # type: ignore[attr-defined]
    state = first.save()
    second.load(state)
    again = second.save()
    assert (again["devices"], again["clock"]) == (state["devices"], state["clock"])
    assert second.cpus[0].inputs["software"] and second.cpus[0].inputs["timer"]
    assert second.cpus[0].inputs["external_m"]
    plic = second.device("plic")
    assert isinstance(plic, SiFivePlic) and plic.levels == 1 << 10


@pytest.mark.parametrize("damage", [
    lambda s: s.update(board="other"), lambda s: s["devices"].pop("/machine/plic"), lambda s: s["cpus"].clear(),
    lambda s: s.pop("clock"), lambda s: s["devices"].update({"/machine/uart0": {}}),
])
def test_saved_state_of_another_machine(build: Build, damage: Any) -> None:
    """Refused with one line."""
    machine = build()
    state = machine.save()
    damage(state)
    with pytest.raises(ImageError, match="saved state"):
        machine.load(state)


def test_ram_blocks_hold_all_memory(build: Build) -> None:
    """What a snapshot copies besides the state."""
    machine = build()
    assert set(machine.ram_blocks) == {
        "riscv_virt_board.ram", "riscv_virt_board.mrom", "virt.flash0", "virt.flash1",
    }


def test_devices_by_name(build: Build) -> None:
    """And what is not there."""
    machine = build()
    assert isinstance(machine.device("test"), SiFiveTest)
    assert machine.device("/machine/uart0") is machine.device("uart0")
    with pytest.raises(UsageError, match="did you mean 'uart0'"):
        machine.device("uart")
