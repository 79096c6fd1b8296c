"""Wires: interrupt requests, resets, card-detect and the like."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from ratite.errors import DefinitionError

if TYPE_CHECKING:
    from ratite.hw.model.device import Device

Sink = Callable[[bool], None]
"""An input: called with the new level of the line that drives it."""


class Line:
    """An output that drives one input; the board joins the two with `connect`. The input hears of changes only."""

    __slots__ = ("_sink", "level", "name")

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.level = False
        self._sink: Sink = _nowhere

    def __repr__(self) -> str:
        return f"<Line {self.name} {'high' if self.level else 'low'}>"

    def connect(self, sink: Sink) -> None:
        """Drive `sink` from now on. Raises DefinitionError when the line already leads somewhere."""
        if self._sink is not _nowhere:
            raise DefinitionError(f"line {self.name} is connected already")
        self._sink = sink
        if self.level:
            sink(True)

    def set(self, level: bool) -> None:
        """Drive the line high or low."""
        if level != self.level:
            self.level = level
            self._sink(level)

    def raise_(self) -> None:
        """Drive the line high."""
        self.set(True)

    def lower(self) -> None:
        """Drive the line low."""
        self.set(False)

    def pulse(self) -> None:
        """High for a moment, then low: what an edge-triggered input wants."""
        self.set(True)
        self.set(False)

    def announce(self) -> None:
        """Tell the input the present level once more, after saved state was loaded."""
        self._sink(self.level)


class OutputDeclaration:
    """What `Output` and `Outputs` share."""

    def __init__(self, description: str) -> None:
        self.description = description
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def build(self, device: Device) -> Line | list[Line]:
        """The line or lines of one device."""
        raise NotImplementedError


class Output(OutputDeclaration):
    """Declares an output of a device class: `irq = Output("interrupt request")` gives every device a `Line`."""

    def build(self, device: Device) -> Line:
        return Line(self.name)

    @overload
    def __get__(self, device: None, owner: type) -> Output: ...
    @overload
    def __get__(self, device: Device, owner: type) -> Line: ...
    def __get__(self, device: Device | None, owner: type) -> Any:
        return self    # a device has its Line in its own dictionary, which wins over this


class Outputs(OutputDeclaration):
    """Declares a row of outputs; `count` is their number, or the name of the attribute that has it."""

    def __init__(self, description: str, count: int | str) -> None:
        super().__init__(description)
        self.count = count

    def build(self, device: Device) -> list[Line]:
        count = getattr(device, self.count) if isinstance(self.count, str) else self.count
        return [Line(f"{self.name}[{index}]") for index in range(count)]

    @overload
    def __get__(self, device: None, owner: type) -> Outputs: ...
    @overload
    def __get__(self, device: Device, owner: type) -> list[Line]: ...
    def __get__(self, device: Device | None, owner: type) -> Any:
        return self


def _nowhere(level: bool) -> None:
    """An input that nobody has connected."""
