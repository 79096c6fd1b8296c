"""What boards put into the configuration device for firmware, whatever their instruction set (QEMU's "fw_cfg" specification)."""

from __future__ import annotations

from ratite.boards.machine import Machine
from ratite.boards.support.loader import read_file
from ratite.hw.misc.fw_cfg import FwCfgMem, Key


def add_fw_cfg(m: Machine, at: int) -> FwCfgMem:
    """The device, with what firmware of every kind may ask: number of CPUs, size of RAM, the user's files."""
    fw_cfg = m.add("fw_cfg", FwCfgMem(), at=at)
    fw_cfg.add_number(Key.CPUS, m.cpu_count, 2)
    fw_cfg.add_number(Key.MAX_CPUS, m.cpu_count, 2)
    fw_cfg.add_number(Key.RAM_SIZE, m.ram_size, 8)
    for name, content in m.fw_cfg_files:
        fw_cfg.add_file(name, content)
    return fw_cfg


def offer_kernel(m: Machine, fw_cfg: FwCfgMem) -> None:
    """Let firmware in flash fetch kernel, RAM disk and command line by itself."""
    for path, what, size_key, data_key in (
        (m.options.kernel, "kernel", Key.KERNEL_SIZE, Key.KERNEL_DATA),
        (m.options.initrd, "RAM disk", Key.INITRD_SIZE, Key.INITRD_DATA),
    ):
        if path:
            content = read_file(what, path, m.ram_size)
            fw_cfg.add_number(size_key, len(content))
            fw_cfg.add(data_key, content)
    if m.options.append:
        line = command_line(m)
        fw_cfg.add_number(Key.COMMAND_LINE_SIZE, len(line))
        fw_cfg.add(Key.COMMAND_LINE_DATA, line)


def command_line(m: Machine) -> bytes:
    """The kernel's, with the zero at its end."""
    return m.options.append.encode("utf-8", "surrogateescape") + b"\0"
