"""virtio-serial-device and its ports: data, flow control, control messages (chapter 5.3)."""

from __future__ import annotations

import struct

import pytest

from ratite.chardev.base import ChardevEvent
from ratite.errors import UsageError
from ratite.hw.virtio.console import SerialPort, VirtConsole, VirtioSerial, VirtSerialPort
from ratite.testing import FakeChardev
from ratite.testing.virtio_driver import DriverQueue

from .conftest import Way

MULTIPORT, EMERGENCY = 1, 2
ALL = (1 << 64) - 1
READY, ADD, PORT_READY, CONSOLE, OPEN, NAME = 0, 1, 3, 4, 6, 7


class Controller:
    """A controller with a console (port 0) and a channel `org.test` (port 1), their host sides, and the driver."""

    def __init__(self, way: Way, *, channel: bool = True, **properties: object) -> None:
        self.way = way
        self.sides = [FakeChardev(), FakeChardev()]
        self.channel = channel
        self.bench, self.driver = way.bench(lambda: self._make(properties))

    def _make(self, properties: dict[str, object]) -> VirtioSerial:
        serial = VirtioSerial(**properties)
        ports: list[SerialPort] = [VirtConsole(chardev=self.sides[0])]
        if self.channel:
            ports.append(VirtSerialPort(chardev=self.sides[1], label="org.test"))
        serial_realize = serial.realize

        def realize(platform: object) -> None:
            serial_realize(platform)    # type: ignore[arg-type]
            for port in ports:
                port.realize(platform)    # type: ignore[arg-type]
                serial.port_bus.plug(port)

        serial.realize = realize    # type: ignore[method-assign]
        self.ports = ports
        return serial

    def pause(self) -> None:
        """Ports are devices of their own, with saved state of their own."""
        saved = [port.save() for port in self.ports]
        self.way.pause(self.bench)
        for port, state in zip(self.ports, saved, strict=True):
            port.load(state)

    def start(self, features: int = ALL) -> None:
        count = 6 if self.channel else 2
        queues = self.driver.start(features, queues=range(count) if features >> MULTIPORT & 1 else range(2), size=64)
        self.inputs: list[DriverQueue] = queues[0::2]
        self.outputs: list[DriverQueue] = queues[1::2]
        if features >> MULTIPORT & 1 and self.channel:
            self.control_in, self.control_out = self.inputs.pop(1), self.outputs.pop(1)
            for _ in range(32):
                self.control_in.add(room=[64])
            self.control_in.kick()

    def tell(self, port: int, event: int, value: int = 1) -> None:
        self.control_out.request([struct.pack("<IHH", port, event, value)])

    def told(self) -> list[tuple[int, int, int, bytes]]:
        """Control messages from the device."""
        return [(*struct.unpack("<IHH", used.data[:8]), used.data[8 : used.length]) for used in self.control_in.used()]

    def introduce(self) -> None:
        """What a driver does at first."""
        self.tell(0, READY)
        for number in range(2):
            self.tell(number, PORT_READY)
            self.tell(number, OPEN)
        self.told()


@pytest.fixture
def controller(way: Way) -> Controller:
    controller = Controller(way)
    controller.start()
    return controller


def test_single_port(way: Way) -> None:
    """Without MULTIPORT there is port 0 alone: output goes out, input comes in as far as there are buffers."""
    controller = Controller(way)
    controller.start(ALL & ~(1 << MULTIPORT))
    controller.outputs[0].request([b"hello ", b"world"])
    assert controller.sides[0].output == b"hello world"
    controller.sides[0].type(b"abcdef")
    assert controller.inputs[0].used() == []
    controller.pause()
    controller.inputs[0].add(room=[4])
    controller.inputs[0].kick()
    assert [used.data[: used.length] for used in controller.inputs[0].used()] == [b"abcd"]
    controller.inputs[0].add(room=[4])
    controller.inputs[0].kick()
    assert [used.data[: used.length] for used in controller.inputs[0].used()] == [b"ef"]


