"""Properties, saved state, lines and buses of devices."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Any

import pytest

from ratite.errors import DefinitionError, ImageError, UsageError
from ratite.hw.model import (
    BOOL,
    INT32,
    SIZE,
    STR,
    UINT8,
    Bus,
    Device,
    Line,
    Link,
    Output,
    Outputs,
    Property,
    Register,
    one_of,
)
from ratite.testing import DeviceBench

DRIVE = object()


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Sample(Device, name="test-device", size=0x10, abstract=True):
    """A device with everything."""

    flag = Property(BOOL, False, "a switch")
    count = Property(UINT8, 3, "a number")
    shift = Property(INT32, -1, "a number with a sign")
    room = Property(SIZE, 4096, "a size")
    label = Property(STR, "", "a text").named("a_label")
    cache_mode = Property(one_of("none", "back"), "none", "a choice")
    drive: Property[Any] = Property(Link("drive"), None, "a reference")
    irq = Output("interrupt")
    rows = Outputs("more interrupts", "count")
    state = ("fifo", "queue", "mood", "names", "timer", "gone")

    class reg(Register, offset=0):
        pass

    def setup(self) -> None:
        self.fifo, self.queue = bytearray(), deque[int]()
        self.mood, self.names, self.gone = Mood.GOOD, dict[str, list[int]](), None

    def realized(self) -> None:
        self.timer = self.clock.timer(lambda: self.irq.set(True))


@pytest.mark.parametrize(("name", "text", "value"), [
    ("flag", "on", True), ("flag", "off", False), ("count", "0xff", 255), ("count", "010", 10), ("room", "2K", 2048),
    ("room", "1.5M", 3 << 19), ("a_label", "x,y", "x,y"), ("cache-mode", "back", "back"), ("shift", "-5", -5),
    ("drive", "hd0", DRIVE), ("count", 7, 7), ("flag", True, True),
])
def test_properties_from_text_and_values(name: str, text: object, value: object) -> None:
    """As a command line or JSON gives them."""
    device = Sample.from_options({name: text}, {"drive": {"hd0": DRIVE}})
    attribute = Sample.properties[name].attribute
    assert getattr(device, attribute) == value


@pytest.mark.parametrize(("name", "text", "message"), [
    ("flag", "maybe", "property 'flag': 'maybe' is not accepted; expected on or off"),
    ("count", "256", "expected a number from 0 to 0xff"),
    ("count", True, "expected a number"),
    ("count", "many", "expected a number"),
    ("room", "-1", "expected a number of bytes"),
    ("cache-mode", "through", "expected one of none, back"),
    ("drive", "hd1", "property 'drive': drive 'hd1' is not known: did you mean 'hd0'"),
    ("cuont", "1", "did you mean 'count'"),
])
def test_wrong_properties_say_what_is_accepted(name: str, text: object, message: str) -> None:
    """One line that names device, property and what it takes."""
    with pytest.raises(UsageError, match=message):
        Sample.from_options({name: text}, {"drive": {"hd0": DRIVE}})


def test_python_keywords_are_checked_as_well() -> None:
    """The constructor takes attribute names."""
    assert Sample(label="x", cache_mode="back").cache_mode == "back"
    with pytest.raises(UsageError, match="count"):
        Sample(count=1000)
    with pytest.raises(UsageError, match="is not known"):
        Sample(colour="red")


def test_help_lists_every_property() -> None:
    """`-device NAME,help`."""
    text = Sample.help_text()
    assert text.startswith("test-device options:\n") and "  a_label=<str>" in text and "(default: off)" in text
    assert "- a number (default: 3)" in text


def test_saved_state_is_a_copy_and_comes_back() -> None:
    """Fifos, enumerations, dictionaries, timers, lines, registers."""
    bench = DeviceBench(Sample)
    device = bench.device
    device.fifo += b"abc"
    device.queue.extend((1, 2))
    device.mood, device.names["a"] = Mood.BAD, [1]
    device.timer.at(500)
    device.rows[1].raise_()
    bench.write(0, 99)
    before = device.save()
    device.fifo.clear()
    device.names["a"].append(2)
    assert before["state"]["fifo"] == b"abc" and before["state"]["names"] == {"a": [1]}
    assert before["state"]["timer"] == 500 and before["state"]["mood"] == "bad"

    device.load(before)
    assert device.save() == before
    assert isinstance(device.fifo, bytearray) and isinstance(device.queue, deque) and device.mood is Mood.BAD
    bench.restart()
    bench.advance(500)
    assert bench.level("irq") and bench.level("rows[1]") and not bench.level("rows[0]")


@pytest.mark.parametrize("damage", [
    lambda s: s.pop("registers"), lambda s: s["registers"].pop("reg"), lambda s: s["registers"].update(reg=[1, 2]),
    lambda s: s["state"].update(mood="ugly"), lambda s: s["lines"].append(True),
    lambda s: s["state"].update(fifo="text"),
])
def test_damaged_state_is_an_image_error(damage: Any) -> None:
    """Snapshots come from files."""
    device = DeviceBench(Sample).device
    state = device.save()
    damage(state)
    with pytest.raises(ImageError, match="saved state of test-device"):
        device.load(state)


def test_lines_tell_changes_only_and_connect_once() -> None:
    """A sink hears the level when it is connected high, then each change."""
    heard: list[bool] = []
    line = Line("x")
    line.raise_()
    line.connect(heard.append)
    line.raise_()
    line.lower()
    line.pulse()
    line.announce()
    assert heard == [True, False, True, False, False]
    with pytest.raises(DefinitionError, match="connected already"):
        line.connect(heard.append)


def test_a_bus_takes_its_own_kind_up_to_its_capacity() -> None:
    """Errors name the device."""
    class Card(Device, name="test-card", bus="test-bus", abstract=True):
        """A card."""

    joined: list[Device] = []
    bus = Bus("test-bus", "test-bus.0", capacity=1, plugged=joined.append)
    card = Card()
    bus.plug(card)
    assert joined == [card] and bus.full
    with pytest.raises(UsageError, match=r"test-bus\.0 has no room for device 'test-card'"):
        bus.plug(Card())
    with pytest.raises(UsageError, match="needs a System bus"):
        bus.plug(Sample())


def test_two_devices_cannot_share_a_name() -> None:
    """Found at import."""
    with pytest.raises(DefinitionError, match="two devices are called serial-mm"):
        import ratite.hw.char  # noqa: F401 (so that the first one is there)

        class Second(Device, name="serial-mm"):
            """The second."""
