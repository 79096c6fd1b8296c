"""Signal frames: their layout against the C library's, and what they save against what they restore."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.user import siginfo
from ratite.user.abi import abi
from ratite.user.abi.base import AlternateStack, Handler
from ratite.user.abi.registers import SIGINFO_SIZE, Registers
from ratite.user.abi.riscv import Riscv
from ratite.user.failure import SyscallError
from ratite.user.signalnumbers import SIGCHLD, SIGSEGV
from ratite.user.space import MAP_ANONYMOUS, MAP_PRIVATE, GuestSpace
from tests.user.cross import RISCV_CC, check_constants, needs_riscv_cc
from tests.user.fake import FakeVcpu, Steps

WORD = st.integers(0, (1 << 64) - 1)


def riscv(arch: str) -> Riscv:
    found = abi(arch)
    assert isinstance(found, Riscv)
    return found


@needs_riscv_cc
def test_frame_layout_is_the_kernels(tmp_path: Path) -> None:
    """ucontext fields lie where the C library's headers have them; the constants of siginfo and the masks agree."""
    layout = riscv("riscv64")
    head = layout._head.offsets
    expected = {
        "sizeof(siginfo_t)": SIGINFO_SIZE,
        "sizeof(ucontext_t)": layout.frame_size - SIGINFO_SIZE,
        "offsetof(ucontext_t, uc_link)": head["link"],
        "offsetof(ucontext_t, uc_stack)": head["sp"],
        "offsetof(ucontext_t, uc_stack.ss_flags)": head["stack_flags"],
        "offsetof(ucontext_t, uc_stack.ss_size)": head["stack_size"],
        "offsetof(ucontext_t, uc_sigmask)": head["mask_low"],
        "offsetof(ucontext_t, uc_mcontext)": layout.registers_offset - SIGINFO_SIZE,
        "offsetof(ucontext_t, uc_mcontext.__fpregs)": layout.fp_offset - SIGINFO_SIZE,
        "offsetof(struct __riscv_mc_d_ext_state, __fcsr)": 256,
        "offsetof(siginfo_t, si_addr)": 16,
        "offsetof(siginfo_t, si_status)": 24,
        "offsetof(siginfo_t, si_value)": 24,
    }
    includes = "#define _GNU_SOURCE\n#include <stddef.h>\n#include <signal.h>\n#include <ucontext.h>\n"
    assert RISCV_CC is not None
    assert check_constants(RISCV_CC, includes, expected, tmp_path) == []


def vcpu_with_stack(arch: str) -> tuple[Riscv, FakeVcpu, Registers, int]:
    def nothing(v: FakeVcpu) -> Steps:
        raise StopIteration
        yield
    layout = riscv(arch)
    space = SPACES[layout.bits]
    space.clear()
    stack = space.mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS)
    vcpu = FakeVcpu(space, nothing)
    return layout, vcpu, layout.registers(vcpu), stack + 8192


SPACES = {bits: GuestSpace(bits) for bits in (32, 64)}


@pytest.mark.parametrize("arch", ["riscv64", "riscv32"])
@given(data=st.data())
def test_return_restores_everything(arch: str, data: st.DataObject) -> None:
    """After the handler, registers, mask and alternate stack are what they were, whatever the handler did."""
    layout, vcpu, registers, top = vcpu_with_stack(arch)
    limit = (1 << layout.bits) - 1
    state = vcpu.state
    for n in range(1, 32):
        state.x[n] = data.draw(WORD) & limit
    for n in range(32):
        state.f[n] = data.draw(WORD)
    state.pc = data.draw(WORD) & limit
    state.frm, state.fp_flags = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 31))
    before = (list(state.x[1:]), list(state.f), state.pc, state.frm, state.fp_flags)
    mask = data.draw(WORD)
    info = siginfo.fault(SIGSEGV, 1, 0x1234, layout.bits)
    handler = Handler(0x5000, SIGSEGV, info, mask, AlternateStack(0x100, 0x200, 0), 0x7000)
    layout.enter_handler(registers, vcpu.space, handler, top)
    sp = state.x[2]
    assert sp % 16 == 0 and sp + layout.frame_size <= top
    assert (state.pc, state.x[1], state.x[10], state.x[11], state.x[12]) == (0x5000, 0x7000, SIGSEGV, sp, sp + 128)
    assert vcpu.space.read(sp, 128) == info
    for n in (*range(1, 2), *range(3, 32)):
        state.x[n] = n
    for n in range(32):
        state.f[n] = 0
    state.frm = state.fp_flags = 0
    found_mask, stack = layout.leave_handler(registers, vcpu.space)
    assert (list(state.x[1:]), list(state.f), state.pc, state.frm, state.fp_flags) == before
    assert (found_mask, stack.start, stack.size) == (mask, 0x100, 0x200)


def test_bad_frames_are_refused() -> None:
    """No room for a frame, an unmapped stack pointer, and words that must be zero: errors, not Python exceptions."""
    layout, vcpu, registers, top = vcpu_with_stack("riscv64")
    handler = Handler(0x5000, 11, bytes(128), 0, AlternateStack(), 0)
    for sp in (0, 100, top - 8192 + 64, 1 << 63, (1 << 64) - 1):
        with pytest.raises(SyscallError):
            layout.enter_handler(registers, vcpu.space, handler, sp)
    for sp in (0, top, 1 << 63):
        vcpu.state.x[2] = sp
        with pytest.raises(SyscallError):
            layout.leave_handler(registers, vcpu.space)
    layout.enter_handler(registers, vcpu.space, handler, top)
    vcpu.space.write(vcpu.state.x[2] + layout.frame_size - 4, b"\1")
    with pytest.raises(SyscallError):
        layout.leave_handler(registers, vcpu.space)


@given(st.integers(1, 64), st.sampled_from([-60, -6, -2, -1, 0, 1, 2, 0x80]), WORD, WORD)
def test_siginfo_of_32_bit_guests(signo: int, code: int, first: int, second: int) -> None:
    """Head and fields survive the way to a 32-bit guest and back, as far as they have room there."""
    host = (signo.to_bytes(4, "little") + bytes(4) + code.to_bytes(4, "little", signed=True) + bytes(4)
            + first.to_bytes(8, "little") + second.to_bytes(8, "little")).ljust(128, b"\0")
    guest = siginfo.to_guest(host, 32)
    assert len(guest) == 128
    assert guest[:12] == host[:12]
    again = siginfo.to_guest(siginfo.to_host(guest, 32), 32)
    assert again == guest
    assert siginfo.to_guest(host, 64) is host


def test_siginfo_fields_of_32_bit_guests() -> None:
    """A child's exit: pid, uid and status where a 32-bit program looks for them."""
    host = (SIGCHLD.to_bytes(4, "little") + bytes(4) + (1).to_bytes(4, "little") + bytes(4)
            + b"".join(value.to_bytes(4, "little") for value in (1234, 1000, 7))).ljust(128, b"\0")
    guest = siginfo.to_guest(host, 32)
    assert [int.from_bytes(guest[at:at + 4], "little") for at in (12, 16, 20)] == [1234, 1000, 7]
