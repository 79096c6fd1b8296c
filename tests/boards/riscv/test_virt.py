"""The board `virt`: addresses, interrupts, device tree, start."""

from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import libfdt
import pytest

from ratite.boards.machine import Machine
from ratite.boards.riscv.boot import RESET_CODE, reset_code
from ratite.errors import HostError, ImageError, UsageError
from ratite.testing import FakeChardev
from tests.boards.conftest import Build
from tests.boards.support.test_loader import elf32, elf64

RAM, MiB = 0x8000_0000, 1 << 20

# As `info mtree` and the interrupt wiring of QEMU's board: (first, last, kind)
MAP = [
    (0x0000_1000, 0x0000_FFFF, "rom"), (0x0010_0000, 0x0010_0FFF, "i/o"), (0x0010_1000, 0x0010_1023, "i/o"),
    (0x0200_0000, 0x0200_3FFF, "i/o"), (0x0200_4000, 0x0200_BFFF, "i/o"),
    (0x0300_0000, 0x0300_FFFF, "i/o"), (0x0C00_0000, 0x0C5F_FFFF, "i/o"),
    (0x1000_0000, 0x1000_0007, "i/o"),
    *((0x1000_1000 + 0x1000 * slot, 0x1000_11FF + 0x1000 * slot, "i/o") for slot in range(8)),
    (0x1010_0000, 0x1010_0017, "i/o"), (0x2000_0000, 0x21FF_FFFF, "romd"), (0x2200_0000, 0x23FF_FFFF, "romd"),
    (0x3000_0000, 0x3FFF_FFFF, "i/o"), (0x4000_0000, 0x7FFF_FFFF, "i/o"), (0x8000_0000, 0x83FF_FFFF, "ram"),
]
HIGH_WINDOW = {"riscv64": (0x4_0000_0000, 0x7_FFFF_FFFF, "i/o"), "riscv32": (0x3_0000_0000, 0x3_FFFF_FFFF, "i/o")}


def image(size: int, text: bytes = b"kernel") -> bytes:
    """A kernel with RISC-V's Image header that says it needs `size` bytes of memory."""
    header = struct.pack("<IIQQQIIQ8sII", 0x6F, 0, 0x20_0000, size, 0, 2, 0, 0, b"RISCV\0\0\0", 0x05435352, 0)
    return header + text


def kernel(tmp_path: Path, content: bytes, name: str = "kernel") -> str:
    (tmp_path / name).write_bytes(content)
    return str(tmp_path / name)


def fdt_of(m: Machine) -> Any:
    """The device tree as it lies in guest memory."""
    size = int.from_bytes(m.memory.dma_read(m.boot.device_tree + 4, 4), "big")
    return libfdt.Fdt(m.memory.dma_read(m.boot.device_tree, size))


def cells(fdt: Any, path: str, name: str) -> list[int]:
    data = bytes(fdt.getprop(fdt.path_offset(path), name))
    return [cell for cell, in struct.iter_unpack(">I", data)]


@pytest.mark.parametrize("arch", ["riscv64", "riscv32"])
def test_addresses_are_those_of_qemu(build: Build, arch: str) -> None:
    """Each region at its place, of its kind; both widths have the same but for the window above RAM."""
    regions = [(r.base, r.end - 1, r.kind) for r in build(arch=arch).memory.regions()]
    assert regions == [*MAP, HIGH_WINDOW[arch]]


def test_pci_express_is_described_as_by_qemu(build: Build) -> None:
    """Windows, bus numbers, and the interrupts of four devices, as in the tree that QEMU's board has."""
    fdt, node = fdt_of(build()), "/soc/pci@30000000"
    plic = fdt.get_phandle(fdt.path_offset("/soc/plic@c000000"))
    assert cells(fdt, node, "reg") == [0, 0x3000_0000, 0, 0x1000_0000]
    assert cells(fdt, node, "bus-range") == [0, 255]
    assert cells(fdt, node, "interrupt-map-mask") == [0x1800, 0, 0, 7]
    assert cells(fdt, node, "ranges") == [
        0x100_0000, 0, 0, 0, 0x300_0000, 0, 0x1_0000,
        0x200_0000, 0, 0x4000_0000, 0, 0x4000_0000, 0, 0x4000_0000,
        0x300_0000, 4, 0, 4, 0, 4, 0,
    ]
    wires = ["20212223", "21222320", "22232021", "23202122"]
    assert cells(fdt, node, "interrupt-map") == [
        cell for device, row in enumerate(wires) for pin in range(4)
        for cell in (device << 11, 0, 0, pin + 1, plic, int(row[2 * pin:2 * pin + 2], 16))
    ]


