"""virtio-serial-device with its ports: consoles and channels between host and guest (Virtual I/O Device 1.2, 5.3)."""

from __future__ import annotations

import struct
from collections import deque
from enum import IntEnum
from typing import Any, cast

from ratite.errors import UsageError
from ratite.hw.model import STR, UINT32, Bus, CharBackend, CharEvent, Device, Link, Property, Register
from ratite.hw.virtio.device import VirtioDevice
from ratite.hw.virtio.features import FeatureProperty
from ratite.hw.virtio.queue import Queue

PORT_BUS = "virtio-serial-bus"
_ANY = 0xFFFF_FFFF                 # port number: the next free one
_QUEUE_SIZE = 128
_LONGEST_WRITE = 1 << 20           # bytes that a guest may send in one chain
_CONTROL = struct.Struct("<IHH")   # port, event, value
_CONTROL_IN, _CONTROL_OUT = 2, 3   # queues
_WAITING_MESSAGES = 1024           # control messages for a guest that gives no buffers


class ConsoleFeature(IntEnum):
    """Feature bits (5.3.3)."""

    MULTIPORT = 1
    EMERG_WRITE = 2


class Event(IntEnum):
    """Control messages (5.3.6.2)."""

    DEVICE_READY = 0
    PORT_ADD = 1
    PORT_REMOVE = 2
    PORT_READY = 3
    CONSOLE_PORT = 4
    RESIZE = 5
    PORT_OPEN = 6
    PORT_NAME = 7


