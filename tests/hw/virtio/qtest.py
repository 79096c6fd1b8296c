"""QEMU's devices, with its CPU asleep, as an outside oracle: memory and registers over its qtest protocol."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

QEMU = shutil.which("qemu-system-riscv64")
SLOT = 0x1000_1000
RAM, RAM_SIZE = 0x8000_0000, 16 << 20
WFI_LOOP = bytes.fromhex("73005010 6ff0dfff")    # wfi; j -4
TRIES = 20_000    # looks at a ring before QEMU has surely answered


class QtestMemory:
    """The address space of a QEMU machine `virt`."""

    def __init__(self, folder: Path, *options: str, legacy: bool) -> None:
        assert QEMU
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "qtest"))
        listener.listen()
        listener.settimeout(30)
        command = [QEMU, "-M", "virt", "-S", "-m", str(RAM_SIZE >> 20)]
        command += ["-bios", "none", "-display", "none", "-nodefaults", "-monitor", "stdio"]
        command += ["-qtest", f"unix:{folder}/qtest", "-qtest-log", "none", "-global"]
        command += [f"virtio-mmio.force-legacy={'on' if legacy else 'off'}", *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._connection, _ = listener.accept()
        self._connection.settimeout(30)
        self._answers = self._connection.makefile("r")
        listener.close()
        self._let_it_run()

    def _let_it_run(self) -> None:
        """Some devices do nothing while the machine is paused, so its CPU gets an endless sleep as its program."""
        self.dma_write(RAM, WFI_LOOP)
        assert self._process.stdin is not None
        self._process.stdin.write(b"cont\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._answers.close()
        self._connection.close()

    def read(self, address: int, size: int) -> int:
        return int(self._ask(f"read{'?bwwllll'[size] if size < 8 else 'q'} {address:#x}"), 0)

    def write(self, address: int, size: int, value: int) -> None:
        self._ask(f"write{'?bwwllll'[size] if size < 8 else 'q'} {address:#x} {value:#x}")

    def dma_read(self, address: int, size: int) -> bytes:
        return bytes.fromhex(self._ask(f"read {address:#x} {size:#x}").removeprefix("0x")) if size else b""

    def dma_write(self, address: int, data: bytes) -> None:
        if data:
            self._ask(f"write {address:#x} {len(data):#x} 0x{data.hex()}")

    def _ask(self, line: str) -> str:
        self._connection.sendall(line.encode() + b"\n")
        answer = self._answers.readline()
        while not answer.startswith("OK"):
            assert answer and not answer.startswith(("ERR", "FAIL")), f"{line}: {answer}"
            answer = self._answers.readline()    # IRQ messages
        return answer[2:].strip()