def test_pci_interrupts_reach_the_plic(build: Build) -> None:
    """INTA# to INTD# of the root bus are sources 32 to 35."""
    m = build()
    host = m.device("pcie-host")
    for pin, line in enumerate(host.lines()):
        line.raise_()
        assert m.memory.read(0xC00_1004, 4) == (1 << pin + 1) - 1


def test_devices_go_to_the_root_bus_first(build: Build) -> None:
    """As in QEMU, a root port that is plugged in takes a device only when it is named."""
    m = build()
    m.plug("pcie-root-port", {"id": "rp"})
    assert m.plug("pci-bridge", {}).parent_bus is m.plug("pci-bridge", {"id": "b2"}).parent_bus
    inner = m.plug("pci-bridge", {"bus": "rp"})
    assert inner.parent_bus is not None and inner.parent_bus.name == "rp"
    with pytest.raises(UsageError, match=r"addr 01.0 of pcie.0 is taken by rp"):
        m.plug("pci-bridge", {"addr": "1", "bus": "pcie.0"})
    m.plug("virtio-rng-pci", {})
    m.plug("e1000", {"bus": inner.buses[0].name})
    m.memory.write(0x3000_0000 + (4 << 15) + 4, 2, 7)
    state = m.save()
    m.reset()
    assert m.save()["devices"] != state["devices"]
    m.load(state)
    assert m.save()["devices"] == state["devices"]


def test_interrupts_reach_the_harts(build: Build) -> None:
    """UART 10, RTC 11, virtio 1 to 8; software and timer interrupts of each hart."""
    m = build(cpus=2, serial=[FakeChardev()])
    for source in range(1, 12):
        m.memory.write(0xC00_0000 + 4 * source, 4, 1)
    m.memory.write(0xC00_2080, 4, 0xFFE)    # context 1: hart 0, supervisor
    m.memory.write(0x1000_0001, 1, 2)    # the UART's transmitter is empty
    assert m.cpus[0].inputs["external_s"] and not m.cpus[0].inputs.get("external_m")
    assert m.memory.read(0xC20_1004, 4) == 10
    m.memory.write(0x10_1010, 4, 1)
    m.memory.write(0x10_1008, 4, 0)    # an alarm in the past
    assert m.memory.read(0xC20_1004, 4) == 11
    for slot in range(8):
        m.device(f"virtio-mmio.{slot}").irq.raise_()    # type: ignore[attr-defined]
        assert m.memory.read(0xC20_1004, 4) == 1 + slot
    m.memory.write(0x200_0004, 4, 1)
    assert m.cpus[1].inputs["software"] and not m.cpus[0].inputs.get("software")
    m.memory.write(0x200_4008, 8, 0)
    assert m.cpus[1].inputs["timer"]


def test_supervisor_software_interrupts_with_aclint(build: Build) -> None:
    """`-M virt,aclint=on`."""
    m = build(cpus=2, options={"aclint": "on"})
    m.memory.write(0x2F0_0004, 4, 1)
    assert m.cpus[1].inputs["software_s"]
    fdt = fdt_of(m)
    assert cells(fdt, "/soc/mtimer@200bff8", "reg") == [0, 0x200BFF8, 0, 0x4008, 0, 0x2004000, 0, 0x7FF8]
    assert bytes(fdt.getprop(fdt.path_offset("/soc/sswi@2f00000"), "compatible")) == b"riscv,aclint-sswi\0"


@pytest.mark.parametrize("bits", [32, 64])
def test_reset_code_layout(bits: int) -> None:
    """Two 64-bit addresses behind six words; then fw_dynamic's information in words of the hart's width."""
    rom = reset_code(bits, 0x8000_0000, 0x8FE0_0000, 0x8020_0000)
    assert struct.unpack_from("<6I", rom) == RESET_CODE[bits]
    assert struct.unpack_from("<2Q", rom, 24) == (0x8000_0000, 0x8FE0_0000)
    word = {32: "I", 64: "Q"}[bits]
    assert struct.unpack_from(f"<6{word}", rom, 40) == (0x4942534F, 2, 0x8020_0000, 1, 0, 0)


