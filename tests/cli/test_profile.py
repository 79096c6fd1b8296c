"""`ratite profile` as its user sees it: programs of both kinds, names, tables, the picture, mistakes."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from ratite import guests
from tests.user.cross import RISCV_CC, needs_riscv_cc

RATITE = [sys.executable, "-c", "import sys; from ratite.cli.ratite import main; sys.exit(main())"]

PROGRAM = """
#include <stdlib.h>
__attribute__((noinline)) unsigned long hot(unsigned long n) {
    unsigned long x = n;
    for (unsigned long i = 0; i < n; i++) x = x * 6364136223846793005ul + i;
    return x;
}
__attribute__((noinline)) unsigned long caller(unsigned long n) { return hot(n) + 1; }
int main(void) { return caller(200000000ul) == 0 ? 3 : 7; }
"""


def profile(*words: str, text: str = "", status: int = 0) -> str:
    """Run `ratite profile` and return what it printed to standard error."""
    done = subprocess.run([*RATITE, "profile", *words], input=text, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    return done.stderr


@needs_riscv_cc
def test_a_program(tmp_path: Path) -> None:
    """Most of its machine code runs in one function, called as the frames say; the exit status is the program's."""
    assert RISCV_CC is not None
    source, program, picture = tmp_path / "a.c", tmp_path / "program", tmp_path / "out.svg"
    source.write_text(PROGRAM)
    subprocess.run([RISCV_CC, "-O1", "-fno-omit-frame-pointer", "-static", "-o", program, source], check=True)
    printed = profile("-o", str(picture), "--", "ratite-riscv64", str(program), status=7)
    assert re.search(r"│ hot +│ program +│", printed)
    assert re.search(r"│ native +│", printed) and re.search(r"│ waiting +│", printed)
    titles = [title.text or "" for title in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}title")]
    share = {name: float(re.search(r"([\d.]+)%", title)[1]) for title in titles for name in [title.split()[0]]}  # type: ignore[index]
    assert share["hot"] > 5    # the rest is the first start: compiling and translating
    assert share["main"] >= share["caller"] >= share["hot"] * 0.9


def test_a_machine(tmp_path: Path) -> None:
    """The monitor that ships with Ratite ends by itself; its code is named by a map."""
    monitor, names = str(guests.monitor("riscv64")), tmp_path / "System.map"
    names.write_text("80000000 T the_monitor\n")
    words = ["ratite-system-riscv64", "-M", "virt", "-m", "64", "-bios", "none", "-accel", "tcg,cache=off", "-nographic", "-kernel", monitor]
    printed = profile("-symbols", str(names), "-frequency", "1000", *words, text="info\rpoweroff 5\r", status=5)
    assert "Where the time goes" in printed and "translation" in printed and "the_monitor" in printed


def test_a_machine_for_a_time(tmp_path: Path) -> None:
    """One that waits for ever is ended after the time."""
    monitor = str(guests.monitor("riscv64"))
    words = ["ratite-system-riscv64", "-M", "virt", "-m", "64", "-bios", "none", "-serial", "null", "-display", "none", "-kernel", monitor]
    assert "waiting" in profile("-seconds", "1", *words)


@pytest.mark.parametrize(("words", "message"), [
    ([], "a program to profile is missing"),
    (["ratite-system-riscv65"], "did you mean"),
    (["-symbols", "/nonexistent", "ratite-riscv64", "x"], "No such file"),
    (["-frequency", "0", "ratite-riscv64", "x"], "-frequency 0"),
    (["ratite-riscv64", "/nonexistent"], "No such file"),
])  # fmt: skip
def test_mistakes(words: list[str], message: str) -> None:
    """One line each."""
    assert message in profile(*words, status=1)
