"""Options of `ratite-ga`: one table for the command line, the configuration file and `--dump-conf`.

They are those of QEMU's agent, and so is the file (section [general], GLib's key file syntax).
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

from ratite.agent.errors import SetupError
from ratite.agent.system.base import Method, System

SECTION = "general"
DEFAULT_PIDFILE = "/var/run/qemu-ga.pid"


class Takes(Enum):
    """What an option's value is."""

    NOTHING = "nothing"
    TEXT = "text"
    OPTIONAL_TEXT = "optional text"    # behind the option without a space
    LIST = "list"


class Option(NamedTuple):
    """A row of the table. `key` is its name in the configuration file; empty where it has none."""

    short: str
    names: tuple[str, ...]
    key: str
    takes: Takes
    help: str

    @property
    def field(self) -> str:
        """Its name in `Options`."""
        return self.names[0].replace("-", "_")


OPTIONS = (
    Option("m", ("method",), "method", Takes.TEXT, "virtio-serial (default), isa-serial, unix-listen, vsock-listen"),
    Option("p", ("path",), "path", Takes.TEXT, "device or socket; CID:PORT for vsock-listen"),
    Option("l", ("logfile",), "logfile", Takes.TEXT, "log to this file instead of standard error"),
    Option("f", ("pidfile",), "pidfile", Takes.TEXT, f"with -d: file for the process id ({DEFAULT_PIDFILE})"),
    Option("F", ("fsfreeze-hook",), "fsfreeze-hook", Takes.OPTIONAL_TEXT, "run this program with freeze, and with thaw"),
    Option("t", ("statedir",), "statedir", Takes.TEXT, "folder for what survives a restart (/var/run)"),
    Option("v", ("verbose",), "verbose", Takes.NOTHING, "log every command"),
    Option("d", ("daemonize",), "daemon", Takes.NOTHING, "go to the background"),
    Option("b", ("block-rpcs", "blacklist"), "block-rpcs", Takes.LIST, "commands to refuse, with commas between; help lists all"),
    Option("r", ("retry-path",), "retry-path", Takes.NOTHING, "wait for the device when it is absent"),
    Option("c", ("config",), "", Takes.TEXT, "configuration file, also by the variable QGA_CONF"),
    Option("D", ("dump-conf",), "", Takes.NOTHING, "print the options as a configuration file, and end"),
    Option("V", ("version",), "", Takes.NOTHING, "print the version, and end"),
    Option("h", ("help",), "", Takes.NOTHING, "print this text, and end"),
)    # fmt: skip


class Options:
    """The values, those of the command line over those of the file over the defaults."""

    def __init__(self, system: System) -> None:
        self.method = Method.VIRTIO_SERIAL
        self.path = ""
        self.logfile = ""
        self.pidfile = DEFAULT_PIDFILE
        self.fsfreeze_hook = ""
        self.statedir = system.state_folder
        self.verbose = False
        self.daemonize = False
        self.block_rpcs: list[str] = []
        self.retry_path = False
        self.config = ""
        self.dump_conf = False
        self.version = False
        self.help = False
        self._system = system

    @property
    def blocked(self) -> list[str]:
        """Commands to refuse."""
        return self.block_rpcs

    def set(self, option: Option, text: str | None) -> None:
        """Take a value as text; None for one that was left out. Raises SetupError."""
        value: Any = text or ""
        if option.takes is Takes.NOTHING:
            value = True
        elif option.takes is Takes.LIST:
            value = [*getattr(self, option.field), *(name for name in value.replace(";", ",").split(",") if name)]
        elif option.field == "method":
            value = _method(value)
        elif option.field == "fsfreeze_hook":
            value = value or self._system.hook
        elif option.field == "statedir" and not os.path.isabs(value):
            raise SetupError(f"the state folder must be an absolute path, not '{value}'")
        setattr(self, option.field, value)

    def dump(self) -> str:
        """A configuration file with these options."""
        path = self.path or self._system.channel(self.method)
        lines = [f"[{SECTION}]"]
        for option in sorted((row for row in OPTIONS if row.key), key=_FILE_ORDER):
            value = path if option.field == "path" else getattr(self, option.field)
            if isinstance(value, bool):
                value = str(value).lower()
            elif isinstance(value, list):
                value = ",".join(value)
            elif isinstance(value, Method):
                value = value.value
            if value or option.takes is Takes.LIST:
                lines.append(f"{option.key}={value}")
        return "\n".join(lines) + "\n"


