"""The list of mappings against a plain dictionary of pages."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ratite.user.areas import Area, AreaMap

PAGE = 4096
PAGES = 24

Operation = tuple[str, int, int, int]

OPERATIONS = st.lists(st.tuples(st.sampled_from(["insert", "remove"]), st.integers(0, PAGES - 1), st.integers(1, 8),
                                st.integers(0, 3)), max_size=30)


def apply(operations: list[Operation]) -> tuple[AreaMap, dict[int, int]]:
    areas, pages = AreaMap(), {}
    for what, first, count, prot in operations:
        span = range(first, min(first + count, PAGES))
        start, end = span.start * PAGE, span.stop * PAGE
        if what == "insert":
            areas.insert(Area(start, end, prot))
            pages.update(dict.fromkeys(span, prot))
        else:
            removed = areas.remove(start, end)
            assert sum(area.end - area.start for area in removed) == PAGE * sum(page in pages for page in span)
            for page in span:
                pages.pop(page, None)
    return areas, pages


@given(OPERATIONS)
def test_every_page_is_where_it_was_put(operations: list[Operation]) -> None:
    """at() finds exactly the pages of the model, with their protection."""
    areas, pages = apply(operations)
    for page in range(PAGES):
        area = areas.at(page * PAGE + 123)
        assert (None if area is None else area.prot) == pages.get(page)


@given(OPERATIONS)
def test_areas_are_sorted_joined_and_apart(operations: list[Operation]) -> None:
    """Neighbours of one kind are one area; areas never overlap."""
    areas, _ = apply(operations)
    listed = list(areas)
    for first, second in pairwise(listed):
        assert first.end <= second.start
        assert first.end < second.start or first.prot != second.prot


@given(OPERATIONS, st.integers(1, 6), st.integers(0, 4))
def test_gap_below_is_the_highest_free_range(operations: list[Operation], size: int, bottom: int) -> None:
    """gap_below() agrees with a search page by page."""
    areas, pages = apply(operations)
    expected = next((start for start in range(PAGES - size, bottom - 1, -1)
                     if not any(page in pages for page in range(start, start + size))), None)
    found = areas.gap_below(PAGES * PAGE, size * PAGE, bottom * PAGE)
    assert found == (None if expected is None else expected * PAGE)


@given(OPERATIONS, st.integers(0, PAGES - 1), st.integers(1, PAGES))
def test_free_and_covered(operations: list[Operation], first: int, count: int) -> None:
    """Questions about ranges agree with the model."""
    areas, pages = apply(operations)
    span = range(first, min(first + count, PAGES))
    start, end = span.start * PAGE, span.stop * PAGE
    assert areas.free(start, end) == (not any(page in pages for page in span))
    assert areas.covered(start, end) == all(page in pages for page in span)


def test_file_mappings_are_joined_only_where_the_file_goes_on() -> None:
    """Two pieces of a file are one area when the second continues the first."""
    areas = AreaMap()
    areas.insert(Area(0, PAGE, 1, name=b"/f", inode=5, offset=0))
    areas.insert(Area(PAGE, 2 * PAGE, 1, name=b"/f", inode=5, offset=PAGE))
    areas.insert(Area(2 * PAGE, 3 * PAGE, 1, name=b"/f", inode=5, offset=9 * PAGE))
    assert [(area.start, area.end, area.offset) for area in areas] == [(0, 2 * PAGE, 0),
                                                                       (2 * PAGE, 3 * PAGE, 9 * PAGE)]
