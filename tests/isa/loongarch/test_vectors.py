"""Every vector instruction on random words and edge operands: the reference against QEMU 11's recorded results and against
machine code; and the gates of `-cpu`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from ratite.cpu import engine
from ratite.errors import UsageError
from ratite.isa.loongarch.arch import make_arch
from ratite.isa.loongarch.cpus import parse_cpu
from ratite.testing.conformance import Case, Engine, Generator, Outcome, Report
from ratite.testing.conformance.linux_peer import LinuxPeer, version_of
from ratite.testing.conformance.loongarch import EVENTS, HANDLES, SKIPS, TARGET, VIEWS, is_vector, subject
from ratite.testing.conformance.native import RegionPeer
from ratite.testing.conformance.reference import ReferenceEngine
from ratite.user.abi.loongarch import LoongArch64
from tests.isa.loongarch import cores, recorded
from tests.isa.loongarch.test_conformance import own_library

__all__ = ["own_library"]

#: Another QEMU that has vectors (8.2 or newer), to be compared with live.
LIVE = os.environ.get("RATITE_QEMU_LOONGARCH64", "")

class Recorded:
    """What was recorded of QEMU, as an engine."""

    name, version = "qemu", (11, 1)

    def run(self, cases: Sequence[Case]) -> Sequence[Outcome]:
        """The outcome of each case."""
        found = recorded.load()
        again = "operands have changed: python -m tests.isa.loongarch.recorded QEMU"
        assert {recorded.checksum(case) for case in cases} <= found.keys(), again
        return [recorded.outcome(case, found[recorded.checksum(case)]) for case in cases]


def _vector_cases(per_entry: int, cpu: str = "max") -> list[Case]:
    return list(Generator(subject(cpu, vectors=True), seed=per_entry).cases(per_entry, is_vector))


def _compare(cases: list[Case], peer: Engine) -> None:
    report = Report(SKIPS, VIEWS)
    report.compare(cases, ReferenceEngine(subject("max", vectors=True).arch, EVENTS), peer)
    print(report)
    assert not report.failures, str(report)
    assert report.compared[peer.name] > len(cases) * 9 // 10


def test_reference_agrees_with_recorded_qemu() -> None:
    """Whole state after each instruction as QEMU 11.1 had it: vectors of both widths, flags, memory."""
    _compare(list(recorded.cases()), Recorded())


@pytest.mark.skipif(not LIVE, reason="RATITE_QEMU_LOONGARCH64 names no QEMU with vectors")
def test_reference_agrees_with_qemu(tmp_path: Path) -> None:
    """The same with many more operands."""
    _compare(_vector_cases(60), LinuxPeer("qemu", TARGET, (LIVE, "-cpu", "max"), tmp_path, version_of(LIVE)))


def test_linux_program_agrees_with_reference(own_library: Path, tmp_path: Path) -> None:
    """Whole vector registers as a Linux program in Ratite's user mode sees them, where instructions run as machine code and
    signal frames carry the context of LASX."""
    if missing := TARGET.missing():
        pytest.skip(missing)
    _compare(_vector_cases(1), LinuxPeer.ratite("ratite", "loongarch64", TARGET, ["-cpu", "max"], tmp_path))


def test_regions_agree_with_reference() -> None:
    """The same as regions of a bare machine, each compiled for its case: one in ten, which ones differs with every instruction."""
    peer = RegionPeer(make_arch(parse_cpu("max")), HANDLES)
    _compare(_vector_cases(1)[::10], peer)
    peer.close()


def test_regions_of_a_process_agree_with_reference(tmp_path: Path) -> None:
    """Accesses of memory in regions of a Linux program, also where there is none."""
    if missing := TARGET.missing():
        pytest.skip(missing)
    cases = [case for case in _vector_cases(1) if case.insn.name.lstrip("x").startswith(("vld", "vst"))]
    _compare(cases, LinuxPeer.ratite("ratite", "loongarch64", TARGET, ["-cpu", "max", "-region", "always"], tmp_path))


def test_constants_are_forgotten_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest goes through ever new shuffles, each with a constant of its own; code that was translated before is translated again then."""
    monkeypatch.setattr(engine, "MOST_CONSTANTS", 64)
    native, reference = cores.Bench("max", native=True), cores.Bench("max")
    for first in range(0, 160, 16):
        words = [0x7390_0000 | (n & 1) << 18 | n >> 1 << 10 | 1 << 5 | 1 for n in range(first, first + 16)]  # vshuf4i.b, vshuf4i.h
        for bench in (native, reference):
            bench.state.euen = 7
            bench.state.x[1] = first * 0x0123_4567_89AB_CDEF_1133_5577
            bench.run(*words)
        assert native.state.x[1] == reference.state.x[1]
    assert native.engine.code_flushes
    native.close()


# --- gates --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpu", "lsx", "lasx"),
    [("la464", 1, 1), ("la464,lasx=off", 1, 0), ("la464,lsx=off", 0, 0), ("max", 1, 1), ("max,lsx=off,lasx=on", 0, 0)],
)
def test_switches_agree(cpu: str, lsx: int, lasx: int) -> None:
    """CPUCFG, the decoder and HWCAP tell the same."""
    config = parse_cpu(cpu).for_user_mode()
    hwcap = LoongArch64().hwcap(config.isa_string)
    decoder = subject(cpu).arch.decoder
    assert (config.words[2] >> 6 & 1, hwcap >> 4 & 1, decoder.decode(0x71260000, 4) is not None) == (lsx, lsx, bool(lsx))
    assert (config.words[2] >> 7 & 1, hwcap >> 5 & 1, decoder.decode(0x75260000, 4) is not None) == (lasx, lasx, bool(lasx))


@pytest.mark.parametrize("cpu", ["la464,lsx", "la464,lsx=perhaps", "la464,lzx=on"])
def test_wrong_properties_are_told(cpu: str) -> None:
    """What is neither a property nor one of its values."""
    with pytest.raises(UsageError):
        parse_cpu(cpu)


