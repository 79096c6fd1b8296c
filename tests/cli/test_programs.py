"""The installed programs: errors, lists, conversations with a guest, the registration for binfmt_misc."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ratite.cli import binfmt, demo, entry, ratite
from ratite.cli.console import Console, ConsoleError
from ratite.errors import HostError, UsageError
from ratite.fetch import guest

ROOT = Path(__file__).parents[2]


# A guest's keyboard: lines end with a carriage return, as terminals send it.
TYPED = """
import sys

def typed() -> str:
    return b"".join(iter(lambda: sys.stdin.buffer.raw.read(1), b"\\r")).decode()
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", TYPED + code]


def test_the_version_is_the_projects() -> None:
    """What -version prints and what pip knows are one number."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        assert tomllib.load(file)["project"]["version"] == entry.VERSION


def test_every_program_is_installed_and_listed() -> None:
    """`ratite --help` names the programs of pyproject.toml, and each of those starts a function that exists."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        scripts = tomllib.load(file)["project"]["scripts"]
    assert set(scripts) == {"ratite", *ratite.PROGRAMS}
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function))
    assert all(f"  {name} " in ratite.help_text() for name in [*ratite.PROGRAMS, *ratite.COMMANDS])


def test_a_mistake_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    """The program's name comes first; a library error looks like a usage error; an interrupt has the shell's status."""

    def fail(words: object) -> int:
        raise HostError("no luck")

    def interrupt(words: object) -> int:
        raise KeyboardInterrupt

    assert entry.guard("prog", fail, []) == 1
    assert capsys.readouterr().err == "prog: no luck\n"
    assert entry.guard("prog", interrupt, []) == 130
    assert entry.guard("ratite", ratite.run, ["machnies"]) == 1
    assert capsys.readouterr().err == "ratite: command 'machnies' is not known: did you mean 'machines'?\n"


def test_output_that_nobody_reads_ends_quietly() -> None:
    """`ratite-system-riscv64 -h | head -1` prints no traceback."""
    code = "from ratite.cli.system import riscv64; raise SystemExit(riscv64())"
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.run([*python(code), "-h"], stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert process.stderr == b""


@pytest.mark.parametrize("program", ["system", "user"])
def test_version_imports_little(program: str) -> None:
    """-version and usage mistakes load neither the engine nor any big library."""
    code = (
        f"import sys; from ratite.cli.{program} import riscv64; sys.argv[1:] = ['-version']; riscv64(); "
        "print(*sorted(sys.modules))"
    )
    modules = set(subprocess.run(python(code), capture_output=True, text=True, check=True).stdout.split())
    heavy = {"llvmlite", "rich", "ctypes", "asyncio", "subprocess", "dataclasses", "inspect", "json", "ratite.isa.arch", "ratite.isa.dsl"}
    assert not modules & heavy


def test_a_conversation() -> None:
    """Output is matched across reads; what follows stays for the next wait; the status is the program's."""
    code = "print('hello', end=' ', flush=True); print('world', flush=True); print('got', typed()); raise SystemExit(3)"
    with Console(python(code)) as console:
        assert console.wait_for("lo wor", 30) == "hello wor"
        console.send("a line")
        assert console.wait_for("got a line", 30).startswith("ld\n")
        assert console.finish(30) == 3


def test_a_guest_that_stays_silent() -> None:
    """The text that did not come, the time, and the last lines are named."""
    with Console(python("print('one'); print('two'); input()")) as console:
        console.wait_for("one\n", 30)
        with pytest.raises(ConsoleError, match=r"did not print 'three' within 0.05 s; its last lines: two$"):
            console.wait_for("three", 0.05)
        with pytest.raises(ConsoleError, match=r"the emulator did not end within 0.05 s"):
            console.finish(0.05)


def test_an_emulator_that_ends_early() -> None:
    """Typing into a dead emulator is an error, not a broken pipe."""
    with Console(python("print('bye')")) as console:
        assert console.finish(30) == 0
        with pytest.raises(ConsoleError, match="the emulator ended before 'x' was typed; its last lines: bye"):
            console.send("x")


def test_the_demo_without_debian(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no package can be had the monitor is booted, and the reason and a way out are printed."""

    def fetch(*words: object) -> guest.Guest:
        raise HostError("this system has no apt-get")

    monkeypatch.setattr(guest, "fetch", fetch)
    scene = demo._choose()
    assert scene.options[-1].endswith("monitor.elf")
    error = capsys.readouterr().err
    assert "No Linux to boot: this system has no apt-get." in error
    assert "-kernel Image" in error


def test_the_selftest_of_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It plays its conversation with any emulator, and fails when an answer is wrong."""
    answers = dict(demo._monitor().steps)
    program = tmp_path / "emulator"
    script = f"""#!{sys.executable}
{TYPED}
answers = {answers!r}
print("Ratite monitor on hart 0")
while True:
    print("ratite> ", flush=True)
    line = typed()
    if line == "poweroff":
        raise SystemExit
    print(answers[line])
"""
    program.write_text(script)
    program.chmod(0o755)
    assert demo.main(["--selftest", "--monitor", "--emulator", str(program)]) == 0
    assert re.search(r"Powered off with status 0; .* s in all", capsys.readouterr().out)
    program.write_text(script.replace("raise SystemExit", "raise SystemExit(2)"))
    assert demo.main(["--selftest", "--monitor", "--emulator", str(program)]) == 1
    with pytest.raises(UsageError, match="'--selfish' is not an option of the demo"):
        demo.main(["--monitor", "--selfish"])


@pytest.mark.parametrize("arch, elf_class", [("riscv64", 2), ("riscv32", 1)])
def test_binfmt_recognises_programs(arch: str, elf_class: int) -> None:
    """The mask and magic take this machine's executables and shared objects and nothing else."""
    _, name, kind, offset, magic, mask, program, flags = binfmt.registration(arch, "/opt/emulator").split(":")
    assert (name, kind, offset, program, flags) == (f"ratite-{arch}", "M", "", "/opt/emulator", "")
    magic_bytes, mask_bytes = (bytes.fromhex(text.replace("\\x", "")) for text in (magic, mask))

    def matches(header: bytes) -> bool:
        return all(a & m == b for a, b, m in zip(header, magic_bytes, mask_bytes, strict=True))

    def header(elf_class: int, kind: int, machine: int, abi: int = 0) -> bytes:
        return b"\x7fELF" + bytes((elf_class, 1, 1, abi)) + bytes(8) + bytes((kind, 0, machine, 0))

    assert matches(header(elf_class, 2, 0xF3))
    assert matches(header(elf_class, 3, 0xF3, abi=3))
    assert not matches(header(3 - elf_class, 2, 0xF3))
    assert not matches(header(elf_class, 2, 0x3E))
    assert not matches(header(elf_class, 1, 0xF3))


def test_binfmt_paths_have_a_limit() -> None:
    """The kernel would cut longer ones off."""
    with pytest.raises(UsageError, match="longer than the kernel takes"):
        binfmt.registration("riscv64", "/" + "x" * 127)
