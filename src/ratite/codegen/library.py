"""The stencil library: what has been compiled is kept in memory and on disk.

A file of the user's cache folder holds the stencils of one configuration; its name is a hash of everything that they depend on: LLVM's version,
the host processor, and the source of the ISA, of its language and of the code generator. A file begins with a digest of the rest; one
that does not match is as good as none. Several processes may use a file: it is replaced as a whole, and what another has added meanwhile is kept.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from ratite.codegen import host_x86_64 as host
from ratite.digest import blake2b
from ratite.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.codegen.codemem import Image
    from ratite.codegen.forms import Form, Hole, Key
    from ratite.codegen.inspect_x86_64 import RegisterField
    from ratite.codegen.stencil import Job
    from ratite.isa.arch import Arch

_MAGIC = b"ratite stencils 5\n"
_DIGEST = 32

#: Stencils after which a growing library is written to disk.
_SAVE_EVERY = 400
#: Files that belong to the engine, by suffix.
CACHED = (".stencils", ".runtime", ".pages", ".heat", ".lock", ".sources")
#: Most bytes of all of them; older ones are of earlier versions of Ratite, or of processors that nobody asks for any more.
_FOLDER_LIMIT = 768 << 20

#: Packages whose source determines generated code, beside the ISA's own modules.
_GENERATOR = ("ratite.ir", "ratite.isa.dsl", "ratite.codegen", "ratite.cpu")


def cache_folder() -> str:
    """Where Ratite keeps what it can make again: $RATITE_CACHE, else the user's cache folder."""
    own = os.environ.get("RATITE_CACHE")
    if own:
        return own
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "ratite")


def cached_files(folder: str) -> list[str]:
    """What Ratite's engine keeps in a folder: stencil libraries, native helpers, translated pages, where they were hot, locks, digests of source."""
    return sorted(entry.path for entry in os.scandir(folder) if entry.name.endswith(CACHED))


def _stem(path: str) -> str:
    return os.path.basename(path).partition(".")[0]


def prune(folder: str, keep: str) -> None:
    """Delete the files that have not been used for longest until the rest is within the limit; those of the library at `keep` stay."""
    found = []
    for path in cached_files(folder):
        with suppress(OSError):  # another process may be at it as well
            status = os.stat(path)
            found.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= _FOLDER_LIMIT:
            return
        if _stem(path) != _stem(keep):
            with suppress(OSError):
                os.unlink(path)
                total -= size


def write_whole(path: str, *parts: bytes) -> int:
    """Write a file that others see whole or not at all; its number. Raises OSError."""
    from tempfile import mkstemp

    fd, name = mkstemp(dir=os.path.dirname(path), prefix=os.path.basename(path))
    try:
        with os.fdopen(fd, "wb") as f:
            f.writelines(parts)
            number = os.fstat(fd).st_ino
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise
    return number


def _read_whole(path: str) -> tuple[bytes, int] | None:
    """What a file of ours says, and its number; None where it is not there, damaged, or of another version."""
    try:
        with open(path, "rb") as f:
            number = os.fstat(f.fileno()).st_ino
            data = f.read()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    if data[: len(_MAGIC)] != _MAGIC or blake2b(memoryview(data)[start:], digest_size=_DIGEST).digest() != data[len(_MAGIC) : start]:
        return None
    return data[start:], number


