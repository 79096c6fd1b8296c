"""The conformance kit as a command: see `python -m ratite.testing.conformance --help`."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ratite.errors import HostError, RatiteError, UsageError
from ratite.isa.dsl import Insn
from ratite.isa.target import FOLDERS
from ratite.testing.conformance import assembly
from ratite.testing.conformance.cases import Engine, Generator
from ratite.testing.conformance.linux_peer import LinuxPeer, version_of
from ratite.testing.conformance.native import NativePeer, RegionPeer, RestoredPeer
from ratite.testing.conformance.profile import Profile, Round, find_profile
from ratite.testing.conformance.reference import ReferenceEngine
from ratite.testing.conformance.report import Report, table
from ratite.testing.conformance.saved_state import lost
from ratite.testing.conformance.unicorn_peer import UnicornPeer

_MACHINES = {kind.name: kind for kind in (NativePeer, RegionPeer, RestoredPeer)}
_USER = "user"
#: What there is beside outside engines.
_OWN = (*_MACHINES, _USER, "text")

_EPILOG = """Outside engines: qemu (the user-mode emulator on the PATH), qemu=PATH or qemu-ARCH=PATH, unicorn.
Own engines: stencils, regions, restored (stencils, in a machine whose state has been saved and restored), user (a Linux
program in Ratite's user mode), text (assembly text against Capstone and llvm-mc). The exit status is 1 if anything fails."""


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ratite.testing.conformance",
        description="Run random instructions of an instruction set in several engines and compare all of the state.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--isa", required=True, help=f"one of {', '.join(FOLDERS)}")
    parser.add_argument("--against", action="append", default=[], metavar="ENGINE", help="an outside engine; may be repeated")
    parser.add_argument("--engines", default="stencils,restored,text", metavar="LIST", help=f"own engines, of {', '.join(_OWN)} (%(default)s)")
    parser.add_argument("--cases", type=int, default=5, metavar="N", help="cases of each instruction (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="other cases for another seed (%(default)s)")
    parser.add_argument("--only", default="", metavar="REGEX", help="instructions whose names match")
    parser.add_argument("--each", action="store_true", help="a row for each instruction instead of each extension")
    return parser.parse_args(words)


def _outside(profile: Profile, text: str, folder: Path) -> Engine:
    """The outside engine that an argument names."""
    kind, _, path = text.partition("=")
    if kind == "unicorn" and not path:
        if profile.unicorn is None:
            raise UsageError(f"Unicorn does not know {profile.name}")
        return UnicornPeer(profile.unicorn())
    if kind.split("-")[0] != "qemu":
        raise UsageError(f"'{text}' is no outside engine: qemu, qemu=PATH or unicorn")
    found = shutil.which(path) if path else next(filter(None, map(shutil.which, profile.qemu)), None)
    if found is None:
        raise HostError(f"there is no program {path or profile.qemu[0]}")
    version = version_of(found)
    return LinuxPeer("qemu", profile.target, [str(Path(found).absolute()), *profile.qemu_options(version)], _ready(profile, folder), version)


def _own(profile: Profile, names: Sequence[str], folder: Path) -> Iterator[Engine]:
    for name in names:
        if name in _MACHINES:
            yield _MACHINES[name](profile.machine(), profile.handles)
        elif name == _USER:
            yield LinuxPeer.ratite(_USER, profile.name, profile.target, profile.user_options, _ready(profile, folder))


def _ready(profile: Profile, folder: Path) -> Path:
    """A folder for the Linux program."""
    if missing := profile.target.missing():
        raise HostError(missing)
    return folder


def _run(report: Report, profile: Profile, part: Round, engines: Sequence[Engine], arguments: argparse.Namespace) -> None:
    """Compare all engines in one round."""
    only = re.compile(arguments.only)
    includes = [insn for insn in part.subject.arch.decoder.insns if part.includes(insn) and only.match(insn.name)]
    chosen = {id(insn) for insn in includes}
    cases = list(Generator(part.subject, arguments.seed).cases(arguments.cases, lambda insn: id(insn) in chosen))
    if cases:
        print(f"{part.name}: {len(cases)} cases", file=sys.stderr)
        report.compare(cases, ReferenceEngine(part.subject.arch, profile.events), *engines)


def _text(report: Report, profile: Profile, count: int) -> None:
    """Compare assembly texts."""
    for tool in profile.disassemblers:
        if missing := tool.missing():
            print(f"{tool.name}: {missing}", file=sys.stderr)
        else:
            assembly.compare(report, profile.rounds[0].subject.arch, tool, count)


def _state(profile: Profile) -> list[str]:
    """What does not survive saving and restoring."""
    count, found = lost(profile.machine())
    print(f"\nState: {count} registers, fields and tables saved and restored; {'lost: ' + ' '.join(found) if found else 'none lost'}")
    return found


def _shown(profile: Profile, only: str) -> list[Insn]:
    return [insn for insn in profile.insns if re.match(only, insn.name)]


def main(words: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status."""
    arguments = _arguments(words)
    names = [name for name in arguments.engines.split(",") if name]
    try:
        if wrong := [name for name in names if name not in _OWN]:
            raise UsageError(f"'{wrong[0]}' is none of {', '.join(_OWN)}")
        profile = find_profile(arguments.isa)
        with tempfile.TemporaryDirectory() as folder:
            engines = [*(_outside(profile, text, Path(folder)) for text in arguments.against), *_own(profile, names, Path(folder))]
            report = Report(profile.skips, profile.views)
            for part in profile.rounds if engines else ():
                _run(report, profile, part, engines, arguments)
    except RatiteError as error:
        print(error, file=sys.stderr)
        return 2
    if "text" in names:
        _text(report, profile, arguments.cases)
    print(table(report, _shown(profile, arguments.only), arguments.each))
    return 1 if _state(profile) or report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