@pytest.mark.parametrize("bits", [32, 64])
def test_reset_code_runs_on_an_outside_engine(bits: int) -> None:
    """a0 = hart, a1 = device tree, a2 = information, and a jump to the start address."""
    unicorn = pytest.importorskip("unicorn")
    from unicorn import riscv_const as reg

    mode = unicorn.UC_MODE_RISCV64 if bits == 64 else unicorn.UC_MODE_RISCV32
    machine = unicorn.Uc(unicorn.UC_ARCH_RISCV, mode)
    machine.mem_map(0x1000, 0x1000)
    machine.mem_map(RAM, 0x1000)
    machine.mem_write(0x1000, reset_code(bits, RAM, 0x8FE0_0000, 0))
    machine.emu_start(0x1000, RAM, count=10)
    assert machine.reg_read(reg.UC_RISCV_REG_PC) == RAM
    registers = [machine.reg_read(r) for r in (reg.UC_RISCV_REG_A0, reg.UC_RISCV_REG_A1, reg.UC_RISCV_REG_A2)]
    assert registers == [0, 0x8FE0_0000, 0x1028]


# --- loading

def test_bare_metal_programs_start_at_the_start_of_ram(build: Build, tmp_path: Path) -> None:
    """`-bios none`: a plain binary at 0x80000000, an ELF file at its own entry."""
    m = build(options={"kernel": kernel(tmp_path, b"program")})
    assert m.boot.start == m.boot.kernel_entry == RAM and m.memory.dma_read(RAM, 7) == b"program"
    assert not m.boot.builtin_sbi
    m = build(options={"kernel": kernel(tmp_path, elf64(RAM + 0x1004, [(RAM + 0x1000, RAM + 0x1000, b"12345678", 8)]))})
    assert m.boot.start == RAM + 0x1004
    assert m.memory.dma_read(0x1018, 8) == (RAM + 0x1004).to_bytes(8, "little")


@pytest.mark.parametrize(("arch", "distance"), [("riscv64", 2 * MiB), ("riscv32", 4 * MiB)])
def test_built_in_firmware_starts_the_kernel(build: Build, tmp_path: Path, arch: str, distance: int) -> None:
    """At the distance that kernels of each width expect."""
    options = {"firmware": "builtin", "kernel": kernel(tmp_path, image(8 * MiB))}
    m = build(arch=arch, options=options)
    assert m.boot.builtin_sbi and m.boot.kernel_entry == m.boot.start == RAM + distance
    assert m.memory.dma_read(RAM + distance, 8) == image(8 * MiB)[:8]


def test_firmware_and_compressed_kernel(build: Build, tmp_path: Path) -> None:
    """`-bios FILE`: firmware at the start of RAM, the kernel behind it; fw_dynamic learns where."""
    firmware = kernel(tmp_path, bytes(3 * MiB), "firmware")
    m = build(options={"firmware": firmware, "kernel": kernel(tmp_path, gzip.compress(image(0)))})
    assert m.boot.start == RAM and m.boot.kernel_entry == RAM + 4 * MiB
    assert m.memory.dma_read(0x1000 + 40 + 16, 8) == (RAM + 4 * MiB).to_bytes(8, "little")
    assert m.memory.dma_read(RAM + 4 * MiB, len(image(0))) == image(0)


def test_firmware_is_found_by_name(build: Build, tmp_path: Path) -> None:
    """`-L DIR` comes before the usual folders, for the default name and for one without a folder."""
    kernel(tmp_path, b"firmware", "opensbi-riscv64-generic-fw_dynamic.bin")
    for choice in ("", "default", "opensbi-riscv64-generic-fw_dynamic.bin"):
        m = build(options={"firmware": choice}, firmware_folders=[str(tmp_path)])
        assert m.memory.dma_read(RAM, 8) == b"firmware" and m.boot.kernel_entry == 0
    with pytest.raises(ImageError, match=r"firmware 'nothing.bin' cannot be read"):
        build(options={"firmware": "nothing.bin"})


def test_initrd_and_device_tree_have_their_places(build: Build, tmp_path: Path) -> None:
    """The RAM disk half of RAM behind the kernel, the tree at the top, both in /chosen, all again after a reset."""
    disk = kernel(tmp_path, b"initrd" * 1000, "initrd")
    options = {"firmware": "builtin", "kernel": kernel(tmp_path, image(MiB)), "initrd": disk, "append": "console=ttyS0"}
    m = build(options=options)
    start, end = m.boot.initrd
    assert start == RAM + 2 * MiB + 32 * MiB and end == start + 6000
    assert m.boot.device_tree % (2 * MiB) == 0 and m.boot.device_tree == RAM + 62 * MiB
    fdt = fdt_of(m)
    assert cells(fdt, "/chosen", "linux,initrd-start") == [0, start]
    assert cells(fdt, "/chosen", "linux,initrd-end") == [0, end]
    assert fdt.getprop(fdt.path_offset("/chosen"), "bootargs").as_str() == "console=ttyS0"
    m.memory.dma_write(start, bytes(6000))
    m.memory.dma_write(RAM + 2 * MiB, bytes(8))
    m.reset()
    assert m.memory.dma_read(start, 6000) == b"initrd" * 1000
    assert m.memory.dma_read(RAM + 2 * MiB, 8) == image(MiB)[:8]


