"""Holes that one sample shows are those that two samples show."""

from __future__ import annotations

import pytest

from ratite.codegen import inspect_x86_64 as inspect
from ratite.codegen import stencil
from ratite.codegen.forms import Form, Key, imm_class
from ratite.codegen.kinds import MEMORY
from ratite.codegen.stencil import Job, analyse, block_of, compile_stencils
from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu


def register_jobs() -> list[Job]:
    """Every seventh instruction that has nothing to patch but registers, all in memory; and some with one of them pinned."""
    arch = make_arch(parse_cpu("rv64", 64))
    jobs = []
    for insn in {i.text.name: i.text for i in arch.decoder.insns}.values():
        statics = tuple(0 for _ in insn.fmt.statics)
        if insn.privileged or not insn.fmt.regs:
            continue
        form = Form(insn.name, statics, -1)
        block = block_of(insn, arch, form)
        info = analyse(block, insn)
        regs = tuple(0 if r.file == "x" and len(jobs) % 2 and not n else MEMORY for n, r in enumerate(insn.fmt.regs))
        job = Job(Key(form, regs, tuple(imm_class(kind, 0) for kind in info.imms)), insn, block)
        if not info.interpreted and not stencil._needs_two(job):
            jobs.append(job)
    return jobs[::7]


def test_one_sample_shows_what_two_show(monkeypatch: pytest.MonkeyPatch) -> None:
    arch = make_arch(parse_cpu("rv64", 64))
    jobs = register_jobs()
    assert len(jobs) > 10
    one = compile_stencils(arch, jobs)
    monkeypatch.setattr(stencil, "_needs_two", lambda job: True)
    two = compile_stencils(arch, jobs)
    for key, s in two.items():
        assert one[key].code == s.code and sorted(one[key].holes) == sorted(s.holes), key


def test_other_uses_of_the_state_pointer_are_not_understood() -> None:
    """mov rax, [r13 + 16] is; lea rax, [r13 + 16], mov rdi, r13 and mov rax, [r13 + rcx + 16] are not, nor is code that ends in the middle."""
    assert inspect.state_accesses(bytes.fromhex("498b4510")) == [(16, 3, 1)]
    for code in ("498d4510", "4c89ef", "498b440d10", "498b4510498b"):
        assert inspect.state_accesses(bytes.fromhex(code)) is None
