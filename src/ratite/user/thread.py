"""One guest thread: its vCPU, its registers, its signals, and the loop that serves what native code stops for."""

from __future__ import annotations

from errno import EINTR, EINVAL, EIO, ENAMETOOLONG, ENOMEM

from ratite.user.abi.base import Fault
from ratite.user.failure import SyscallError
from ratite.user.host import M64, NUMBERS, TURNED_BACK, native, pack_call, quick
from ratite.user.mailbox import Mailbox
from ratite.user.scratch import Scratch
from ratite.user.signalnumbers import SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, SIGBUS, SIGSEGV
from ratite.user.signals import ThreadSignals
from ratite.user.structs import HOST_LAYOUTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.user.process import Process
    from ratite.user.vcpu import Exit, Vcpu

DONE = -4097
"""Result of a system call that has set the registers itself (rt_sigreturn, execve)."""

PATH_MAX = 4096


class ThreadExit(Exception):
    """The thread ends; the process goes on if it has another."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ProcessExit(Exception):
    """The process ends with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Thread:
    """A guest thread on the host thread that runs `loop`."""

    def __init__(self, process: Process, vcpu: Vcpu, mask: int) -> None:
        self.process = process
        self.vcpu = vcpu
        self.abi = process.abi
        self.registers = self.abi.registers(vcpu)
        self.space = process.space
        self.mailbox = Mailbox(vcpu.interrupt_address)
        self.signals = ThreadSignals(self, mask)
        self.scratch = Scratch()
        self.tid = 0
        """The host's id of the thread, which the guest sees too."""
        self.clear_child_tid = 0
        """Guest address to clear and wake when the thread ends (set_tid_address)."""
        self.robust_list = (0, 0)
        """Guest address and size that set_robust_list gave."""
        self.vfork_report = -1
        """In a vfork child: the pipe that tells the parent when it may go on."""
        self.vfork_frame = (0, b"")
        """In a vfork child: address and content of the parent's stack frame when it forked."""

    def adopt(self) -> None:
        """Make the calling host thread this guest thread. Signals are to be blocked until `signals.set_mask`."""
        self.tid = quick("gettid")
        self.mailbox.enlist(self.tid)

    def loop(self) -> None:
        """Run until ThreadExit or ProcessExit."""
        run = self.vcpu.step if self.process.single_step else self.vcpu.run
        pending = self.mailbox.pending
        call = self.system_call if self.process.tracer is None else self.traced_system_call
        signals, syscall_cause = self.signals, self.abi.syscall_cause
        while True:
            if pending[0] or signals.queued:
                signals.deliver()
            stop = run()
            if stop is None:
                continue
            kind = stop.kind
            if kind == "syscall":
                call()
            elif kind == "fault":
                signals.deliver_fault(self._fault(stop))
            elif kind == "trap" and stop.cause == syscall_cause:
                call()
            elif kind == "trap":
                signals.deliver_fault(self._located(self.abi.trap(self.registers, stop.cause, stop.value)))

    def system_call(self) -> int:
        """Do the system call that the vCPU stands at; returns its result, or one of the codes for "not yet"."""
        registers, abi = self.registers, self.abi
        scratch = self.scratch
        if scratch.used:
            scratch.reset()
        number = abi.number(registers)
        bound = self.process.calls.get(number)
        if bound is None:
            bound = self.process.bind(number)
        run, restart = bound
        try:
            result = run(self, abi.arguments(registers))
        except SyscallError as error:
            result = -error.number
        except OSError as error:
            result = -(error.errno or EIO)
        except MemoryError:
            result = -ENOMEM
        except (ValueError, OverflowError):
            result = -EINVAL
        if result < 0:
            if result in (TURNED_BACK, DONE):
                return result
            if restart and result == -EINTR and self.signals.interrupted_call_restarts():
                return TURNED_BACK
        abi.finish(registers, result)
        return result

    def traced_system_call(self) -> int:
        """The same, written to the log."""
        tracer = self.process.tracer
        assert tracer is not None
        line = tracer.begin(self)
        result = self.system_call()
        tracer.end(line, result)
        return result

    def _fault(self, stop: Exit) -> Fault:
        """The guest's view of a host fault; what is not mapped is reserved on the host, and looks protected."""
        # Of an address that no host pointer can have, the host does not tell which it was.
        address = 0 if stop.code == SI_KERNEL else stop.value & (1 << self.abi.bits) - 1
        if stop.signo == SIGBUS:
            return Fault(SIGBUS, stop.code, address)
        return self._located(Fault(SIGSEGV, 0, address))

    def _located(self, fault: Fault) -> Fault:
        """The fault with its code filled in by what is mapped."""
        if fault.signo == SIGSEGV and not fault.code:
            fault.code = SEGV_MAPERR if self.space.protection(fault.address) is None else SEGV_ACCERR
        return fault

    # For system calls

    def sleep(self, name: str, a1: int = 0, a2: int = 0, a3: int = 0, a4: int = 0, a5: int = 0, a6: int = 0) -> int:
        """Make a host call that may sleep; signals interrupt it, and turn it back when they came before it."""
        return native.guarded(pack_call(NUMBERS[name], a1 & M64, a2 & M64, a3 & M64, a4 & M64, a5 & M64, a6 & M64,
                                        self.mailbox.address))

    def raw_path(self, address: int) -> bytes:
        """A file name in guest memory, as the guest wrote it."""
        path = self.space.read_cstr(address, PATH_MAX + 1)
        if len(path) >= PATH_MAX:
            raise SyscallError(ENAMETOOLONG)
        return path

    def path(self, address: int) -> bytes:
        """A file name in guest memory, as the host finds it."""
        return self.process.paths.resolve(self.raw_path(address))

    def host_path(self, address: int) -> int:
        """Host address of a file name, as the host finds it; a null pointer stays one."""
        if not address:
            return 0
        path = self.raw_path(address)
        found = self.process.paths.resolve(path)
        return self.space.host(address) if found is path else self.scratch.put(found + b"\0")

    def take_struct(self, address: int, name: str) -> int:
        """Host address of a guest structure in the host's layout."""
        convert = self.abi.structs.to_host(name)
        if convert is None:
            return self.space.host(address)
        return self.scratch.put(convert(self.space.read(address, convert.source.size)))

    def take_copy(self, address: int, name: str) -> int:
        """Host address of a copy of a guest structure, in the host's layout."""
        convert = self.abi.structs.to_host(name)
        data = self.space.read(address, self.abi.structs[name].size)
        return self.scratch.put(convert(data) if convert else data)

    def give_copy(self, address: int, name: str, host: int) -> None:
        """Give the guest a structure that the host filled in on memory of `take_copy` or `struct_room`."""
        convert = self.abi.structs.to_guest(name)
        data = self.scratch.get(host, HOST_LAYOUTS[name].size)
        self.space.write(address, convert(data) if convert else data)

    def struct_room(self, name: str) -> int:
        """Host address for a structure that the host is to fill in."""
        return self.scratch.room(HOST_LAYOUTS[name].size)

    def give_struct(self, address: int, name: str, host: int) -> None:
        """Give the guest a structure that the host filled in at a host address."""
        convert = self.abi.structs.to_guest(name)
        if convert is not None:
            self.space.write(address, convert(self.scratch.get(host, convert.source.size)))

    def read_struct(self, address: int, name: str) -> dict[str, int]:
        """The fields of a guest structure."""
        layout = self.abi.structs[name]
        return layout.read(self.space.read(address, layout.size))

    def write_struct(self, address: int, struct: str, /, **fields: int) -> None:
        """Put a structure into guest memory; a null pointer is let pass."""
        if address:
            self.space.write(address, self.abi.structs[struct].make(**fields))

    def log_exit(self, how: str) -> None:
        """Note the end of the process in the trace."""
        if self.process.tracer is not None:
            self.process.tracer.note(self, how)

    # The end

    def end(self) -> None:
        """Undo what ties the host thread to the guest, and tell whoever waits for the thread. It gets no signal from here on."""
        self.mailbox.block()
        self.vcpu.close()
        self._release_robust_locks()
        if self.clear_child_tid:
            try:
                self.space.write_u32(self.clear_child_tid, 0)
            except SyscallError:
                return
            self._wake(self.clear_child_tid)

    def _wake(self, address: int) -> None:
        futex_wake = 1
        quick("futex", self.space.host(address), futex_wake, 1)

    def _release_robust_locks(self) -> None:
        """Mark locks that the thread still holds as those of a dead owner (the kernel's robust futex list)."""
        head, size = self.robust_list
        layout = self.abi.structs["robust_list_head"]
        if not head or size != layout.size:
            return
        try:
            fields = self.read_struct(head, "robust_list_head")
            pending, entry = fields["pending"], fields["next"]
            for _ in range(2048):    # as the kernel: a guest's list may be a ring
                if entry & ~1 == head:
                    break
                if entry != pending:
                    self._release_robust_lock((entry & ~1) + fields["offset"])
                entry = int.from_bytes(self.space.read(entry & ~1, self.abi.model.word), "little")
            if pending:
                self._release_robust_lock((pending & ~1) + fields["offset"])
        except SyscallError:
            return

    def _release_robust_lock(self, address: int) -> None:
        waiters, owner_died, owner = 0x8000_0000, 0x4000_0000, 0x3FFF_FFFF
        value = self.space.read_u32(address)
        if value & owner == self.tid:
            self.space.write_u32(address, value & waiters | owner_died)
            if value & waiters:
                self._wake(address)


