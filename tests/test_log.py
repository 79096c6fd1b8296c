"""The log: categories on and off, where it goes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratite import log
from ratite.errors import HostError, UsageError


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    """Leave the log off for other tests."""
    yield
    log.configure([])


def test_only_the_chosen_categories_are_written() -> None:
    """A category that is off costs nothing and shows nothing."""
    stream = io.StringIO()
    log.configure(["unimp"])
    log.send_to(stream)
    assert log.enabled("unimp") and not log.enabled("int")
    log.write("unimp", "one")
    log.write("int", "two")
    assert stream.getvalue() == "one\n"


def test_all_switches_every_category_on() -> None:
    """`-d all`."""
    log.configure(["all"])
    assert all(log.enabled(name) for name in log.CATEGORIES)


def test_a_log_file_is_written_at_once(tmp_path: Path) -> None:
    """Lines are there even if the process dies right after."""
    log.configure(["page"], str(tmp_path / "log"))
    log.write("page", "walk")
    assert (tmp_path / "log").read_text() == "walk\n"


def test_wrong_names_and_files_are_one_line_errors(tmp_path: Path) -> None:
    """Hints for names; the host's reason for files."""
    with pytest.raises(UsageError, match="did you mean 'unimp'"):
        log.configure(["unimpl"])
    with pytest.raises(HostError, match="No such file"):
        log.configure(["int"], str(tmp_path / "no" / "log"))


def test_a_log_that_cannot_be_written_ends_silently() -> None:
    """A guest must not fall over its emulator's log."""
    stream = io.StringIO()
    log.configure(["unimp"])
    log.send_to(stream)
    stream.close()
    log.write("unimp", "lost")
    assert not log.enabled("unimp")
