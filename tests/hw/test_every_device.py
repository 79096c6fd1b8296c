"""What holds for every device that is registered; a new device is tested here without being named."""

from __future__ import annotations

import importlib
import json
import pkgutil
import random
from pathlib import Path
from typing import Any

import pytest

import ratite.hw
from ratite.errors import UsageError
from ratite.hw.model import DEVICES, SYSTEM_BUS, Device, find_device
from ratite.testing import DeviceBench

ratite.hw.load_all()
NAMES = sorted(DEVICES)
ON_SYSTEM_BUS = [name for name in NAMES if DEVICES[name].bus == SYSTEM_BUS]
TESTS = Path(__file__).parent
HW = Path(ratite.hw.__file__).parent


def jsonable(value: Any) -> Any:
    """Bytes as a list of numbers, so that json can compare the rest."""
    return list(value) if isinstance(value, bytes) else value


def poke(bench: DeviceBench[Device], seed: int, count: int = 400) -> None:
    """Random accesses, half of them at registers, with time passing in between."""
    dice = random.Random(seed)
    device = bench.device
    known = [place[0] for place in device._places] or [0]
    for _ in range(count):
        size = dice.choice((1, 2, 4, 8))
        limit = device.size - size
        if limit < 0:
            continue
        offset = dice.choice(known) + dice.randrange(8) if dice.random() < 0.5 else dice.randrange(limit + 1)
        offset = min(offset, limit)
        if dice.random() < 0.5:
            value = device.mmio_read(offset, size)
            assert 0 <= value < 1 << 8 * size
        else:
            device.mmio_write(offset, size, dice.choice((dice.getrandbits(8 * size), dice.getrandbits(4), 0)))
        bench.advance(dice.randrange(1_000_000))


@pytest.mark.parametrize("name", ON_SYSTEM_BUS)
def test_random_accesses_never_raise_and_state_survives(name: str) -> None:
    """Whatever a guest does, the device neither raises nor loses anything by being saved and loaded."""
    for seed in range(4):
        bench = DeviceBench(DEVICES[name])
        poke(bench, seed)
        before = bench.device.save()
        levels = [line.level for line in bench.device.lines()]
        json.dumps(before, default=jsonable)
        bench.restart()
        assert bench.device.save() == before
        assert [line.level for line in bench.device.lines()] == levels
        poke(bench, seed + 100, 50)
        bench.close()


@pytest.mark.parametrize("name", ON_SYSTEM_BUS)
def test_reset_gives_the_state_after_power_on(name: str) -> None:
    """After any use, a reset leaves every register at its declared reset value, unless the device documents more."""
    bench = DeviceBench(DEVICES[name])
    fresh = bench.device.save()
    bench.device.reset()
    assert bench.device.save() == fresh
    poke(bench, 7)
    bench.device.reset()
    registers = bench.device.save()["registers"]
    for key, declaration in bench.device.registers.items():
        if not declaration.live:
            assert registers[key] == fresh["registers"][key], key
    bench.close()


@pytest.mark.parametrize("name", NAMES)
def test_every_device_is_documented(name: str) -> None:
    """A docstring of its own that names its source or purpose; a description for each property and line."""
    device = find_device(name)
    assert device.__doc__ and device.__doc__ != Device.__doc__
    assert all(prop.description for prop in device.properties.values())
    assert all(output.description for output in device.outputs.values())
    assert device.help_text().startswith(f"{name} options:")


@pytest.mark.parametrize("name", NAMES)
def test_every_device_has_a_test(name: str) -> None:
    """The class is used by a test file next to this one."""
    cls = DEVICES[name].__name__
    assert any(cls in file.read_text() for file in TESTS.rglob("test_*.py")), f"no test mentions {cls}"


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_property_is_refused(name: str) -> None:
    """The error names the device and the property."""
    with pytest.raises(UsageError, match=rf"property of {name} 'no-such-property'"):
        DEVICES[name].from_options({"no-such-property": "1"})


@pytest.mark.parametrize("folder", ratite.hw.FOLDERS)
def test_no_file_hides_a_device(folder: str) -> None:
    """Registration is by explicit import in the folder; a device in a file that nobody imports would be lost."""
    package = importlib.import_module(f"ratite.hw.{folder}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
        hidden = {name for name, cls in DEVICES.items() if cls.__module__.startswith("ratite.")} - set(NAMES)
        assert not hidden, f"{module.name} is not imported by ratite.hw.{folder}"


def test_folders_are_all_listed() -> None:
    """`ratite.hw.FOLDERS` names every folder of devices."""
    there = {path.name for path in HW.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert there - {"model"} == set(ratite.hw.FOLDERS)


def test_a_mistyped_device_gets_a_hint() -> None:
    """The error names the nearest device."""
    with pytest.raises(UsageError, match="did you mean 'serial-mm'"):
        find_device("serial-m")
