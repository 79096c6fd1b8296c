"""Memory as one bus master sees it that may be kept from it: a PCI function whose bus mastering is off reaches nothing."""

from __future__ import annotations

from ratite.memory.space import AddressSpace, BusError, Region, WriteListener, WritePredicate


class BusMaster(AddressSpace):
    """A view of `target` that can be closed; while it is closed, every access fails as if there were no memory.

    Opening and closing count as a change of the map, so that who has looked something up looks again.
    """

    def __init__(self, target: AddressSpace, *, enabled: bool = False) -> None:
        super().__init__(target.name, target.byteorder)
        self.target, self._enabled = target, enabled
        target.on_change(self._changed)

    @property
    def enabled(self) -> bool:
        """Whether accesses get through."""
        return self._enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        if enabled != self._enabled:
            self._enabled = enabled
            self._changed()

    def regions(self) -> list[Region]:
        return self.target.regions()

    def find(self, address: int) -> Region | None:
        return self.target.find(address) if self._enabled else None

    def read(self, address: int, size: int) -> int:
        if not self._enabled:
            raise BusError(address, size, write=False)
        return self.target.read(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        if not self._enabled:
            raise BusError(address, size, write=True)
        self.target.write(address, size, value)

    def note_write(self, address: int, size: int) -> None:
        self.target.note_write(address, size)

    def on_ram_write(self, listener: WriteListener, wanted: WritePredicate | None = None) -> None:
        self.target.on_ram_write(listener, wanted)

    def _tell_written(self, region: Region, start: int, size: int) -> None:
        self.target._tell_written(region, start, size)