# --- what generated code depends on -----------------------------------------------------------------------------------------------------
def _sources(modules: Iterable[str]) -> Iterator[str]:
    """The files of modules and packages of Ratite, and the one that names LLVM's version: importing its package would cost more than the rest."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    for module in modules:
        path = os.path.join(root, *module.split("."))
        if os.path.isdir(path):
            yield from sorted(entry.path for entry in os.scandir(path) if entry.name.endswith(".py"))
        else:
            yield path + ".py"
    yield _llvm_version()


def _llvm_version() -> str:
    for folder in sys.path:
        path = os.path.join(folder, "llvmlite", "_version.py")
        if os.path.isfile(path):
            return path
    raise HostError("the Python package llvmlite is missing: pip install llvmlite")


def _state_of(path: str) -> str:
    status = os.stat(path)
    return f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ino}"


def _content(paths: Iterable[str]) -> bytes:
    digest = blake2b(digest_size=_DIGEST)
    for path in paths:
        with open(path, "rb") as f:
            digest.update(f.read())
    return digest.digest()


def _source_digest(arch: Arch, folder: str) -> bytes:
    """Digest of the source that generated code depends on. While the files look as they did, the last one is taken."""
    paths = list(_sources((*_GENERATOR, *arch.modules)))
    looks = blake2b("\n".join(map(_state_of, paths)).encode(), digest_size=_DIGEST).digest()
    known = os.path.join(folder, f"{arch.name}.sources")
    found = _read_whole(known)
    if found is not None and found[0][:_DIGEST] == looks:
        return found[0][_DIGEST:]
    digest = _content(paths)
    with suppress(OSError):
        os.makedirs(folder, exist_ok=True)
        _write(known, looks + digest)
    return digest


def _write(path: str, body: bytes) -> int:
    """Write a file as `_read_whole` reads it."""
    return write_whole(path, _MAGIC, blake2b(body, digest_size=_DIGEST).digest(), body)


def key_of(arch: Arch, folder: str = "") -> str:
    """Hash of everything that generated code of this configuration depends on. folder: where what is known of the source is, the cache as a rule."""
    folder = folder or cache_folder()
    h = blake2b(_source_digest(arch, folder), digest_size=12)
    h.update(f"{host.identity()} {arch.name} {arch.config.key} {arch.user}".encode())
    return h.hexdigest()


def plain(value: Any) -> Any:
    """Tuples with names as tuples without, which can be written to a file."""
    return tuple([plain(v) for v in value]) if isinstance(value, tuple) else value


class Library:
    """Compiled forms and helpers of one configuration.

    forms: what the translator knows of each form. stencils: machine code by key. free_bits: of instructions (`ratite.cpu.words`). All are read from
    disk when they are asked for first: a program whose pages are all known needs none. persistent: it is kept on disk.
    """

    def __init__(self, arch: Arch, folder: str | None = None, persistent: bool = True) -> None:
        self.arch, self.persistent = arch, persistent
        folder = folder or cache_folder()
        self.path = os.path.join(folder, f"{arch.name}-{key_of(arch, folder)}.stencils")
        self._kept: tuple[dict[Any, Any], ...] | None = None
        self._renamed: dict[Any, Any] = {}
        self._changed = 0
        self._inode = 0
        self.compiled = 0  # forms that this process has compiled
        self.compile_ns = 0  # nanoseconds that LLVM took for them, and for the native helpers

    def beside(self, suffix: str) -> str:
        """The path of another file of this library."""
        return self.path.removesuffix(".stencils") + suffix

    def _content(self) -> tuple[dict[Any, Any], ...]:
        if self._kept is None:
            self._kept = {}, {}, {}
            if self.persistent:
                self._merge()
        return self._kept

    @property
    def forms(self) -> dict[Any, Any]:
        """What the translator knows of each form."""
        return self._content()[0]

    @property
    def stencils(self) -> dict[Any, Any]:
        """Machine code by key."""
        return self._content()[1]

    @property
    def free_bits(self) -> dict[Any, Any]:
        """Free bits of instructions, as plain values, by name and pattern."""
        return self._content()[2]

    def add_free_bits(self, insn: tuple[str, int, int], found: tuple[int, Any]) -> None:
        """Keep the free bits of an instruction."""
        self.free_bits[insn] = found
        self._changed += 1

    def _refresh(self) -> bool:
        """Take over what others have written since the file was last read; whether there was anything."""
        if not self.persistent:
            return False
        try:
            if os.stat(self.path).st_ino == self._inode:
                return False
        except OSError:
            return False
        self._merge()
        return True

    def _merge(self) -> None:
        """Take over what the file says; what is here already stays."""
        found = _read_whole(self.path)
        if found is None:
            return
        theirs, self._inode = marshal.loads(found[0]), found[1]
        self._kept = tuple([a | b for a, b in zip(theirs, self._kept or ({}, {}, {}), strict=True)])

    @property
    def unsaved(self) -> int:
        """How much is not on disk yet."""
        return self._changed

    def get_runtime(self) -> Image:
        """The native helpers, compiled when they are not there."""
        path = self.beside(".runtime")
        found = _read_whole(path) if self.persistent else None
        if found is not None:
            image: Image = marshal.loads(found[0])
            return image
        from ratite.codegen.elfobj import Object
        from ratite.codegen.runtime import compile_runtime

        begin = time.monotonic_ns()
        image = Object(compile_runtime(self.arch)).image()
        self.compile_ns += time.monotonic_ns() - begin
        if self.persistent:
            with suppress(OSError):  # a folder that can not be written to only costs the next start its time
                os.makedirs(os.path.dirname(path), exist_ok=True)
                _write(path, marshal.dumps(image))
        return image

    def add_form(self, form: Any, info: Any) -> None:
        """Keep what the translator knows of a form."""
        self.forms[tuple(form)] = tuple(info)

    def find(self, form: Form, regs: tuple[int, ...], imms: tuple[str, ...]) -> Any:
        """The stencil for a form with these classes of operands; None where something has to be compiled for it."""
        key = form, regs, imms
        known = self._renamed.get(key)
        if known is None:
            known = self.stencils.get(key)
            if known is None:
                known = self._rename(form, regs, imms)
            if known is not None:
                self._renamed[key] = known
        return known

    def _rename(self, form: Form, regs: tuple[int, ...], imms: tuple[str, ...]) -> Any:
        from ratite.codegen.forms import canonical

        same = canonical(regs)
        stencil = self.stencils.get((form, same[0], imms)) if same is not None else None
        if same is None or stencil is None:
            return None
        code, holes, lates, fields, others = stencil
        if fields is None or any(pin in others for pin in same[1]):
            return None
        from ratite.codegen.inspect_x86_64 import rename

        return rename(code, fields, same[1]), holes, lates, None, ()

    def general(self, key: Key) -> tuple[bytes, tuple[Hole, ...], tuple[RegisterField, ...], int] | None:
        """Code for the classes of operands of a key, whichever the pinned registers are: the code and holes for the canonical ones, where it names
        them, and a mask of those with which they can not be exchanged. None where there is no such code."""
        from ratite.codegen.forms import canonical

        same = canonical(key.regs)
        stencil = self.stencils.get((key.form, same[0], key.imms)) if same is not None else None
        if same is None or stencil is None:
            return None
        code, holes, _, fields, others = stencil
        if not same[1]:
            return code, holes, (), 0
        return None if fields is None else (code, holes, fields, sum(1 << pin for pin in others))

    def missing(self, form: Form, regs: tuple[int, ...], imms: tuple[str, ...]) -> Key:
        """What to compile for a form that `find` does not find: the one to be renamed, unless that does not serve."""
        from ratite.codegen.forms import Key, canonical

        same = canonical(regs)
        if same is None or (form, same[0], imms) in self.stencils:
            return Key(form, regs, imms)
        return Key(form, same[0], imms)

    def still_missing(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of `jobs` that have to be compiled: other processes may have done it meanwhile."""
        self._refresh()
        return [job for job in jobs if plain(job.key) not in self.stencils]

    def compile(self, jobs: Sequence[Job]) -> None:
        """Compile the forms of `jobs` and keep them, unless another process has done it meanwhile."""
        from ratite.codegen.stencil import compile_stencils

        jobs = self.still_missing(jobs)
        begin = time.monotonic_ns()
        compiled = compile_stencils(self.arch, jobs)
        self.add({plain(key): plain(stencil) for key, stencil in compiled.items()}, time.monotonic_ns() - begin)

    def add(self, stencils: dict[Any, Any], nanoseconds: int) -> None:
        """Keep compiled forms, keys and stencils as plain tuples, and count the time that they took."""
        self.compile_ns += nanoseconds
        self.compiled += len(stencils)
        self.stencils.update(stencils)
        self._changed += len(stencils)
        if self._changed >= _SAVE_EVERY and not self.arch.user:  # a process's guest would see the file descriptors of a save
            self.save()

    def close(self) -> None:
        """Write what is new to disk."""
        if self._changed:
            self.save()

    def save(self) -> None:
        """Write what is new to disk; a folder that can not be written to only costs the next start its time."""
        if not self.persistent:
            return
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with open(self.beside(".lock"), "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._merge()
                self._inode = _write(self.path, marshal.dumps(tuple([dict(part) for part in self._content()])))
        except OSError:
            pass
        self._changed = 0