def test_a_large_kernel_pushes_the_initrd_up(build: Build, tmp_path: Path) -> None:
    """The Image header says how much memory the kernel takes."""
    disk = kernel(tmp_path, b"initrd", "initrd")
    m = build(options={"firmware": "builtin", "kernel": kernel(tmp_path, image(50 * MiB)), "initrd": disk})
    assert m.boot.initrd[0] == RAM + 52 * MiB


def test_device_tree_stays_below_three_gib(build: Build) -> None:
    """Firmware and kernels with 32-bit pointers must reach it."""
    m = build(ram_size=4096 * MiB)
    assert m.boot.device_tree == 3072 * MiB - 2 * MiB


def test_images_that_do_not_fit(build: Build, tmp_path: Path) -> None:
    """Each says what is wrong."""
    with pytest.raises(ImageError, match="MiB of RAM are too few"):
        build(ram_size=4 * MiB, options={"firmware": "builtin", "kernel": kernel(tmp_path, image(4 * MiB))})
    with pytest.raises(ImageError, match="has 9437184 bytes, more than the 8388608"):
        build(ram_size=8 * MiB, options={"kernel": kernel(tmp_path, bytes(9 * MiB))})
    with pytest.raises(ImageError, match="overlaps the firmware"):
        build(options={"firmware": kernel(tmp_path, bytes(100), "fw"),
                       "kernel": kernel(tmp_path, elf64(RAM, [(RAM, RAM, b"x", 1)]))})
    with pytest.raises(ImageError, match="no RAM for"):
        build(options={"kernel": kernel(tmp_path, elf64(0, [(0, 0, b"x", 1)]))})
    with pytest.raises(ImageError, match="ELF file of 32 bits"):
        build(options={"kernel": kernel(tmp_path, elf32(RAM, RAM, b"x"))})
    with pytest.raises(ImageError, match="kernel '/nowhere' cannot be read"):
        build(options={"kernel": "/nowhere"})
    with pytest.raises(UsageError, match="has room for 10 GiB"):
        build(arch="riscv32", ram_size=11 << 30)


class Flash:
    """The content of a flash chip."""

    size, readonly = 32 * MiB, False

    def preadv(self, views: Sequence[memoryview], offset: int) -> None:
        views[0][:4] = b"code"

    def pwritev(self, views: Sequence[memoryview], offset: int) -> None:
        raise AssertionError("nobody writes here")


def test_flash_0_is_where_the_machine_starts(build: Build) -> None:
    """`-drive if=pflash,unit=0`: machine-mode code."""
    m = build(flash=[Flash()])
    assert m.boot.start == 0x2000_0000 and m.memory.dma_read(0x2000_0000, 4) == b"code"


def test_flash_1_is_supervisor_firmware(build: Build, tmp_path: Path) -> None:
    """It fetches the kernel through fw_cfg by itself."""
    options = {"firmware": "builtin", "kernel": kernel(tmp_path, b"a kernel"), "append": "quiet"}
    m = build(flash=[None, Flash()], options=options)
    assert m.boot.kernel_entry == 0x2200_0000 and m.boot.builtin_sbi

    def item(key: int, size: int) -> bytes:
        m.memory.write(0x1010_0008, 2, key << 8)
        return bytes(m.memory.read(0x1010_0000, 1) for _ in range(size))

    assert item(0x08, 4) == (8).to_bytes(4, "little") and item(0x11, 8) == b"a kernel" and item(0x15, 6) == b"quiet\0"


# --- device tree

def test_a_users_device_tree(build: Build, tmp_path: Path) -> None:
    """`-dtb FILE` with `-append`: the file's nodes, the user's command line."""
    first = build(options={"append": "one"})
    size = int.from_bytes(first.memory.dma_read(first.boot.device_tree + 4, 4), "big")
    path = kernel(tmp_path, first.memory.dma_read(first.boot.device_tree, size), "dtb")
    m = build(options={"dtb": path, "append": "two"})
    fdt = fdt_of(m)
    assert fdt.getprop(fdt.path_offset("/chosen"), "bootargs").as_str() == "two"
    assert fdt.path_offset("/soc/serial@10000000") > 0
    with pytest.raises(ImageError, match=r"device tree '.*' cannot be used"):
        build(options={"dtb": kernel(tmp_path, b"no tree at all, but long enough to look at" * 3, "bad")})


