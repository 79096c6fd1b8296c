"""U-Boot as Debian ships it, in machine mode and in supervisor mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratite.cli.console import Console
from tests.boot.session import STEP_SECONDS, emulator

FOLDER = Path("/usr/lib/u-boot")
MACHINE_MODE, SUPERVISOR_MODE = FOLDER / "qemu-riscv64/u-boot.bin", FOLDER / "qemu-riscv64_smode/u-boot.bin"

pytestmark = [
    pytest.mark.boot,
    pytest.mark.skipif(not (MACHINE_MODE.exists() and SUPERVISOR_MODE.exists()), reason="u-boot-qemu is not installed"),
]


@pytest.mark.parametrize(
    "options",
    [["-bios", str(MACHINE_MODE)], ["-kernel", str(SUPERVISOR_MODE)], ["-bios", "builtin", "-kernel", str(SUPERVISOR_MODE)]],
    ids=["machine mode", "firmware found", "built-in firmware"],
)
def test_its_prompt(options: list[str]) -> None:
    """It finds memory and flash in the device tree, counts down, takes commands, and powers off with status 0."""
    with Console([*emulator("riscv64"), "-M", "virt", "-m", "256", "-nographic", *options]) as console:
        report = console.wait_for("Hit any key to stop autoboot", STEP_SECONDS)
        assert "DRAM:  256 MiB" in report and "Flash: 32 MiB" in report
        console.send("")
        for line, answer in [
            ("setexpr x 6 * 7; echo x is ${x}", "\nx is 2a"),
            ("mw.l 84000000 600df00d 400; crc32 84000000 1000", "\ncrc32 for 84000000 ... 84000fff ==> abcf7a20"),
            ("sleep 1; echo slept", "\nslept"),
        ]:
            console.wait_for("=> ", STEP_SECONDS)
            console.send(line)
            console.wait_for(answer, STEP_SECONDS)
        console.wait_for("=> ", STEP_SECONDS)
        console.send("poweroff")
        assert console.finish(STEP_SECONDS) == 0
