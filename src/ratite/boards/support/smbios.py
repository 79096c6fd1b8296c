"""SMBIOS tables for firmware that fetches them through fw_cfg (DSP0134 3.6.0, chapters 5.2.2, 6.1 and 7): system, chassis,
processors, memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from ratite.bits import MiB
from ratite.hw.misc.fw_cfg import FwCfgMem

_END = 127
_OTHER, _UNKNOWN = 1, 2


class _Table:
    """The structures, one behind the other; a handle is a number by which others refer to one."""

    def __init__(self) -> None:
        self.content = bytearray()

    def add(self, kind: int, handle: int, body: bytes, texts: Sequence[str] = ()) -> int:
        """Add a structure; `texts` are its strings, which the body numbers from 1 on."""
        self.content += struct.pack("<BBH", kind, 4 + len(body), handle) + body
        self.content += b"".join(text.encode("ascii", "replace") + b"\0" for text in texts) + (b"\0" if texts else b"\0\0")
        return handle


def offer_smbios(fw_cfg: FwCfgMem, *, product: str, cpus: int, cpu: str, memory: Iterable[tuple[int, int]]) -> None:
    """Describe a machine; `memory` is its pieces of RAM, as (address, size)."""
    pieces = list(memory)
    table = _Table()
    table.add(1, 0x100, struct.pack("<BBBB16sBBB", 1, 2, 3, 0, bytes(16), 6, 0, 0), ("Ratite", product, "1"))
    table.add(3, 0x300, struct.pack("<BBBBBBBBBIBBBBB", 1, 1, 2, 0, 0, 3, 3, 3, _UNKNOWN, 0, 0, 0, 0, 0, 0), ("Ratite", "1"))
    for n in range(cpus):
        body = struct.pack(
            "<BBBBQBBHHHBBHHHBBBBBBHHHHH", 1, 3, _OTHER, 2, 0, 3, 0, 0, 2000, 2000, 0x41, 1,
            0xFFFF, 0xFFFF, 0xFFFF, 0, 0, 0, 1, 1, 1, 0, _OTHER, 1, 1, 1,
        )  # fmt: skip
        table.add(4, 0x400 + n, body, (f"CPU {n}", "Ratite", cpu))
    total = sum(size for _, size in pieces)
    array = table.add(16, 0x1000, struct.pack("<BBBIHHQ", 1, 3, 6, 0x8000_0000, 0xFFFE, 1, total))
    size = total // MiB
    table.add(17, 0x1100, struct.pack(
        "<HHHHHBBBBBHHBBBBBIHHHH", array, 0xFFFE, 0xFFFF, 0xFFFF, min(size, 0x7FFF), 9, 0, 1, 0, 7, 2, 0, 2, 0, 0, 0, 0,
        size if size >= 0x7FFF else 0, 0, 0, 0, 0,
    ), ("DIMM 0", "Ratite"))  # fmt: skip
    for n, (base, length) in enumerate(pieces):
        first, last = base >> 10, (base + length >> 10) - 1
        table.add(19, 0x1300 + n, struct.pack("<IIHBQQ", first, last, array, 1, 0, 0))
    table.add(_END, 0x7F00, b"")
    anchor = bytearray(struct.pack("<5sBBBBBBBIQ", b"_SM3_", 0, 24, 3, 0, 0, 1, 0, len(table.content), 0))
    anchor[5] = -sum(anchor) & 0xFF
    fw_cfg.add_file("etc/smbios/smbios-tables", bytes(table.content))
    fw_cfg.add_file("etc/smbios/smbios-anchor", bytes(anchor))
