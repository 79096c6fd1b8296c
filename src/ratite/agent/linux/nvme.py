"""The health log of NVMe disks: Get Log Page, page 02h (NVM Express Base Specification 2.0, 5.16.1.3), through
struct nvme_passthru_cmd of <linux/nvme_ioctl.h>."""

from __future__ import annotations

import ctypes
import os
import struct

from ratite.agent.linux.ioctls import both_code
from ratite.agent.system.base import System

_COMMAND = struct.Struct("=BBHIIIQQII6III")    # opcode ... data address, metadata and data lengths, dwords 10 to 15
_ADMIN_COMMAND = both_code("N", 0x41, _COMMAND.size)
_GET_LOG_PAGE, _HEALTH, _ALL_NAMESPACES = 0x02, 0x02, 0xFFFF_FFFF
_KEEP_EVENTS = 1 << 15    # reading must not acknowledge events for whoever else waits for them
_PAGE = 512

# Offsets of the numbers of 16 bytes.
_LONG = {
    "data-units-read": 32,
    "data-units-written": 48,
    "host-read-commands": 64,
    "host-write-commands": 80,
    "controller-busy-time": 96,
    "power-cycles": 112,
    "power-on-hours": 128,
    "unsafe-shutdowns": 144,
    "media-errors": 160,
    "number-of-error-log-entries": 176,
}


def health(system: System, device: str) -> dict[str, int]:
    """The fields of the health log of a disk such as /dev/nvme0n1. Raises OSError."""
    page = ctypes.create_string_buffer(_PAGE)
    dword10 = _HEALTH | _KEEP_EVENTS | (_PAGE // 4 - 1) << 16
    command = bytearray(_COMMAND.pack(
        _GET_LOG_PAGE, 0, 0, _ALL_NAMESPACES, 0, 0, 0, ctypes.addressof(page), 0, _PAGE, dword10, 0, 0, 0, 0, 0, 0, 0,
    ))    # fmt: skip
    descriptor = os.open(system.path(device), os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = system.ioctl(descriptor, _ADMIN_COMMAND, command)
    finally:
        os.close(descriptor)
    if status:
        raise OSError(0, f"NVMe status {status:#x}")
    return decode(page.raw)


def decode(page: bytes) -> dict[str, int]:
    """The fields of a health log page of 512 bytes; the temperature is in kelvin, times are as the disk counts them."""
    warning, temperature, spare, threshold, used = struct.unpack_from("<BHBBB", page)
    fields = {
        "critical-warning": warning,
        "temperature": temperature,
        "available-spare": spare,
        "available-spare-threshold": threshold,
        "percentage-used": used,
    }
    for name, offset in _LONG.items():
        fields[f"{name}-lo"], fields[f"{name}-hi"] = struct.unpack_from("<QQ", page, offset)
    return fields
