"""Records: what the constructor takes, equality, and that frozen ones stay as they are."""

from __future__ import annotations

import pytest

from ratite.record import Record


class Point(Record, frozen=True):
    """Two numbers."""

    x: int
    y: int = 7


class Box(Record):
    """Something to put things into."""

    names: list[str] = []


def test_values_by_place_by_name_and_by_default() -> None:
    assert (Point(1).x, Point(1).y, Point(1, 2).y, Point(y=3, x=1).y) == (1, 7, 2, 3)
    assert repr(Point(1)) == "Point(x=1, y=7)"


@pytest.mark.parametrize("build", [lambda: Point(), lambda: Point(1, 2, 3), lambda: Point(1, x=1), lambda: Point(1, z=1)])
def test_wrong_arguments(build: object) -> None:
    with pytest.raises(TypeError):
        build()  # type: ignore[operator]


def test_equal_records_are_one_key() -> None:
    assert Point(1) == Point(1, 7) and {Point(1): 5}[Point(1, 7)] == 5
    assert Point(1) != Point(2) and Point(1) != (1, 7)


def test_frozen_records_stay() -> None:
    with pytest.raises(AttributeError):
        Point(1).x = 2  # type: ignore[misc]
    assert Point(1).changed(x=2) == Point(2)


def test_a_list_by_default_is_a_new_one() -> None:
    one, two = Box(), Box()
    one.names.append("a")
    assert two.names == []
