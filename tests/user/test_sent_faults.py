"""SIGSEGV that somebody sends, rather than an access that fails, while no guest code runs."""

from __future__ import annotations

import signal
import subprocess
import sys

_SENT = """
import os, signal, sys
from ratite.cpu.engine import Engine
from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu
class Nothing:
    base = 0
engine = Engine(make_arch(parse_cpu("rv64", 64).for_user_mode()), user=Nothing(), code_size=4 << 20)
os.kill(os.getpid(), signal.SIGSEGV)
sys.exit(3)
"""


def test_the_process_dies_of_a_sent_sigsegv() -> None:
    assert subprocess.run([sys.executable, "-c", _SENT], check=False).returncode == -signal.SIGSEGV
