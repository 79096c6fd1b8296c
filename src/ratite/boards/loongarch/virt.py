"""The board `virt` of LoongArch: a Loongson 3A5000 with the bridge chip 7A1000, as far as virtual machines need them."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from functools import partial

from ratite.bits import GiB, KiB, MiB
from ratite.boards.loongarch import boot
from ratite.boards.loongarch.acpi import Places, acpi_tables
from ratite.boards.loongarch.core import LoongArchCore
from ratite.boards.machine import Machine
from ratite.boards.registry import MachineOptions, board
from ratite.boards.support.acpi import AcpiTables
from ratite.boards.support.device_tree import EMPTY, DeviceTree, Node, Value, cells64, with_chosen, write_blob
from ratite.boards.support.firmware import find_firmware
from ratite.boards.support.fw_cfg import add_fw_cfg, command_line, offer_kernel
from ratite.boards.support.loader import Loader, read_file
from ratite.boards.support.pci import add_gpex, gpex_node
from ratite.boards.support.smbios import offer_smbios
from ratite.errors import ImageError, UsageError
from ratite.hw.block.pflash_cfi01 import Pflash
from ratite.hw.char.ns16550 import Ns16550
from ratite.hw.intc import loongarch_extioi, loongarch_ipi
from ratite.hw.intc.loongarch_extioi import CORE_BLOCK, CORE_LIMIT, CORE_STATUS, CORE_STATUS_SIZE, PINS, LoongArchExtioi
from ratite.hw.intc.loongarch_ipi import LoongArchIpi
from ratite.hw.intc.loongarch_pch_pic import LoongArchPchMsi, LoongArchPchPic
from ratite.hw.misc.acpi_ged import POWER_OFF, RESET, AcpiGed
from ratite.hw.misc.loongson import LoongArchPm, LoongsonIdentity
from ratite.hw.model import BOOL, Device, Property
from ratite.hw.pci.gpex import GpexHost
from ratite.hw.timer.ls7a_rtc import Ls7aRtc

LOW_RAM, LOW_RAM_SIZE = 0, 256 * MiB
HIGH_RAM = 0x9000_0000
PCH_PIC = 0x1000_0000
PCI_DMA = 0x1001_041C
PM = 0x1008_0000
RTC, RTC_IRQ = 0x100D_0100, 3
GED, GED_SLEEP, GED_IRQ = 0x100E_0000, 0x100E_001C, 4
BIOS, BIOS_SIZE = 0x1C00_0000, 4 * MiB
FLASH_SIZE = 16 * MiB
FW_CFG = 0x1E02_0000
UART, UART_IRQ = 0x1FE0_01E0, 2
UART_CLOCK = 100_000_000
PCIE_ECAM, PCIE_ECAM_SIZE = 0x2000_0000, 128 * MiB
PCIE_PIO, PCIE_PIO_SIZE = 0x1800_0000, 64 * KiB
PCIE_MMIO, PCIE_MMIO_SIZE = 0x4000_0000, GiB
PCIE_FIRST_IRQ = 16
MSI, MSI_VECTOR, MSI_VECTORS = 0x2FF0_0000, 64, 192

#: Addresses in a core's IOCSR space.
IOCSR_IPI, IOCSR_IPI_SEND, IOCSR_TRIGGER, IOCSR_EXTIOI = 0x1000, 0x1040, 0x1140, 0x1400

#: Which pin of a core the operating system finds EXTIOI at, as an interrupt of the core.
EXTIOI_INTERRUPT = 3
LEVEL_HIGH = 4


class VirtOptions(MachineOptions):
    """Options of `-M virt`."""

    acpi = Property(BOOL, True, "ACPI tables for firmware and kernels, beside the device tree")


@board("virt", arch=("loongarch64",), summary="Loongson-3A5000 LS7A1000 machine", options=VirtOptions, ram_size=1024 * MiB, max_cpus=16)
def virt(m: Machine) -> None:
    """Addresses and interrupt numbers are those of QEMU 7.1's board. More than four cores are further nodes, as if of
    several chips. Not there yet: the platform bus, hot-plug of memory.
    """
    if m.ram_size < LOW_RAM_SIZE:
        raise UsageError(f"machine 'virt' of loongarch64 needs 256 MiB of RAM at least, not {m.ram_size >> 20}")
    cores: list[LoongArchCore] = [m.add_cpu() for _ in range(m.cpu_count)]
    for base, size in memory_of(m):
        m.ram("loongarch.lowram" if base == LOW_RAM else "loongarch.highmem", at=base, size=size)
    extioi = add_core_parts(m, cores)
    pic = m.add("pch_pic", LoongArchPchPic(), at=PCH_PIC)
    msi = m.add("pch_msi", LoongArchPchMsi(msi_irq_base=MSI_VECTOR), at=MSI)
    for vector in range(256):
        pic.irqs[vector].connect(extioi.input(vector))
        if vector >= MSI_VECTOR:
            msi.irqs[vector].connect(extioi.input(vector))
    m.add("uart0", Ns16550(chardev=m.serial(0), baudbase=UART_CLOCK // 16), at=UART, irq=pic.input(UART_IRQ))
    m.add("rtc", Ls7aRtc(), at=RTC, irq=pic.input(RTC_IRQ))
    m.add("pm", LoongArchPm(), at=PM)
    m.add("ged", AcpiGed(), at=GED, irq=pic.input(GED_IRQ))
    m.unmodelled("pci-dma-cfg", at=PCI_DMA, size=4)
    host = GpexHost(
        ecam_size=PCIE_ECAM_SIZE, mmio_base=PCIE_MMIO, mmio_size=PCIE_MMIO_SIZE, pio_base=PCIE_PIO, pio_size=PCIE_PIO_SIZE,
    )  # fmt: skip
    pcie = add_gpex(m, host, at=PCIE_ECAM, irqs=[pic.input(PCIE_FIRST_IRQ + pin) for pin in range(4)])
    fw_cfg = add_fw_cfg(m, FW_CFG)
    fw_cfg.add_file("etc/memmap", b"".join(struct.pack("<QQII", base, size, 1, 0) for base, size in memory_of(m)))    # 1: RAM, as in ACPI
    firmware = add_firmware(m)
    if firmware:
        if options_of(m).acpi:
            tables_of(m, pcie).offer(fw_cfg)
        offer_smbios(fw_cfg, product="Ratite Virtual Machine", cpus=m.cpu_count, cpu="virt", memory=memory_of(m))
        offer_kernel(m, fw_cfg)
        boot_firmware(m, pcie)
    elif m.options.kernel:
        boot_kernel(m, pcie)
    else:
        raise UsageError("there is nothing to run: give a kernel (-kernel FILE) or firmware (-bios FILE, or -drive if=pflash)")


def options_of(m: Machine) -> VirtOptions:
    """The options by their type."""
    assert isinstance(m.options, VirtOptions)
    return m.options


def memory_of(m: Machine) -> list[tuple[int, int]]:
    """The pieces of RAM: address and size."""
    pieces = [(LOW_RAM, LOW_RAM_SIZE), (HIGH_RAM, m.ram_size - LOW_RAM_SIZE)]
    return [piece for piece in pieces if piece[1]]


# --- parts

class Part:
    """A run of a device's registers as a core sees it in its IOCSR space: `start` is where it begins in the device."""

    def __init__(self, device: Device, start: int) -> None:
        self._device, self._start = device, start

    def mmio_read(self, offset: int, size: int) -> int:
        """Read a register."""
        return self._device.mmio_read(self._start + offset, size)

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        """Write a register."""
        self._device.mmio_write(self._start + offset, size, value)


