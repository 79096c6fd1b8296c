"""ACPI tables for firmware that fetches them through fw_cfg (ACPI specification 6.5, chapter 5.2; QEMU's published
interface `etc/table-loader`: a list of commands that say how files are placed, linked and checksummed in memory).

    tables = AcpiTables()
    dsdt = tables.add("DSDT", 2, aml, listed=False)
    reduced_hardware_fadt(tables, dsdt, ...)
    tables.offer(fw_cfg)                     # or, without firmware,
    blob = tables.linked(address)
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from ratite.hw.misc.fw_cfg import FwCfgMem

_TABLES, _RSDP, _LOADER = "etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader"
_HEADER = struct.Struct("<4sIBB6s8sI4sI")
_COMMAND_SIZE = 128
_HIGH, _LOW_BIOS = 1, 2    # zones of memory

#: Where in a table its checksum is; where in the root pointer its pointer is, and its checksums with what they cover.
_CHECKSUM = 9
_RSDP_SIZE, _RSDP_XSDT, _RSDP_CHECKSUMS = 36, 24, ((8, 20), (32, 36))
_TABLES_AT = 64

#: Address spaces of a generic address.
SYSTEM_MEMORY = 0


def generic_address(address: int, bits: int = 8) -> bytes:
    """A register in memory (chapter 5.2.3.2)."""
    return struct.pack("<BBBBQ", SYSTEM_MEMORY, bits, 0, bits.bit_length() - 3, address)


class AcpiTables:
    """Collects tables, in one file, and the commands that make firmware link them."""

    def __init__(self) -> None:
        self._file = bytearray()
        self._pointers: list[int] = []
        self._checksums: list[tuple[int, int]] = []
        self._listed: list[int] = []

    def add(self, signature: str, revision: int, body: bytes, *, listed: bool = True, pointers: Mapping[int, int] | None = None) -> int:
        """Add a table and return where it is. `pointers` are offsets in the table of 64-bit addresses of other tables; with
        `listed` the operating system finds it by its signature.
        """
        self._file += bytes(-len(self._file) % 16)
        start = len(self._file)
        header = _HEADER.pack(
            signature.encode("ascii"), _HEADER.size + len(body), revision, 0, b"RATITE", b"RATITE  ", 1, b"RTTE", 1
        )
        self._file += header + body
        for offset, target in (pointers or {}).items():
            struct.pack_into("<Q", self._file, start + offset, target)
            self._pointers.append(start + offset)
        self._checksums.append((start, len(header) + len(body)))
        if listed:
            self._listed.append(start)
        return start

    def _finish(self) -> bytes:
        """Add the list of all tables; returns the root pointer, which is not linked yet."""
        offsets = {_HEADER.size + 8 * n: start for n, start in enumerate(self._listed)}
        xsdt = self.add("XSDT", 1, bytes(8 * len(offsets)), listed=False, pointers=offsets)
        return struct.pack("<8sB6sBIIQB3x", b"RSD PTR ", 0, b"RATITE", 2, 0, _RSDP_SIZE, xsdt, 0)

    def offer(self, fw_cfg: FwCfgMem) -> None:
        """Finish, and put all into fw_cfg with the commands that link it."""
        rsdp = self._finish()
        commands = [self._allocate(_RSDP, 16, _LOW_BIOS), self._allocate(_TABLES, 64, _HIGH)]
        commands += [self._point(_TABLES, offset) for offset in self._pointers]
        commands += [self._checksum(_TABLES, start + _CHECKSUM, start, size) for start, size in self._checksums]
        commands.append(self._point(_RSDP, _RSDP_XSDT))
        commands += [self._checksum(_RSDP, at, 0, size) for at, size in _RSDP_CHECKSUMS]
        fw_cfg.add_file(_TABLES, bytes(self._file))
        fw_cfg.add_file(_RSDP, rsdp)
        fw_cfg.add_file(_LOADER, b"".join(commands))

    def linked(self, address: int) -> bytes:
        """Finish, and return what is to be placed at `address`: the root pointer, and 64 bytes further on the tables."""
        rsdp, content, base = bytearray(self._finish()), self._file, address + _TABLES_AT
        for file, offset in ((rsdp, _RSDP_XSDT), *((content, offset) for offset in self._pointers)):
            struct.pack_into("<Q", file, offset, struct.unpack_from("<Q", file, offset)[0] + base)
        for start, size in self._checksums:
            content[start + _CHECKSUM] = -sum(content[start : start + size]) & 0xFF
        for at, size in _RSDP_CHECKSUMS:
            rsdp[at] = -sum(rsdp[:size]) & 0xFF
        return bytes(rsdp.ljust(_TABLES_AT, b"\0") + content)

    # --- commands

    @staticmethod
    def _allocate(file: str, align: int, zone: int) -> bytes:
        return struct.pack("<I56sIB", 1, file.encode(), align, zone).ljust(_COMMAND_SIZE, b"\0")

    @staticmethod
    def _point(file: str, offset: int) -> bytes:
        """Add the address of the tables to a number of 64 bits in a file."""
        return struct.pack("<I56s56sIB", 2, file.encode(), _TABLES.encode(), offset, 8).ljust(_COMMAND_SIZE, b"\0")

    @staticmethod
    def _checksum(file: str, offset: int, start: int, length: int) -> bytes:
        return struct.pack("<I56sIII", 3, file.encode(), offset, start, length).ljust(_COMMAND_SIZE, b"\0")


def reduced_hardware_fadt(tables: AcpiTables, dsdt: int, *, sleep_control: int, sleep_status: int, reset: int, reset_value: int) -> int:
    """FADT of a machine without fixed hardware (chapter 5.2.9): sleep and reset registers are bytes in memory."""
    body = bytearray(276 - _HEADER.size)

    def put(offset: int, content: bytes) -> None:
        body[offset - _HEADER.size : offset - _HEADER.size + len(content)] = content

    reset_register, hardware_reduced = 1 << 10, 1 << 20
    put(112, struct.pack("<I", reset_register | hardware_reduced))
    put(116, generic_address(reset) + bytes([reset_value]))
    put(131, bytes([5]))    # minor version
    put(244, generic_address(sleep_control))
    put(256, generic_address(sleep_status))
    return tables.add("FACP", 6, bytes(body), pointers={140: dsdt})


def configuration_space(tables: AcpiTables, base: int, buses: int) -> int:
    """MCFG: where the configuration space of PCI Express is (PCI firmware specification 3.3, chapter 4.1.2)."""
    return tables.add("MCFG", 1, bytes(8) + struct.pack("<QHBB4x", base, 0, 0, buses - 1))
