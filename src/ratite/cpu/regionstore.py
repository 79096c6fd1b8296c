"""Regions of earlier runs, on disk among the translated pages (`ratite.cpu.pagestore`).

A region is found by any place where it can be entered: the bytes and the context of that page, and its guest address. The record of its head is,
marshalled,

    (head, instructions, entries, pages, jumps back, `Compiled` as tuples)

instructions and entries as guest addresses; pages as (guest address, digest of its bytes); jumps back as guest addresses of a jump. Those of its
other entries have the name of the head's record. A region serves where its pages have the same bytes and all of its instructions are translated.
Another record says of a head that the region is not worth it, and so does one of each of its entries.
"""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any

from ratite.codegen.regions import Compiled, Plan
from ratite.cpu.codepage import PAGE, CodePage, PageKey
from ratite.cpu.loops import Chosen, Explorer
from ratite.cpu.pagestore import page_digest
from ratite.digest import blake2b

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine

_Record = tuple[int, tuple[int, ...], tuple[int, ...], tuple[tuple[int, bytes], ...], tuple[int, ...], tuple[Any, ...]]
#: The purpose of names of heads whose regions are not worth it, of places where those would be entered, and of pages (`ratite.cpu.hotness`).
_VAIN, _TRIED, _HEAT = b"vain", b"tried", b"heat"


def _name(digest: bytes, at: int, what: bytes = b"region") -> bytes:
    """What names a region that can be entered at a guest address, in a page with this digest; or what is known of it."""
    return blake2b(digest + at.to_bytes(8, "little"), digest_size=16, key=what).digest()


def _name_in(page: CodePage, offset: int, what: bytes = b"region") -> bytes:
    return _name(page_digest(page.data.tobytes(), page.key[2]), page.base + offset, what)


def heat_name(page: CodePage) -> bytes:
    """What names a page among those that were hot: its bytes as they were when it was translated first, and its address."""
    return _name(page.name, page.base, _HEAT)


class RegionStore:
    """The regions in an engine's store of pages. The engine's lock is held."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, chosen: Chosen, compiled: Compiled) -> None:
        """Take a region, whose pages are as they were when it was chosen."""
        digests = {page.base: page_digest(page.data.tobytes(), page.key[2]) for page in chosen.pages}
        head = _name(digests[chosen.head & -PAGE], chosen.head)
        entries, back = chosen.plan.entries, tuple(at for _, _, at, _ in chosen.back)
        record: Any = (chosen.head, tuple(chosen.inside), entries, tuple(digests.items()), back, tuple(compiled))
        self._engine.store.add(head, marshal.dumps(record))
        for at in entries:
            self._engine.store.add(_name(digests[at & -PAGE], at), marshal.dumps(head))

    def reject(self, head: tuple[PageKey, int], entries: list[tuple[PageKey, int]]) -> None:
        """Take note that the region with its head at an offset of a page, which is entered at these places, is not worth it."""
        for what, (key, offset) in ((_VAIN, head), *((_TRIED, entry) for entry in entries)):
            page = self._engine.pages.get(key)
            if page is not None:
                self._engine.store.add(_name_in(page, offset, what), marshal.dumps(True))

    def rejected(self, page: CodePage, offset: int) -> bool:
        """Whether a region that would be entered at an offset of a page is not worth it."""
        return any(self._engine.store.find(_name_in(page, offset, what)) is not None for what in (_VAIN, _TRIED))

    def knows(self, page: CodePage, offset: int) -> bool:
        """Whether there is a record of a region that can be entered at an offset of a page; if it does not serve now, it may later."""
        return self._engine.store.find(_name_in(page, offset)) is not None

    def find(self, explorer: Explorer, page: CodePage, offset: int) -> tuple[Chosen, Compiled] | None:
        """The region that can be entered at an offset of a page, if there is one and it serves."""
        record = self._record(_name_in(page, offset))
        if record is None:
            return None
        head, instructions, entries, digests, back, fields = record
        pages = []
        for base, digest in digests:
            other = explorer.page(base)
            if other is None or page_digest(other.data.tobytes(), other.key[2]) != digest:
                return None
            pages.append(other)
        by_base = {page.base: page for page in pages}
        if self._engine.store.find(_name(dict(digests)[head & -PAGE], head, _VAIN)) is not None:
            return None
        inside = {at: by_base[at & -PAGE] for at in instructions}
        if any(at & (PAGE - 1) not in of.entries for at, of in inside.items()):
            return None
        plan = Plan((), entries, {}, frozenset(), tuple(by_base), page.key[2], 0)
        jumps = [jump for at in back for jump in explorer.back(at)]
        return None if explorer.missing else (Chosen(head, inside, pages, plan, jumps), Compiled(*fields))

    def _record(self, name: bytes) -> _Record | None:
        """The record of a name, or of the head that it leads to."""
        body = self._engine.store.find(name)
        found = None if body is None else marshal.loads(body)
        if isinstance(found, bytes):
            body = self._engine.store.find(found)
            found = None if body is None else marshal.loads(body)
        return found if isinstance(found, tuple) else None
