"""`ratite`: what there is, a demo, and guests to run."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import NamedTuple

from ratite.cli.entry import guard, version_line
from ratite.errors import unknown
from ratite.isa import ARCHITECTURES


class Command(NamedTuple):
    """A subcommand: where its `main(words)` lives, how it is called, what it does."""

    module: str
    usage: str
    help: str


COMMANDS = {
    "demo": Command("demo", "[--selftest]", "boot Linux (without network: a small monitor) and give its console"),
    "machines": Command("tables", "[ARCH]", "boards that can be emulated"),
    "devices": Command("tables", "[NAME]", "devices, or the properties of one"),
    "cpus": Command("tables", "[ARCH]", "CPU models and their extensions"),
    "fetch": Command("fetching", "ARCH DIR | sysroot ARCH DIR PACKAGE...", "get a guest or programs from Debian"),
    "profile": Command("profile", "[-o FILE.svg] [-symbols FILE] PROGRAM...", "run a guest and show where its time goes"),
    "cache": Command("cache", "[info|clear]", "what is kept in the cache folder: show it, or delete it"),
    "binfmt": Command("binfmt", "[ARCH]", "print the command that lets the kernel start foreign programs"),
}

PROGRAMS = {
    **{f"ratite-system-{name}": f"emulate a {architecture.title} machine" for name, architecture in ARCHITECTURES.items()},
    **{f"ratite-{name}": f"run a {architecture.title} Linux program" for name, architecture in ARCHITECTURES.items()},
    "ratite-ga": "inside a guest: do what the host asks, as QEMU's guest agent does",
}


def main() -> int:
    """The program `ratite`."""
    return guard("ratite", run)


def run(words: Sequence[str]) -> int:
    """Do what `words` say and return the exit status."""
    if not words or words[0] in ("-h", "--help", "-help", "help"):
        print(help_text())
        return 0
    if words[0] in ("-version", "--version"):
        print(version_line("ratite"))
        return 0
    name = words[0]
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    module = importlib.import_module(f"ratite.cli.{COMMANDS[name].module}")
    status: int = module.main(words if COMMANDS[name].module == "tables" else words[1:])
    return status


def help_text() -> str:
    """The text of `ratite --help`."""
    lines = ["usage: ratite COMMAND ...", "", "Commands:"]
    lines += [f"  {name + ' ' + command.usage:<52} {command.help}" for name, command in COMMANDS.items()]
    lines += ["", "Programs (-h lists the options of each):"]
    lines += [f"  {name:<52} {text}" for name, text in PROGRAMS.items()]
    return "\n".join(lines)
