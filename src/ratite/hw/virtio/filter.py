"""Which frames a virtio network card passes to its guest (Virtual I/O Device 1.2, 5.1.6.5.1 to 5.1.6.5.3)."""

from __future__ import annotations

from typing import Any

_TABLE = 64    # addresses of each table; a guest that sets more gets everything of that kind
_MODES = ("promiscuous", "all_multicast", "all_unicast", "no_multicast", "no_unicast", "no_broadcast")
_FIRST_EXTRA_MODE = 2
_BROADCAST = b"\xff" * 6
_VLAN_TYPE = b"\x81\x00"


class FrameFilter:
    """Receive modes, address tables, VLANs. A card whose driver says nothing passes everything."""

    def __init__(self, address: bytes) -> None:
        self.reset(address)

    def reset(self, address: bytes) -> None:
        """Take the state after a device reset."""
        self.address = address
        self.promiscuous = True
        self.all_multicast = self.all_unicast = False
        self.no_multicast = self.no_unicast = self.no_broadcast = False
        self.unicast: set[bytes] = set()
        self.multicast: set[bytes] = set()
        self.unicast_overflow = self.multicast_overflow = False
        self.vlans_on = False
        self.vlans: set[int] = set()

    def accepts(self, frame: bytes) -> bool:
        """Whether the guest gets the frame."""
        if self.promiscuous:
            return True
        vlan = int.from_bytes(frame[14:16], "big") & 0xFFF
        if self.vlans_on and frame[12:14] == _VLAN_TYPE and vlan not in self.vlans:
            return False
        target = frame[:6]
        if target == _BROADCAST:
            return not self.no_broadcast
        if target[:1] and target[0] & 1:
            wanted = self.all_multicast or self.multicast_overflow or target in self.multicast
            return wanted and not self.no_multicast
        if self.no_unicast:
            return False
        return self.all_unicast or self.unicast_overflow or target == self.address or target in self.unicast

    # --- commands; False: the command makes no sense

    def set_mode(self, number: int, on: bool, *, extra: bool) -> bool:
        """Switch a receive mode; those beyond the first two are there with `extra`."""
        if number >= (len(_MODES) if extra else _FIRST_EXTRA_MODE):
            return False
        setattr(self, _MODES[number], on)
        return True

    def set_table(self, data: bytes) -> bool:
        """Replace both address tables: each a 32-bit count and that many addresses."""
        tables: list[list[bytes]] = []
        for _ in range(2):
            count = int.from_bytes(data[:4], "little")
            size = 4 + 6 * count
            if len(data) < size:
                return False
            tables.append([data[at : at + 6] for at in range(4, size, 6)] if count <= _TABLE else [])
            if not tables[-1] and count:
                tables[-1] = [b""] * (_TABLE + 1)
            data = data[size:]
        self.unicast_overflow, self.multicast_overflow = (len(table) > _TABLE for table in tables)
        self.unicast, self.multicast = (set() if len(table) > _TABLE else set(table) for table in tables)
        return not data

    def set_vlan(self, command: int, number: int) -> bool:
        """Let a VLAN in (0) or keep it out (1)."""
        if command > 1 or number > 4095:
            return False
        if command == 0:
            self.vlans.add(number)
        else:
            self.vlans.discard(number)
        return True

    # --- saved state

    _FLAGS = (*_MODES, "unicast_overflow", "multicast_overflow", "vlans_on")

    def save(self) -> dict[str, Any]:
        """All of it."""
        return {
            "address": self.address.hex(),
            "flags": [name for name in self._FLAGS if getattr(self, name)],
            "unicast": sorted(address.hex() for address in self.unicast),
            "multicast": sorted(address.hex() for address in self.multicast),
            "vlans": sorted(self.vlans),
        }

    def load(self, saved: Any) -> None:
        """Take over a saved state."""
        self.address = bytes.fromhex(saved["address"])
        for name in self._FLAGS:
            setattr(self, name, name in saved["flags"])
        self.unicast = {bytes.fromhex(text) for text in saved["unicast"]}
        self.multicast = {bytes.fromhex(text) for text in saved["multicast"]}
        self.vlans = {int(number) for number in saved["vlans"]}
