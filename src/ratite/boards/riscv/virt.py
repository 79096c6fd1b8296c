"""The board `virt` of RISC-V: no real hardware, but one that every RISC-V system software knows."""

from __future__ import annotations

from collections.abc import Sequence

from ratite.bits import GiB, KiB, MiB, align_up
from ratite.boards.machine import Machine
from ratite.boards.registry import MachineOptions, board
from ratite.boards.riscv.boot import BootPlan, Payload, bits_of, load_payload, place_device_tree, reset_code
from ratite.boards.support.device_tree import EMPTY, DeviceTree, Node, Value, cells64, with_chosen, write_blob
from ratite.boards.support.fw_cfg import add_fw_cfg, offer_kernel
from ratite.boards.support.hart import Hart
from ratite.boards.support.loader import read_file
from ratite.boards.support.pci import add_gpex, gpex_node
from ratite.errors import UsageError
from ratite.hw.block.pflash_cfi01 import Pflash
from ratite.hw.char.ns16550 import Ns16550
from ratite.hw.intc.riscv_aclint import AclintMtimer, AclintSwi
from ratite.hw.intc.sifive_plic import SiFivePlic
from ratite.hw.misc.sifive_test import PASS, RESET, SiFiveTest
from ratite.hw.model import BOOL, Property
from ratite.hw.pci.gpex import GpexHost
from ratite.hw.timer.goldfish_rtc import GoldfishRtc
from ratite.hw.virtio.mmio import VirtioMmio

MROM, MROM_SIZE = 0x1000, 0xF000
TEST = 0x10_0000
RTC, RTC_IRQ = 0x10_1000, 11
CLINT, MTIMER = 0x200_0000, 0x200_4000
SSWI = 0x2F0_0000
PLIC, PLIC_SOURCES = 0xC00_0000, 96
UART, UART_IRQ = 0x1000_0000, 10
VIRTIO, VIRTIO_SLOTS, VIRTIO_FIRST_IRQ = 0x1000_1000, 8, 1
FW_CFG = 0x1010_0000
FLASH, FLASH_SIZE = 0x2000_0000, 32 * MiB
PCIE_ECAM, PCIE_FIRST_IRQ = 0x3000_0000, 32
PCIE_PIO, PCIE_PIO_SIZE = 0x300_0000, 64 * KiB
PCIE_MMIO, PCIE_MMIO_SIZE = 0x4000_0000, GiB
PCIE_HIGH, PCIE_HIGH_SIZE = 0x4_0000_0000, 16 * GiB         # 64-bit machines
PCIE_HIGH_32, PCIE_HIGH_SIZE_32 = 0x3_0000_0000, 4 * GiB    # of the 34-bit addresses of the others
RAM = 0x8000_0000

TIMEBASE = 10_000_000
UART_CLOCK = 3_686_400
SOFTWARE_M, SOFTWARE_S, TIMER_M, EXTERNAL_S, EXTERNAL_M = 3, 1, 7, 9, 11    # interrupt numbers of a hart


class VirtOptions(MachineOptions):
    """Options of `-M virt`."""

    aclint = Property(BOOL, False, "software interrupts for supervisor mode too (SSWI), and ACLINT device tree nodes")


