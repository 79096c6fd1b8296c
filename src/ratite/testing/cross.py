"""Compilers for guest programs of tests and benchmarks, and C libraries for them.

Debian's cross compiler is taken where it and its C library are installed; else clang and lld, which know all architectures, with headers and
libraries from Debian's packages of the architecture, fetched into the cache folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ratite.errors import HostError

#: Suffixes of gcc's name, the first of which is that of the distribution's usual version.
_GCC = ("", "-15", "-14")
#: Versions of clang that know LoongArch, newest first.
_CLANG = range(25, 17, -1)
#: What a C program is linked with: Debian's name of an architecture, and packages.
_LIBRARIES = {"riscv64": ("riscv64", ("libc6-dev", "libgcc-14-dev")), "loongarch64": ("loong64", ("libc6-dev", "libgcc-15-dev"))}


@dataclass(frozen=True)
class Compiler:
    """A compiler for Linux programs with a C library. command: its first words. sysroot: the folder with shared libraries, for `-L`;
    None is the place where Ratite looks by itself."""

    command: tuple[str, ...]
    sysroot: Path | None = None

    @property
    def options(self) -> list[str]:
        """Options of Ratite's and QEMU's user mode for dynamic programs."""
        return [] if self.sysroot is None else ["-L", str(self.sysroot)]


def commands(isa: str, system: str = "linux-gnu") -> Iterator[tuple[str, ...]]:
    """First words of command lines for programs without a C library, in the order of preference, installed or not. system: how clang
    is to name it."""
    yield from ((f"{isa}-linux-gnu-gcc{suffix}",) for suffix in _GCC)
    yield from ((f"clang-{n}", f"--target={isa}-{system}", f"-fuse-ld=lld-{n}") for n in _CLANG)


def installed(isa: str) -> Iterator[tuple[str, ...]]:
    """Those that are installed."""
    return (words for words in commands(isa) if all(shutil.which(tool) for tool in _tools(words)))


def _tools(words: tuple[str, ...]) -> Iterator[str]:
    yield words[0]
    yield from (word.replace("-fuse-ld=lld", "ld.lld") for word in words if word.startswith("-fuse-ld="))


@cache
def compiler(isa: str) -> Compiler:
    """The compiler for programs of an instruction set. Raises HostError, which says what is missing."""
    from ratite.fetch import sysroot

    if (Path("/usr") / f"{isa}-linux-gnu/lib/libc.a").exists() and (gcc := next((words for words in installed(isa) if len(words) == 1), None)):
        return Compiler(gcc)
    if isa not in _LIBRARIES:
        raise HostError(f"no compiler with a C library for {isa}")
    clang = next((words for words in installed(isa) if len(words) > 1), None)
    if clang is None:
        raise HostError(f"no compiler for {isa} (gcc-{isa}-linux-gnu with its C library, or clang with lld)")
    arch, packages = _LIBRARIES[isa]
    root = sysroot.make(arch, packages)
    return Compiler((*clang, f"--sysroot={root}"), root)
