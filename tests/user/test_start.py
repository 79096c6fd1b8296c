"""What a program's start loads: hardly more than is executed, because every command of a guest's shell script begins like that."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.user.cross import RISCV_CC, needs_riscv_cc

#: Modules that cost a start more than a hundredth of its time, and are for what is not translated, for mistakes, or for type checkers.
HEAVY = {
    "dataclasses", "enum", "hashlib", "inspect", "llvmlite", "pathlib", "re", "tempfile", "typing",
    "ratite.codegen.elfobj", "ratite.codegen.forms", "ratite.codegen.stencil", "ratite.cpu.memo", "ratite.cpu.regions", "ratite.ir",
    "ratite.isa.dsl.insn", "ratite.isa.dsl.record", "ratite.profiling.request",
}  # fmt: skip


def imported(words: list[str]) -> set[str]:
    """The modules that Python imports on the way."""
    done = subprocess.run([sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True, timeout=120)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@needs_riscv_cc
def test_a_known_program_starts_without_the_translator(tmp_path: Path) -> None:
    program, source = tmp_path / "hello", tmp_path / "hello.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
    subprocess.run([str(RISCV_CC), "-O1", "-static", "-o", program, source], check=True)
    command = ["-c", "from ratite.cli.user import riscv64; raise SystemExit(riscv64())", str(program)]
    for _ in range(3):    # until all its pages are known, wherever they lie
        imported(command)
    assert not imported(command) & HEAVY - imported(["-c", "pass"])


#: A page in which 1,500 instructions are executed each time, and two more by the child of a fork, before it becomes another program.
SELDOM = """
#include <sys/wait.h>
#include <unistd.h>
asm(".balign 4096\\n.globl usual\\nusual: .rept 1500\\naddi t0, t0, 1\\n.endr\\nret\\n.globl seldom\\nseldom: li a0, 3\\nret\\n.quad NUMBER");
int usual(void), seldom(void), status;
int (*volatile function)(void) = seldom;
int main(int argc, char **argv) {
    usual();
    if (argc > 1 && fork() == 0 && function() == 3)
        execl(argv[0], argv[0], (char *)0);
    return wait(&status) > 0 && status;
}
"""


@needs_riscv_cc
def test_the_least_that_is_new_is_known_from_then_on(tmp_path: Path) -> None:
    """Or every command of a script that does something which the shell before it does not would load the translator for it."""
    program, source = tmp_path / "seldom", tmp_path / "seldom.c"
    source.write_text(SELDOM.replace("NUMBER", str(time.time_ns())))    # no run of this test has seen the page
    subprocess.run([str(RISCV_CC), "-O1", "-static", "-o", program, source], check=True)
    command = ["-c", "from ratite.cli.user import riscv64; raise SystemExit(riscv64())", str(program)]
    for _ in range(3):
        imported(command)
    assert "ratite.cpu.memo" not in imported(command)
    assert "ratite.cpu.memo" in imported([*command, "argument"])
    for _ in range(3):    # the start of the program handles arguments, and what was translated by parent and child comes together
        imported([*command, "argument"])
    assert "ratite.cpu.memo" not in imported([*command, "argument"])
