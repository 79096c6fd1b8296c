"""What holds for all tests: `RATITE_TEST_REGION=always pytest ...` runs them with everything compiled as regions before it is executed.

It goes for every engine that a test makes without asking for something else, and for programs in user mode that tests start. Without it, a chosen
part of the tests does so by itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from ratite.cli.machine_options import SystemConfig
from ratite.cpu.engine import Engine, Tuning

# A busy machine is no error, and a test that fails must fail again.
settings.register_profile("ratite", deadline=None, derandomize=True)
settings.load_profile("ratite")

# What runs in the background of a shell has these ignored, and so have programs that tests start, in which some wait for them.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

REGION = "RATITE_TEST_REGION"

#: Tests of what stencils are like, which have to be without regions, and why.
WITHOUT = {
    "test_sampling.py": "in regions the profiler does not know the guest's frame pointer",
    "test_statistics.py": "regions count as pieces of code too",
    "test_start.py": "compiling regions needs what a start is to do without",
}


@pytest.fixture(autouse=True)
def without_regions(request: pytest.FixtureRequest) -> None:
    """Leave these out where regions are forced."""
    reason = WITHOUT.get(request.path.name)
    if reason is not None and os.environ.get(REGION) == "always":
        pytest.skip(reason)


@pytest.fixture(autouse=True, scope="session")
def forced_regions() -> Iterator[None]:
    """Change what engines do where nobody says what they are to do."""
    forced = os.environ.get(REGION)
    if not forced:
        yield
        return
    if forced not in ("always", "off"):
        pytest.exit(f"{REGION} is 'always' or 'off'")
    make = Engine.__init__

    def make_forced(self: Engine, *args: Any, **named: Any) -> None:
        tuning = named.pop("tuning", None) or Tuning()
        named["tuning"] = tuning.changed(region=forced) if tuning.region == "off" and not tuning.counting else tuning
        make(self, *args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "__init__", make_forced)
        patch.setattr(SystemConfig, "usual_regions", forced)
        patch.setenv("RATITE_REGION", forced)
        yield
