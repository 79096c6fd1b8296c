"""LoongArch's Linux ABI: a program without a C library against QEMU, and frames against themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.isa.loongarch.exceptions import Cause
from ratite.testing.conformance.loongarch import TARGET, compilers
from ratite.user import siginfo
from ratite.user.abi.base import AlternateStack, Handler
from ratite.user.abi.loongarch import FIRST_PART, LoongArch64
from ratite.user.engine import make
from ratite.user.failure import SyscallError
from ratite.user.signalnumbers import SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP
from ratite.user.space import MAP_ANONYMOUS, MAP_PRIVATE, GuestSpace

PROGRAM = Path(__file__).parent / "programs" / "loongarch" / "abi64.c"
RATITE = [sys.executable, "-c", "import sys; from ratite.cli.user import loongarch64; sys.exit(loongarch64())"]
QEMU = "qemu-loongarch64-static"
OPTIONS = ("-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-builtin", "-fno-stack-protector")

WORD, VECTOR = st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 256) - 1)
ABI = LoongArch64()
VCPU = make(ABI, "")[0](GuestSpace(64))
SPACE = VCPU.engine.user
FRAME_SIZE = FIRST_PART + 32 * 32 + 16 + 16
"""With registers of 256 bits."""


def test_program_prints_what_it_prints_in_qemu(tmp_path: Path) -> None:
    """System calls, threads, fork, and for faults of five kinds the frame, and what the handler changed in it; without
    vectors, which QEMU 7.2 does not have."""
    compiler = next((command for command in compilers() if shutil.which(command[0])), None)
    if compiler is None or TARGET.missing(QEMU):
        pytest.skip(TARGET.missing(QEMU))
    program = tmp_path / "abi64"
    subprocess.run([*compiler, *OPTIONS, "-o", str(program), str(PROGRAM)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    ours, theirs = (
        subprocess.run([*command, str(program)], env=environment, capture_output=True, text=True, timeout=300, check=False)
        for command in ([*RATITE, "-cpu", "la464,lsx=off"], [QEMU])
    )
    assert theirs.returncode == 42
    assert (ours.stdout, ours.returncode) == (theirs.stdout, theirs.returncode), ours.stderr


def test_pairs_are_stored_at_once(tmp_path: Path) -> None:
    """ll.d and sc.q in a loop, and what happens where the upper doubleword changes between them; QEMU 11 does the same."""
    compiler = next((command for command in compilers() if shutil.which(command[0])), None)
    if compiler is None:
        pytest.skip(TARGET.missing())
    program = tmp_path / "sc_q"
    subprocess.run([*compiler, *OPTIONS, "-o", str(program), str(PROGRAM.with_name("sc_q.c"))], check=True)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run([*RATITE, "-cpu", "max", str(program)], env=environment, timeout=300, check=False)
    assert done.returncode == 42


@given(data=st.data())
def test_return_restores_everything(data: st.DataObject) -> None:
    """After the handler, registers, control, mask and alternate stack are what they were, whatever the handler did."""
    registers, state = ABI.registers(VCPU), VCPU.state
    vectors = [data.draw(VECTOR) for _ in range(32)]
    SPACE.clear()
    top = SPACE.mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS) + 8192
    values = [data.draw(WORD) for _ in range(32)]
    flags = [data.draw(st.integers(0, 1)) for _ in range(8)]
    pc, mask = data.draw(WORD), data.draw(WORD)
    control = [data.draw(st.integers(0, top)) for top in (3, 31, 31, 31)]
    for n in range(1, 32):
        registers.x[n] = values[n]
    for n in range(32):
        state.x[n] = vectors[n]
    for n, flag in enumerate(flags):
        state.fcc[n] = flag
    registers.pc[0] = pc
    VCPU.set_fp_round(control[0])
    state.fp_flags, state.fcsr_enables, state.fcsr_cause = control[1:]
    info = siginfo.fault(SIGSEGV, 1, 0x1234, 64)
    ABI.enter_handler(registers, SPACE, Handler(0x5000, SIGSEGV, info, mask, AlternateStack(0x100, 0x200, 0), 0x7000), top)
    sp = registers.x[3]
    assert sp % 16 == 0 and (sp + FIRST_PART) % 32 == 0 and sp + FRAME_SIZE <= top
    assert (registers.pc[0], registers.x[1], registers.x[4]) == (0x5000, 0x7000, SIGSEGV)
    assert (registers.x[5], registers.x[6]) == (sp, sp + 128)
    assert SPACE.read(sp, 128) == info
    ABI.start(registers, 0, sp)
    found, stack = ABI.leave_handler(registers, SPACE)
    assert list(registers.x[1:]) == values[1:32]
    assert list(state.x) == vectors
    assert list(registers.f) == [v & (1 << 64) - 1 for v in vectors]
    assert (list(state.fcc), registers.pc[0], found) == (flags, pc, mask)
    assert [state.fp_round, state.fp_flags, state.fcsr_enables, state.fcsr_cause] == control
    assert (stack.start, stack.size) == (0x100, 0x200)


@given(head=st.binary(min_size=16, max_size=16))
def test_bad_frames_are_refused(head: bytes) -> None:
    """Frames that are not mapped, and whatever stands in the chain of contexts: errors, not Python exceptions."""
    registers = ABI.registers(VCPU)
    SPACE.clear()
    top = SPACE.mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS) + 8192
    handler = Handler(0x5000, 11, bytes(128), 0, AlternateStack(), 0)
    for sp in (0, 100, top - 8192 + 64, 1 << 63, (1 << 64) - 1):
        with pytest.raises(SyscallError):
            ABI.enter_handler(registers, SPACE, handler, sp)
    for sp in (0, top, 1 << 63):
        registers.x[3] = sp
        with pytest.raises(SyscallError):
            ABI.leave_handler(registers, SPACE)
    ABI.enter_handler(registers, SPACE, handler, top)
    sp = registers.x[3]
    SPACE.write(sp + 128 + 176 + 272, head)
    try:
        ABI.leave_handler(registers, SPACE)
    except SyscallError:
        pass


@pytest.mark.parametrize(
    ("cause", "value", "signo", "code"),
    [
        (Cause.ILLEGAL, 0, SIGILL, 0x80),
        (Cause.BREAKPOINT, 0, SIGTRAP, 1),
        (Cause.BREAKPOINT, 7, SIGFPE, 1),
        (Cause.BREAKPOINT, 6, SIGFPE, 2),
        (Cause.ALIGNMENT, 0x1001, SIGBUS, 1),
        (Cause.FETCH_ADDRESS, 0x1002, SIGBUS, 2),
        (Cause.BOUND_CHECK, 0x1000, SIGSEGV, 3),
        (Cause.FETCH_PAGE, 0x1000, SIGSEGV, 0),
    ],
)
def test_exceptions_become_signals(cause: int, value: int, signo: int, code: int) -> None:
    """As arch/loongarch/kernel/traps.c sends them; code 0 is left to the memory map."""
    fault = ABI.trap(ABI.registers(VCPU), cause, value)
    assert (fault.signo, fault.code) == (signo, code)


def test_a_misaligned_jump_faults_where_it_went() -> None:
    """The jump itself is over: the signal's frame has the address that is no multiple of four."""
    registers = ABI.registers(VCPU)
    registers.pc[0] = 0x4000
    assert ABI.trap(registers, Cause.FETCH_ADDRESS, 0x1002).address == 0x1002
    assert registers.pc[0] == 0x1002