@board("virt", arch=("riscv64", "riscv32"), summary="RISC-V VirtIO board", options=VirtOptions, max_cpus=512)
def virt(m: Machine) -> None:
    """Addresses and interrupt numbers are those of QEMU 7.1's board. Not there yet: the platform bus, the advanced
    interrupt architecture.
    """
    if m.arch == "riscv32" and m.ram_size > 10 * GiB:
        raise UsageError(f"machine 'virt' of riscv32 has room for 10 GiB of RAM, not for {m.ram_size >> 20} MiB")
    harts: list[Hart] = [m.add_cpu() for _ in range(m.cpu_count)]
    m.ram("riscv_virt_board.ram", at=RAM, size=m.ram_size)
    rom = m.ram("riscv_virt_board.mrom", at=MROM, size=MROM_SIZE, readonly=True)
    add_interrupt_parts(m, harts)
    plic = add_plic(m, harts)
    m.add("test", SiFiveTest(), at=TEST)
    for slot in range(VIRTIO_SLOTS):
        m.add(f"virtio-mmio.{slot}", VirtioMmio(), at=VIRTIO + 0x1000 * slot, irq=plic.input(VIRTIO_FIRST_IRQ + slot))
    pcie = add_pcie(m, plic)
    m.add("uart0", Ns16550(chardev=m.serial(0), baudbase=399193), at=UART, irq=plic.input(UART_IRQ))
    m.add("rtc", GoldfishRtc(), at=RTC, irq=plic.input(RTC_IRQ))
    for bank in range(2):
        m.add(f"virt.flash{bank}", Pflash(label=f"virt.flash{bank}", drive=m.flash(bank)), at=FLASH + bank * FLASH_SIZE)
    fw_cfg = add_fw_cfg(m, FW_CFG)

    supervisor_flash = m.flash(1) is not None
    payload = load_payload(m, RAM, kernel_in_memory=not supervisor_flash)
    if supervisor_flash:
        offer_kernel(m, fw_cfg)
    blob = device_tree_blob(m, harts, plic, pcie, payload)
    m.boot = boot_plan(m, blob, payload)
    code = reset_code(bits_of(m), m.boot.start, m.boot.device_tree, m.boot.kernel_entry)
    rom.view[:len(code)] = code


# --- parts

def add_interrupt_parts(m: Machine, harts: Sequence[Hart]) -> None:
    """Software and timer interrupts."""
    swi = m.add("mswi", AclintSwi(num_harts=len(harts)), at=CLINT)
    mtimer = m.add("mtimer", AclintMtimer(num_harts=len(harts), timebase_freq=TIMEBASE), at=MTIMER)
    for hart, soft, timer in zip(harts, swi.soft, mtimer.timer_irq, strict=True):
        soft.connect(hart.software)
        timer.connect(hart.timer)
    if options_of(m).aclint:
        sswi = m.add("sswi", AclintSwi(num_harts=len(harts), sswi=True), at=SSWI)
        for hart, soft in zip(harts, sswi.soft, strict=True):
            soft.connect(hart.software_s)


def add_plic(m: Machine, harts: Sequence[Hart]) -> SiFivePlic:
    """External interrupts: a machine and a supervisor context for each hart."""
    plic = m.add("plic", SiFivePlic(hart_config=",".join(["MS"] * len(harts)), num_sources=PLIC_SOURCES), at=PLIC)
    for index, hart in enumerate(harts):
        plic.irqs[plic.context(index, "M")].connect(hart.external_m)
        plic.irqs[plic.context(index, "S")].connect(hart.external_s)
    return plic


def add_pcie(m: Machine, plic: SiFivePlic) -> GpexHost:
    """PCI Express; its window above RAM lies higher the more RAM there is."""
    high, size = (PCIE_HIGH, PCIE_HIGH_SIZE) if m.arch == "riscv64" else (PCIE_HIGH_32, PCIE_HIGH_SIZE_32)
    high = max(high, align_up(RAM + m.ram_size, size))
    host = GpexHost(
        mmio_base=PCIE_MMIO, mmio_size=PCIE_MMIO_SIZE, mmio_high_base=high, mmio_high_size=size,
        pio_base=PCIE_PIO, pio_size=PCIE_PIO_SIZE,
    )
    return add_gpex(m, host, at=PCIE_ECAM, irqs=[plic.input(PCIE_FIRST_IRQ + pin) for pin in range(4)])


def boot_plan(m: Machine, blob: bytes, payload: Payload) -> BootPlan:
    """Where the machine starts: in firmware, in the kernel, or in a flash chip."""
    address = place_device_tree(m, RAM, blob, payload)
    kernel = payload.kernel.entry if payload.kernel is not None else 0
    if m.flash(1) is not None:
        kernel = FLASH + FLASH_SIZE
    start = FLASH if m.flash(0) is not None else payload.entry or RAM
    builtin = payload.builtin_sbi and m.flash(0) is None
    return BootPlan(MROM, kernel if builtin and kernel else start, kernel, address,
                    payload.initrd_span(), builtin)