class VirtioSerial(VirtioDevice, name="virtio-serial-device", size=0x0C):
    """A controller that ports are plugged into. Not modelled: the console's size, removal of ports."""

    virtio_id = 3
    state = ("guest_ready",)

    max_ports = Property(UINT32, 31, "how many ports there may be").named("max_ports")
    emergency_write = FeatureProperty(
        ConsoleFeature.EMERG_WRITE, True, "the guest may print through a register before it has a driver"
    ).named("emergency-write")

    # --- configuration space (5.3.4)

    class columns(Register, offset=0x00, width=2, mode="ro"):
        pass

    class rows(Register, offset=0x02, width=2, mode="ro"):
        pass

    class port_limit(Register, offset=0x04, mode="ro"):
        pass

    class emergency(Register, offset=0x08, mode="wo"):
        def on_write(self, dev: VirtioSerial) -> None:
            console = next((port for _, port in sorted(dev.ports.items()) if port.is_console), None)
            if dev.emergency_write and console is not None and console.chardev is not None:
                console.chardev.write(bytes([self.written & 0xFF]))

    # --- the life of the device

    def setup(self) -> None:
        super().setup()
        if not 1 <= self.max_ports <= 31:
            raise UsageError(f"{self.name}: max_ports is 1 to 31, not {self.max_ports}")
        self.ports: dict[int, SerialPort] = {}
        self.port_bus = Bus(PORT_BUS, "virtio-serial-bus.0", capacity=self.max_ports, plugged=self._plugged)
        self.buses.append(self.port_bus)
        self.guest_ready = False
        self.messages: deque[bytes] = deque()

    def make_queues(self) -> list[int]:
        return [_QUEUE_SIZE] * (2 * (self.max_ports + 1))

    def realized(self) -> None:
        super().realized()
        if self.id:
            self.port_bus.name = f"{self.id}.0"

    def reset(self) -> None:
        super().reset()
        self.port_limit.value = self.max_ports
        self.guest_ready = False
        self.messages.clear()
        for port in self.ports.values():
            port.guest_open = False

    def adjust_features(self, features: int) -> int:
        return features | (1 << ConsoleFeature.MULTIPORT if self.max_ports > 1 else 0)

    def save(self) -> dict[str, Any]:
        return super().save() | {"messages": list(self.messages)}

    def restore(self, saved: dict[str, Any]) -> None:
        super().restore(saved)
        self.messages = deque(bytes(message) for message in saved["messages"])

    @property
    def multiport(self) -> bool:
        """Whether the guest knows of ports beyond the first."""
        return self.has(ConsoleFeature.MULTIPORT)

    def _plugged(self, device: Device) -> None:
        port = cast(SerialPort, device)
        port.join(self, self._choose_number(port))
        self.ports[port.number] = port
        self._announce(port)

    def _choose_number(self, port: SerialPort) -> int:
        """Number 0 is for a console, as old drivers know no other port."""
        if port.nr == _ANY:
            first = 0 if port.is_console else 1
            free = next((number for number in range(first, self.max_ports) if number not in self.ports), None)
            if free is None:
                raise UsageError(f"{port.name}: {self.port_bus.name} has no free port number")
            return free
        if port.nr in self.ports:
            raise UsageError(f"{port.name}: port number {port.nr} of {self.port_bus.name} is taken")
        if port.nr >= self.max_ports:
            raise UsageError(f"{port.name}: port number {port.nr} is beyond max_ports={self.max_ports}")
        if port.nr == 0 and not port.is_console:
            raise UsageError(f"{port.name}: port number 0 is for a virtconsole")
        return port.nr

    # --- queues: 0 and 1 are port 0's, 2 and 3 are for control, then come the other ports'

    def input_queue(self, number: int) -> Queue:
        """The queue through which the guest gets a port's input."""
        return self.queues[2 * (number + 1) if number else 0]

    def output_queue(self, number: int) -> Queue:
        """The queue of a port's output."""
        return self.queues[2 * (number + 1) + 1 if number else 1]

    def handle_queue(self, queue: Queue) -> None:
        if queue.index == _CONTROL_IN:
            self._send_messages()
        elif queue.index == _CONTROL_OUT:
            self._take_messages(queue)
        else:
            port = self.ports.get(queue.index // 2 - 1 if queue.index > 1 else 0)
            if queue.index & 1:
                self._take_output(queue, port)
            elif port is not None:
                port.offer_input()

    def _take_output(self, queue: Queue, port: SerialPort | None) -> None:
        """Pass on what the guest writes; it waits while the other side is slow, and is lost while nobody is there."""
        for chain in queue.take():
            if chain.sent > _LONGEST_WRITE:
                self.fail(f"{chain.sent} bytes in one write")
                return
            if port is not None and not port.write(chain.data()):
                queue.unpop()
                break
            queue.push(chain, 0)
        queue.notify()

    def continue_output(self, number: int) -> None:
        """The other side of a port has room again."""
        self.notify_queue(self.output_queue(number).index)

    # --- control messages

    def control(self, port: int, event: Event, value: int = 1, text: bytes = b"") -> None:
        """Tell the guest about a port, as soon as it has a buffer for the message."""
        if self.multiport and len(self.messages) < _WAITING_MESSAGES:
            self.messages.append(_CONTROL.pack(port, event, value) + text)
            self._send_messages()

    def _send_messages(self) -> None:
        queue = self.queues[_CONTROL_IN]
        while self.messages and (chain := queue.pop()) is not None:
            message = self.messages.popleft()
            queue.push(chain, chain.fill(message))
        queue.notify()

    def _take_messages(self, queue: Queue) -> None:
        for chain in queue.take():
            if chain.sent >= _CONTROL.size:
                self._act(*_CONTROL.unpack(chain.data(_CONTROL.size)))
            queue.push(chain, 0)
        queue.notify()

    def _act(self, number: int, event: int, value: int) -> None:
        if event == Event.DEVICE_READY:
            self.guest_ready = bool(value)
            for _, port in sorted(self.ports.items()):
                self._announce(port)
            return
        port_there = self.ports.get(number)
        if port_there is None:
            self.guest_error(f"control message {event} for port {number}, which does not exist")
        elif event == Event.PORT_READY and value:
            port_there.introduce()
        elif event == Event.PORT_OPEN:
            port_there.set_guest_open(bool(value))

    def _announce(self, port: SerialPort) -> None:
        if self.guest_ready:
            self.control(port.number, Event.PORT_ADD)


class SerialPort(Device, bus=PORT_BUS, size=0, abstract=True):
    """What consoles and channels share."""

    is_console = False
    state = ("guest_open",)

    nr = Property(UINT32, _ANY, "port number; the next free one by default")
    label = Property(STR, "", "the port's name in the guest").named("name")
    chardev = Property[CharBackend | None](Link("chardev"), None, "the host side")

    def setup(self) -> None:
        self.number = -1
        self.serial: VirtioSerial | None = None
        self.guest_open = False
        self.host_open = self.is_console

    def realized(self) -> None:
        if self.chardev is not None:
            self.chardev.attach(self._receive, self._can_receive, on_event=self._on_event, on_room=self._on_room)

    def join(self, serial: VirtioSerial, number: int) -> None:
        """Become a port of the controller."""
        self.serial, self.number = serial, number

    def introduce(self) -> None:
        """Tell the guest what this port is."""
        assert self.serial is not None
        if self.is_console:
            self.serial.control(self.number, Event.CONSOLE_PORT)
        if self.label:
            self.serial.control(self.number, Event.PORT_NAME, text=self.label.encode())
        if self.host_open:
            self.serial.control(self.number, Event.PORT_OPEN)

    def set_guest_open(self, is_open: bool) -> None:
        """A program of the guest has opened or closed the port."""
        self.guest_open = is_open
        if is_open:
            self.offer_input()

    def offer_input(self) -> None:
        """The guest has room for input."""
        if self.chardev is not None:
            self.chardev.accept_input()

    def write(self, data: bytes) -> bool:
        """Output of the guest; False when it has to wait."""
        if self.chardev is None or not self.host_open:
            return True
        if self.chardev.output_full:
            return False
        self.chardev.write(data)
        return True

    # --- the host side

    def _can_receive(self) -> int:
        serial = self.serial
        if serial is None or (serial.multiport and not self.guest_open):
            return 0
        return serial.input_queue(self.number).next_room()

    def _receive(self, data: bytes) -> None:
        assert self.serial is not None
        queue = self.serial.input_queue(self.number)
        if (chain := queue.pop()) is not None:
            queue.push(chain, chain.fill(data))
            queue.notify()

    def _on_event(self, event: CharEvent) -> None:
        if self.is_console or event.value not in ("opened", "closed"):
            return
        self.host_open = event.value == "opened"
        if self.serial is not None:
            self.serial.control(self.number, Event.PORT_OPEN, int(self.host_open))
            if not self.host_open:
                self.serial.continue_output(self.number)    # what waited is lost

    def _on_room(self) -> None:
        if self.serial is not None:
            self.serial.continue_output(self.number)


class VirtConsole(SerialPort, name="virtconsole"):
    """A port that is a console of the guest (hvc0 of Linux); always open on the host side."""

    is_console = True


class VirtSerialPort(SerialPort, name="virtserialport"):
    """A port that programs of the guest open by its name; the guest hears when the host side comes and goes."""
