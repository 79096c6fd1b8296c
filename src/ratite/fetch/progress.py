"""A progress bar on the terminal; plain lines where there is none."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from ratite.fetch.apt import Progress


@contextlib.contextmanager
def bar() -> Iterator[Progress]:
    """A `Progress` that draws while the body runs."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as drawing:
        tasks: dict[str, TaskID] = {}

        def draw(text: str, part: float) -> None:
            if text not in tasks:
                tasks[text] = drawing.add_task(text, total=1.0)
            drawing.update(tasks[text], completed=part)

        yield draw


def _lines() -> Progress:
    seen: set[str] = set()

    def say(text: str, part: float) -> None:
        if text not in seen:
            seen.add(text)
            print(f"{text} ...", file=sys.stderr, flush=True)

    return say
