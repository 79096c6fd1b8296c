"""Sampling an engine into a file, and that file.

The file is JSON: `format` (`ratite-profile-1`), `program`, `frequency`, times in nanoseconds (`wall`, `threads`: clock time of the threads that ran
guest code; `cpu`: their processor time; `delay`: how long they were ready and the host ran something else; `other`: processor time of all
other threads), `lost` (samples), `mappings` (of a process at the end: start, end, offset, path), `samples` (state, native helper, stack,
ticks), see `ratite.cpu.sampling`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ratite.cpu.sampling import Found, Sampler
from ratite.errors import HostError, ImageError
from ratite.profiling.request import Request
from ratite.profiling.symbols import Mapping

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine

_FORMAT = "ratite-profile-1"


class Profile(NamedTuple):
    """What was found. Times are in nanoseconds: of the clock, the clock for each thread that ran guest code added up, processor time of these
    threads, how long they were ready but did not run, processor time of the others.
    """

    program: str
    frequency: int
    wall: int
    threads: int
    cpu: int
    delay: int
    other: int
    lost: int
    mappings: list[Mapping]
    samples: Counter[Found]


def record(engine: Engine, request: Request, program: str, mappings: Callable[[], Iterable[Mapping]] = tuple) -> None:
    """From now on, sample an engine; the file is written at its end, or when the time is over. `mappings` are asked for then.

    Raises HostError when the file can not be written.
    """
    try:
        Path(request.file).write_bytes(b"")
    except OSError as error:
        raise HostError(f"-profile '{request.file}': {error.strerror}") from None

    def done(sampler: Sampler) -> None:
        times = sampler.times
        _write(request.file, Profile(
            program, request.frequency, sampler.wall_ns, times.clock, times.cpu, times.delay, sampler.other_ns, times.lost,
            list(mappings()), sampler.found,
        ))  # fmt: skip

    engine.sampler = Sampler(engine, request.frequency, request.seconds, done)


def _write(path: str, profile: Profile) -> None:
    document: dict[str, Any] = {"format": _FORMAT} | profile._asdict()
    document["samples"] = [[found.state, found.detail, list(found.stack), ticks] for found, ticks in profile.samples.items()]
    beside = f"{path}.new"
    try:
        with open(beside, "w") as f:
            json.dump(document, f)
        os.replace(beside, path)
    except OSError:
        pass  # the disk is full now; the guest need not know


def load(path: str) -> Profile:
    """Read a file. Raises ImageError where it is none."""
    try:
        document: dict[str, Any] = json.loads(Path(path).read_bytes())
        if document.pop("format") != _FORMAT:
            raise ValueError
        samples = Counter({Found(state, detail, tuple(stack)): ticks for state, detail, stack, ticks in document.pop("samples")})
        mappings = [Mapping(*row) for row in document.pop("mappings")]
        return Profile(**document, mappings=mappings, samples=samples)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ImageError(f"'{path}' is not a profile that -profile has written") from None
