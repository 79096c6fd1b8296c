"""The entry of user mode: a command line in, a process run to its end."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

from ratite import log
from ratite.errors import ImageError, UsageError
from ratite.user import loader
from ratite.user.abi import abi as find_abi
from ratite.user.abi.base import Abi
from ratite.user.failure import SyscallError
from ratite.user.paths import Paths
from ratite.user.process import Process
from ratite.user.space import GuestSpace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ratite.profiling.request import Request
    from ratite.profiling.symbols import Mapping
    from ratite.user.vcpu import Vcpu
else:
    Protocol = object


class Config(Protocol):
    """What the command line says."""

    arch: str
    program: str
    arguments: list[str]
    sysroot: str
    cpu: str
    region: str
    stack_size: int
    strace: bool
    release: str
    seed: int | None
    log_items: list[str]
    log_file: str
    single_step: bool
    perf_map: bool
    profile: Request | None
    symbols: list[str]

    def environment(self) -> dict[str, str]:
        """The program's environment."""


def run_program(config: Config) -> int:
    """Run a program to its end. The process ends with it, without Python's own clean-up; so there is no return.

    Raises UsageError and ImageError before the program starts.
    """
    gc.disable()    # nothing here makes cycles in number, and a collection would touch every page that fork shares
    abi = find_abi(config.arch)
    make_vcpu, isa = _engine(abi, config)
    process = make_process(config, abi, make_vcpu, isa)
    process.leave(process.run())
    return 0


def make_process(config: Config, abi: Abi, make_vcpu: Callable[[GuestSpace], Vcpu], isa: str) -> Process:
    """A process with the program loaded, ready to run."""
    lines = _Log(config)
    tracer = None
    if config.strace:
        from ratite.user.strace import Tracer

        tracer = Tracer(lines.write)
    process = Process(
        abi, make_vcpu, sysroot=_sysroot(config.sysroot), isa=isa, release=os.fsencode(config.release),
        stack_size=config.stack_size, seed=config.seed, single_step=config.single_step, tracer=tracer,
        unimplemented=lambda text: log.write("unimp", text))
    lines.open(process)
    if config.perf_map:
        _name_code(process, config.symbols)
    if config.profile is not None:
        from ratite.profiling.recording import record

        record(process.main.vcpu.engine, config.profile, config.program, lambda: mapped_files(process))
    argv = [os.fsencode(word) for word in config.arguments]
    env = [os.fsencode(f"{name}={value}") for name, value in config.environment().items()]
    found = find_program(os.fsencode(config.program), argv, abi, process.paths)
    process.check_size(argv, env)
    process.load(process.main, found, env)
    found.close()
    if log.enabled("page"):
        log.write("page", os.fsdecode(b"".join(process.space.maps()).rstrip()))
    return process


def mapped_files(process: Process) -> list[Mapping]:
    """The files that a process has mapped, by their names on the host."""
    from ratite.profiling.symbols import Mapping

    with process.space.lock:
        areas = [area for area in process.space.areas if area.inode]
    return [Mapping(area.start, area.end, area.offset, os.fsdecode(process.paths.resolve(area.name))) for area in areas]


def _name_code(process: Process, symbols: list[str]) -> None:
    from ratite.cpu.perfmap import PerfMap
    from ratite.profiling.symbols import MappedFiles, first_of, load

    files = MappedFiles(lambda: mapped_files(process))
    engine = process.main.vcpu.engine
    engine.perf_map = PerfMap(engine, first_of([*(load(path).find for path in symbols), files.find]))


def find_program(name: bytes, argv: list[bytes], abi: Abi, paths: Paths) -> loader.Executable:
    """Open the program that the user named; every mistake is an ImageError of one line."""
    shown = os.fsdecode(name)
    try:
        try:
            return loader.find(name, argv, abi, paths.resolve)
        except loader.MissingInterpreter:
            usual = b"/usr/%s-linux-gnu" % abi.name.encode()    # where Debian's cross libraries are
            if paths.sysroot or not os.path.isdir(usual):
                raise
            paths.sysroot = usual
            return loader.find(name, argv, abi, paths.resolve)
    except loader.WrongFile as error:
        raise ImageError(f"{shown} {error.why}") from None
    except loader.MissingInterpreter as error:
        raise ImageError(f"{shown} needs {os.fsdecode(error.name)}, which is not there; "
                         f"name the folder that has it with -L") from None
    except SyscallError as error:
        raise ImageError(f"{shown}: {os.strerror(error.number)}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ImageError(f"{shown}: {reason}") from None


def _sysroot(path: str) -> bytes:
    """The folder of `-L`, checked."""
    if path and not os.path.isdir(path):
        raise UsageError(f"-L {path}: no such folder")
    return os.fsencode(os.path.abspath(path)) if path else b""


def _engine(abi: Abi, config: Config) -> tuple[Callable[[GuestSpace], Vcpu], str]:
    """What makes the first vCPU, and the CPU's ISA string."""
    from ratite.user import engine

    return engine.make(abi, config.cpu, config.region, config.perf_map)


class _Log:
    """Where log lines go: standard error, or a file out of the guest's reach."""

    def __init__(self, config: Config) -> None:
        log.configure(config.log_items)
        self._path = config.log_file
        self._fd = 2

    def open(self, process: Process) -> None:
        """Open the file."""
        if not self._path:
            return
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UsageError(f"-D {self._path}: {error.strerror}") from None
        self._fd = process.keep_private(fd)
        log.send_to(open(self._fd, "w", buffering=1, errors="backslashreplace", closefd=False))    # noqa: SIM115 (for life)

    def write(self, line: str) -> None:
        """Write one line of the trace."""
        try:
            os.write(self._fd, (line + "\n").encode(errors="backslashreplace"))
        except OSError:
            pass
