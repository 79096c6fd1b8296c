"""The machine and the kernel as a whole: names, memory, random numbers, logs, CPU features."""

from __future__ import annotations

from errno import ENOSYS

from ratite.user.host import quick
from ratite.user.structs import HOST_LAYOUTS
from ratite.user.table import Int, Ptr, Size, UInt, forward, syscall
from ratite.user.thread import Thread

_NAME = 65    # bytes of each field of utsname


@syscall
def uname(t: Thread, buffer: Ptr) -> int:
    """Tell the kernel's name: the host's, on the guest's machine."""
    room = t.scratch.room(6 * _NAME)
    quick("uname", room)
    names = bytearray(t.scratch.get(room, 6 * _NAME))
    if t.process.release:
        names[2 * _NAME:3 * _NAME] = t.process.release[:_NAME - 1].ljust(_NAME, b"\0")
    names[4 * _NAME:5 * _NAME] = t.abi.machine.encode().ljust(_NAME, b"\0")
    t.space.write(buffer, names)
    return 0


@syscall
def sysinfo(t: Thread, info: Ptr) -> int:
    """Tell about memory and load; in units of pages where bytes do not fit the guest's fields."""
    room = t.struct_room("sysinfo")
    result = quick("sysinfo", room)
    if result < 0:
        return result
    layout = t.abi.structs["sysinfo"]
    if t.abi.bits == 64:
        t.give_copy(info, "sysinfo", room)
        return 0
    host = HOST_LAYOUTS["sysinfo"]
    values = list(host.unpack(t.scratch.get(room, host.size)))
    first, unit = host.position("totalram"), host.position("mem_unit")
    for at in (*range(first, first + 6), host.position("totalhigh"), host.position("freehigh")):
        values[at] = values[at] * values[unit] >> 12
    values[unit] = 1 << 12
    t.space.write(info, layout.pack(values))
    return 0


@syscall
def getrandom(t: Thread, buffer: Ptr, size: Size, flags: UInt) -> int:
    """Give random bytes."""
    return t.sleep("getrandom", t.space.host(buffer), min(size, 0x1FF_FFFF), flags)


@syscall
def riscv_hwprobe(t: Thread, pairs: Ptr, count: Size, cpus: Size, mask: Ptr, flags: UInt) -> int:
    """Tell about CPU features: absent, as in kernels before 6.4; programs go by AT_HWCAP then."""
    return -ENOSYS


@syscall
def rseq(t: Thread, area: Ptr, size: UInt, flags: Int, signature: UInt) -> int:
    """Restartable sequences: absent, as in kernels before 4.18 or built without them; C libraries ask and go on."""
    return -ENOSYS


forward("getcpu", "Ptr, Ptr, Ptr")
forward("syslog", "Int, Ptr, Int")
forward("sethostname", "Ptr, Int")
forward("setdomainname", "Ptr, Int")

