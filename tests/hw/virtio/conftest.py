"""Every virtio test runs in four ways: both versions of the interface, with a fresh device and with a restored one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest

from ratite.hw.virtio.device import VirtioDevice
from ratite.testing.virtio_driver import VirtioBench, VirtioDriver

D = TypeVar("D", bound=VirtioDevice)


@dataclass
class Way:
    """How a test runs."""

    legacy: bool
    restored: bool

    def bench(self, make: Callable[[], D]) -> tuple[VirtioBench[D], VirtioDriver]:
        """A bench with a device, and its driver."""
        bench = VirtioBench(make, legacy=self.legacy)
        return bench, VirtioDriver.on(bench)

    def pause(self, bench: VirtioBench[D]) -> D:
        """In a restored run the device is replaced here; tests call this at the interesting moments."""
        if self.restored:
            bench.restart()
            bench.clock.advance(100_000)    # a restored device looks at its queues
        return bench.device


WAYS = {
    f"{'v1' if legacy else 'v2'}-{'restored' if restored else 'fresh'}": Way(legacy, restored)
    for legacy in (True, False)
    for restored in (False, True)
}


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> Way:
    """All four."""
    return WAYS[request.param]


@pytest.fixture(params=[name for name in WAYS if WAYS[name].legacy])
def legacy_way(request: pytest.FixtureRequest) -> Way:
    """For what only version 1 has."""
    return WAYS[request.param]


@pytest.fixture(params=[name for name in WAYS if not WAYS[name].legacy])
def modern_way(request: pytest.FixtureRequest) -> Way:
    """For what only version 2 has."""
    return WAYS[request.param]
