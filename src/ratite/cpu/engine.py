"""The engine of one machine or process: code memory, native helpers, translated pages. Its vCPUs share it."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from operator import itemgetter

from ratite import log
from ratite.bits import mask
from ratite.codegen.codemem import CodeMemory
from ratite.codegen.host_x86_64 import READ_CHECKED, SYSTEM_CALL
from ratite.codegen.library import Library
from ratite.codegen.tables import CONSTANT_ALIGNMENT, CONSTANT_SIZE, ENTRY_BITS, RESERVATIONS
from ratite.cpu.codepage import PAGE, CodePage, PageKey
from ratite.cpu.compiling import Awaited, Order, with_processes
from ratite.cpu.exclusive import Exclusive
from ratite.cpu.hostmem import HostBuffer
from ratite.cpu.joiner import Joiner
from ratite.cpu.pagestore import PageStore
from ratite.cpu.placing import Placer
from ratite.cpu.translate import Translator
from ratite.cpu.walker import Choosing
from ratite.errors import DefinitionError, HostError, MemoryAccessError
from ratite.isa.arch import Arch
from ratite.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from ratite.codegen.reference import Move
    from ratite.codegen.stencil import Job
    from ratite.cpu.alarms import Alarms
    from ratite.cpu.faults import Faults
    from ratite.cpu.perfmap import PerfMap
    from ratite.cpu.regions import Regions
    from ratite.cpu.sampling import Sampler
    from ratite.cpu.vcpu import Vcpu
    from ratite.memory.ram import RamBlock
    from ratite.memory.space import AddressSpace

    class UserMemory(Protocol):
        """Guest memory of a user-mode process (`ratite.user.space`)."""

        base: int

        def fetch(self, addr: int, n: int) -> bytes:
            """Bytes of executable memory; raises when there is none."""

        def read(self, addr: int, n: int) -> bytes: ...

        def write(self, addr: int, data: bytes) -> None: ...


_ENTRY = struct.Struct("<QQQQ")
_ROW = struct.Struct("<QQqQQ")
#: Most RAM regions of a machine.
_RAM_ROWS = 63

#: Stores beside code after which a page counts as data.
_WRITES_BESIDE_CODE = 8

#: Guest addresses of one page of memory from which translations are kept.
_MOST_VIEWS = 32

#: Seconds in which a thread that waits for a lock takes it.
MOMENT = 0.0001

#: No instruction has more bytes.
_LONGEST = 16

#: Most native helpers, and constants of stencils. All are forgotten when half of these are there, because the code for one page may need thousands.
_HELPERS, MOST_CONSTANTS = 1024, 1 << 14

CODE_SIZE = 128 << 20


def _thunk(address: int) -> bytes:
    """A jump to a far host function: mov rax, address; jmp rax."""
    return b"\x48\xb8" + struct.pack("<Q", address) + b"\xff\xe0"


class Tuning(Record, frozen=True):
    """How an engine works. region: what is compiled as a whole ("off": nothing, "on": hot loops, "always": whatever is executed, at once).
    cache: stencils and translations are kept on disk. perf: code memory is one anonymous mapping, because Linux perf looks nowhere else for code
    that has no file. counting: the processors count instructions (`ratite.cpu.icount`); there are no regions then, and of the disk only the
    stencils are used.
    """

    region: str = "off"
    cache: bool = True
    perf: bool = False
    counting: bool = False


class Engine:
    """Translates and keeps machine code for one address space.

    space: guest-physical memory of a machine. user: guest memory of a process. Exactly one of them is given. lock: held while translations
    change and while devices are accessed; the machine's.
    """

    def __init__(
        self, arch: Arch, space: AddressSpace | None = None, user: UserMemory | None = None, code_size: int = CODE_SIZE,
        lock: AbstractContextManager[Any] | None = None, tuning: Tuning | None = None,
    ) -> None:  # fmt: skip
        self.arch, self.space, self.user = arch, space, user
        self.closed = False
        self.lock: AbstractContextManager[Any] = lock or threading.RLock()
        self.vcpus: list[Vcpu] = []
        self.exclusive = Exclusive(self.lock, self.vcpus)
        tuning = tuning or Tuning()
        self.counting = tuning.counting
        self.library = Library(arch, persistent=tuning.cache)
        self.memory = CodeMemory(code_size, single=tuning.perf)
        self.compiler = with_processes(self.library) if space is not None and not tuning.counting else None
        if self.compiler is not None and not self.library.stencils:
            self.compiler.begin()
        self.symbols = self._load_runtime()
        self._numbers: dict[str | bytes, int] = {}
        self._data: dict[int, bytes] = {}
        self.symbol_table = HostBuffer(8 * (_HELPERS + MOST_CONSTANTS))
        for name in sorted(self.symbols):
            self._number(name, self.symbols[name])
        self._constants = 0
        self._constant_space = self.memory.take(CONSTANT_SIZE * MOST_CONSTANTS, CONSTANT_ALIGNMENT)
        self.memory.keep()
        self.perf_map: PerfMap | None = None
        self.sampler: Sampler | None = None
        self.entry_table = HostBuffer(_ENTRY.size << ENTRY_BITS)
        self.reservations = HostBuffer(4 * RESERVATIONS)
        self.ram_table = HostBuffer(_ROW.size * (_RAM_ROWS + 1))
        self.joiner = Joiner(self.function("join", ctypes.c_uint64, ctypes.c_void_p))
        self.choosing = Choosing(self)
        self.translator = Translator(self)
        self._awaited: dict[tuple[PageKey, int], list[Order]] = {}
        self.placer = Placer(self)
        self._enter = self.function("enter_code", None, ctypes.c_void_p, *[ctypes.c_uint64] * 3)
        self._leave = self.function("withdraw_code", None, ctypes.c_void_p, *[ctypes.c_uint64] * 2)
        self.store = PageStore(self, persistent=tuning.cache and not tuning.counting)
        self.regions: Regions | None = None
        self.faults: Faults | None = None
        self.alarms: Alarms | None = None
        self.pages: dict[PageKey, CodePage] = {}
        self.by_host: dict[int, dict[PageKey, None]] = {}  # in the order in which they have come
        self._flags: dict[int, HostBuffer] = {}
        self._rows: list[tuple[int, int, int, memoryview]] = []  # host start, host end, pages' flags
        self._writes: dict[int, int] = {}  # stores beside code, by host page
        self.accesses: dict[int, tuple[Move | None, int]] = {}  # what accesses devices, by the record in its code; and its length
        self.urgent: Callable[[], bool] = lambda: False  # whether somebody waits for the lock who should not wait long; for whoever knows to replace
        self.invalidations = 0
        self.code_flushes = 0
        self.translation_ns = 0  # nanoseconds in which Python looked for, restored or made translations
        if user is not None:
            from ratite.cpu.faults import Faults

            self.faults = Faults(self)
        if space is not None:
            space.on_change(self._map_changed)
            space.on_ram_write(self._dma_wrote, self._holds_code)
            self._map_changed()
        if user is None:
            self._prepare()
        if tuning.region != "off" and not tuning.counting:
            from ratite.cpu.regions import Regions

            self.regions = Regions(self, always=tuning.region == "always")
            if tuning.region == "on":
                self.regions.start()

    def _prepare(self) -> None:
        """Load what only new code needs: a machine meets some soon, and then timers should not wait for that. (Most programs never do.)"""
        from ratite.codegen import reference, stencil
        from ratite.cpu import memo

        assert memo and reference and stencil and self.arch.decoder and self.library.forms is not None

    def _load_runtime(self) -> dict[str, int]:
        own = {"code_range": bytes(64), "sampling": bytes(8), "read_checked": READ_CHECKED, "system_call": SYSTEM_CALL}
        for name, function in (("memset", ctypes.memset), ("memcpy", ctypes.memmove)):
            own[name] = _thunk(ctypes.cast(function, ctypes.c_void_p).value or 0)
        symbols = {name: self.memory.put(code) for name, code in own.items()}
        symbols |= self.memory.load(self.library.get_runtime(), symbols)
        return symbols

    def _number(self, name: str | bytes, address: int) -> int:
        number = self._numbers[name] = len(self._numbers)
        self.symbol_table.view[8 * number : 8 * number + 8] = address.to_bytes(8, "little")
        return number

    def symbol_index(self, name: str | bytes) -> int:
        """Number of what code refers to in `symbol_table`: a native helper by name, or constant data."""
        number = self._numbers.get(name)
        if number is not None:
            return number
        if isinstance(name, str):
            raise DefinitionError(f"native helper {name} does not exist")
        if self._constants == MOST_CONSTANTS:
            raise DefinitionError("more constants in the stencils of a page than there is room for")
        address = self._constant_space + CONSTANT_SIZE * self._constants
        self._constants += 1
        self.memory.patch(address, name)
        number = self._number(name, address)
        self._data[number] = name
        return number

    @property
    def has_many_constants(self) -> bool:
        """Whether the constants of stencils should be forgotten: a guest may make up instructions with ever new ones."""
        return 2 * self._constants > MOST_CONSTANTS

    def forget_constants(self) -> None:
        """Forget them, and all code, which refers to them. The engine's lock is held; nobody remembers their numbers any more."""
        self.flush_code()
        for constant in self._data.values():
            del self._numbers[constant]
        self._data.clear()
        self._constants = 0

    def constant_of(self, number: int) -> bytes | None:
        """The constant data with a number; None for a native helper."""
        return self._data.get(number)

    def link(self, site: int, to: int) -> None:
        """Let the displacement at host address `site` lead to `to`."""
        self.memory.patch(site, (to - site - 4).to_bytes(4, "little", signed=True))

    def function(self, name: str, result: type | None, *params: type) -> Callable[..., int]:
        """A native function as a Python callable."""
        if self.closed:
            raise HostError("this engine has been closed")
        return ctypes.CFUNCTYPE(result, *params)(self.symbols[name])

    def short_function(self, name: str) -> Callable[[int], int]:
        """A native function of a vCPU that takes no longer than giving the interpreter's lock away; that is kept meanwhile."""
        return ctypes.PYFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(self.symbols[name])

    def start_alarms(self) -> None:
        """From now on native code rings the guests' timers, which follow the host's clock, and sleeps while a guest waits. Every vCPU has a thread
        of its own, and none is running."""
        from ratite.cpu.alarms import Alarms

        self.alarms = Alarms(self)
        for vcpu in self.vcpus:
            self.alarms.watch(vcpu)

    def helper_ranges(self) -> list[tuple[int, int, str]]:
        """Where the native helpers are: address, size, name."""
        ends = sorted([*self.symbols.values(), self._constant_space])
        return [(start, ends[bisect_right(ends, start)] - start, name) for name, start in sorted(self.symbols.items(), key=itemgetter(1))]

    # --- the memory map -----------------------------------------------------------------------------------------------------------
    def _map_changed(self) -> None:
        """Tell native code where RAM is."""
        assert self.space is not None
        rows = []
        self._rows = []
        for r in self.space.regions():
            if not r.direct_read:
                continue
            host = r.host_address(r.base)
            flags = self._flags.get(host)
            if flags is None:
                flags = self._flags[host] = HostBuffer(-(-r.size // PAGE))
            rows.append(_ROW.pack(r.base, r.end - 1, host - r.base, flags.address, int(r.direct_write)))
            self._rows.append((host, host + r.size, r.base, flags.view))
        rows.append(_ROW.pack(1, 0, 0, 0, 0))
        data = b"".join(rows[-_RAM_ROWS - 1 :])
        with self.exclusive:
            self.ram_table.view[: len(data)] = data
            self._flush_vcpus()

    def _flush_vcpus(self) -> None:
        """Empty the translation and jump caches of all processors; in an exclusive section."""
        for vcpu in self.vcpus:
            vcpu.flush()

    def _page_flag(self, host_page: int) -> tuple[memoryview, int] | None:
        for start, end, _, flags in self._rows:
            if start <= host_page < end:
                return flags, (host_page - start) // PAGE
        return None

    def _holds_code(self, ram: RamBlock, offset: int, size: int) -> bool:
        first = (ram.host + offset) & -PAGE
        return any(page in self.by_host for page in range(first, ram.host + offset + size, PAGE))

    def _dma_wrote(self, ram: RamBlock, offset: int, size: int) -> None:
        with self.lock:
            start, end = ram.host + offset, ram.host + offset + size
            for page in range(start & -PAGE, end, PAGE):
                if page in self.by_host and self.touches_code(page, max(start - page, 0), min(end - page, PAGE)):
                    self.invalidate_page(page)

    def touches_code(self, host_page: int, first: int, end: int) -> bool:
        """Whether a translated instruction lies in bytes [first, end) of a page, or may reach into them."""
        for key in self.by_host.get(host_page, ()):
            page = self.pages.get(key)
            if page is None or key[0] != host_page:  # gone; or the page before, whose last instruction reaches into this one
                if first < _LONGEST:
                    return True
            elif page.holds(first - _LONGEST + 1, end):
                return True
        return False

    def is_data_now(self, host_page: int) -> bool:
        """Whether a page with translated code is written so often beside it that its code is not worth keeping; counts this write."""
        count = self._writes[host_page] = self._writes.get(host_page, 0) + 1
        if count == 1:
            for key in self.by_host.get(host_page, ()):
                page = self.pages.get(key)
                if page is not None and key[0] == host_page:
                    page.before_writes = page.data.tobytes()
            self._keep(host_page)
        return count > _WRITES_BESIDE_CODE

    # --- translated pages -----------------------------------------------------------------------------------------------------------
    def entry(self, vcpu: Vcpu, pc: int) -> bool:
        """Make sure that native code finds an entry for `pc`; False when it can not be fetched. Raises Awaited when that has to be tried again
        after something has been compiled."""
        with self.lock:
            self.current = vcpu
            key = vcpu.page_key(pc)
            if key is None:
                return False
            page = self.pages.get(key) or self._new_page(key)
            if page is None:
                return False
            offset = pc & (PAGE - 1)
            if offset not in page.entries:
                self._translate(page, offset)
                page = self.pages[key]  # another one, if code memory was full
            self.publish(page, offset)
            if self.regions is not None and self.regions.always:
                self.regions.compile_now(key, offset)
            return True

    def _translate(self, page: CodePage, offset: int) -> None:
        place = page.key, offset
        orders = [order for order in self._awaited.pop(place, ()) if not order.done.is_set()]
        try:
            if orders:
                raise Awaited(orders)
            self.translator.translate(page, offset)
        except Awaited as awaited:
            self._awaited[place] = awaited.orders
            raise

    def compile(self, jobs: Sequence[Job]) -> None:
        """Compile forms while the calling thread waits."""
        if self.compiler is None:
            self.library.compile(jobs)
            return
        with self.lock:
            orders = self.compiler.order(jobs)
        for order in orders:
            order.done.wait()
            if order.failure is not None:
                raise order.failure

    def interrupted(self) -> bool:
        """Whether the processor for which pages are translated should look at interrupts."""
        return self.user is None and not self.counting and self.current is not None and bool(self.current.state.attention)

    def let_others(self) -> None:
        """Give the lock away for a moment, in the middle of a long piece of work: a timer may be due."""
        self.lock.__exit__(None, None, None)
        time.sleep(MOMENT)
        self.lock.__enter__()

    def publish(self, page: CodePage, offset: int) -> None:
        """Enter the code for an offset of a page in the table that native code searches."""
        page.published.add(offset)
        pc, tag = page.base + offset, self.tag(page)
        self._enter(self.entry_table.address, pc, tag, page.regions.get(offset) or page.entries[offset])

    def tag(self, page: CodePage) -> int:
        """What tells entries of a page from others at its address, in the table that native code searches."""
        return 0 if self.space is None else page.key[0] | page.key[2]

    def _new_page(self, key: PageKey) -> CodePage | None:
        host_page = key[0]
        if self.user is not None:
            try:
                data = self.user.fetch(key[1], PAGE)
            except (MemoryAccessError, ValueError):
                return None
            view = memoryview(bytearray(data))
        else:
            view = memoryview((ctypes.c_char * PAGE).from_address(host_page)).cast("B")
            self._protect(host_page)
            self._keep(host_page)  # it may be known at another guest address already
            if len(self.by_host.get(host_page, ())) >= _MOST_VIEWS:
                self._forget_views(host_page)
        page = CodePage(key, view)
        self.pages[key] = page
        self.by_host.setdefault(host_page, {})[key] = None
        self.store.restore(page, bytes(view))
        return page

    def _protect(self, host_page: int) -> None:
        """From now on, stores to this page leave native code."""
        found = self._page_flag(host_page)
        if found is not None and not found[0][found[1]]:
            with self.exclusive:
                found[0][found[1]] = 1
                self._flush_vcpus()

    def next_page(self, page: CodePage) -> tuple[int, int] | None:
        """The first unit of the page after `page`, and the host address of that page (0 in user mode); None when it can not be fetched."""
        at = page.base + PAGE
        if self.user is not None:
            try:
                return int.from_bytes(self.user.fetch(at, 2), "little"), 0
            except (MemoryAccessError, ValueError):
                return None
        vcpu = self.current
        key = vcpu.page_key(at) if vcpu is not None else None
        if key is None:
            return None
        self._protect(key[0])
        self.by_host.setdefault(key[0], {})[page.key] = None
        return int.from_bytes(ctypes.string_at(key[0], 2), "little"), key[0]

    #: The vCPU for which pages are being translated.
    current: Vcpu | None = None

    def retranslate(self, page: CodePage, offset: int) -> int:
        """Translate again after the code memory was emptied."""
        fresh = self._new_page(page.key)
        assert fresh is not None
        return fresh.entries.get(offset) or self.translator.translate(fresh, offset)

    def invalidate_page(self, host_page: int, intact: bool = False) -> None:
        """Forget the translations of a page whose content changes; `intact`: it has not changed yet."""
        with self.lock:
            if intact:  # no processor can write it before it holds the lock
                self._keep(host_page)
            with self.exclusive:
                self._drop_page(host_page)

    def _drop_page(self, host_page: int) -> None:
        self.invalidations += 1
        self._writes.pop(host_page, None)
        for key in self.by_host.pop(host_page, {}):
            gone = self.pages.pop(key, None)
            if gone is not None:
                self._withdraw(gone)
                if self.space is not None:  # in a process a fault may still have to be located
                    self.translator.forget(gone)
        found = self._page_flag(host_page)
        if found is not None:
            found[0][found[1]] = 0
        self._flush_vcpus()

    def _keep(self, host_page: int) -> None:
        """Have the translations of a page, whose bytes will change, stored for the next run."""
        for key in self.by_host.get(host_page, ()):
            page = self.pages.get(key)
            if page is not None and key[0] == host_page:
                self.store.keep(page)

    def _forget_views(self, host_page: int) -> None:
        """Forget the older translations of a page that is known at very many guest addresses: some pages are elsewhere in every process."""
        known = self.by_host[host_page]
        with self.exclusive:
            for key in list(known)[: _MOST_VIEWS // 2]:
                del known[key]
                page = self.pages.get(key)
                if page is not None and key[0] == host_page:
                    del self.pages[key]
                    self._withdraw(page)
                    self.translator.forget(page)
            self._flush_vcpus()

    def _withdraw(self, page: CodePage) -> None:
        """Take a page's entries out of the table."""
        tag = self.tag(page)
        for offset in page.published:
            self._leave(self.entry_table.address, page.base + offset, tag)
        if self.regions is not None:
            self.regions.withdraw(page.key)

    def invalidate(self, start: int, size: int) -> None:
        """Forget the translations of guest addresses (user mode)."""
        with self.lock:
            gone = self._pages_in(start, size)
            if gone:
                self._forget(gone)

    def _forget(self, gone: list[PageKey]) -> None:
        with self.exclusive:
            self.invalidations += 1
            for key in gone:
                self.store.keep(self.pages[key])
            if 2 * len(gone) > len(self.pages):  # an execve: less work to enter what is left
                for key in gone:
                    del self.pages[key]
                    self.by_host.pop(key[0], None)
                if self.regions is not None:  # which enter what is left into the table again: nothing that is gone may be there then
                    for key in gone:
                        self.regions.withdraw(key)
                self.entry_table.clear()
                for page in self.pages.values():
                    for offset in page.published:
                        self.publish(page, offset)
            else:
                for key in gone:
                    self._withdraw(self.pages.pop(key))
                    self.by_host.pop(key[0], None)
            self._flush_vcpus()

    def _pages_in(self, start: int, size: int) -> list[PageKey]:
        """The translated pages of a range of guest addresses, and the one before it, whose last instruction may reach into it."""
        if self.user is None or size // PAGE > len(self.pages):
            return [k for k in self.pages if k[1] < start + size and start < k[1] + 2 * PAGE]
        places = range((start & -PAGE) - PAGE, start + size, PAGE)
        return [k for k in ((at, at, 0) for at in places) if k in self.pages]

    def flush_code(self) -> None:
        """Forget every translation."""
        with self.exclusive:
            self.code_flushes += 1
            self.memory.clear()
            self.translator.clear()
            self.accesses.clear()
            for vcpu in self.vcpus:
                vcpu.state.access_record = 0  # whose access waits to be done here
            self.pages.clear()
            self.by_host.clear()
            self.entry_table.clear()
            if self.regions is not None:
                self.regions.clear()
            for _, _, _, flags in self._rows:
                flags[:] = bytes(len(flags))
            self._flush_vcpus()
            if self.perf_map is not None:
                self.perf_map.restart()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is being translated meanwhile: for fork. What is known so far is the parent's to keep. Raises OSError when there is no room."""
        with self.lock, nullcontext() if self.regions is None else self.regions.quiet():
            parent, names = os.getpid(), "" if self.perf_map is None else self.perf_map.path
            copy = self.memory.copy()
            try:
                yield
            finally:
                if os.getpid() == parent:
                    copy.discard()
                else:
                    copy.adopt()
            if os.getpid() != parent:
                self.exclusive.forked()
                self._forget_reservations()
                self.store.forget()
                self.sampler = None
                if self.regions is not None:
                    self.regions.forked()
                if self.perf_map is not None:
                    self.perf_map.forked(names)

    def _forget_reservations(self) -> None:
        """In the child of a fork: another thread may have been in the middle of a conditional store, which keeps others out until it is done."""
        self.reservations.clear()
        for vcpu in self.vcpus:
            vcpu.state.reserve_addr = mask(64)

    def save(self) -> None:
        """Write what is new to disk. Nothing is compiled on other threads any more; those of a process may still be translating."""
        if self.sampler is not None:
            self.sampler.close()
        if self.regions is not None:
            self.regions.close()
        if self.compiler is not None:
            self.compiler.close()
        with self.lock:
            self.library.close()
            self.store.close()

    def close(self) -> None:
        """The end: write what is new to disk, and give threads and code memory back. No vCPU is running; the state of each can still be read, but
        what would execute native code raises HostError. A second call does nothing."""
        if self.closed:
            return
        self.closed = True
        if self.alarms is not None:
            self.alarms.close()
        self.save()
        self.symbols.clear()
        for vcpu in self.vcpus:
            vcpu.detach()
        self.memory.close()

    # --- logging ------------------------------------------------------------------------------------------------------------------
    def log_unit(self, page: CodePage, offsets: list[int], starts: list[int], base: int, code: bytes) -> None:
        """Write a new unit to the log, as far as somebody reads that."""
        from ratite.cpu.listing import block_listings, unit_listing

        for category, text in unit_listing(self.arch, page, offsets, starts, base, code):
            log.write(category, text)
        if log.enabled("op"):
            words = []
            for at in offsets:
                units = self.arch.long[page.data[at >> 1]]
                words.append((sum(page.data[(at >> 1) + n] << 16 * n for n in range(units) if (at >> 1) + n < page.limit), 2 * units))
            for text in block_listings(self.arch, words, page.key[2]):
                log.write("op", text)
