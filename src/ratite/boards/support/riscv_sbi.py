"""The supervisor binary interface that Ratite provides itself when no firmware is loaded (RISC-V SBI specification
2.0).

`Sbi` puts harts into supervisor mode and answers their calls: extensions Base, TIME, IPI, RFENCE, HSM, SRST and DBCN,
and the legacy calls of version 0.1. Not provided: PMU, SUSP, CPPC, NACL, STA, and the fences of the hypervisor
extension; they return SBI_ERR_NOT_SUPPORTED.

Machine mode runs no code then: all exceptions and interrupts are delegated, memory protection lets everything pass, and
`ecall` from supervisor mode leaves native code with `Exit.FIRMWARE`, next_pc at the `ecall`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from enum import IntEnum
from functools import partial
from typing import Any, NamedTuple, Protocol

from ratite.bits import align_down, mask
from ratite.errors import MemoryAccessError
from ratite.isa.riscv import interrupts, pmp, traps
from ratite.isa.riscv.config import RiscvConfig
from ratite.isa.riscv.hart import enter_supervisor
from ratite.isa.riscv.mmu import translate

SPEC_VERSION = 2 << 24
#: Not a number that the specification assigns: "Rat" in ASCII.
IMPLEMENTATION_ID = 0x526174
IMPLEMENTATION_VERSION = 1

# Extension ids. Ids 0 to 8 are the legacy calls.
BASE = 0x10
TIME, IPI, RFENCE = 0x54494D45, 0x735049, 0x52464E43
HSM, SRST, DBCN = 0x48534D, 0x53525354, 0x4442434E

_PAGE = 4096
#: A fence over more pages than this forgets all translations.
_MANY_PAGES = 64
#: Most bytes that one console call moves.
_CONSOLE_CHUNK = 1 << 16

_A0, _A1, _A6, _A7 = 10, 11, 16, 17


class Error(IntEnum):
    """Standard error codes (chapter 3)."""

    FAILED = -1
    NOT_SUPPORTED = -2
    INVALID_PARAM = -3
    DENIED = -4
    INVALID_ADDRESS = -5
    ALREADY_AVAILABLE = -6
    ALREADY_STARTED = -7
    ALREADY_STOPPED = -8


class HartStatus(IntEnum):
    """States of a hart (table "HSM Hart States"); the pending ones do not show: changes are made at once."""

    STARTED = 0
    STOPPED = 1
    SUSPENDED = 4


class Hart(Protocol):
    """A hart as firmware sees it."""

    state: Any
    """Registers and fields by name: `state.x[10]`, `state.satp`, `state.next_pc`."""

    def call(self, name: str, *args: int) -> int:
        """Call a native helper on this hart's state."""

    def follow_timer(self) -> None:
        """`state.stimecmp` has been changed, while the hart executes nothing."""

    def software_s(self, level: bool) -> None:
        """A rising edge makes the supervisor software interrupt pending. May be called on any thread."""

    def at_rest(self, work: Callable[[], None]) -> None:
        """Call `work` while this hart executes no guest instruction."""

    def set_stopped(self, stopped: bool) -> None:
        """Have the hart execute nothing at all, or go on at next_pc."""


class Console(Protocol):
    """Where debug output goes."""

    def write(self, data: bytes) -> None:
        """Print bytes."""

    def read(self, limit: int) -> bytes:
        """Up to `limit` bytes that have been typed; empty where there are none."""


class Memory(Protocol):
    """Guest-physical memory."""

    def dma_view(self, addr: int, size: int, /) -> memoryview:
        """RAM, without copying; raises MemoryAccessError for anything else."""

    def dma_write(self, addr: int, data: bytes, /) -> None:
        """Write RAM."""


class SbiMachine(Protocol):
    """What the interface needs of a machine."""

    @property
    def memory(self) -> Memory:
        """Guest-physical memory."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held while timers fire."""

    def request_shutdown(self, status: int = 0) -> None:
        """Power off."""

    def request_reset(self) -> None:
        """Start again."""


class _Failure(Exception):
    """A call that returns an error code."""

    def __init__(self, code: Error) -> None:
        super().__init__(code)
        self.code = code


class _NoReturn(Exception):
    """A call after which nothing is written to the caller's registers; its hart stays at the call or has been moved."""


class _Function(NamedTuple):
    """A function of the interface: what runs, and how many argument registers it takes."""

    body: Callable[..., int]
    arguments: int


_FUNCTIONS: dict[tuple[int, int], _Function] = {}
_LEGACY: dict[int, _Function] = {}


