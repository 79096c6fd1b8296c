"""guest-shutdown and the three ways to suspend. They answer when they fail only."""

from __future__ import annotations

from ratite.agent.agent import Agent
from ratite.agent.command import TEXT, Argument, command
from ratite.agent.errors import AgentError
from ratite.agent.system.base import Power, Sleep


@command("guest-shutdown", Argument("mode", TEXT, optional=True), needs="shutdown", success_response=False)
def shutdown(agent: Agent, mode: str = Power.POWERDOWN.value) -> None:
    """Power off (the default), halt or reboot, in the system's orderly way."""
    modes = {power.value: power for power in Power}
    if mode not in modes:
        raise AgentError(f"mode is invalid (valid values are: {'|'.join(sorted(modes))})")
    agent.log.info(f"guest-shutdown: {mode}")
    agent.system.shutdown(modes[mode])


@command("guest-suspend-disk", needs="suspend", success_response=False)
def suspend_disk(agent: Agent) -> None:
    """Write memory to disk and power off."""
    agent.system.suspend(Sleep.DISK)


@command("guest-suspend-ram", needs="suspend", success_response=False)
def suspend_ram(agent: Agent) -> None:
    """Suspend to memory."""
    agent.system.suspend(Sleep.RAM)


@command("guest-suspend-hybrid", needs="suspend", success_response=False)
def suspend_hybrid(agent: Agent) -> None:
    """Write memory to disk, then suspend to memory."""
    agent.system.suspend(Sleep.HYBRID)
