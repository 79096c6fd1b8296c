"""Harts for tests of privileged state, made once and reset for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.isa.riscv.harts import Bench, Benches

_BENCHES = Benches()


@pytest.fixture(scope="session")
def benches() -> Iterator[Benches]:
    """All harts of this session; compiled forms are kept at the end."""
    yield _BENCHES
    _BENCHES.close()


@pytest.fixture(params=["reference", "native", "region"])
def bench(request: pytest.FixtureRequest, benches: Benches) -> Bench:
    """An rv64 hart with everything: in the reference evaluator, as stencils, and in regions from the first execution on."""
    region = "always" if request.param == "region" else "off"
    return benches.get("rv64,svinval=on,svnapot=on,svpbmt=on", native=request.param != "reference", region=region)


@pytest.fixture(params=[False, True], ids=["reference", "native"])
def bench32(request: pytest.FixtureRequest, benches: Benches) -> Bench:
    """An rv32 hart."""
    return benches.get("rv32", xlen=32, native=request.param)
