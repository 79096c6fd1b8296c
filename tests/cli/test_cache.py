"""`ratite cache`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratite.cli import cache
from ratite.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_folder_that_is_not_there_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert cache.main([]) == 0
    assert "0 files      0.0 MiB" in capsys.readouterr().out


def test_clear_deletes_what_is_the_engines_and_nothing_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mkdir()
    for name in ("a.stencils", "a.pages", "a.heat", "a.lock", "kernel"):
        (folder / name).write_bytes(bytes(1 << 20))
    assert cache.main(["info"]) == 0
    assert capsys.readouterr().out.count("1 files      1.0 MiB") == 3
    assert cache.main(["clear"]) == 0
    assert [p.name for p in folder.iterdir()] == ["kernel"]


@pytest.mark.parametrize("words", [["drop"], ["info", "clear"]])
def test_other_words_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"ratite cache \[info\|clear\]"):
        cache.main(words)
