"""guest-ssh-get-authorized-keys, -add-, -remove- (sshd(8), AUTHORIZED_KEYS FILE FORMAT).

The folder belongs to a user, who may try to have root read or write another file. So every step is relative to a
folder that is held open, follows no links, and looks at the owner of what it has opened; a new file is written beside
the old one and put in its place.
"""

from __future__ import annotations

import os
import pwd
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from ratite.agent.agent import Agent
from ratite.agent.command import BOOL, TEXT, Argument, ListOf, command
from ratite.agent.errors import AgentError, system_error

_FOLDER, _FILE = ".ssh", "authorized_keys"
_LARGEST = 1 << 20    # bytes of a key file
_USER = Argument("username", TEXT)
_KEYS = Argument("keys", ListOf(TEXT))
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@command("guest-ssh-get-authorized-keys", _USER)
def get_keys(agent: Agent, username: str) -> dict[str, list[str]]:
    """The keys with which one can log in as the user; comments are left out."""
    user = _find(agent, username)
    with _ssh_folder(agent, user) as folder:
        lines = _read(user, folder)
    keys = (line.strip() for line in lines)
    return {"keys": [key for key in keys if key and not key.startswith("#")]}


@command("guest-ssh-add-authorized-keys", _USER, _KEYS, Argument("reset", BOOL, optional=True))
def add_keys(agent: Agent, username: str, keys: list[str], reset: bool = False) -> None:
    """Add the keys that are not there yet; `reset` removes all others."""
    user = _find(agent, username)
    _check(keys)
    with _ssh_folder(agent, user, create=True) as folder:
        lines = [] if reset else _read(user, folder, missing_ok=True)
        _write(user, folder, list(dict.fromkeys([*lines, *keys])))
    agent.log.info(f"guest-ssh-add-authorized-keys: {username!r}")


@command("guest-ssh-remove-authorized-keys", _USER, _KEYS)
def remove_keys(agent: Agent, username: str, keys: list[str]) -> None:
    """Remove the keys; those that are not there are passed over."""
    user = _find(agent, username)
    _check(keys)
    with _ssh_folder(agent, user) as folder:
        lines = _read(user, folder, missing_ok=True)
        _write(user, folder, [line for line in lines if line not in keys])
    agent.log.info(f"guest-ssh-remove-authorized-keys: {username!r}")


def _find(agent: Agent, username: str) -> pwd.struct_passwd:
    user = agent.system.user(username)
    if user is None:
        raise AgentError(f"failed to lookup user '{username[:100]}'")
    return user


def _check(keys: list[str]) -> None:
    for key in keys:
        if not key.strip() or key.startswith("#") or set(key) & set("\n\r"):
            raise AgentError(f"invalid OpenSSH public key: '{key[:100]}'")


@contextmanager
def _ssh_folder(agent: Agent, user: pwd.struct_passwd, create: bool = False) -> Iterator[int]:
    """The user's .ssh, open."""
    path = os.path.join(user.pw_dir, _FOLDER)
    try:
        home = os.open(agent.system.path(user.pw_dir), _OPEN_FOLDER)
        try:
            _check_owner(user, home, user.pw_dir)
            folder = _open_ssh(user, home, create)
        finally:
            os.close(home)
    except OSError as error:
        raise system_error(f"failed to open '{path}'", error) from None
    try:
        _check_owner(user, folder, path)
        yield folder
    except OSError as error:
        raise system_error(f"failed to change '{path}/{_FILE}'", error) from None
    finally:
        os.close(folder)


def _open_ssh(user: pwd.struct_passwd, home: int, create: bool) -> int:
    try:
        return os.open(_FOLDER, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=home)
    except FileNotFoundError:
        if not create:
            raise
    os.mkdir(_FOLDER, 0o700, dir_fd=home)
    folder = os.open(_FOLDER, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=home)
    if os.fstat(folder).st_uid == os.geteuid():    # else the user has put another in its place
        os.fchown(folder, user.pw_uid, user.pw_gid)
    return folder


def _check_owner(user: pwd.struct_passwd, descriptor: int, path: str) -> os.stat_result:
    status = os.fstat(descriptor)
    if status.st_uid not in (user.pw_uid, 0):
        raise AgentError(f"'{path}' belongs to another user")
    return status


def _read(user: pwd.struct_passwd, folder: int, missing_ok: bool = False) -> list[str]:
    """The lines of the key file. A file with a second name is refused: that name may be another user's secret."""
    path = os.path.join(user.pw_dir, _FOLDER, _FILE)
    try:
        descriptor = os.open(_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if missing_ok and isinstance(error, FileNotFoundError):
            return []
        raise system_error(f"failed to read '{path}'", error) from None
    with open(descriptor, "rb") as file:
        status = _check_owner(user, descriptor, path)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise AgentError(f"'{path}' is not a plain file")
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise AgentError(f"'{path}' is larger than {_LARGEST} bytes")
    return data.decode(errors="surrogateescape").splitlines()


def _write(user: pwd.struct_passwd, folder: int, lines: list[str]) -> None:
    """Put a new key file in the place of the old one."""
    data = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
    if len(data) > _LARGEST:
        raise AgentError(f"a key file may have {_LARGEST} bytes")
    new = f".{_FILE}.{secrets.token_hex(8)}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            os.fchown(descriptor, user.pw_uid, user.pw_gid)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.rename(new, _FILE, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(new, dir_fd=folder)
        raise
