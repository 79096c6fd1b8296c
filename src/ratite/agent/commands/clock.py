"""guest-get-time, guest-set-time."""

from __future__ import annotations

from ratite.agent.agent import Agent
from ratite.agent.command import INT, Argument, command
from ratite.agent.errors import AgentError, Unsupported, system_error

_LATEST = (1 << 63) - 1


@command("guest-get-time")
def get_time(agent: Agent) -> int:
    """Nanoseconds since 1970."""
    return agent.system.time()


@command("guest-set-time", Argument("time", INT, optional=True), needs="clock")
def set_time(agent: Agent, time: int | None = None) -> None:
    """Set the system's clock: to `time`, then the hardware clock, too; without it from the hardware clock, as after a
    machine was stopped for a while.
    """
    if time is not None and not 0 <= time <= _LATEST:
        raise AgentError(f"Time {time} is out of range")
    now = agent.system.read_hardware_clock() if time is None else time
    try:
        agent.system.set_clock(now)
    except OSError as error:
        raise system_error("Failed to set time to guest", error) from None
    if time is not None:
        _set_hardware_clock(agent, time)


def _set_hardware_clock(agent: Agent, time: int) -> None:
    try:
        agent.system.write_hardware_clock(time)
    except Unsupported as error:    # the time is set, for as long as the machine is on
        agent.log.info(f"guest-set-time: {error}")
