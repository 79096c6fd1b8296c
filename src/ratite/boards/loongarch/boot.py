"""How LoongArch machines start without firmware: the boot ROM, and what a Linux kernel expects of EFI (Linux,
Documentation/arch/loongarch/booting.rst).

A kernel is entered with direct addresses: a0 = 1 (there is EFI), a1 = command line, a2 = EFI system table. The table has
no services; its configuration tables are the memory map, the RAM disk, the device tree and ACPI.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from ratite.bits import KiB, MiB, align_up, mask
from ratite.boards.machine import Machine
from ratite.boards.support import elf
from ratite.boards.support.loader import Image, Loader, elf_image, flat_image, read_file, unzip
from ratite.boards.support.zboot import unwrap
from ratite.errors import ImageError

EM_LOONGARCH = 258

#: Physical addresses in images are those of the windows through which kernels run.
_PHYSICAL = mask(48)

#: Where the boot information lies: in the 2 MiB below the kernel, which it leaves alone.
COMMAND_LINE, COMMAND_LINE_ROOM = 1 * MiB, 64 * KiB
TABLES = COMMAND_LINE + COMMAND_LINE_ROOM
ACPI = TABLES + 64 * KiB
DEVICE_TREE = ACPI + 64 * KiB
KERNEL = 2 * MiB
#: Where firmware looks for the device tree.
FIRMWARE_TREE = 1 * MiB

IMAGE_HEADER = struct.Struct("<8sQQQ24sI")    # Linux, arch/loongarch/kernel/head.S: entry, size, load offset, ..., magic
IMAGE_MAGIC = 0x8182_23CD

# The boot ROM. Core 0 loads a0 to a2 from behind the code and jumps to the fourth word there. The others enable
# interrupts from other cores, wait for them, and jump to the address that they then find in their first mailbox.
BOOT_CODE = (
    0x0400800C, 0x44001D80, 0x180002CD, 0x28C001A4, 0x28C021A5, 0x28C041A6, 0x28C061AE, 0x4C0001C0,
    # csrrd t0, cpuid; bnez t0, others; pcaddi t1, data; ld.d a0, t1, 0; ... a1, 8; ... a2, 16; ... t2, 24; jr t2
    0x1400002D, 0x0400102D, 0x1400002D, 0x02FFFC0E, 0x038011AF, 0x064819EE,
    # others: li t1, 1 << 12; csrwr t1, ecfg; li t1, 0x1000; li t2, -1; ori t3, t1, 4; iocsrwr.w t2, t3
    0x06488000, 0x064809AE, 0x038031AF, 0x064819EE, 0x038081AF, 0x06480DEE, 0x43FFE9DF,
    # wait: idle; iocsrrd.w t2, t1; ori t3, t1, 12; iocsrwr.w t2, t3; ori t3, t1, 32; iocsrrd.d t2, t3; beqz t2, wait
    0x06481DE0, 0x04001020, 0x4C0001C0,
    # iocsrwr.d zero, t3; csrwr zero, ecfg; jr t2
)  # fmt: skip


@dataclass(frozen=True)
class Payload:
    """What is loaded besides the boot information."""

    kernel: Loader
    initrd: Loader | None


@dataclass(frozen=True)
class BootPlan:
    """Where the machine starts: the kernel's entry, 0 where firmware decides."""

    kernel_entry: int


def boot_rom(arguments: Sequence[int], entry: int) -> bytes:
    """The content of the boot ROM."""
    return struct.pack(f"<{len(BOOT_CODE)}I4Q", *BOOT_CODE, *arguments, entry)


def load_payload(m: Machine, low_end: int) -> Payload:
    """Load kernel and RAM disk; `low_end` is the end of the memory that begins at 0. Raises ImageError."""
    kernel = _load(m, partial(read_kernel, m, m.options.kernel))
    initrd = None
    if m.options.initrd:
        address = align_up(kernel.end, 64 * KiB)
        initrd = _load(m, partial(_read_initrd, m, address))
        if initrd.end > low_end:
            raise ImageError(f"RAM disk '{m.options.initrd}' does not fit below {low_end:#x}, behind the kernel")
    return Payload(kernel, initrd)


