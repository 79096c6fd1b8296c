"""The command line of the user-mode emulators, and the environment variables that stand for its options."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from ratite import keyval
from ratite.cli.options import Option, OptionTable, Refused, append, store, switch
from ratite.errors import UsageError, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.profiling.request import Request

DEFAULT_STACK = 8 << 20
PAGE = 4096
REGIONS = ("on", "off", "always")


class UserConfig:
    """A foreign program to run, and how."""

    def __init__(self, arch: str) -> None:
        self.arch = arch
        """The ISA, such as `riscv64`."""
        self.show = ""
        """What to print instead of running: `help`, `version`, `cpus`, `log`, or empty."""
        self.program = ""
        self.arguments: list[str] = []
        """The program's words, the zeroth one included."""
        self.argv0 = ""
        """What the program sees as its zeroth word; empty for the name it was started by."""
        self.sysroot = ""
        """Folder that is looked in first for absolute paths; empty for the usual places."""
        self.cpu = ""
        self.region = "off"
        """What is compiled as a whole: `off`, `on` (hot loops), `always` (everything at once, for tests)."""
        self.environment_changes: list[tuple[str, str | None]] = []
        """Variables to set, or to take away (None), in order."""
        self.stack_size = DEFAULT_STACK
        self.strace = False
        self.release = ""
        """Kernel release that uname tells; empty for the host's."""
        self.seed: int | None = None
        """Seed of the random bytes that a program is given at its start; None for true ones."""
        self.profile: Request | None = None
        """Where the time goes is sampled into a file."""
        self.perf_map = False
        """Names of generated code are written for Linux perf."""
        self.symbols: list[str] = []
        """Files that name guest code, beside those that the program maps."""
        self.log_items: list[str] = []
        self.log_file = ""
        self.single_step = False

    def environment(self, base: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The program's environment: the host's with the changes asked for."""
        environment = dict(base)
        for name, value in self.environment_changes:
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value
        return environment


def _profile(text: str) -> Request:
    from ratite.profiling.request import parse

    return parse(text)


def _assignments(config: UserConfig, text: str) -> None:
    for item in _items(text):
        name, equals, value = item.partition("=")
        if not name:
            raise UsageError("expected VARIABLE=VALUE")
        config.environment_changes.append((name, value if equals else ""))


def _removals(config: UserConfig, text: str) -> None:
    for name in _items(text):
        if "=" in name:
            raise UsageError("expected the name of a variable alone")
        config.environment_changes.append((name, None))


def _items(text: str) -> Iterator[str]:
    """Words between single commas; a doubled comma is one inside a word."""
    return (item.replace("\0", ",") for item in text.replace(",,", "\0").split(",") if item)


def _stack(text: str) -> int:
    size = keyval.size(text)
    if not PAGE <= size <= 1 << 40:
        raise UsageError(f"a stack of {size} bytes is out of range")
    return size


def _cpu(config: UserConfig, text: str) -> None:
    if text == "help":
        config.show = "cpus"
    config.cpu = text


def _region(text: str) -> str:
    if text not in REGIONS:
        raise unknown("value of -region", text, REGIONS)
    return text


def _log(config: UserConfig, text: str) -> None:
    if text in ("help", "?"):
        config.show = "log"
    config.log_items.extend(item for item in text.split(",") if item)


OPTIONS = OptionTable("[options] PROGRAM [ARGUMENT...]", {
    "Information": [
        Option("-h -help", "", "print this list", switch("show", "help")),
        Option("-version", "", "print the version", switch("show", "version"), "RATITE_VERSION"),
    ],
    "Program": [
        Option("-L", "DIR", "look in DIR first for interpreter and libraries", store("sysroot"), "RATITE_LD_PREFIX"),
        Option("-cpu", "MODEL[,PROP=VALUE...]", "the CPU model; 'help' lists", _cpu, "RATITE_CPU"),
        Option("-region", "on|off|always", "compile hot loops as a whole", store("region", _region), "RATITE_REGION"),
        Option("-E", "VAR=VALUE[,...]", "set a variable of the program's environment", _assignments, "RATITE_SET_ENV"),
        Option("-U", "VAR[,...]", "take a variable out of the program's environment", _removals, "RATITE_UNSET_ENV"),
        Option("-0", "NAME", "the name that the program is told it has", store("argv0"), "RATITE_ARGV0"),
        Option("-s", "SIZE", "size of the main stack (8M)", store("stack_size", _stack), "RATITE_STACK_SIZE"),
        Option("-r", "RELEASE", "kernel release that uname tells", store("release"), "RATITE_UNAME"),
        Option("-seed", "N", "repeatable random bytes at the start", store("seed", keyval.number), "RATITE_RAND_SEED"),
    ],
    "Looking inside": [
        Option("-strace", "", "log system calls", switch("strace"), "RATITE_STRACE"),
        Option("-d", "ITEM[,ITEM...]", "log these items; 'help' lists them", _log, "RATITE_LOG"),
        Option("-D", "FILE", "log into FILE in place of standard error", store("log_file"), "RATITE_LOG_FILENAME"),
        Option("-profile", "FILE[,frequency=HZ][,seconds=N]", "sample into FILE; `ratite profile` shows such", store("profile", _profile)),
        Option("-perfmap", "", "name generated code in /tmp/perf-PID.map, for Linux perf", switch("perf_map"), "RATITE_PERFMAP"),
        Option("-symbols", "FILE", "more names for guest code: ELF file or System.map", append("symbols")),
        Option("-singlestep", "", "run in the reference evaluator (slow)", switch("single_step"), "RATITE_SINGLESTEP"),
    ],
    "Not supported yet": [
        Refused("-g", "see -strace and -d"),
        Refused("-B -R", "the host chooses where guest memory lies"),
        Refused("-p", "pages are 4 KiB"),
        Refused("-dfilter -trace -plugin", "see -d help"),
    ],
})


def parse(arch: str, words: Sequence[str], environment: Mapping[str, str] = os.environ) -> UserConfig:
    """Read a user-mode emulator's command line; the first word that is no option is the program."""
    config = UserConfig(arch)
    OPTIONS.parse_environment(config, environment)
    rest = OPTIONS.parse(words, config, stop_at_positional=True)
    if rest:
        config.program = rest[0]
        config.arguments = [config.argv0 or rest[0], *rest[1:]]
    elif not config.show:
        raise UsageError("a program to run is missing; -h lists the options")
    return config
