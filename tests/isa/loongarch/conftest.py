"""Cores for tests of privileged state, made once and reset for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.isa.loongarch.cores import Bench, Benches

_BENCHES = Benches()


@pytest.fixture(scope="session")
def benches() -> Iterator[Benches]:
    """All cores of this session; compiled forms are kept at the end."""
    yield _BENCHES
    _BENCHES.close()


@pytest.fixture(params=[False, True], ids=["reference", "native"])
def bench(request: pytest.FixtureRequest, benches: Benches) -> Bench:
    """A core, in the reference evaluator and as machine code."""
    return benches.get("la464", native=request.param)