def read_kernel(m: Machine, path: str) -> Image:
    """A kernel: an ELF file, or an image with an EFI header, compressed or not."""
    limit = m.ram_size
    data = unzip("kernel", path, read_file("kernel", path, limit), limit)
    data = unwrap(path, data, limit)
    if data.startswith(elf.MAGIC):
        image = elf_image(path, data, machine=EM_LOONGARCH, bits=(64,))
        pieces = tuple((address & _PHYSICAL, piece, size) for address, piece, size in image.pieces)
        return Image(path, image.entry & _PHYSICAL, pieces)
    if len(data) < IMAGE_HEADER.size or IMAGE_HEADER.unpack_from(data)[5] != IMAGE_MAGIC:
        raise ImageError(f"kernel '{path}' is neither an ELF file nor a LoongArch kernel image")
    _, entry, size, address, _, _ = IMAGE_HEADER.unpack_from(data)
    image = flat_image(path, data, address & _PHYSICAL, size)
    return Image(path, entry & _PHYSICAL, image.pieces, image.reserve)


def _read_initrd(m: Machine, base: int) -> Image:
    return flat_image(m.options.initrd, read_file("RAM disk", m.options.initrd, m.ram_size), base)


def _load(m: Machine, read: partial[Image]) -> Loader:
    loader = Loader(read)
    m.on_reset(partial(loader.load_into, m.memory))
    return loader


# --- EFI (UEFI specification 2.10, chapters 4.2 to 4.6, 7.2.3) ----------------------------------------------------------------

_SYSTEM_TABLE = struct.Struct("<QIIIIQI4x2Q2Q2Q2Q2Q")
_SIGNATURE, _REVISION = 0x5453_5953_2049_4249, 2 << 16 | 100
_DESCRIPTOR = struct.Struct("<I4xQQQQ")
_MEMORY_MAP = struct.Struct("<QQI4xQQ")
_CONVENTIONAL, _WRITE_BACK = 7, 1 << 3

#: Linux's own table of the memory map and of the RAM disk (include/linux/efi.h); ACPI 2.0's; the device tree's (EBBR).
_MEMORY_MAP_GUID = uuid.UUID("800f683f-d08b-423a-a293-965c3c6fe2b4")
_INITRD_GUID = uuid.UUID("5568e427-68fc-4f3d-ac74-ca555231cc68")
_ACPI_GUID = uuid.UUID("8868e871-e4f1-11d3-bc22-0080c73c8881")
_DEVICE_TREE_GUID = uuid.UUID("b1b621d5-f19c-41a5-830b-d9152c69aae0")


def efi_tables(memory: Iterable[tuple[int, int]], initrd: Loader | None, *, acpi: bool) -> bytes:
    """The system table, to be placed at `TABLES`, and what it refers to. `memory` is pieces of RAM: address, size."""
    name = "Ratite".encode("utf-16-le") + bytes(2)
    at = TABLES + _SYSTEM_TABLE.size
    name_at, at = at, align_up(at + len(name), 16)
    descriptors = b"".join(_DESCRIPTOR.pack(_CONVENTIONAL, base, 0, size // (4 * KiB), _WRITE_BACK) for base, size in memory)
    size = len(descriptors)
    map_at, at = at, align_up(at + _MEMORY_MAP.size + size, 16)
    memory_map = _MEMORY_MAP.pack(size, _DESCRIPTOR.size, 1, 0, size) + descriptors
    tables = [(_MEMORY_MAP_GUID, map_at), (_DEVICE_TREE_GUID, DEVICE_TREE)] + [(_ACPI_GUID, ACPI)] * acpi
    parts = {name_at: name, map_at: memory_map}
    if initrd is not None:
        parts[at] = struct.pack("<QQ", initrd.start, initrd.end - initrd.start)
        tables.append((_INITRD_GUID, at))
        at += 16
    parts[at] = b"".join(guid.bytes_le + struct.pack("<Q", address) for guid, address in tables)
    parts[TABLES] = _SYSTEM_TABLE.pack(
        _SIGNATURE, _REVISION, _SYSTEM_TABLE.size, 0, 0, name_at, 1, *(0,) * 8, len(tables), at,
    )  # fmt: skip
    blob = bytearray(at + len(parts[at]) - TABLES)
    for address, data in parts.items():
        blob[address - TABLES : address - TABLES + len(data)] = data
    return bytes(blob)
