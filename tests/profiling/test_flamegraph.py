"""A flame graph is well-formed, complete, to scale, and the same for the same samples."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from ratite.profiling.flamegraph import MARGIN, ROW, WIDTH, svg

SVG = "{http://www.w3.org/2000/svg}"
STACKS = {("main", "b"): 30, ("main", "a", "deep"): 50, ("main",): 10, ("<other> & \"x\"",): 10}


def boxes(text: str) -> dict[str, tuple[float, float, float]]:
    """Left edge, top edge and width by title."""
    found = {}
    for group in ElementTree.fromstring(text).iter(f"{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None and title.text is not None and rect is not None
        found[title.text] = tuple(float(rect.attrib[name]) for name in ("x", "y", "width"))
    return found  # type: ignore[return-value]


def test_boxes_are_to_scale() -> None:
    """Widths are shares; callees stand on their caller, side by side; names are kept whatever letters they have."""
    found = boxes(svg(STACKS, "title"))
    whole = WIDTH - 2 * MARGIN
    everything, main = found["all (100 samples, 100.00%)"], found["main (90 samples, 90.00%)"]
    a, b = found["a (50 samples, 50.00%)"], found["b (30 samples, 30.00%)"]
    other = found['<other> & "x" (10 samples, 10.00%)']
    assert everything[2] == whole
    assert main[2] == pytest.approx(0.9 * whole)
    assert other[0] == MARGIN and main[0] == pytest.approx(other[0] + other[2])
    assert a[0] == pytest.approx(main[0]) and b[0] == pytest.approx(a[0] + a[2], abs=0.02)
    assert everything[1] - main[1] == main[1] - a[1] == ROW
    assert len(found) == 6


def test_equal_samples_make_equal_files() -> None:
    """The order in which samples came does not matter, nor does the run of Python; and nothing outside is needed."""
    text = svg(STACKS, "title")
    assert text == svg(dict(reversed(STACKS.items())), "title")
    assert "<script" not in text and "href" not in text and "url(" not in text


def test_no_samples_and_deep_stacks() -> None:
    """An empty picture is one too; a guest's recursion is drawn as deep as it goes."""
    assert boxes(svg({}, "nothing & none")) == {}
    deep = tuple(f"f{n}" for n in range(3000))
    assert len(boxes(svg({deep: 1}, "deep"))) == 3001
