"""Every device test runs twice: on one device, and on one that is saved and restored before each step."""

from __future__ import annotations

import pytest


@pytest.fixture(params=[False, True], ids=["fresh", "restored"])
def restoring(request: pytest.FixtureRequest) -> bool:
    """For `DeviceBench(..., restoring=restoring)`."""
    return bool(request.param)