def options_of(m: Machine) -> VirtOptions:
    """The options by their type."""
    assert isinstance(m.options, VirtOptions)
    return m.options


# --- the device tree

def device_tree_blob(
    m: Machine, harts: Sequence[Hart], plic: SiFivePlic, pcie: GpexHost, payload: Payload,
) -> bytes:
    """The tree that the guest gets; written to a file too when the user asks for that."""
    if m.options.dtb:
        user = read_file("device tree", m.options.dtb, m.ram_size)
        blob = with_chosen(m.options.dtb, user, {**boot_arguments(m), **initrd_properties(payload)})
    else:
        blob = device_tree(m, harts, plic, pcie, payload).blob()
    if m.options.dumpdtb:
        write_blob(m.options.dumpdtb, blob)
        m.request_shutdown(0)
    return blob


def device_tree(
    m: Machine, harts: Sequence[Hart], plic: SiFivePlic, pcie: GpexHost, payload: Payload,
) -> DeviceTree:
    """Everything that the board has."""
    tree = DeviceTree({
        "#address-cells": 2, "#size-cells": 2,
        "compatible": m.options.dt_compatible or "riscv-virtio", "model": "riscv-virtio,ratite",
    })
    root = tree.root
    root.node("chosen", {
        "stdout-path": f"/soc/serial@{UART:x}", "rng-seed": m.random(32),
        **boot_arguments(m), **initrd_properties(payload),
    })
    root.node(f"memory@{RAM:x}", {"device_type": "memory", "reg": cells64(RAM, m.ram_size)})
    controllers = cpu_nodes(root, harts)
    root.node(f"flash@{FLASH:x}", {
        "compatible": "cfi-flash", "bank-width": 4,
        "reg": cells64(FLASH, FLASH_SIZE, FLASH + FLASH_SIZE, FLASH_SIZE),
    })
    root.node(f"fw-cfg@{FW_CFG:x}", {
        "compatible": "qemu,fw-cfg-mmio", "reg": cells64(FW_CFG, 0x18), "dma-coherent": EMPTY,
    })
    soc = root.node("soc", {"#address-cells": 2, "#size-cells": 2, "compatible": "simple-bus", "ranges": EMPTY})
    interrupt_nodes(m, soc, controllers)
    plic_node = soc.node(f"plic@{PLIC:x}", {
        "compatible": ["sifive,plic-1.0.0", "riscv,plic0"], "reg": cells64(PLIC, plic.size),
        "interrupt-controller": EMPTY, "#interrupt-cells": 1, "#address-cells": 0,
        "riscv,ndev": PLIC_SOURCES - 1, "interrupts-extended": extended(controllers, EXTERNAL_M, EXTERNAL_S),
    })
    gpex_node(soc, pcie, PCIE_ECAM, plic_node, [PCIE_FIRST_IRQ + pin for pin in range(4)])
    device_nodes(soc, plic_node)
    finisher_nodes(root, soc)
    return tree


def boot_arguments(m: Machine) -> dict[str, Value]:
    """The kernel command line."""
    return {"bootargs": m.options.append} if m.options.append else {}


def initrd_properties(payload: Payload) -> dict[str, Value]:
    """Where the RAM disk is."""
    if payload.initrd is None:
        return {}
    start, end = payload.initrd_span()
    return {"linux,initrd-start": cells64(start), "linux,initrd-end": cells64(end)}