def add_core_parts(m: Machine, cores: Sequence[LoongArchCore]) -> LoongArchExtioi:
    """What cores reach through IOCSR: identity, interrupts between cores, extended interrupts."""
    identity = m.add("identity", LoongsonIdentity())
    ipi = m.add("ipi", LoongArchIpi(num_cpu=len(cores)))
    nodes = [cores[first : first + CORE_LIMIT] for first in range(0, len(cores), CORE_LIMIT)]
    controllers = [
        m.add(f"extioi{n or ''}", LoongArchExtioi(num_cpu=len(node), node=n)) for n, node in enumerate(nodes)
    ]
    for extioi in controllers:
        extioi.nodes = controllers
    ipi.cores = [core.iocsr for core in cores]
    for n, core in enumerate(cores):
        extioi, local = controllers[n // CORE_LIMIT], n % CORE_LIMIT
        send = loongarch_ipi.CORE_LIMIT * loongarch_ipi.BLOCK
        for base, size, device, start in (
            (0, identity.size, identity, 0),
            (IOCSR_IPI, loongarch_ipi.BLOCK_SIZE, ipi, n * loongarch_ipi.BLOCK),
            (IOCSR_IPI_SEND, loongarch_ipi.SEND_SIZE, ipi, send),
            (IOCSR_TRIGGER, loongarch_extioi.TRIGGER_SIZE, extioi, loongarch_extioi.TRIGGER),
            (IOCSR_IPI_SEND + loongarch_ipi.ANY_SEND, loongarch_ipi.ANY_SEND_SIZE, ipi, send + loongarch_ipi.ANY_SEND),
            (IOCSR_EXTIOI, CORE_STATUS, extioi, 0),
            (IOCSR_EXTIOI + CORE_STATUS, CORE_STATUS_SIZE, extioi, CORE_STATUS + local * CORE_BLOCK),
            (IOCSR_EXTIOI + 0x800, 0x100, extioi, 0x800),
        ):
            core.iocsr.add_io(base, size, Part(device, start), device.id)
        ipi.irqs[n].connect(core.ipi)
        for pin in range(PINS):
            extioi.irqs[PINS * local + pin].connect(core.hardware(pin))
    return controllers[0]


def add_firmware(m: Machine) -> bool:
    """Flash chips or a firmware file, where the cores start; whether there is either."""
    if m.flash(0) is not None or m.flash(1) is not None:
        for n in range(2):
            flash = Pflash(
                label=f"virt.flash{n}", drive=m.flash(n), num_blocks=FLASH_SIZE // (256 * KiB), sector_length=256 * KiB,
            )  # fmt: skip
            m.add(f"virt.flash{n}", flash, at=BIOS + n * FLASH_SIZE)
        return m.flash(0) is not None
    if m.options.firmware in ("", "none", "default", "builtin"):
        return False
    path = m.options.firmware
    if not os.path.isfile(path) and os.path.sep not in path:
        path = find_firmware([path], m.firmware_folders) or path
    rom = m.ram("loongarch.bios", at=BIOS, size=BIOS_SIZE, readonly=True)
    data = read_file("firmware", path, BIOS_SIZE)
    rom.view[: len(data)] = data
    return True


def tables_of(m: Machine, pcie: GpexHost) -> AcpiTables:
    """The ACPI tables."""
    return acpi_tables(pcie, Places(
        cores=m.cpu_count, memory=memory_of(m), pch_pic=PCH_PIC, extioi_interrupt=EXTIOI_INTERRUPT,
        msi=MSI, msi_vector=MSI_VECTOR, msi_vectors=MSI_VECTORS,
        ged=GED, ged_input=GED_IRQ, sleep=GED_SLEEP, uart=UART, uart_input=UART_IRQ, uart_clock=UART_CLOCK, rtc=RTC, rtc_input=RTC_IRQ,
        ecam=PCIE_ECAM, pci_input=PCIE_FIRST_IRQ,
    ))  # fmt: skip


def boot_firmware(m: Machine, pcie: GpexHost) -> None:
    """Start firmware, which finds the device tree at a fixed address."""
    tree = device_tree_blob(m, pcie, None)
    m.on_reset(partial(m.memory.dma_write, boot.FIRMWARE_TREE, tree))
    m.boot = boot.BootPlan(0)


def boot_kernel(m: Machine, pcie: GpexHost) -> None:
    """Start the kernel without firmware."""
    line = command_line(m)
    if len(line) > boot.COMMAND_LINE_ROOM:
        raise UsageError(f"the kernel command line has {len(line)} bytes, more than {boot.COMMAND_LINE_ROOM}")
    payload = boot.load_payload(m, LOW_RAM_SIZE)
    tree = device_tree_blob(m, pcie, payload.initrd)
    if boot.DEVICE_TREE + len(tree) > boot.KERNEL:
        raise ImageError(f"the device tree has {len(tree)} bytes, too many for its place below the kernel")
    if payload.kernel.start < boot.KERNEL:
        raise ImageError(f"kernel '{m.options.kernel}' wants to be at {payload.kernel.start:#x}, below {boot.KERNEL:#x}")
    acpi = tables_of(m, pcie).linked(boot.ACPI) if options_of(m).acpi else b""
    tables = boot.efi_tables(memory_of(m), payload.initrd, acpi=bool(acpi))
    for address, data in ((boot.COMMAND_LINE, line), (boot.TABLES, tables), (boot.ACPI, acpi), (boot.DEVICE_TREE, tree)):
        m.on_reset(partial(m.memory.dma_write, address, data))
    rom = m.ram("loongarch.bootrom", at=BIOS, size=64 * KiB, readonly=True)
    code = boot.boot_rom((1, boot.COMMAND_LINE, boot.TABLES), payload.kernel.entry)
    rom.view[: len(code)] = code
    m.boot = boot.BootPlan(payload.kernel.entry)


# --- the device tree


def device_tree_blob(m: Machine, pcie: GpexHost, initrd: Loader | None) -> bytes:
    """The tree that the guest gets; written to a file too when the user asks for that."""
    chosen: dict[str, Value] = {"bootargs": m.options.append} if m.options.append else {}
    if initrd is not None:
        chosen |= {"linux,initrd-start": cells64(initrd.start), "linux,initrd-end": cells64(initrd.end)}
    blob = device_tree(m, pcie, chosen).blob()
    if m.options.dtb:
        blob = with_chosen(m.options.dtb, read_file("device tree", m.options.dtb, m.ram_size), chosen)
    if m.options.dumpdtb:
        write_blob(m.options.dumpdtb, blob)
        m.request_shutdown(0)
    return blob


def device_tree(m: Machine, pcie: GpexHost, chosen: dict[str, Value]) -> DeviceTree:
    """Everything that the board has."""
    tree = DeviceTree({
        "#address-cells": 2, "#size-cells": 2,
        "compatible": m.options.dt_compatible or "linux,dummy-loongson3", "model": "loongson3-virt,ratite",
    })
    root = tree.root
    root.node("chosen", {"stdout-path": f"/serial@{UART:x}", "rng-seed": os.urandom(32), **chosen})
    if m.flash(0) is not None or m.flash(1) is not None:
        root.node(f"flash@{BIOS:x}", {
            "compatible": "cfi-flash", "bank-width": 4, "reg": cells64(BIOS, FLASH_SIZE, BIOS + FLASH_SIZE, FLASH_SIZE),
        })
    for base, size in memory_of(m):
        root.node(f"memory@{base:x}", {"device_type": "memory", "reg": cells64(base, size)})
    cpus = root.node("cpus", {"#address-cells": 1, "#size-cells": 0})
    nodes = [cpus.node(f"cpu@{n:x}", {"device_type": "cpu", "compatible": "loongson,la464", "reg": n}) for n in range(m.cpu_count)]
    cluster = cpus.node("cpu-map").node("socket0")
    for n, node in enumerate(nodes):
        cluster.node(f"core{n}", {"cpu": [node]})
    pic, msi = interrupt_nodes(root)
    device_nodes(root, pic)
    gpex_node(root, pcie, PCIE_ECAM, pic, [[PCIE_FIRST_IRQ + pin, LEVEL_HIGH] for pin in range(4)], msi=msi)
    return tree


def interrupt_nodes(root: Node) -> tuple[Node, Node]:
    """The chain of interrupt controllers; returns the one that devices are connected to, and the one that takes messages."""
    controller: dict[str, Value] = {"interrupt-controller": EMPTY, "#interrupt-cells": 1}
    core = root.node("cpuic", {"compatible": "loongson,cpu-interrupt-controller", **controller})
    extended = root.node(f"eiointc@{IOCSR_EXTIOI:x}", {
        "compatible": "loongson,ls2k2000-eiointc", "reg": cells64(IOCSR_EXTIOI, 0x800),
        "interrupt-parent": core, "interrupts": EXTIOI_INTERRUPT, **controller,
    })
    msi = root.node(f"msi@{MSI:x}", {
        "compatible": "loongson,pch-msi-1.0", "reg": cells64(MSI, 8), "interrupt-controller": EMPTY, "msi-controller": EMPTY,
        "interrupt-parent": extended, "loongson,msi-base-vec": MSI_VECTOR, "loongson,msi-num-vecs": MSI_VECTORS,
    })
    pic = root.node(f"platic@{PCH_PIC:x}", {
        "compatible": "loongson,pch-pic-1.0", "reg": cells64(PCH_PIC, 0x400), "interrupt-parent": extended,
        "loongson,pic-base-vec": 0, **controller, "#interrupt-cells": 2,
    })
    return pic, msi


def device_nodes(root: Node, pic: Node) -> None:
    """Devices of the bridge."""
    def wired(source: int) -> dict[str, Value]:
        return {"interrupt-parent": pic, "interrupts": [source, LEVEL_HIGH]}

    root.node(f"serial@{UART:x}", {
        "compatible": "ns16550a", "reg": cells64(UART, 8), "clock-frequency": UART_CLOCK, **wired(UART_IRQ),
    })
    root.node(f"rtc@{RTC:x}", {"compatible": "loongson,ls7a-rtc", "reg": cells64(RTC, 0x100), **wired(RTC_IRQ)})
    root.node(f"fw-cfg@{FW_CFG:x}", {"compatible": "qemu,fw-cfg-mmio", "reg": cells64(FW_CFG, 0x18), "dma-coherent": EMPTY})
    ged = root.node(f"ged@{GED_SLEEP:x}", {"compatible": "syscon", "reg": cells64(GED_SLEEP, 3), "reg-shift": 0, "reg-io-width": 1})
    root.node("poweroff", {"compatible": "syscon-poweroff", "regmap": [ged], "offset": 0, "value": 1 << 5 | POWER_OFF << 2})
    root.node("reboot", {"compatible": "syscon-reboot", "regmap": [ged], "offset": 2, "value": RESET})
