"""Samples become functions, stacks and shares; made-up samples, so every number is known."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ratite.cpu.sampling import Found
from ratite.errors import ImageError, UsageError
from ratite.profiling.analysis import Analysis
from ratite.profiling.recording import Profile, _write, load
from ratite.profiling.request import Request, parse
from ratite.profiling.symbols import Symbol, Symbols

SYMBOLS = Symbols([Symbol(0x1000, 0x100, "outer"), Symbol(0x2000, 0x100, "middle"), Symbol(0x3000, 0x100, "inner")])
SAMPLES = Counter({
    Found("native", "", (0x3010, 0x2010, 0x2010, 0x1010)): 40,    # inner has a frame, and nothing called since
    Found("native", "", (0x3010, 0x2010, 0x1010)): 10,            # inner keeps no frame: its caller is in the register
    Found("native", "", (0x2040, 0x2044, 0x1010)): 20,            # the register is left from an earlier call of middle's
    Found("device", "", (0x2020, 0x2010, 0x1010, 0x9999)): 20,    # the chain goes astray
    Found("helpers", "walk", ()): 5,
    Found("native", "", (0x8123, 0, 0x1010)): 5,                  # code that nobody knows
})  # fmt: skip


def profile() -> Profile:
    return Profile("program", 100, 2_000_000_000, 4_000_000_000, 1_000_000_000, 500_000_000, 0, 0, [], Counter(SAMPLES))


def test_stacks() -> None:
    """Who called whom, with what is no guest code in brackets on top."""
    assert Analysis(profile(), [SYMBOLS.find]).stacks() == {
        ("outer", "middle", "inner"): 50,
        ("outer", "middle"): 20,
        ("outer", "middle", "[device]"): 20,
        ("[helpers]", "[walk]"): 5,
        ("outer", "page 0x8000"): 5,
    }


def test_functions() -> None:
    """The hottest first, with what of it was machine code."""
    rows = [(function.name, ticks, native) for function, ticks, native in Analysis(profile(), [SYMBOLS.find]).functions()]
    assert rows == [("inner", 50, 50), ("middle", 40, 20), ("[walk]", 5, 5), ("page 0x8000", 5, 5)]


def test_shares() -> None:
    """Two threads for two seconds, of which one second was work: half a second the host was busy, the rest is waiting."""
    shares = {share.state: (share.seconds, share.part) for share in Analysis(profile(), []).shares()}
    assert shares["native"] == (pytest.approx(0.75), pytest.approx(0.1875))
    assert shares["device"] == (pytest.approx(0.2), pytest.approx(0.05))
    assert shares["no processor"] == (pytest.approx(0.5), pytest.approx(0.125))
    assert shares["waiting"] == (pytest.approx(2.5), pytest.approx(0.625))
    assert sum(part for _, part in shares.values()) == pytest.approx(1)


def test_no_samples() -> None:
    """A program that ends at once has none; nothing is divided by zero."""
    analysis = Analysis(Profile("program", 100, 0, 0, 0, 0, 0, 0, [], Counter()), [])
    assert analysis.functions() == [] and analysis.stacks() == {} and analysis.shares()[-1].state == "waiting"


def test_the_file(tmp_path: Path) -> None:
    """What is written is read again; what is no profile is refused."""
    path = tmp_path / "samples"
    _write(str(path), profile())
    assert load(str(path)) == profile()
    for text in ("", "{}", "[]", '{"format": "ratite-profile-1"}', '{"format": "ratite-profile-1", "samples": [[1]], "mappings": []}'):
        path.write_text(text)
        with pytest.raises(ImageError, match="is not a profile"):
            load(str(path))


def test_the_request() -> None:
    assert parse("file") == Request("file", 250, 0)
    assert parse("a,,b,frequency=1000,seconds=5") == Request("a,b", 1000, 5)
    for text in ("file,frequency=0", "file,seconds=-1", "file,often=yes"):
        with pytest.raises(UsageError):
            parse(text)
