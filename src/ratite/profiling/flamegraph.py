"""A flame graph as one SVG file (SVG 1.1): the width of a box is the time of a function and of all that it called, which stand on it.

The file needs nothing else: no script, no style sheet. A box's <title> gives its name, samples and share, which viewers show under the pointer, and
which can be searched for. Boxes of one level are in alphabetical order, so equal samples make equal files. (The idea: B. Gregg, "The
Flame Graph", Communications of the ACM 59 (6), 2016.)
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from html import escape

WIDTH, ROW, MARGIN, TOP = 1200, 18, 10, 34
#: Width of a letter in pixels, and narrowest box that is drawn.
_LETTER, _NARROWEST = 7.0, 0.2
#: Most letters of the title.
_TITLE = 120


class _Box:
    """A function in one place of the call tree."""

    __slots__ = ("callees", "ticks")

    def __init__(self) -> None:
        self.ticks = 0
        self.callees: dict[str, _Box] = {}


def svg(stacks: Mapping[tuple[str, ...], int], title: str, unit: str = "samples") -> str:
    """The picture of stacks of names, outermost first, with their weights."""
    root = _Box()
    for stack, ticks in stacks.items():
        box = root
        box.ticks += ticks
        for name in stack:
            box = box.callees.setdefault(name, _Box())
            box.ticks += ticks
    depth = _depth(root)
    height = TOP + ROW * depth + MARGIN
    shown = title if len(title) <= _TITLE else title[: _TITLE - 2] + ".."
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="monospace" font-size="11.5">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fffdf5"/>',
        f'<text x="{WIDTH / 2:g}" y="22" text-anchor="middle" font-size="15">{escape(shown)}</text>',
    ]
    if root.ticks:
        _draw(parts, root, "all", MARGIN, height - MARGIN - ROW, (WIDTH - 2 * MARGIN) / root.ticks, root.ticks, unit)
    return "\n".join([*parts, "</svg>", ""])


def _depth(root: _Box) -> int:
    """Levels of boxes, without recursion: stacks are as deep as guests like."""
    depth, level = 0, [root]
    while level:
        depth += 1
        level = [callee for box in level for callee in box.callees.values()]
    return depth


def _draw(parts: list[str], root: _Box, name: str, x: float, y: int, scale: float, total: int, unit: str) -> None:
    waiting = [(root, name, x, y)]
    while waiting:
        box, name, x, y = waiting.pop()
        width = box.ticks * scale
        if width < _NARROWEST:
            continue
        label = escape(f"{name} ({box.ticks:,} {unit}, {100 * box.ticks / total:.2f}%)")
        parts.append(f'<g><title>{label}</title><rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 1}" rx="1" fill="{_colour(name)}"/>')
        letters = int((width - 4) / _LETTER)
        if letters >= 3:
            shown = name if len(name) <= letters else name[: letters - 2] + ".."
            parts.append(f'<text x="{x + 3:.2f}" y="{y + 13}">{escape(shown)}</text>')
        parts.append("</g>")
        rows = []
        for callee in sorted(box.callees):
            rows.append((box.callees[callee], callee, x, y - ROW))
            x += box.callees[callee].ticks * scale
        waiting += reversed(rows)


def _colour(name: str) -> str:
    """Warm for guest code, cold for what is in brackets; the same for the same name."""
    shade = zlib.crc32(name.encode())
    a, b = shade & 0x3F, shade >> 8 & 0x3F
    if name.startswith("["):
        return f"rgb({120 + a // 2},{170 + b // 2},{225 + a // 4})"
    return f"rgb({215 + a // 2},{110 + 2 * b},{50 + a // 2})"