def test_ports_are_introduced(controller: Controller) -> None:
    """The driver hears of both ports, which one is the console, the other's name, and which host sides are open."""
    controller.tell(0, READY)
    assert controller.told() == [(0, ADD, 1, b""), (1, ADD, 1, b"")]
    controller.pause()
    controller.tell(0, PORT_READY)
    assert controller.told() == [(0, CONSOLE, 1, b""), (0, OPEN, 1, b"")]
    controller.tell(1, PORT_READY)
    assert controller.told() == [(1, NAME, 1, b"org.test")]
    controller.sides[1].event(ChardevEvent.OPENED)
    assert controller.told() == [(1, OPEN, 1, b"")]
    controller.sides[1].event(ChardevEvent.CLOSED)
    assert controller.told() == [(1, OPEN, 0, b"")]
    controller.sides[0].event(ChardevEvent.CLOSED)
    assert controller.told() == [], "a console stays open"


def test_messages_wait_for_buffers(way: Way) -> None:
    """Control messages are kept until the guest has buffers for them, in order."""
    controller = Controller(way)
    controller.driver.start(queues=[])
    control_in, control_out = (DriverQueue(controller.driver, number, 8) for number in (2, 3))
    control_out.request([struct.pack("<IHH", 0, READY, 1)])
    controller.pause()
    for number in range(2):
        control_in.add(room=[8])
        control_in.kick()
        (used,) = control_in.used()
        assert struct.unpack("<IHH", used.data) == (number, ADD, 1)


def test_channel_data(controller: Controller) -> None:
    """Input of a channel waits until a program of the guest has opened it; output goes where the host side is open."""
    controller.introduce()
    controller.tell(1, OPEN, 0)
    controller.inputs[1].add(room=[100])
    controller.inputs[1].kick()
    controller.outputs[1].request([b"nobody"])
    assert controller.sides[1].output == b""
    controller.sides[1].event(ChardevEvent.OPENED)
    controller.sides[1].type(b"data")
    assert controller.inputs[1].used() == []
    controller.pause()
    controller.sides[1].event(ChardevEvent.OPENED)
    controller.tell(1, OPEN)
    assert [used.data[: used.length] for used in controller.inputs[1].used()] == [b"data"]
    controller.outputs[1].request([b"answer"])
    assert controller.sides[1].output == b"answer"
    assert controller.sides[0].output == b""


def test_output_waits_for_a_slow_reader(controller: Controller) -> None:
    """While the other side reads nothing, the guest's buffers stay with the device; later all arrive in order."""
    controller.introduce()
    controller.sides[0].output_full = True
    for number in range(3):
        controller.outputs[0].add([b"%d" % number])
    controller.outputs[0].kick()
    assert controller.outputs[0].used() == []
    controller.pause()
    controller.sides[0].make_room()
    assert controller.sides[0].output == b"012"
    assert len(controller.outputs[0].used()) == 3


def test_closed_host_side_drops_what_waits(controller: Controller) -> None:
    """When a slow reader leaves, the guest gets its buffers back."""
    controller.introduce()
    controller.sides[1].event(ChardevEvent.OPENED)
    controller.sides[1].output_full = True
    controller.outputs[1].add([b"x"])
    controller.outputs[1].kick()
    assert controller.outputs[1].used() == []
    controller.sides[1].event(ChardevEvent.CLOSED)
    assert len(controller.outputs[1].used()) == 1


def test_emergency_write(way: Way) -> None:
    """A byte written to the configuration space reaches the console before any driver runs."""
    controller = Controller(way)
    assert controller.driver.offered() >> EMERGENCY & 1
    for letter in b"panic":
        controller.driver.write(0x108, letter)
    assert controller.sides[0].output == b"panic"
    silent = Controller(way, emergency_write=False)
    silent.driver.write(0x108, 65)
    assert silent.sides[0].output == b"" and not silent.driver.offered() >> EMERGENCY & 1


