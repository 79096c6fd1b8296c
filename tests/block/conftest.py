"""A worker pool, and drives over temporary images whose requests the tests wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from ratite.block.drive import Drive, Drives
from ratite.block.worker import WorkerPool


class DriveBench(Drives):
    """The drives of a test; `wait` makes a request and returns its errno."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.warnings: list[str] = []
        self.pool = WorkerPool(self.lock)
        super().__init__(self.pool, self.warnings.append)

    def wait(self, drive: Drive, request: Callable[[Callable[[int], None]], None]) -> int:
        result: list[int] = []
        with self.lock:
            request(result.append)
            drive.drain()
        return result[0]


@pytest.fixture
def drives() -> Iterator[DriveBench]:
    bench = DriveBench()
    yield bench
    with bench.lock:
        bench.close()
    bench.pool.close()
