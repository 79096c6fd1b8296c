"""Memory of the emulator's process beyond the guest's RAM, with Linux at its prompt.

    python bench/memory.py [--json FILE]

Resident pages of every mapping are counted (/proc/PID/smaps) except those of mappings as large as the guest's RAM,
which are that RAM.
"""

from __future__ import annotations

from pathlib import Path

import guests
import measure
from measure import Row
from ratite.cli.console import Console

RAM_MIB = 512


def beyond_ram(process: int) -> float:
    """MiB resident outside guest RAM."""
    total = size = 0
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        words = line.split()
        if words[0] == "Size:":
            size = int(words[1])
        elif words[0] == "Rss:" and size < RAM_MIB * 1024:
            total += int(words[1])
    return total / 1024


def at_prompt(command: list[str]) -> float:
    """Boot and measure."""
    with Console(command) as console:
        console.wait_for("GUEST-READY", guests.BOOT_SECONDS)
        console.wait_for("# ", guests.BOOT_SECONDS)
        used = beyond_ram(console.process_number)
        console.send("poweroff -f")
        console.finish(60)
    return used


def main() -> None:
    """One boot of each."""
    arguments = measure.options("Memory.", "ratite-system-riscv64", "qemu-system-riscv64", 1)
    initrd = guests.files().initrd
    emulators = (arguments.ours, arguments.peer)
    used = [at_prompt(guests.command(emulator, initrd, memory=f"{RAM_MIB}M")) for emulator in emulators]
    measure.report("Memory beyond guest RAM: MiB", [Row("Linux at its prompt", *used)], "M", arguments.json, mean=False)


if __name__ == "__main__":
    main()
