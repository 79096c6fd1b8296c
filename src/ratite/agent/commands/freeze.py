"""guest-fsfreeze-status, -freeze, -freeze-list, -thaw.

While frozen, nothing may wait for a disk: the log is silent, only commands that touch no files are allowed, and all of
the agent's modules are in memory already.
"""

from __future__ import annotations

import errno
import os

from ratite.agent.agent import Agent
from ratite.agent.command import TEXT, Argument, ListOf, command
from ratite.agent.errors import AgentError, system_error
from ratite.agent.linux import freezing, mounts
from ratite.agent.linux.mounts import Mount

# Errors after which the others are frozen nevertheless: the file system cannot be, or is already.
_PASSED = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EBUSY)


@command("guest-fsfreeze-status", needs="freeze", while_frozen=True)
def status(agent: Agent) -> str:
    """Whether file systems are frozen, as far as the agent has done it."""
    return "frozen" if agent.frozen else "thawed"


@command("guest-fsfreeze-freeze", needs="freeze")
def freeze(agent: Agent) -> int:
    """Freeze all file systems on disks; returns how many."""
    return _freeze(agent, None)


@command("guest-fsfreeze-freeze-list", Argument("mountpoints", ListOf(TEXT), optional=True), needs="freeze")
def freeze_list(agent: Agent, mountpoints: list[str] | None = None) -> int:
    """Freeze the file systems mounted at the given points; returns how many. When one fails, all are thawed again."""
    return _freeze(agent, mountpoints)


@command("guest-fsfreeze-thaw", needs="freeze", while_frozen=True)
def thaw(agent: Agent) -> int:
    """Thaw all file systems; returns how many were frozen."""
    return _thaw_all(agent)


def _freeze(agent: Agent, mountpoints: list[str] | None) -> int:
    wanted = mounts.by_device(mount for mount in _mounts(agent) if mountpoints is None or mount.point in mountpoints)
    agent.log.info(f"freezing {len(wanted)} file systems")
    agent.set_frozen(True)
    frozen = 0
    try:
        _call_hook(agent, "freeze")
        for group in reversed(wanted):    # what was mounted last may lie in a file of what was mounted before
            frozen += any(_freeze_one(agent, mount) for mount in group)
    except AgentError:
        _thaw_all(agent)
        raise
    return frozen


def _freeze_one(agent: Agent, mount: Mount) -> bool:
    try:
        return freezing.freeze(agent.system, mount)
    except OSError as error:
        if error.errno in _PASSED:
            return False
        raise system_error(f"failed to freeze {mount.point}", error) from None


def _thaw_all(agent: Agent) -> int:
    was_frozen, thawed = agent.frozen, 0
    for group in mounts.by_device(_mounts(agent)):
        thawed += any(_thaw_one(agent, mount) for mount in group)
    if was_frozen:
        agent.set_frozen(False)
        agent.log.info(f"thawed {thawed} file systems")
        try:
            _call_hook(agent, "thaw")
        except AgentError as error:
            agent.log.error(str(error))
    return thawed


def _thaw_one(agent: Agent, mount: Mount) -> bool:
    try:
        return freezing.thaw(agent.system, mount)
    except OSError as error:    # the others have to be thawed all the same
        agent.log.error(f"cannot open {mount.point} to thaw it: {error.strerror}")
        return False


def _mounts(agent: Agent) -> list[Mount]:
    try:
        return mounts.read(agent.system)
    except OSError as error:
        raise system_error(f"cannot read {mounts.MOUNTS}", error) from None


def _call_hook(agent: Agent, word: str) -> None:
    """Run the administrator's program, which lets databases and the like come to rest. Raises AgentError."""
    if not agent.hook:
        return
    if not os.access(agent.hook, os.X_OK):
        raise AgentError(f"can't access fsfreeze hook '{agent.hook}'")
    outcome = agent.system.run([agent.hook, word], seconds=None)
    if outcome.status:
        raise AgentError(f"fsfreeze hook '{agent.hook}' {word} has failed with status {outcome.status}")
