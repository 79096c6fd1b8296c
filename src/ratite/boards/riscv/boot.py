"""How RISC-V machines start: where firmware, kernel, RAM disk and device tree go, and the code at the reset vector.

The layout is the one that users of QEMU's boards know: firmware at the start of RAM, a kernel 2 MiB (RV32: 4 MiB)
further up, the RAM disk half of RAM or 128 MiB behind the kernel, the device tree at the top of RAM but below 3 GiB.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import partial

from ratite.bits import GiB, KiB, MiB, align_down, align_up
from ratite.boards.machine import Machine
from ratite.boards.support import elf
from ratite.boards.support.firmware import find_firmware
from ratite.boards.support.loader import Image, Loader, elf_image, flat_image, read_file, unzip
from ratite.errors import ImageError

EM_RISCV = 243
IMAGE_HEADER = struct.Struct("<IIQQQIIQ8sII")    # Linux, Documentation/arch/riscv/boot-image-header.rst
IMAGE_MAGIC2 = b"RSC\x05"
DEVICE_TREE_CEILING = 3 * GiB
DEVICE_TREE_ROOM = 64 * KiB    # firmware adds to the tree where it lies
DYNAMIC_MAGIC, DYNAMIC_VERSION = 0x4942534F, 2    # OpenSBI, docs/firmware/fw_dynamic.md
SUPERVISOR = 1

# The reset vector: a0 = hart, a1 = device tree, a2 = fw_dynamic information; jump. The data follow the six words.
RESET_CODE = {
    64: (0x00000297, 0x02828613, 0xF1402573, 0x0202B583, 0x0182B283, 0x00028067),
    32: (0x00000297, 0x02828613, 0xF1402573, 0x0202A583, 0x0182A283, 0x00028067),
    # auipc t0, 0; addi a2, t0, 40; csrr a0, mhartid; l{d,w} a1, 32(t0); l{d,w} t0, 24(t0); jr t0
}


@dataclass(frozen=True)
class BootPlan:
    """Where everything is when the machine starts. Addresses are physical; 0 where there is no such thing."""

    reset_vector: int
    """Where all harts start, in machine mode."""
    start: int
    """Where the code at the reset vector jumps: firmware, or a kernel without any."""
    kernel_entry: int
    device_tree: int
    initrd: tuple[int, int] = (0, 0)
    """First address and the one behind the last."""
    builtin_sbi: bool = False
    """No firmware is loaded: Ratite itself answers SBI calls, and starts the kernel at `kernel_entry` in supervisor
    mode with a0 = hart, a1 = `device_tree`."""


@dataclass(frozen=True)
class Payload:
    """What is loaded besides the device tree, and how it is started."""

    firmware: Loader | None
    kernel: Loader | None
    initrd: Loader | None
    builtin_sbi: bool

    @property
    def entry(self) -> int:
        """Where the payload starts, 0 when there is none."""
        first = self.firmware or self.kernel
        return first.entry if first is not None else 0

    def initrd_span(self) -> tuple[int, int]:
        """The RAM disk's addresses."""
        return (self.initrd.start, self.initrd.end) if self.initrd is not None else (0, 0)


def bits_of(m: Machine) -> int:
    """32 or 64."""
    return 32 if m.arch == "riscv32" else 64


def load_payload(m: Machine, ram_base: int, *, kernel_in_memory: bool = True) -> Payload:
    """Choose and load firmware, kernel and RAM disk as the machine's options say.

    With `kernel_in_memory` false somebody else takes care of kernel and RAM disk (firmware in flash, through fw_cfg).
    """
    firmware_path, builtin = choose_firmware(m)
    firmware = _load(m, partial(read_firmware, m, firmware_path, ram_base)) if firmware_path else None
    kernel = initrd = None
    if m.options.kernel and kernel_in_memory:
        base = _kernel_base(m, ram_base, firmware, builtin)
        kernel = _load(m, partial(read_kernel, m, m.options.kernel, base))
    if m.options.initrd and kernel_in_memory:
        initrd = _load(m, partial(_read_initrd, m, _initrd_base(m, ram_base, kernel)))
    payload = Payload(firmware, kernel, initrd, builtin)
    _check_overlap(payload)
    return payload


