"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no error, and a test that fails must fail again.
settings.register_profile("ratite", deadline=None, derandomize=True)
settings.load_profile("ratite")
