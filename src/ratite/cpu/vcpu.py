"""A virtual processor: the run loop, and what native code leaves to Python."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from ratite import log
from ratite.bits import mask
from ratite.codegen.endings import GuestTrap, Leave
from ratite.codegen.tables import JUMP_BASE, JUMP_ENTRIES, JUMP_PAGES, JUMP_SIZE, RESERVATION_BITS, RESERVATIONS
from ratite.cpu.codepage import PAGE
from ratite.cpu.compiling import Awaited, Order
from ratite.cpu.core import BASE
from ratite.cpu.engine import MOMENT, Engine
from ratite.cpu.evaluation import Evaluation
from ratite.errors import HostError, MemoryAccessError
from ratite.isa.arch import Exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.codegen.reference import Move

#: For how many moments those who should not wait for the lock are waited for: on a busy host, a thread that has been woken does not run at once.
_MOST_MOMENTS = 20


class Event:
    """Why `run` came back.

    kind: "expired" (`ratite.cpu.icount`), "syscall" (user mode; the pc is at the instruction), "trap" (another exception in user mode: cause,
    value), "fault" (a host fault in user mode: value is the guest address, signo and code as in siginfo), "interrupt" (kicked), "halt" (waiting
    for an interrupt), "firmware" (a call to firmware that Ratite provides).
    """

    __slots__ = ("cause", "code", "kind", "signo", "value")

    def __init__(self, kind: str, cause: int = 0, value: int = 0, signo: int = 0, code: int = 0) -> None:
        self.kind, self.cause, self.value, self.signo, self.code = kind, cause, value, signo, code


class Vcpu(Evaluation):
    """One virtual processor of an engine."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        arch = engine.arch
        self._enter = engine.function("enter" if arch.user else "run", None, ctypes.c_void_p)
        self._flush = engine.function("tlb_flush", None, ctypes.c_void_p)
        self._asleep = self._word("asleep")
        if not arch.user:
            self._doze = engine.function("doze", ctypes.c_uint64, ctypes.c_void_p)
            self._rouse, self._hold, self._release = (engine.short_function(name) for name in ("rouse", "hold", "release"))
        self._reason, self._next_pc, self._trap_cause = self._word("reason"), self._word("next_pc"), self._word("trap_cause")
        self._access_record, self._device_address = self._word("access_record"), self._word("device_address")
        self._in_region = self._word("in_region")
        self._orders: list[Order] = []
        self.owner: Any = None
        """The processor whose vCPU this is: what texts that call Python find outside the instruction set."""
        self.hooks: dict[int, Callable[[Vcpu], Event | None]] = {}
        self.exits = [0] * (1 + max(Exit.names()))
        self.keep_time: Callable[[int], None] = lambda when: None
        """Called with a moment of the guest's clock, at which `ring` is to be called, where no alarm does that; for the owner to replace."""
        self.native = False  # running machine code now
        self.sampled = False  # asked where it is
        self.kicked = False  # asked to come back
        self.flush()
        engine.vcpus.append(self)

    # --- control from outside -------------------------------------------------------------------------------------------------------
    def kick(self) -> None:
        """Make `run` return soon; from any thread."""
        self.kicked = True
        self.state.host_attention = 1
        self.rouse()

    def rouse(self) -> None:
        """End its sleep, after `attention` or `host_attention` has been set; from any thread."""
        if self.engine.user is None:
            self._rouse(self.env)

    def hold(self) -> bool:
        """Keep it from executing anything until `release`, if it sleeps in native code. What it does when it wakes up is to go to Python."""
        return self.engine.user is None and bool(self._hold(self.env))

    def release(self) -> None:
        """It may execute again."""
        self._release(self.env)

    @property
    def asleep(self) -> bool:
        """Whether it sleeps in native code."""
        return bool(self.words[self._asleep] & 1)

    def ring(self) -> None:
        """A moment that was asked for has come; from any thread. Whoever calls this wakes it, if it waits."""
        self.state.alarm_rang = 1
        self.state.attention = 1

    def ask(self) -> bool:
        """Have the regions told soon where this vCPU is; from any thread. Whether it runs native code and had not been asked."""
        if not self.native or self.sampled or self.asleep:
            return False
        self.sampled = True
        self.state.host_attention = 1
        return True

    def flush(self) -> None:
        """Empty the translation and jump caches."""
        if self.engine.user is None:
            self._flush(self.env)
        else:
            start = BASE + JUMP_BASE
            self.bytes[start : start + self._tlb - JUMP_BASE] = b"\xff" * (self._tlb - JUMP_BASE)
            self.bytes[BASE + JUMP_PAGES : BASE + JUMP_PAGES + 512] = bytes(512)
        if self.native and self.engine.regions is not None and not self.asleep:  # asked by another thread: a region remembers pages
            self.kick()

    def redirect(self, pc: int, context: int, before: int, after: int) -> None:
        """Let jumps through the jump cache that lead to host address `before` for a guest address lead to `after`."""
        at = self.base8 + (JUMP_BASE + context * JUMP_SIZE) // 8 + (pc << 3 & (JUMP_ENTRIES - 1) * 16) // 8
        if self.words[at] == pc and self.words[at + 1] == before:
            self.words[at + 1] = after

    def clone(self) -> Vcpu:
        """Another vCPU over the same memory and translations with the same state."""
        other = Vcpu(self.engine)
        other.state.load(self.state.save())
        other.hooks = self.hooks
        return other

    def settle(self) -> None:
        """Follow a change of state that was not made by instructions: translations, mode, interrupts."""
        self.state.attention = 1
        self.call("tlb_flush")
        self.call("mode_update")

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """The engine's, held while translations change."""
        return self.engine.lock

    @property
    def interrupt_address(self) -> int:
        """Host address of the byte that makes `run` return when it is not zero; for signal handlers in native code."""
        return self.env + self.engine.arch.layout.slots["host_attention"].offset

    def leave_sent_faults_to(self, handler: int) -> None:
        """Have a native handler get the signals SIGSEGV and SIGBUS where they are no faults: those that somebody sends (user mode)."""
        assert self.engine.faults is not None
        self.engine.faults.leave_sent_to(handler)

    def fork_lock(self) -> AbstractContextManager[Any]:
        """To be held while the process forks, so that the child finds the engine's tables in order."""
        return self.engine.quiet()

    def finish(self) -> None:
        """The process ends: keep what the next one can use."""
        self.engine.save()

    def close(self) -> None:
        """Leave the engine."""
        if self.engine.sampler is not None:
            self.engine.sampler.ended()
        self.engine.vcpus.remove(self)

    def detach(self) -> None:
        """The engine has come to its end: nothing native can be called any more."""

        def gone(*_: object) -> int:
            raise HostError("this engine has been closed")

        self._natives.clear()
        self._enter = self._flush = self._mode_changed = gone
        if self.engine.user is None:
            self._doze = self._rouse = self._hold = self._release = gone

    def invalidate(self, start: int, size: int) -> None:
        """Guest code has changed or gone (user mode)."""
        self.engine.invalidate(start, size)

    # --- running --------------------------------------------------------------------------------------------------------------------
    def run(self) -> Event:
        """Run guest code until something happens that the caller must know."""
        if self.engine.sampler is not None:
            self.engine.sampler.began(self)
        words, reason_at, enter, env, exits = self.words, self._reason, self._enter, self.env, self.exits
        border = self.engine.exclusive
        while True:
            if log.enabled("exec"):
                log.write("exec", f"enter at {self.state.pc:#x}")
            self.native = True
            if border.closed:
                border.wait(self)
            enter(env)
            reason = words[reason_at]
            if reason == Exit.FAULT:
                self._locate_fault()
            self.native = False
            if border.closed:
                border.left()
            exits[reason] += 1
            event = self._handle(reason)
            if event is not None:
                return event

    @property
    def sleeps_natively(self) -> bool:
        """Whether an alarm rings for it, which wakes nobody who sleeps in Python."""
        return bool(self.state.alarm)

    def calm(self) -> None:
        """Forget that it was asked to come back, while it executes nothing; before looking at what it may have been asked for."""
        self.kicked = self.sampled = False
        self.state.host_attention = 0

    def doze(self) -> bool:
        """Wait until the guest has to go on, or until somebody asks the vCPU to come back; whether it has to go on."""
        border = self.engine.exclusive
        self.native = True
        if border.closed:
            border.wait(self)
        go_on = bool(self._doze(self.env))
        self.native = False
        if border.closed:
            border.left()
        return go_on

    def step(self) -> Event | None:
        """Run one instruction in the reference evaluator."""
        with self.engine.lock:
            return self._step()

    def _step(self) -> Event | None:
        if self.state.attention and self.engine.user is None:
            self.poll()
        return self._interpret()

    def _handle(self, reason: int) -> Event | None:
        if reason == Exit.INTERRUPT:
            self.state.host_attention = 0
            if self.sampled and self._sample() and not self.kicked and self.engine.user is None:
                return None  # a process may have been told of a signal in the same way
            self.kicked = False
            return Event("interrupt")
        if reason == Exit.TRAP:
            return self.trap(int(self.state.trap_cause), int(self.state.trap_value))
        if reason == Exit.FAULT:
            return self._host_fault()
        if reason == Exit.TRANSLATE:
            return self._translate()
        if reason == Exit.ALARM:
            self._ask_for_alarm()
            return None
        with self.engine.lock:
            return self._look_after(reason)

    def _look_after(self, reason: int) -> Event | None:
        """What native code left to Python and others must not do at the same time."""
        if reason == Exit.DEVICE:
            return self._device()
        if reason == Exit.INTERPRET:
            return self._interpret()
        if reason == Exit.CODE_WRITE:
            return self._code_write()
        if reason == Exit.STRADDLE:
            return self._straddle()
        if reason == Exit.MISS:
            return self._traced_miss()
        if reason == Exit.POLL:
            self._traced_poll()
            return None
        if reason in self.hooks:
            return self.hooks[reason](self)
        if reason == Exit.HALT:
            return Event("halt")
        if reason == Exit.CODE_SYNC:
            self.engine.invalidate(0, 1 << 64)
            return None
        if reason == Exit.FIRMWARE:
            return Event("firmware")
        raise AssertionError(f"exit reason {reason}")

    def _sample(self) -> bool:
        """Tell where execution was when it was asked."""
        self.sampled = False
        inside, self.words[self._in_region] = bool(self.words[self._in_region]), 0
        key = self.page_key(self.state.pc)
        if self.engine.regions is not None and key is not None:
            self.engine.regions.sample(key, self.state.pc & (PAGE - 1), inside)
        return True

    def trap(self, cause: int, value: int) -> Event | None:
        """Deliver an exception at next_pc."""
        if self.engine.user is not None:
            return Event("syscall" if cause == self.engine.arch.syscall_cause else "trap", cause, value)
        if log.enabled("int"):
            log.write("int", f"trap cause {cause} at {self.state.pc:#x} value {value:#x}")
        self.call("take_trap", cause & self._mask, value & self._mask)
        return None

    def _traced_miss(self) -> Event | None:
        """A load or store that the translation cache does not have, with `-d mmu` or `-d int`."""
        va, write = int(self.state.trap_value) & self._mask, int(self.state.trap_cause)
        status = self._walk(va, write)
        if status:
            return self._interpret()
        return None if self._hits(va, write) else self._code_write()

    def _traced_poll(self) -> None:
        before = int(self.state.next_pc)
        self.poll()
        if log.enabled("int") and self.state.next_pc != before:
            log.write("int", f"interrupt at {before:#x}, handler {self.state.next_pc:#x}")

    def poll(self) -> None:
        """Take an interrupt before the instruction at next_pc, if there is one."""
        if self.call("poll"):
            self._ask_for_alarm()

    def wakeup(self) -> bool:
        """Whether a processor that waits has to go on."""
        wanted = bool(self.call("wakeup"))
        self._ask_for_alarm()
        return wanted

    def follow_timer(self) -> None:
        """Follow a change of the clock, or of a timer, that was not made by instructions; while it executes nothing."""
        self.call("timer_look")
        self._ask_for_alarm()
        self.state.attention = 1

    def _ask_for_alarm(self) -> None:
        when, self.state.alarm_at = int(self.state.alarm_at), 0
        if when:
            self.keep_time(when)

    def _locate_fault(self) -> None:
        """Find the instruction that faulted, as long as its translation can not go away."""
        found = self.engine.translator.locate(int(self.state.fault_pc))
        assert found is not None, "a fault outside translated code"
        self.state.pc = found

    def _host_fault(self) -> Event:
        """The host refused an access of generated code (user mode)."""
        assert self.engine.user is not None
        both, va = int(self.state.trap_cause), (int(self.state.trap_value) - self.engine.user.base) & self._mask
        self._end_conditional_store(va)
        return Event("fault", 0, va, both >> 32, both & 0xFFFFFFFF)

    def _end_conditional_store(self, va: int) -> None:
        """Let others in where another thread has taken memory away in the middle of a conditional store: it keeps them out until it is done."""
        at = 4 * (va >> RESERVATION_BITS & RESERVATIONS - 1)
        counter = self.engine.reservations.view[at : at + 4].cast("I")
        if counter[0] & 1:
            with self.engine.exclusive:  # nobody else is in the middle of one
                if counter[0] & 1:
                    counter[0] = counter[0] + 1 & mask(32)

    # --- translation ----------------------------------------------------------------------------------------------------------------
    def _translate(self) -> Event | None:
        pc, begin = self.state.pc, time.monotonic_ns()
        for order in self._orders:
            if order.failure is not None:
                raise order.failure
        try:
            found = self.engine.entry(self, pc)
        except Awaited as awaited:
            self._await(awaited.orders)
            found = True  # or comes back here
        self.engine.translation_ns += time.monotonic_ns() - begin
        if found:
            return None
        with self.engine.lock:
            return self._fetch_failed(pc)

    def _await(self, orders: list[Order]) -> None:
        """Wait until something has been compiled, or there is something else to do: native code sleeps before it goes on, and takes interrupts.
        No orders: until others have had the lock, or could have had it."""
        for _ in range(0 if orders else _MOST_MOMENTS):
            if self.state.attention:
                return
            time.sleep(MOMENT)
            if not self.engine.urgent():
                break
        self._orders = orders
        if orders:
            self.state.awaiting = 1
            for order in orders:
                order.waiting[self] = None
            self.has_been_compiled()

    def has_been_compiled(self) -> None:
        """Something that it waits for, perhaps the last; from any thread."""
        if all(order.done.is_set() for order in self._orders):
            self.state.awaiting = 0
            self.rouse()

    def _fetch_failed(self, pc: int) -> Event | None:
        """Nothing can be fetched at `pc`: RAM that the walk refuses, or a device."""
        if self.engine.user is not None:
            return self.trap(self.engine.arch.fetch_fault, pc)
        status = self.call("mmu_fill", pc & self._mask, 2)
        return self.trap(status - 16 if status >= 16 else self.engine.arch.fetch_fault, pc)

    def _straddle(self) -> Event | None:
        """The second page of the instruction at next_pc is not the one it was translated with."""
        key = self.page_key(self.state.pc)
        page = self.engine.pages.pop(key, None) if key is not None else None
        if page is not None:
            self.engine._withdraw(page)
        self.flush()
        return None

    def _code_write(self) -> Event | None:
        """A store to a page that holds translated code, or to memory that can not be written."""
        va = int(self.state.trap_value)
        pa = self.physical(va, 1)
        host = 0 if pa is None else self.call("ram_host", pa)
        page = host & -PAGE
        offset = host & (PAGE - 1)
        if self.engine.touches_code(page, offset, offset + 8) or self.engine.is_data_now(page):
            self.engine.invalidate_page(page, intact=True)
        # The store itself is done here: it may lie in that very page, whose translation would protect it again.
        return self._interpret()

    # --- devices --------------------------------------------------------------------------------------------------------------------
    def _device(self) -> Event | None:
        """The load or store at next_pc is an access to a device, or to nothing. The page walk has found its address."""
        words = self.words
        engine = self.engine
        found = engine.accesses.get(words[self._access_record]) or self._learn_access()
        move, length = found
        address = words[self._device_address]
        space = engine.space
        if move is None or space is None or (address & (PAGE - 1)) + move.size > PAGE:
            return self._interpret()
        try:
            with engine.lock:
                if move.take is not None:
                    move.take(self, space.read(address, move.size))
                elif move.give is not None:
                    space.write(address, move.size, move.give(self))
        except MemoryAccessError:
            return self.trap(engine.arch.access_faults[words[self._trap_cause]], int(self.state.trap_value) & self._mask)
        words[self._next_pc] = (words[self._next_pc] + length) & self._mask
        return None

    def _learn_access(self) -> tuple[Move | None, int]:
        """Take the instruction at next_pc apart, and remember that for the next time that its machine code leaves."""
        from ratite.codegen.reference import move_of
        from ratite.codegen.stencil import block_of

        arch = self.engine.arch
        word, length = self.fetch(self.state.pc)
        insn = arch.decoder.decode(word, length) or arch.illegal
        form, operands = self.form(insn, word)
        found = move_of(block_of(insn, arch, form), insn, arch.layout, operands), length
        record = self.words[self._access_record]
        if record:  # else its code is gone
            self.engine.accesses[record] = found
        return found

    # --- the reference evaluator --------------------------------------------------------------------------------------------------------
    def _interpret(self) -> Event | None:
        """Run the instruction at next_pc in the reference evaluator."""
        with self.engine.lock:
            return self._evaluate()

    def _evaluate(self) -> Event | None:
        state = self.state
        pc = state.pc
        try:
            word, length = self.fetch(pc)
            evaluate, operands = self.decoded(word, length)
            state.pc = evaluate(self, pc, (pc + length) & self._mask, *operands)
        except GuestTrap as t:
            return self.trap(t.cause, t.value)
        except Leave as leave:
            state.pc = leave.to
            self.words[self._reason] = leave.reason
            return self._handle(leave.reason)
        return None