def place_device_tree(m: Machine, ram_base: int, blob: bytes, payload: Payload) -> int:
    """Put the device tree as high as it may be, and return its address. Raises ImageError when RAM is too small."""
    top = min(ram_base + m.ram_size, max(DEVICE_TREE_CEILING, ram_base))
    address = align_down(top - len(blob) - DEVICE_TREE_ROOM, 2 * MiB)
    used = max((one.end for one in (payload.firmware, payload.kernel, payload.initrd) if one), default=ram_base)
    if address < used:
        raise ImageError(f"{m.ram_size >> 20} MiB of RAM are too few: kernel and RAM disk end at {used:#x}, and leave "
                         "no room for the device tree")
    m.on_reset(partial(m.memory.dma_write, address, blob))
    return address


def reset_code(bits: int, start: int, device_tree: int, next_address: int) -> bytes:
    """The content of the boot ROM: code, its two addresses, and the information that OpenSBI's fw_dynamic asks for."""
    word = "Q" if bits == 64 else "I"
    dynamic = struct.pack(f"<6{word}", DYNAMIC_MAGIC, DYNAMIC_VERSION, next_address, SUPERVISOR, 0, 0)
    return struct.pack("<6I2Q", *RESET_CODE[bits], start, device_tree) + dynamic


def read_kernel(m: Machine, path: str, base: int) -> Image:
    """A kernel as an Image, gzip'd or not, an ELF file, or any binary; those without addresses go to `base`."""
    data = unzip("kernel", path, read_file("kernel", path, m.ram_size), m.ram_size)
    if data.startswith(elf.MAGIC):
        return elf_image(path, data, machine=EM_RISCV, bits=(bits_of(m),))
    return flat_image(path, data, base, _image_size(path, data))


def read_firmware(m: Machine, path: str, base: int) -> Image:
    """Firmware as an ELF file or a plain binary that goes to `base`."""
    data = read_file("firmware", path, m.ram_size)
    if data.startswith(elf.MAGIC):
        return elf_image(path, data, machine=EM_RISCV, bits=(bits_of(m),))
    return flat_image(path, data, base)


def _image_size(path: str, data: bytes) -> int:
    """Bytes of memory that a kernel with an Image header needs, its zeroed data counted; 0 for other binaries."""
    if len(data) < IMAGE_HEADER.size:
        return 0
    _, _, _, size, flags, _, _, _, _, magic2, _ = IMAGE_HEADER.unpack_from(data)
    if magic2 != int.from_bytes(IMAGE_MAGIC2, "little"):
        return 0
    if flags & 1:
        raise ImageError(f"kernel '{path}' is big-endian; this machine is not")
    return int(size)


def _read_initrd(m: Machine, base: int) -> Image:
    return flat_image(m.options.initrd, read_file("RAM disk", m.options.initrd, m.ram_size), base)


def choose_firmware(m: Machine) -> tuple[str, bool]:
    """The firmware's path, if any, and whether Ratite's own SBI takes its place."""
    choice = m.options.firmware
    if choice == "none":
        return "", False
    if choice == "builtin":
        return "", True
    if choice in ("", "default"):
        bits = bits_of(m)
        names = [f"opensbi-riscv{bits}-generic-fw_dynamic.bin"]
        if bits == 64:
            names.append("fw_dynamic.bin")    # the name within distributions' riscv64 folders
        found = find_firmware(names, m.firmware_folders)
        return (found, False) if found else ("", True)
    if not os.path.isfile(choice) and os.path.sep not in choice:
        return find_firmware([choice], m.firmware_folders) or choice, False
    return choice, False


def _kernel_base(m: Machine, ram_base: int, firmware: Loader | None, builtin: bool) -> int:
    if firmware is None and not builtin:
        return ram_base    # a bare-metal program
    unit = 2 * MiB if bits_of(m) == 64 else 4 * MiB
    end = firmware.end if firmware is not None and firmware.start >= ram_base else ram_base + 1
    return align_up(end, unit)


def _initrd_base(m: Machine, ram_base: int, kernel: Loader | None) -> int:
    start = kernel.start if kernel is not None else ram_base
    distance = min(m.ram_size // 2, 128 * MiB)
    return align_up(max(start + distance, kernel.end if kernel is not None else 0), 4 * KiB)


def _load(m: Machine, read: partial[Image]) -> Loader:
    loader = Loader(read)
    m.on_reset(partial(loader.load_into, m.memory))
    return loader


def _check_overlap(payload: Payload) -> None:
    firmware, kernel = payload.firmware, payload.kernel
    if firmware is None or kernel is None:
        return
    for address, size in kernel.spans:
        for other, length in firmware.spans:
            if address < other + length and other < address + size:
                raise ImageError(f"kernel '{kernel.name}' at {address:#x} overlaps the firmware '{firmware.name}', "
                                 f"which ends at {firmware.end:#x}; to run a program without firmware, use -bios none")
