"""The generic PCI Express host bridge on a board, and its device tree node (binding `pci-host-ecam-generic`)."""

from __future__ import annotations

from collections.abc import Sequence

from ratite.boards.machine import Machine
from ratite.boards.support.device_tree import EMPTY, Node, Value, cells64
from ratite.hw.model import Sink
from ratite.hw.pci.bus import PINS
from ratite.hw.pci.gpex import BUS_SHIFT, GpexHost, GpexRoot

_IO, _MEMORY, _MEMORY_64 = 0x0100_0000, 0x0200_0000, 0x0300_0000    # kinds of addresses in the first cell


def add_gpex(m: Machine, host: GpexHost, *, at: int, irqs: Sequence[Sink]) -> GpexHost:
    """Put the host bridge on a board: configuration space at `at`, INTA# to INTD# connected to four inputs.

    Interrupt messages need nothing more than a device that takes 32-bit writes at the address that the guest chooses.
    """
    m.add("pcie-host", host, at=at)
    for line, sink in zip(host.irqs, irqs, strict=True):
        line.connect(sink)
    m.add("gpex_root", GpexRoot(addr=0), on=host.root)
    return host


def gpex_node(
    parent: Node, host: GpexHost, at: int, controller: Node, interrupts: Sequence[int | Sequence[int]], *,
    msi: Node | None = None,
) -> Node:
    """Describe it. `interrupts` are the cells with which `controller` knows INTA# to INTD#; `msi` takes messages."""
    properties: dict[str, Value] = {
        "#address-cells": 3, "#interrupt-cells": 1, "#size-cells": 2,
        "compatible": "pci-host-ecam-generic", "device_type": "pci", "linux,pci-domain": 0,
        "bus-range": [host.first_bus, host.first_bus + (host.ecam_size >> BUS_SHIFT) - 1], "dma-coherent": EMPTY,
        "reg": cells64(at, host.ecam_size), "ranges": _ranges(host),
        "interrupt-map-mask": [(PINS - 1) << 11, 0, 0, 7], "interrupt-map": _interrupt_map(controller, interrupts),
    }
    if msi is not None:
        properties["msi-map"] = [0, msi, 0, 0x1_0000]
    return parent.node(f"pci@{at:x}", properties)


def _ranges(host: GpexHost) -> list[int]:
    windows = (
        (_IO, 0, host.pio_base, host.pio_size),
        (_MEMORY, host.mmio_base, host.mmio_base, host.mmio_size),
        (_MEMORY_64, host.mmio_high_base, host.mmio_high_base, host.mmio_high_size),
    )
    return [cell for kind, pci, cpu, size in windows if size for cell in (kind, *cells64(pci, cpu, size))]


def _interrupt_map(controller: Node, interrupts: Sequence[int | Sequence[int]]) -> list[int | str | Node]:
    """For each device number modulo 4 and each pin: the interrupt at the root, after the rotation of pins."""
    cells: list[int | str | Node] = []
    for device in range(PINS):
        for pin in range(PINS):
            wire = interrupts[(pin + device) % PINS]
            cells += [device << 11, 0, 0, pin + 1, controller, *((wire,) if isinstance(wire, int) else wire)]
    return cells
