"""The program `ratite-ga`."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Sequence

from ratite.agent import options as option_table
from ratite.agent.agent import PROTOCOL_VERSION
from ratite.agent.command import COMMANDS
from ratite.agent.commands import load_all
from ratite.agent.errors import SetupError
from ratite.agent.options import Options
from ratite.agent.service import Service
from ratite.agent.system import this_system
from ratite.agent.system.base import System

NAME = "ratite-ga"


def main(words: Sequence[str] | None = None) -> int:
    """Run the agent with the words of the command line; returns the exit status."""
    # While file systems are frozen, no compiled module may be written.
    sys.dont_write_bytecode = True
    try:
        system = this_system()
        options = option_table.read(sys.argv[1:] if words is None else words, system)
        text = _text(options)
        if text is not None:
            print(text)
            return 0
        return _daemon(options, system) if options.daemonize else _serve(options, system)
    except SetupError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1


def _text(options: Options) -> str | None:
    """What to print instead of running."""
    if options.help:
        return option_table.help_text()
    if options.version:
        return f"{NAME}: protocol of QEMU {PROTOCOL_VERSION}"
    if {"help", "?"} & set(options.block_rpcs):
        load_all()
        return "\n".join(COMMANDS)
    return options.dump().rstrip("\n") if options.dump_conf else None


def _serve(options: Options, system: System, ready: int | None = None) -> int:
    """Serve until the end; `ready` is a pipe to close when all is set up."""
    service = Service(options, system)
    service.reactor.stop_on_signals()
    if ready is not None:
        _close_terminal()
        os.close(ready)
    try:
        service.run()
    finally:
        service.close()
    return 0


def _daemon(options: Options, system: System) -> int:
    """Go to the background. The first process waits until the agent serves, and tells what has gone wrong."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with open(reader, encoding="utf-8") as messages:
            text = messages.read()
        if text:
            raise SetupError(text)
        return 0
    os.close(reader)
    os.setsid()
    os.umask(0o077)
    try:
        lock = _write_pidfile(options.pidfile)
        os.chdir("/")
        status = _serve(options, system, writer)
        os.unlink(options.pidfile)
        os.close(lock)
    except SetupError as error:
        os.write(writer, str(error).encode())
        status = 1
    os._exit(status)


def _write_pidfile(path: str) -> int:
    """Write our process id into the file, and keep it locked. Raises SetupError when another agent has it."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    except BlockingIOError:
        raise SetupError(f"another agent has locked {path}") from None
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error.strerror}") from None
    return lock


def _close_terminal() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
