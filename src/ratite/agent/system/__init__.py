"""The operating systems that the agent knows, one module each."""

from __future__ import annotations

import sys

from ratite.agent.errors import SetupError
from ratite.agent.system.base import System


def this_system() -> System:
    """The system that the agent runs on. Raises SetupError for one that it does not know."""
    if sys.platform.startswith("linux"):
        from ratite.agent.system.linux import Linux

        return Linux()
    if sys.platform.startswith("freebsd"):
        from ratite.agent.system.freebsd import FreeBSD

        return FreeBSD()
    if sys.platform.startswith("sunos"):
        from ratite.agent.system.solaris import Solaris

        return Solaris()
    raise SetupError(f"there is no agent for the system '{sys.platform}': Linux, FreeBSD, Solaris and illumos are known")
