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
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ratite.codegen import host_x86_64 as host
from ratite.isa.arch import Arch

_MAGIC = b"ratite stencils 1\n"

#: Packages whose source determines generated code, beside the ISA's own modules.
_GENERATOR = ("ratite.ir", "ratite.isa.dsl", "ratite.codegen")


def cache_folder() -> Path:
    """Where Ratite keeps what it can make again: $RATITE_CACHE, else the user's cache folder."""
    own = os.environ.get("RATITE_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ratite"


def _sources(module: str) -> Iterable[Path]:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return
    path = Path(spec.origin)
    if path.name == "__init__.py":
        yield from sorted(path.parent.glob("*.py"))
    else:
        yield path


@cache
def _generator_hash() -> bytes:
    h = hashlib.sha256(version("llvmlite").encode() + host.identity().encode())
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


class Library:
    """Compiled forms and helpers of one configuration.

    forms: what the translator knows of each form. stencils: machine code by key. runtime: the object with the native helpers.
    """

    def __init__(self, arch: Arch, folder: Path | None = None) -> None:
        self.arch = arch
        self.path = (folder or cache_folder()) / f"{arch.name}-{key_of(arch)}.stencils"
        self.forms: dict[Any, Any] = {}
        self.stencils: dict[Any, Any] = {}
        self.runtime: bytes | None = None
        self._saved = 0
        self._merge(self._read())

    def _read(self) -> tuple[Any, Any, Any] | None:
        """The content of the file, or None where there is no usable one."""
        try:
            data = self.path.read_bytes()
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
        self._saved = max(self._saved, len(content[1]))

    @property
    def unsaved(self) -> int:
        """How many stencils are not on disk yet."""
        return len(self.stencils) - self._saved

    def get_runtime(self) -> bytes:
        """The object code of the native helpers, compiled when it is not there."""
        if self.runtime is None:
            from ratite.codegen.runtime import compile_runtime

            self.runtime = compile_runtime(self.arch)
            self.save()
        return self.runtime

    def add_form(self, form: Any, info: Any) -> None:
        self.forms[tuple(form)] = tuple(info)

    def compile(self, jobs: Any) -> None:
        """Compile the forms of `jobs` and keep them."""
        from ratite.codegen.stencil import compile_stencils

        for key, s in compile_stencils(self.arch, jobs).items():
            plain = (tuple(key.form), key.regs, key.imms)
            self.stencils[plain] = (s.code, tuple(map(tuple, s.holes)), tuple(map(tuple, s.lates)))

    def save(self) -> None:
        """Write what is new to disk; a folder that can not be written to only costs the next start its time."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path.with_suffix(".lock"), "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._merge(self._read())
                body = marshal.dumps((self.forms, self.stencils, self.runtime))
                fd, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
                with os.fdopen(fd, "wb") as f:
                    f.write(_MAGIC + hashlib.sha256(body).digest() + body)
                os.replace(name, self.path)
                self._saved = len(self.stencils)
        except OSError:
            self._saved = len(self.stencils)
