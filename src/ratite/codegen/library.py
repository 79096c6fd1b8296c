"""The stencil library: what has been compiled is kept in memory and on disk.

A file of the user's cache folder holds the stencils of one configuration; its name is a hash of everything that they depend on: LLVM's version,
the host processor, and the source of the ISA, of its language and of the code generator. A file begins with a digest of the rest; one
that does not match is as good as none. Several processes may use a file: it is replaced as a whole, and what another has added meanwhile is kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import marshal
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratite.codegen import host_x86_64 as host
from ratite.codegen.inspect_x86_64 import RegisterField, rename
from ratite.codegen.stencil import Form, Key, canonical
from ratite.errors import HostError
from ratite.isa.arch import Arch

if TYPE_CHECKING:
    from ratite.codegen.stencil import Hole, Job

_MAGIC = b"ratite stencils 3\n"

#: Stencils after which a growing library is written to disk.
_SAVE_EVERY = 400
#: Files that belong to the engine, by suffix.
CACHED = (".stencils", ".pages", ".lock")
#: Most bytes of all of them; older ones are of earlier versions of Ratite, or of processors that nobody asks for any more.
_FOLDER_LIMIT = 768 << 20

#: Packages whose source determines generated code, beside the ISA's own modules.
_GENERATOR = ("ratite.ir", "ratite.isa.dsl", "ratite.codegen", "ratite.cpu")


def cache_folder() -> Path:
    """Where Ratite keeps what it can make again: $RATITE_CACHE, else the user's cache folder."""
    own = os.environ.get("RATITE_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ratite"


def cached_files(folder: Path) -> list[Path]:
    """What Ratite's engine keeps in a folder: stencil libraries, translated pages, and their locks."""
    return sorted(path for path in folder.iterdir() if path.suffix in CACHED)


def prune(folder: Path, keep: Path) -> None:
    """Delete the files that have not been used for longest until the rest is within the limit; those of the library at `keep` stay."""
    found = []
    for path in cached_files(folder):
        with suppress(OSError):  # another process may be at it as well
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= _FOLDER_LIMIT:
            return
        if path.stem != keep.stem:
            with suppress(OSError):
                path.unlink()
                total -= size


def _sources(module: str) -> Iterable[Path]:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return
    path = Path(spec.origin)
    if path.name == "__init__.py":
        yield from sorted(path.parent.glob("*.py"))
    else:
        yield path


def _llvm_version() -> bytes:
    """llvmlite's version file; importing the package for its version would cost more than the rest of a start."""
    spec = importlib.util.find_spec("llvmlite")
    if spec is None or spec.origin is None:
        raise HostError("the Python package llvmlite is missing: pip install llvmlite")
    return Path(spec.origin).with_name("_version.py").read_bytes()


@cache
def _generator_hash() -> bytes:
    h = hashlib.sha256(_llvm_version() + host.identity().encode())
    for module in _GENERATOR:
        for path in _sources(module):
            h.update(path.read_bytes())
    return h.digest()


def key_of(arch: Arch) -> str:
    """Hash of everything that generated code of this configuration depends on."""
    h = hashlib.sha256(_generator_hash())
    for module in arch.modules:
        for path in _sources(module):
            h.update(path.read_bytes())
    h.update(f"{arch.name} {arch.config.key} {arch.user}".encode())
    return h.hexdigest()[:24]


def _plain(value: Any) -> Any:
    """Tuples with names as tuples without, which can be written to a file."""
    return tuple([_plain(v) for v in value]) if isinstance(value, tuple) else value


class Library:
    """Compiled forms and helpers of one configuration.

    forms: what the translator knows of each form. stencils: machine code by key. runtime: the object with the native helpers.
    persistent: it is kept on disk.
    """

    def __init__(self, arch: Arch, folder: Path | None = None, persistent: bool = True) -> None:
        self.arch, self.persistent = arch, persistent
        self.path = (folder or cache_folder()) / f"{arch.name}-{key_of(arch)}.stencils"
        self.forms: dict[Any, Any] = {}
        self.stencils: dict[Any, Any] = {}
        self.runtime: bytes | None = None
        self._renamed: dict[Any, Any] = {}
        self._changed = 0
        self._inode = 0
        self.compiled = 0  # forms that this process has compiled
        self.compile_ns = 0  # nanoseconds that LLVM took for them, and for the native helpers
        if persistent:
            self._merge(self._read())

    def _refresh(self) -> bool:
        """Take over what others have written since the file was last read; whether there was anything."""
        if not self.persistent:
            return False
        try:
            if self.path.stat().st_ino == self._inode:
                return False
        except OSError:
            return False
        self._merge(self._read())
        return True

    def _read(self) -> tuple[Any, Any, Any] | None:
        """The content of the file, or None where there is no usable one."""
        try:
            with open(self.path, "rb") as f:
                self._inode = os.fstat(f.fileno()).st_ino
                data = f.read()
        except OSError:
            return None
        start = len(_MAGIC) + 32
        if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(memoryview(data)[start:]).digest() != data[len(_MAGIC) : start]:
            return None
        forms, stencils, runtime = marshal.loads(memoryview(data)[start:])
        return forms, stencils, runtime

    def _merge(self, content: tuple[Any, Any, Any] | None) -> None:
        if content is None:
            return
        self.forms = content[0] | self.forms
        self.stencils = content[1] | self.stencils
        self.runtime = self.runtime or content[2]

    @property
    def unsaved(self) -> int:
        """How much is not on disk yet."""
        return self._changed

    def get_runtime(self) -> bytes:
        """The object code of the native helpers, compiled when it is not there."""
        if self.runtime is None:
            from ratite.codegen.runtime import compile_runtime

            begin = time.monotonic_ns()
            self.runtime = compile_runtime(self.arch)
            self.compile_ns += time.monotonic_ns() - begin
            self.save()
        return self.runtime

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
        same = canonical(regs)
        stencil = self.stencils.get((form, same[0], imms)) if same is not None else None
        if same is None or stencil is None:
            return None
        code, holes, lates, fields, others = stencil
        if fields is None or any(pin in others for pin in same[1]):
            return None
        return rename(code, fields, same[1]), holes, lates, None, ()

    def general(self, key: Key) -> tuple[bytes, tuple[Hole, ...], tuple[RegisterField, ...], int] | None:
        """Code for the classes of operands of a key, whichever the pinned registers are: the code and holes for the canonical ones, where it names
        them, and a mask of those with which they can not be exchanged. None where there is no such code."""
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
        same = canonical(regs)
        if same is None or (form, same[0], imms) in self.stencils:
            return Key(form, regs, imms)
        return Key(form, same[0], imms)

    def compile(self, jobs: Sequence[Job]) -> None:
        """Compile the forms of `jobs` and keep them, unless another process has done it meanwhile."""
        from ratite.codegen.stencil import compile_stencils

        if self._refresh():
            jobs = [job for job in jobs if (tuple(job.key.form), job.key.regs, job.key.imms) not in self.stencils]
        begin = time.monotonic_ns()
        compiled = compile_stencils(self.arch, jobs)
        self.compile_ns += time.monotonic_ns() - begin
        self.compiled += len(compiled)
        for key, s in compiled.items():
            self.stencils[tuple(key.form), key.regs, key.imms] = _plain(s)
        self._changed += len(compiled)
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
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path.with_suffix(".lock"), "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._merge(self._read())
                body = marshal.dumps((dict(self.forms), dict(self.stencils), self.runtime))
                fd, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
                with os.fdopen(fd, "wb") as f:
                    f.write(_MAGIC + hashlib.sha256(body).digest() + body)
                    self._inode = os.fstat(fd).st_ino
                os.replace(name, self.path)
        except OSError:
            pass
        self._changed = 0
