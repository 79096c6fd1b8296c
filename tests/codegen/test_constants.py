"""Constants of stencils: tables that LLVM puts behind each other when several forms are compiled at once."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ratite.codegen.forms import Form, Key, imm_class
from ratite.codegen.kinds import MEMORY
from ratite.codegen.stencil import Job, analyse, block_of
from tests.isa.riscv import harts

#: fcvt.{d,s}.{wu,l,lu}: some take a factor from a table, by an index.
CONVERSIONS = {"fcvt.d.lu": (0x69, 3), "fcvt.s.lu": (0x68, 3), "fcvt.d.l": (0x69, 2), "fcvt.s.l": (0x68, 2), "fcvt.s.wu": (0x68, 1)}


@pytest.mark.parametrize("names", list(itertools.permutations(("fcvt.d.lu", "fcvt.s.lu", "fcvt.s.l"))), ids="-".join)
def test_forms_compiled_together_have_their_own_constants(names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))
    native, reference = harts.Bench(native=True), harts.Bench()
    arch = native.engine.arch
    insns = {i.text.name: i for i in arch.decoder.insns}
    jobs = []
    for name in names:
        insn = insns[name]
        for statics in ((7,), (0,), (2,)):
            form = Form(name, statics, -1)
            block = block_of(insn, arch, form)
            kinds = tuple(imm_class(kind, -(1 << 31)) for kind in analyse(block, insn).imms)
            jobs.append(Job(Key(form, (MEMORY, MEMORY), kinds), insn, block))
    native.engine.library.compile(jobs)
    for name, mode, value in itertools.product(names, (7, 0, 2), (0, 1, 2**63 - 1, 2**63, 2**63 + 1025, 2**64 - 1)):
        funct7, rs2 = CONVERSIONS[name]
        results = []
        for bench in (native, reference):
            bench.reset()
            bench.state.fs = 3
            bench.x[5] = value
            bench.run(funct7 << 25 | rs2 << 20 | 5 << 15 | mode << 12 | 1 << 7 | 0x53)
            results.append(bench.state.f[1])
        assert results[0] == results[1], (name, mode, value)