_ORDER = ("daemon", "method", "path", "logfile", "pidfile", "fsfreeze-hook", "statedir", "verbose", "retry-path", "block-rpcs")


def _FILE_ORDER(option: Option) -> int:
    return _ORDER.index(option.key)


def read(words: Sequence[str], system: System) -> Options:
    """The options of a command line and of the configuration file. Raises SetupError."""
    given = parse(words)
    options = Options(system)
    chosen = next((text for option, text in given if option.field == "config"), None) or os.environ.get("QGA_CONF")
    read_file(options, chosen or system.path(system.config_file), must_exist=bool(chosen))
    for option, text in given:
        options.set(option, text)
    return options


def parse(words: Sequence[str]) -> list[tuple[Option, str | None]]:
    """Options with their texts, in order. Raises SetupError."""
    found: list[tuple[Option, str | None]] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word.startswith("--") and len(word) > 2:
            name, equals, text = word[2:].partition("=")
            option = _find(word, [row for row in OPTIONS if name in row.names])
            found.append((option, _value(option, word, text if equals else None, waiting)))
        elif word.startswith("-") and len(word) > 1:
            _parse_letters(word, waiting, found)
        else:
            raise SetupError(f"'{word}' is not an option; -h lists them")
    return found


def _parse_letters(word: str, waiting: list[str], found: list[tuple[Option, str | None]]) -> None:
    """-dv is -d -v; -pPATH is -p PATH."""
    letters = word[1:]
    while letters:
        option = _find(f"-{letters[0]}", [row for row in OPTIONS if row.short == letters[0]])
        letters = letters[1:]
        if option.takes is Takes.NOTHING:
            found.append((option, None))
        else:
            found.append((option, _value(option, f"-{option.short}", letters or None, waiting)))
            return


def _find(word: str, rows: list[Option]) -> Option:
    if not rows:
        raise SetupError(f"'{word}' is not an option; -h lists them")
    return rows[0]


def _value(option: Option, word: str, text: str | None, waiting: list[str]) -> str | None:
    if option.takes is Takes.NOTHING and text is not None:
        raise SetupError(f"'{word}': --{option.names[0]} takes no value")
    if text is not None or option.takes in (Takes.NOTHING, Takes.OPTIONAL_TEXT):
        return text
    if not waiting:
        raise SetupError(f"'{word}' needs a value")
    return waiting.pop(0)


def read_file(options: Options, path: str, must_exist: bool) -> None:
    """Take the values of a configuration file. Raises SetupError."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
        values = dict(parser[SECTION]) if SECTION in parser else {}
    except FileNotFoundError:
        if must_exist:
            raise SetupError(f"there is no configuration file {path}") from None
        return
    except OSError as error:
        raise SetupError(f"cannot read {path}: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise SetupError(f"{path}: {' '.join(str(error).split())}") from None
    rows = {key: row for row in OPTIONS if row.key for key in (row.key, *row.names)}
    for key, text in values.items():
        if key not in rows:    # a misspelt block list must not pass unseen
            raise SetupError(f"{path}: '{key}' is not known; known are {', '.join(_ORDER)}")
        if rows[key].takes is not Takes.NOTHING or _switch(path, key, text):
            options.set(rows[key], text)


def _switch(path: str, key: str, text: str) -> bool:
    if text not in ("true", "false", "1", "0"):
        raise SetupError(f"{path}: {key} is true or false, not '{text}'")
    return text in ("true", "1")


def _method(text: str) -> Method:
    methods = {method.value: method for method in Method}
    if text not in methods:
        raise SetupError(f"'{text}' is not a method; there are {', '.join(methods)}")
    return methods[text]


def help_text() -> str:
    """The text of `-h`."""
    lines = ["usage: ratite-ga [-m METHOD -p PATH] [OPTION...]", "", "The guest agent: does in the guest what the host asks for.", ""]
    for option in OPTIONS:
        value = {Takes.TEXT: " VALUE", Takes.OPTIONAL_TEXT: "[VALUE]", Takes.LIST: " LIST"}.get(option.takes, "")
        lines.append(f"  -{option.short + value:<9} --{option.names[0]:<15} {option.help}")
    return "\n".join(lines)
