"""What earlier runs have found to be hot: it adds up, fades, is bounded, and no state of the file is harmful."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.cpu import hotness
from ratite.cpu.hotness import HALF_LIFE, MOST_PLACES, MOST_SECONDS, Heat, Hotness

PAGE, OTHER = b"p" * 16, b"q" * 16
NOW = 1_700_000_000.0


def run(folder: Path, *found: tuple[bytes, int, float], now: float = NOW) -> dict[int, Heat]:
    """A run that finds these seconds; what the next one knows of PAGE."""
    one = at(folder, now)
    for page, offset, seconds in found:
        one.add(page, offset, Heat(seconds))
    one.save()
    return at(folder, now).of(PAGE)


def at(folder: Path, now: float = NOW) -> Hotness:
    return Hotness(str(folder / "a.heat"), str(folder / "a.lock"), lambda: now)


def test_runs_add_up(tmp_path: Path) -> None:
    assert run(tmp_path, (PAGE, 4, 0.25), (OTHER, 8, 1.0)) == {4: Heat(0.25)}
    assert run(tmp_path, (PAGE, 4, 0.5), (PAGE, 4000, 0.125)) == {4: Heat(0.75), 4000: Heat(0.125)}
    assert at(tmp_path).of(b"r" * 16) == {}


def test_what_a_run_has_added_counts_in_it(tmp_path: Path) -> None:
    run(tmp_path, (PAGE, 4, 0.25))
    one = at(tmp_path)
    one.add(PAGE, 4, Heat(0.5, 2.0))
    assert one.of(PAGE) == {4: Heat(0.75, 2.0)}
    one.forget()
    assert one.of(PAGE) == {4: Heat(0.25)}


def test_what_is_needed_lasts(tmp_path: Path) -> None:
    """The largest number that was said, and it is no less a fortnight later."""
    for needed in (3.0, 1.0):
        one = at(tmp_path)
        one.add(PAGE, 4, Heat(0.5, needed))
        one.save()
    assert at(tmp_path).of(PAGE) == {4: Heat(1.0, 3.0)}
    assert at(tmp_path, NOW + 3600 * HALF_LIFE).of(PAGE) == {4: Heat(0.5, 3.0)}


def test_it_fades(tmp_path: Path) -> None:
    """Half in a fortnight, however often it is written meanwhile; in the end it goes. A clock that was set back makes nothing hotter."""
    run(tmp_path, (PAGE, 4, 1.0))
    half = 3600 * HALF_LIFE
    for day in range(15):
        run(tmp_path, (OTHER, 0, 1.0), now=NOW + 3600 * 24 * day)
    assert at(tmp_path, NOW + half).of(PAGE)[4].seconds == pytest.approx(0.5, rel=1e-3)
    assert at(tmp_path, NOW - half).of(PAGE)[4].seconds <= 1.0
    assert not run(tmp_path, (OTHER, 0, 1.0), now=NOW + 8 * half)


def test_it_is_bounded(tmp_path: Path) -> None:
    """In places, of which the hottest stay, and in seconds."""
    run(tmp_path, (PAGE, 2, 1e9), *((n.to_bytes(16, "big"), 0, 1.0 + n / 1000) for n in range(MOST_PLACES + 500)))
    size = (tmp_path / "a.heat").stat().st_size
    assert size == hotness._LARGEST
    assert at(tmp_path).of(PAGE) == {2: Heat(MOST_SECONDS)}
    assert not at(tmp_path).of((100).to_bytes(16, "big"))
    assert at(tmp_path).of((MOST_PLACES + 499).to_bytes(16, "big"))
    run(tmp_path, *((b"z" + n.to_bytes(15, "big"), 0, 2.0) for n in range(500)))
    assert (tmp_path / "a.heat").stat().st_size == size


def test_processes_that_end_together_lose_nothing(tmp_path: Path) -> None:
    """Each adds what is new to what is there when it writes."""
    first, second = at(tmp_path), at(tmp_path)
    for one in (first, second):
        assert one.of(PAGE) == {}  # both have read the file
        one.add(PAGE, 4, Heat(0.25))
    first.save()
    second.save()
    second.save()  # nothing is added twice
    assert at(tmp_path).of(PAGE) == {4: Heat(0.5)}


@given(data=st.data())
def test_a_damaged_file_counts_as_none(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """And is written anew by the next run."""
    folder = tmp_path_factory.mktemp("heat")
    run(folder, (PAGE, 4, 0.25), (OTHER, 8, 1.0))
    path = folder / "a.heat"
    whole = path.read_bytes()
    at_byte = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(
        st.sampled_from((whole[:at_byte], whole[:at_byte] + bytes((whole[at_byte] ^ 0x55,)) + whole[at_byte + 1 :], whole + bytes(30), b""))
    )
    path.write_bytes(damaged)
    assert at(folder).of(PAGE) == {}
    assert run(folder, (PAGE, 4, 0.5)) == {4: Heat(0.5)}


@pytest.mark.parametrize("numbers", [(float("nan"), 0.0), (-1.0, 0.0), (float("inf"), 0.0), (1.0, float("nan"))])
def test_numbers_that_make_no_sense_are_left_out(tmp_path: Path, numbers: tuple[float, float]) -> None:
    body = hotness._RECORD.pack(PAGE, int(NOW // 3600), 4, *numbers)
    (tmp_path / "a.heat").write_bytes(hotness._MAGIC + hotness._digest(body) + body)
    assert at(tmp_path).of(PAGE) == {}


def test_nothing_is_written_where_nothing_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for one in (Hotness(None), Hotness(str(tmp_path / "file/a.heat"), str(tmp_path / "file/a.lock"))):
        one.add(PAGE, 4, Heat(0.5))
        one.save()
        assert one.of(PAGE) == {4: Heat(0.5)}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
