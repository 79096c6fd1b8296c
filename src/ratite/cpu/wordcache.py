"""Instruction words that earlier runs have seen, with their finished machine code, on disk beside the stencil library.

A kernel boot meets a hundred thousand different instruction words; to build their code again costs more than everything else in the boot. The
file has a digest; one that does not match is as good as none. Only whole systems use it: a program of user mode meets few words.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.memo import Memo

_MAGIC = b"ratite words 3\n"
#: Most words that are kept.
_LIMIT = 400_000
#: A file is written again when the run has met this part of new words.
_NEWS = 0.02


class WordCache:
    """The file of one library."""

    def __init__(self, engine: Engine) -> None:
        self._path = engine.library.path.with_suffix(".words")
        self._known = 0

    def load(self, memos: list[Memo]) -> None:
        """Fill the memos with what the file has."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return
        start = len(_MAGIC) + 32
        if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(memoryview(data)[start:]).digest() != data[len(_MAGIC) : start]:
            return
        for memo, (short, long) in zip(memos, marshal.loads(memoryview(data)[start:]), strict=False):
            memo.short.update(short)
            memo.long.update(long)
        self._known = sum(len(m.short) + len(m.long) for m in memos)

    def save(self, memos: list[Memo]) -> None:
        """Write the file when there is enough news."""
        total = sum(len(m.short) + len(m.long) for m in memos)
        if total - self._known < max(200, _NEWS * total) or total > _LIMIT:
            return
        content = [(m.short, m.long) for m in memos]
        body = marshal.dumps(content)
        try:
            fd, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
            with os.fdopen(fd, "wb") as f:
                f.write(_MAGIC + hashlib.sha256(body).digest() + body)
            os.replace(name, self._path)
        except OSError:
            pass