def cpu_nodes(root: Node, harts: Sequence[Hart]) -> list[Node]:
    """All harts; returns their interrupt controllers."""
    cpus = root.node("cpus", {"#address-cells": 1, "#size-cells": 0, "timebase-frequency": TIMEBASE})
    nodes, controllers = [], []
    for index, hart in enumerate(harts):
        mmu: dict[str, Value] = {"mmu-type": hart.mmu_type} if hart.mmu_type else {}
        nodes.append(cpus.node(f"cpu@{index:x}", {
            "device_type": "cpu", "reg": index, "status": "okay", "compatible": "riscv", "riscv,isa": hart.isa, **mmu,
            **hart.cache_properties,
        }))
        controllers.append(nodes[-1].node("interrupt-controller", {
            "#interrupt-cells": 1, "#address-cells": 0, "interrupt-controller": EMPTY, "compatible": "riscv,cpu-intc",
        }))
    cluster = cpus.node("cpu-map").node("cluster0")
    for index, node in enumerate(nodes):
        cluster.node(f"core{index}", {"cpu": [node]})
    return controllers


def extended(controllers: Sequence[Node], *interrupts: int) -> list[int | str | Node]:
    """A list of (hart's controller, interrupt), the given interrupts for each hart."""
    return [cell for controller in controllers for interrupt in interrupts for cell in (controller, interrupt)]


def interrupt_nodes(m: Machine, soc: Node, controllers: Sequence[Node]) -> None:
    """Software interrupts and timer: a CLINT, or the ACLINT's parts."""
    if not options_of(m).aclint:
        soc.node(f"clint@{CLINT:x}", {
            "compatible": ["sifive,clint0", "riscv,clint0"], "reg": cells64(CLINT, 0x1_0000),
            "interrupts-extended": extended(controllers, SOFTWARE_M, TIMER_M),
        })
        return
    soc.node(f"mswi@{CLINT:x}", swi_properties("riscv,aclint-mswi", CLINT, controllers, SOFTWARE_M))
    soc.node(f"mtimer@{MTIMER + 0x7FF8:x}", {
        "compatible": "riscv,aclint-mtimer",
        "reg": cells64(MTIMER + 0x7FF8, 0x4008, MTIMER, 0x7FF8),    # mtime, then the comparators
        "interrupts-extended": extended(controllers, TIMER_M),
    })
    soc.node(f"sswi@{SSWI:x}", swi_properties("riscv,aclint-sswi", SSWI, controllers, SOFTWARE_S))


def swi_properties(compatible: str, address: int, controllers: Sequence[Node], interrupt: int) -> dict[str, Value]:
    """MSWI and SSWI differ in these alone."""
    return {
        "compatible": compatible, "reg": cells64(address, 0x4000), "interrupt-controller": EMPTY,
        "#interrupt-cells": 0, "#address-cells": 0, "interrupts-extended": extended(controllers, interrupt),
    }


def device_nodes(soc: Node, plic: Node) -> None:
    """Devices that interrupt through the PLIC."""
    soc.node(f"rtc@{RTC:x}", {
        "compatible": "google,goldfish-rtc", "reg": cells64(RTC, 0x1000), "interrupt-parent": plic,
        "interrupts": RTC_IRQ,
    })
    soc.node(f"serial@{UART:x}", {
        "compatible": "ns16550a", "reg": cells64(UART, 0x100), "clock-frequency": UART_CLOCK,
        "interrupt-parent": plic, "interrupts": UART_IRQ,
    })
    for slot in reversed(range(VIRTIO_SLOTS)):    # guests number what they find in this order, the first device last
        address = VIRTIO + 0x1000 * slot
        soc.node(f"virtio_mmio@{address:x}", {
            "compatible": "virtio,mmio", "reg": cells64(address, 0x1000), "interrupt-parent": plic,
            "interrupts": VIRTIO_FIRST_IRQ + slot,
        })


def finisher_nodes(root: Node, soc: Node) -> None:
    """Power-off and reset."""
    test = soc.node(f"test@{TEST:x}", {
        "compatible": ["sifive,test1", "sifive,test0", "syscon"], "reg": cells64(TEST, 0x1000),
    })
    for name, value in (("poweroff", PASS), ("reboot", RESET)):
        root.node(name, {"compatible": f"syscon-{name}", "regmap": [test], "offset": 0, "value": value})
