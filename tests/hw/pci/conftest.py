"""Benches for PCI functions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ratite.testing.pci import PciBench


@pytest.fixture
def bench() -> Iterator[PciBench]:
    """A machine with an empty PCI Express bus."""
    bench = PciBench()
    yield bench
    bench.close()
