"""Several front ends on one stream (`mon:stdio`, `mux=on`): all may write, one at a time has the keyboard.

C-a is the escape character: C-a h lists what follows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ratite.chardev.base import CanReceive, Chardev, ChardevContext, ChardevEvent, Receive

_ESCAPE = 0x01
_PENDING = 64 << 10    # input kept for a front end that does not read, so that the escape character still works


class Mux:
    """Shares `backend` among the ports that `port` gives out; the first one has the focus."""

    keys: ClassVar[dict[str, tuple[str, Callable[[Mux], None]]]]

    def __init__(self, context: ChardevContext, backend: Chardev) -> None:
        self.context, self.backend = context, backend
        self.ports: list[MuxPort] = []
        self._focus: MuxPort | None = None
        self._escaped = False
        backend.attach(self._input, self._room_for_input, on_event=self._pass_event, on_room=self._pass_room)

    def port(self, label: str) -> MuxPort:
        """A new character device for one more front end."""
        port = MuxPort(self.context, self, label)
        self.ports.append(port)
        if self._focus is None:
            self._focus = port
        return port

    def focus(self, port: MuxPort) -> None:
        """Give `port` the keyboard."""
        self._focus = port
        port.accept_input()

    def close(self) -> None:
        self.backend.close()

    # --- input

    def _room_for_input(self) -> int:
        return 1 if self._focus is None else max(0, _PENDING - len(self._focus.pending))

    def _input(self, data: bytes) -> None:
        plain = bytearray()
        for byte in data:
            if self._escaped:
                self._escaped = False
                if byte == _ESCAPE:
                    plain.append(byte)
                else:
                    self._hand_over(plain)
                    self._command(byte)
            elif byte == _ESCAPE:
                self._escaped = True
            else:
                plain.append(byte)
        self._hand_over(plain)

    def _hand_over(self, plain: bytearray) -> None:
        if plain and self._focus is not None:
            self._focus.pending += plain
            self._focus.accept_input()
        plain.clear()

    def _command(self, byte: int) -> None:
        _, action = self.keys.get(chr(byte).lower(), ("", None))
        if action is not None:
            action(self)

    # --- what the keys do

    def _show_help(self) -> None:
        lines = [f"C-a {key:<4} {meaning}" for key, (meaning, _) in self.keys.items()]
        self.say("\n" + "\n".join([*lines, "C-a C-a  sends C-a", ""]))

    def _quit(self) -> None:
        self.say("\nRatite: terminated\n")
        self.context.quit()

    def _next_port(self) -> None:
        if len(self.ports) < 2 or self._focus is None:
            self.say("\nThere is no monitor on this stream.\n")
            return
        self.focus(self.ports[(self.ports.index(self._focus) + 1) % len(self.ports)])

    def _send_break(self) -> None:
        if self._focus is not None:
            self._focus._event(ChardevEvent.BREAK)

    def say(self, text: str) -> None:
        """Print for the person at the terminal, which may be in raw mode."""
        self.backend.write(text.replace("\n", "\r\n").encode())

    # --- the back end's news are everybody's

    def _pass_event(self, event: ChardevEvent) -> None:
        for port in self.ports:
            if event is ChardevEvent.BREAK:
                port._event(event)
            else:
                port._set_connected(event is ChardevEvent.OPENED)

    def _pass_room(self) -> None:
        for port in self.ports:
            port._room()


Mux.keys = {
    "h": ("shows this help", Mux._show_help),
    "x": ("ends the emulator", Mux._quit),
    "b": ("sends a break", Mux._send_break),
    "c": ("switches between the console and the monitor", Mux._next_port),
}


class MuxPort(Chardev):
    """What one front end sees of a `Mux`."""

    def __init__(self, context: ChardevContext, mux: Mux, label: str) -> None:
        super().__init__(context, label)
        self.mux = mux
        self.pending = bytearray()
        self.connected = mux.backend.connected

    def attach(
        self,
        receive: Receive,
        can_receive: CanReceive,
        *,
        on_event: Callable[[ChardevEvent], None] | None = None,
        on_room: Callable[[], None] | None = None,
    ) -> None:
        super().attach(receive, can_receive, on_event=on_event, on_room=on_room)
        self.mux.backend.accept_input()

    def write(self, data: bytes) -> None:
        self.mux.backend.write(data)

    @property
    def output_full(self) -> bool:
        return self.mux.backend.output_full

    def accept_input(self) -> None:
        with self.lock:
            while self.pending and (room := self._can_receive()) > 0:
                data = bytes(self.pending[:room])
                del self.pending[: len(data)]
                self._deliver(data)
            self.mux.backend.accept_input()

    def close(self) -> None:
        """The stream belongs to the mux."""
