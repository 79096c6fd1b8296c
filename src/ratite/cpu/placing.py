"""Placing machine code: from chosen instructions to a unit in code memory, natively (`ratite.codegen.placing`)."""

from __future__ import annotations

import ctypes
from array import array

from ratite.codegen.joining import RELATIVE
from ratite.codegen.placing import Site
from ratite.cpu.codepage import CodePage, Unit
from ratite.cpu.hostmem import HostBuffer
from ratite.cpu.joiner import PIECES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.memo import Memo
    from ratite.cpu.walker import Walker


class Placer:
    """Puts units into the code memory of an engine, and makes them known."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._table = HostBuffer(Site.BYTES)
        self._site = self._table.view.cast("Q")
        self._pcs, self._places = HostBuffer(2 * PIECES), HostBuffer(4 * PIECES)
        mask = (1 << engine.arch.word) - 1
        for at, value in (
            (Site.SYMBOLS, engine.symbol_table.address), (Site.GUEST, mask), (Site.TABLE, engine.entry_table.address),
            (Site.PCS, self._pcs.address), (Site.PLACES, self._places.address),
        ):  # fmt: skip
            self._site[at >> 3] = value
        pointer, number = ctypes.c_void_p, ctypes.c_uint64
        self._place = engine.function("place", number, pointer, pointer)
        self._relocate = engine.function("relocate", None, pointer, pointer, number)
        self._enter_places = engine.function("enter_places", None, pointer, pointer, pointer, number)
        self._enter_published = engine.function("enter_published", None, pointer, pointer, number)

    def _aim(self, page: CodePage, base: int) -> None:
        """Whatever is placed next belongs to a page and lies at `base`."""
        site = self._site
        site[Site.PAGE >> 3], site[Site.PAGE_ENTRIES >> 3] = page.base, page.entries.address
        site[Site.TAG >> 3], site[Site.AT >> 3], site[Site.TO >> 3] = self._engine.tag(page), base, self._engine.memory.writable(base)

    def place(self, page: CodePage, walker: Walker, memo: Memo) -> Unit:
        """Join what a walker has chosen, put it into memory and make it known; MemoryError when it does not fit."""
        engine, site = self._engine, self._site
        joiner = engine.joiner
        joiner.join(walker.count, walker.records.address, walker.offsets.address, page.entries.address, memo.goto()[5])
        base = engine.memory.take(joiner.size)
        self._aim(page, base)
        site[Site.RETURNED >> 3], site[Site.RETURN_OFFSETS >> 3] = walker.returned, walker.return_offsets.address
        page.entries.count += self._place(self._table.address, joiner.address)
        unit = Unit(page, base, joiner.size, joiner.straight)
        listed = site[Site.LISTED >> 3]
        unit.pcs.frombytes(self._pcs.view[: 2 * listed])
        unit.places.frombytes(self._places.view[: 4 * listed])
        unit.relocations.frombytes(joiner.relocations)
        unit.links = joiner.pending
        for place, target in unit.links:
            page.pending.setdefault(target, []).append(base + place)
        unit.links += joiner.links
        return unit

    def restore(self, page: CodePage, unit: Unit, published: array[int]) -> None:
        """Make a unit known whose code is in memory: its relocations, its instructions, and which of them native code is to find."""
        self._aim(page, unit.start)
        table, count = unit.relocations.buffer_info()
        self._relocate(self._table.address, table, count // 3)
        pcs, count = unit.pcs.buffer_info()
        self._enter_places(self._table.address, pcs, unit.places.buffer_info()[0], count)
        page.entries.count += count
        offsets, count = published.buffer_info()
        self._enter_published(self._table.address, offsets, count)
        page.published.update(published)


def goto_image(memo: Memo, place: int, target: int) -> tuple[bytes, list[int]]:
    """A jump to guest offset `target` of a page through the jump cache, to lie at `place`, and its relocations."""
    code, lates, *_ = memo.goto()
    relocations: list[int] = []
    for kind, offset, value in lates:
        relocations += (place + offset, kind & 15, value + target if kind & RELATIVE else value)
    return code, relocations
