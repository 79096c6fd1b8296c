"""Every virtio test runs in six ways: in both versions of virtio-mmio and as a modern PCI function, each with a
fresh device and with a restored one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from ratite.hw.virtio.device import VirtioDevice
from ratite.testing.virtio_driver import VirtioBench, VirtioDriver
from ratite.testing.virtio_pci_driver import VirtioPciBench

D = TypeVar("D", bound=VirtioDevice)


@dataclass
class Way:
    """How a test runs."""

    legacy: bool
    restored: bool
    pci: bool
    benches: list[VirtioBench[Any]] = field(default_factory=list)

    def bench(self, make: Callable[[], D]) -> tuple[VirtioBench[D], VirtioDriver]:
        """A bench with a device, and its driver."""
        if self.pci:
            on_pci = VirtioPciBench(make, legacy=self.legacy)
            self.benches.append(on_pci)
            return on_pci, on_pci.driver()
        bench = VirtioBench(make, legacy=self.legacy)
        self.benches.append(bench)
        return bench, VirtioDriver.on(bench)

    def pause(self, bench: VirtioBench[D]) -> D:
        """In a restored run the device is replaced here; tests call this at the interesting moments."""
        if self.restored:
            bench.restart()
            bench.clock.advance(100_000)    # a restored device looks at its queues
        return bench.device


LEGACY = ["v1-fresh", "v1-restored"]
MODERN = ["v2-fresh", "v2-restored", "pci-v2-fresh", "pci-v2-restored"]


def make_way(name: str) -> Iterator[Way]:
    way = Way("v1" in name, "restored" in name, "pci" in name)
    yield way
    for bench in way.benches:
        bench.close()


@pytest.fixture(params=LEGACY + MODERN)
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """All of them."""
    yield from make_way(request.param)


@pytest.fixture(params=LEGACY)
def legacy_way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """For what only version 1 has."""
    yield from make_way(request.param)


@pytest.fixture(params=MODERN)
def modern_way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """For what only version 2 has."""
    yield from make_way(request.param)