def _function(extension: int, number: int) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Declare a function; its parameters after the hart are a0, a1, ... as unsigned numbers. It returns sbiret.value.
    """

    def declare(body: Callable[..., int]) -> Callable[..., int]:
        _FUNCTIONS[extension, number] = _Function(body, len(inspect.signature(body).parameters) - 2)
        return body

    return declare


def _legacy(extension: int) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Declare a legacy call, which returns one value in a0."""

    def declare(body: Callable[..., int]) -> Callable[..., int]:
        _LEGACY[extension] = _Function(body, len(inspect.signature(body).parameters) - 2)
        return body

    return declare


class Sbi:
    """Firmware for `harts`, which are numbered from 0 and share a configuration."""

    def __init__(self, machine: SbiMachine, harts: Sequence[Hart], config: RiscvConfig, console: Console) -> None:
        self.machine, self.harts, self.config, self.console = machine, harts, config, console
        self._ones = mask(config.xlen)
        self.status = [HartStatus.STOPPED for _ in harts]

    # --- starting and calling ---------------------------------------------------------------------------------------

    def boot(self, entry: int, opaque: int, hart: int = 0) -> None:
        """After a reset: have one hart start at `entry` with `opaque` (the device tree) in a1, and stop the others."""
        for number, other in enumerate(self.harts):
            self._stop(number)
            other.set_stopped(True)
        self._start(hart, entry, opaque)

    def handle(self, number: int) -> bool:
        """Answer the call that hart `number` makes. True when the hart has to wait for an interrupt before it goes on,
        as after `wfi`.
        """
        state = self.harts[number].state
        extension, function = state.x[_A7], state.x[_A6]
        try:
            if extension in _LEGACY:
                state.x[_A0] = self._invoke(_LEGACY[extension], number) & self._ones
            else:
                self._answer(number, _FUNCTIONS.get((extension, function)))
        except _NoReturn:
            return self.status[number] == HartStatus.SUSPENDED
        state.next_pc = (state.next_pc + 4) & self._ones
        return self.status[number] == HartStatus.SUSPENDED

    def _answer(self, number: int, function: _Function | None) -> None:
        state = self.harts[number].state
        error, value = 0, 0
        try:
            if function is None:
                raise _Failure(Error.NOT_SUPPORTED)
            value = self._invoke(function, number)
        except _Failure as failure:
            error = failure.code
        state.x[_A0], state.x[_A1] = error & self._ones, value & self._ones

    def _invoke(self, function: _Function, number: int) -> int:
        x = self.harts[number].state.x
        return function.body(self, number, *(x[_A0 + n] for n in range(function.arguments)))

    def _start(self, number: int, address: int, opaque: int) -> None:
        """Let a hart begin in supervisor mode, without translation and with interrupts disabled."""
        hart = self.harts[number]
        enter_supervisor(hart, self.config, number, address, opaque)
        self.status[number] = HartStatus.STARTED
        hart.set_stopped(False)

    def _stop(self, number: int) -> None:
        self.status[number] = HartStatus.STOPPED
        with self.machine.lock:
            self._set_timer(number, mask(64))

    def resumed(self, number: int) -> None:
        """To be called when a hart goes on after it waited."""
        if self.status[number] == HartStatus.SUSPENDED:
            self.status[number] = HartStatus.STARTED

    def _set_timer(self, number: int, time: int) -> None:
        hart = self.harts[number]
        hart.state.stimecmp = time
        hart.follow_timer()

    # --- arguments --------------------------------------------------------------------------------------------------

    def _wide(self, low: int, high: int) -> int:
        """A 64-bit argument: one register in RV64, two in RV32."""
        return low if self.config.xlen == 64 else low | high << 32

    def _chosen(self, hart_mask: int, base: int) -> list[int]:
        """Harts of a hart mask (chapter 3.1)."""
        if base == self._ones:
            return list(range(len(self.harts)))
        chosen = [base + n for n in range(self.config.xlen) if hart_mask >> n & 1]
        if base >= len(self.harts) or any(n >= len(self.harts) for n in chosen):
            raise _Failure(Error.INVALID_PARAM)
        return chosen

    def _existing(self, hartid: int) -> int:
        if hartid >= len(self.harts):
            raise _Failure(Error.INVALID_PARAM)
        return hartid

    def _executable(self, address: int) -> int:
        """An address at which a hart can be started."""
        try:
            self.machine.memory.dma_view(address, 2)
        except MemoryAccessError:
            raise _Failure(Error.INVALID_ADDRESS) from None
        return address

    def _running(self, harts: Sequence[int]) -> list[int]:
        """Those of the harts that are not stopped."""
        return [number for number in harts if self.status[number] != HartStatus.STOPPED]

    def _interrupt(self, harts: Sequence[int]) -> None:
        """Raise supervisor software interrupts."""
        for number in self._running(harts):
            self.harts[number].software_s(True)

    # --- Base (chapter 4) -------------------------------------------------------------------------------------------

    @_function(BASE, 0)
    def get_spec_version(self, hart: int) -> int:
        """Version 2.0."""
        return SPEC_VERSION

    @_function(BASE, 1)
    def get_impl_id(self, hart: int) -> int:
        """Who answers."""
        return IMPLEMENTATION_ID

    @_function(BASE, 2)
    def get_impl_version(self, hart: int) -> int:
        """Which version of it."""
        return IMPLEMENTATION_VERSION

    @_function(BASE, 3)
    def probe_extension(self, hart: int, extension: int) -> int:
        """1 for an extension that is there."""
        return int(extension in _LEGACY or any(known == extension for known, _ in _FUNCTIONS))

    @_function(BASE, 4)
    def get_mvendorid(self, hart: int) -> int:
        """The CPU's vendor."""
        return self.config.vendor

    @_function(BASE, 5)
    def get_marchid(self, hart: int) -> int:
        """The CPU's architecture."""
        return self.config.arch_id

    @_function(BASE, 6)
    def get_mimpid(self, hart: int) -> int:
        """The CPU's version."""
        return self.config.imp_id

    # --- TIME (chapter 6) -------------------------------------------------------------------------------------------

    @_function(TIME, 0)
    def set_timer(self, hart: int, low: int, high: int) -> int:
        """Ask for a timer interrupt when `time` reaches a value, and take back an earlier one."""
        with self.machine.lock:
            self._set_timer(hart, self._wide(low, high))
        return 0

    # --- IPI (chapter 7) --------------------------------------------------------------------------------------------

    @_function(IPI, 0)
    def send_ipi(self, hart: int, hart_mask: int, base: int) -> int:
        """Raise supervisor software interrupts."""
        self._interrupt(self._chosen(hart_mask, base))
        return 0

    # --- RFENCE (chapter 8) -----------------------------------------------------------------------------------------

    @_function(RFENCE, 0)
    def remote_fence_i(self, hart: int, hart_mask: int, base: int) -> int:
        """Nothing to do: stores to translated code are seen at once."""
        self._chosen(hart_mask, base)
        return 0

    @_function(RFENCE, 1)
    def remote_sfence_vma(self, hart: int, hart_mask: int, base: int, start: int, size: int) -> int:
        """Forget translations of a range of addresses, or of all."""
        self._fence(hart, self._chosen(hart_mask, base), start, size)
        return 0

    @_function(RFENCE, 2)
    def remote_sfence_vma_asid(self, hart: int, hart_mask: int, base: int, start: int, size: int, asid: int) -> int:
        """The same; translations are not kept apart by address space."""
        return self.remote_sfence_vma(hart, hart_mask, base, start, size)

    def _fence(self, caller: int, harts: Sequence[int], start: int, size: int) -> None:
        first = align_down(start, _PAGE)
        everything = (start == 0 and size == 0) or start + size - first > _MANY_PAGES * _PAGE
        pages = () if everything else range(first, start + size, _PAGE)

        def forget(hart: Hart) -> None:
            if everything:
                hart.call("tlb_flush")
            for page in pages:
                hart.call("tlb_flush_page", page & self._ones)

        for number in self._running(harts):
            hart = self.harts[number]
            if number == caller:
                forget(hart)
            else:
                hart.at_rest(partial(forget, hart))

    # --- HSM (chapter 9) --------------------------------------------------------------------------------------------

    @_function(HSM, 0)
    def hart_start(self, hart: int, hartid: int, address: int, opaque: int) -> int:
        """Start a stopped hart."""
        target = self._existing(hartid)
        with self.machine.lock:
            if self.status[target] != HartStatus.STOPPED:
                raise _Failure(Error.ALREADY_AVAILABLE)
            self._start(target, self._executable(address), opaque)
        return 0

    @_function(HSM, 1)
    def hart_stop(self, hart: int) -> int:
        """Stop the calling hart."""
        with self.machine.lock:
            self._stop(hart)
            self.harts[hart].set_stopped(True)
        raise _NoReturn

    @_function(HSM, 2)
    def hart_get_status(self, hart: int, hartid: int) -> int:
        """A `HartStatus`."""
        return self.status[self._existing(hartid)]

    @_function(HSM, 3)
    def hart_suspend(self, hart: int, kind: int, address: int, opaque: int) -> int:
        """Wait for an interrupt, and then go on after the call (0) or start anew (0x80000000)."""
        kind &= mask(32)
        if kind not in (0, 1 << 31):
            raise _Failure(Error.INVALID_PARAM)
        if kind:
            self._executable(address)
            enter_supervisor(self.harts[hart], self.config, hart, address, opaque)
        self.status[hart] = HartStatus.SUSPENDED
        if kind:
            raise _NoReturn
        return 0

    # --- SRST (chapter 10) ------------------------------------------------------------------------------------------

    @_function(SRST, 0)
    def system_reset(self, hart: int, kind: int, reason: int) -> int:
        """Power off (0) or start again (1 cold, 2 warm). A failure as the reason gives exit status 1."""
        kind, reason = kind & mask(32), reason & mask(32)
        if kind > 2 or reason > 1:
            raise _Failure(Error.INVALID_PARAM)
        if kind == 0:
            self.machine.request_shutdown(reason)
        else:
            self.machine.request_reset()
        raise _NoReturn

    # --- DBCN (chapter 12) ------------------------------------------------------------------------------------------

    @_function(DBCN, 0)
    def console_write(self, hart: int, size: int, low: int, high: int) -> int:
        """Print bytes from memory; how many have been printed."""
        data = bytes(self._shared(size, low, high)[:_CONSOLE_CHUNK])
        self.console.write(data)
        return len(data)

    @_function(DBCN, 1)
    def console_read(self, hart: int, size: int, low: int, high: int) -> int:
        """Put typed bytes into memory; how many there were."""
        self._shared(size, low, high)
        data = self.console.read(min(size, _CONSOLE_CHUNK))
        if data:
            self.machine.memory.dma_write(low, data)
        return len(data)

    @_function(DBCN, 2)
    def console_write_byte(self, hart: int, byte: int) -> int:
        """Print one byte."""
        self.console.write(bytes([byte & 0xFF]))
        return 0

    def _shared(self, size: int, low: int, high: int) -> memoryview:
        """Memory that a call names by physical address."""
        try:
            return self.machine.memory.dma_view(low | high << self.config.xlen, size)
        except MemoryAccessError:
            raise _Failure(Error.INVALID_PARAM) from None

    # --- legacy calls (chapter 5) -----------------------------------------------------------------------------------

    @_legacy(0)
    def legacy_set_timer(self, hart: int, low: int, high: int) -> int:
        """As `set_timer`."""
        return self.set_timer(hart, low, high)

    @_legacy(1)
    def console_putchar(self, hart: int, byte: int) -> int:
        """Print one byte."""
        return self.console_write_byte(hart, byte)

    @_legacy(2)
    def console_getchar(self, hart: int) -> int:
        """A byte that has been typed, or -1."""
        data = self.console.read(1)
        return data[0] if data else -1

    @_legacy(3)
    def clear_ipi(self, hart: int) -> int:
        """Take back a software interrupt of the caller; 1 when there was one."""
        state = self.harts[hart].state
        pending: int = state.mip_soft >> interrupts.SSI & 1 | state.ssip_edge
        state.mip_soft &= ~(1 << interrupts.SSI)
        state.ssip_edge = 0
        return pending

    @_legacy(4)
    def legacy_send_ipi(self, hart: int, place: int) -> int:
        """As `send_ipi`, for the harts of a mask in memory."""
        self._interrupt(self._mask_at(hart, place))
        return 0

    @_legacy(5)
    def legacy_remote_fence_i(self, hart: int, place: int) -> int:
        """As `remote_fence_i`."""
        self._mask_at(hart, place)
        return 0

    @_legacy(6)
    def legacy_remote_sfence_vma(self, hart: int, place: int, start: int, size: int) -> int:
        """As `remote_sfence_vma`."""
        self._fence(hart, self._mask_at(hart, place), start, size)
        return 0

    @_legacy(7)
    def legacy_remote_sfence_vma_asid(self, hart: int, place: int, start: int, size: int, asid: int) -> int:
        """As `remote_sfence_vma_asid`."""
        return self.legacy_remote_sfence_vma(hart, place, start, size)

    @_legacy(8)
    def shutdown(self, hart: int) -> int:
        """Power off."""
        self.machine.request_shutdown(0)
        raise _NoReturn

    def _mask_at(self, caller: int, place: int) -> list[int]:
        """Harts of a bit vector at a virtual address; a fault there is one of the caller. Address 0 means all harts."""
        everyone = range(len(self.harts))
        if place == 0:
            return list(everyone)
        hart, found = self.harts[caller], 0
        for n in range((len(self.harts) + 7) // 8):
            address = (place + n) & self._ones
            status = hart.call(translate.name, address, pmp.LOAD)
            if status > 1:
                hart.call(traps.take_trap.name, status - 16, address)
                raise _NoReturn
            found |= self._byte_at(hart.state.walk_pa) << 8 * n
        return [n for n in everyone if found >> n & 1]

    def _byte_at(self, address: int) -> int:
        """A byte of RAM; memory of devices holds no masks."""
        try:
            return self.machine.memory.dma_view(address, 1)[0]
        except MemoryAccessError:
            return 0