def test_dumpdtb(build: Build, tmp_path: Path) -> None:
    """Writes the blob and asks to end."""
    m = build(options={"dumpdtb": str(tmp_path / "out.dtb")})
    assert m.shutdown_status == 0 and (tmp_path / "out.dtb").read_bytes().startswith(b"\xd0\x0d\xfe\xed")
    with pytest.raises(HostError, match="No such file"):
        build(options={"dumpdtb": str(tmp_path / "no" / "out.dtb")})


def test_what_the_tree_says_about_harts(build: Build) -> None:
    """ISA and MMU are the hart's own words; every hart has its interrupts in CLINT and PLIC."""
    fdt = fdt_of(build(cpus=3))
    cpu = fdt.path_offset("/cpus/cpu@2")
    assert fdt.getprop(cpu, "riscv,isa").as_str() == "rv64imafdc_zicsr_zifencei"
    assert fdt.getprop(cpu, "mmu-type").as_str() == "riscv,sv48"
    assert cells(fdt, "/cpus", "timebase-frequency") == [10_000_000]
    controllers = [cells(fdt, f"/cpus/cpu@{n}/interrupt-controller", "phandle")[0] for n in range(3)]
    assert cells(fdt, "/soc/clint@2000000", "interrupts-extended") == [
        cell for controller in controllers for cell in (controller, 3, controller, 7)]
    assert cells(fdt, "/soc/plic@c000000", "interrupts-extended") == [
        cell for controller in controllers for cell in (controller, 11, controller, 9)]


@pytest.mark.skipif(shutil.which("dtc") is None, reason="dtc is not installed")
@pytest.mark.parametrize("aclint", ["off", "on"])
def test_dtc_has_nothing_to_complain_about(build: Build, tmp_path: Path, aclint: str) -> None:
    """All of its checks."""
    build(cpus=2, options={"dumpdtb": str(tmp_path / "dtb"), "aclint": aclint, "append": "x"})
    result = subprocess.run(["dtc", "-I", "dtb", "-O", "dts", str(tmp_path / "dtb")], capture_output=True, text=True,
                            check=True)
    assert result.stderr == ""


# Nodes that QEMU's board has and this one does not, yet.
MISSING = ("/platform-bus", "/pmu", "/soc/pci@")
# Properties that are another emulator's choice: names, numbers given out, what its CPU can do.
FREE = {"model", "phandle", "rng-seed", "cpu", "interrupt-parent", "regmap", "riscv,isa", "mmu-type",
        "interrupts-extended", "riscv,ndev"}


def nodes(fdt: Any, offset: int = 0, path: str = "") -> dict[str, dict[str, bytes]]:
    """All properties of all nodes by path."""
    found: dict[str, dict[str, bytes]] = {path or "/": {}}
    place = fdt.first_property_offset(offset, [libfdt.NOTFOUND])
    while place >= 0:
        prop = fdt.get_property_by_offset(place)
        found[path or "/"][prop.name] = bytes(prop)
        place = fdt.next_property_offset(place, [libfdt.NOTFOUND])
    child = fdt.first_subnode(offset, [libfdt.NOTFOUND])
    while child >= 0:
        found |= nodes(fdt, child, f"{path}/{fdt.get_name(child)}")
        child = fdt.next_subnode(child, [libfdt.NOTFOUND])
    return found


@pytest.mark.skipif(shutil.which("qemu-system-riscv64") is None, reason="qemu-system-riscv64 is not installed")
def test_the_tree_agrees_with_qemus(build: Build, tmp_path: Path) -> None:
    """Every node and property that QEMU gives its guests, but for those listed above."""
    subprocess.run(["qemu-system-riscv64", "-M", f"virt,dumpdtb={tmp_path}/qemu.dtb", "-smp", "2", "-m", "64",
                    "-bios", "none", "-display", "none"], check=True, capture_output=True)
    theirs = nodes(libfdt.Fdt((tmp_path / "qemu.dtb").read_bytes()))
    ours = nodes(fdt_of(build(cpus=2)))
    for path, properties in theirs.items():
        if path.startswith(MISSING):
            continue
        assert {name: data for name, data in ours[path].items() if name in properties and name not in FREE} == {
            name: data for name, data in properties.items() if name not in FREE}, path