def test_configuration(way: Way) -> None:
    """The number of ports decides on queues and on MULTIPORT."""
    controller = Controller(way, max_ports=4)
    assert controller.driver.config(4, 4) == 4
    controller.driver.write(0x30, 9)
    assert controller.driver.read(0x34) == 1024
    controller.driver.write(0x30, 10)
    assert controller.driver.read(0x34) == 0
    single = Controller(way, channel=False, max_ports=1)
    assert not single.driver.offered() >> MULTIPORT & 1


def test_odd_control_messages(controller: Controller) -> None:
    """Messages that are short, of unknown kind, or about ports that do not exist do nothing."""
    for message in (b"x", struct.pack("<IHH", 7, PORT_READY, 1), struct.pack("<IHH", 0, 99, 1),
                    struct.pack("<IHH", 0xFFFF_FFFF, OPEN, 1), struct.pack("<IHH", 0, ADD, 1) + b"more"):
        assert controller.control_out.request([message]).length == 0
    assert controller.told() == []
    controller.outputs[0].request([b"still there"])
    assert controller.sides[0].output == b"still there"


def test_message_storm_is_bounded(controller: Controller) -> None:
    """A guest that asks again and again without giving buffers cannot fill the host's memory."""
    for _ in range(1500):
        controller.tell(0, READY)
    assert len(controller.bench.device.messages) <= 1024


def test_giant_write(controller: Controller) -> None:
    """A chain that names the same memory over and over is no way to write a terabyte."""
    queue = controller.outputs[0]
    table = controller.driver.allocate(16 * 1024)
    for number in range(1024):
        queue.write_descriptor(table, number, controller.bench.ram_base, 1 << 20, 1 if number < 1023 else 0, number + 1)
    queue.write_descriptor(queue.desc, 0, table, 16 * 1024, 4, 0)
    queue.publish(0)
    queue.kick()
    assert controller.bench.device.broken
    assert controller.sides[0].output == b""


def test_reset_forgets(controller: Controller) -> None:
    """After a reset the ports are introduced anew."""
    controller.introduce()
    assert all(port.guest_open for port in controller.ports)
    controller.start()
    assert not any(port.guest_open for port in controller.ports)
    controller.tell(0, READY)
    assert [message[:2] for message in controller.told()] == [(0, ADD), (1, ADD)]


def test_port_numbers() -> None:
    """Numbers are unique, within bounds, and 0 is for a console."""
    serial = VirtioSerial(max_ports=3)
    bus = serial.port_bus
    channel, console = VirtSerialPort(), VirtConsole()
    bus.plug(channel)
    bus.plug(console)
    assert (channel.number, console.number) == (1, 0)
    cases: dict[str, SerialPort] = {
        "port number 1 of .* is taken": VirtSerialPort(nr=1),
        "port number 0 is for a virtconsole": VirtSerialPort(nr=0),
        "beyond max_ports=3": VirtSerialPort(nr=3),
    }
    del serial.ports[0]
    for message, port in cases.items():
        bus.devices[2:] = []
        with pytest.raises(UsageError, match=message):
            bus.plug(port)
    with pytest.raises(UsageError, match="max_ports is 1 to 31"):
        VirtioSerial(max_ports=32)
    with pytest.raises(UsageError, match="property of virtserialport 'chardv' is not known: did you mean 'chardev'"):
        VirtSerialPort.from_options({"chardv": "x"})
    assert VirtSerialPort.from_options({"name": "org.x", "nr": "2"}).label == "org.x"


def test_port_without_host_side(way: Way) -> None:
    """A port that leads nowhere swallows output."""
    controller = Controller(way)
    controller.start()
    for port in controller.ports:
        port.chardev = None
    controller.outputs[0].request([b"x"])
    controller.introduce()
    assert not controller.bench.device.broken
