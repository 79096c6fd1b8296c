"""ioctl: the requests whose argument is known, so that no guest address reaches the kernel as a host address.

Requests and structures of terminals, sockets, files and block devices are the same in asm-generic and on x86-64. A
request that is not listed fails with ENOTTY, as for a file that does not know it, and is logged.

Source: the Linux kernel's `include/uapi/asm-generic/ioctls.h`, `linux/sockios.h`, `linux/fs.h`; ioctl_list(2).
"""

from __future__ import annotations

from errno import ENOTTY

from ratite.user.structs import HOST_LAYOUTS
from ratite.user.table import Fd, Ptr, UInt, restarted_syscall
from ratite.user.thread import Thread

# Requests whose argument is a number, or nothing.
_NUMBERS = frozenset((
    0x5409, 0x540A, 0x540B, 0x540C, 0x540D, 0x540E, 0x5422, 0x5425, 0x5427, 0x5428, 0x5441, 0x5450, 0x5451, 0x5437,
    0x4004_9409,            # FICLONE
    0x1261, 0x125F,         # BLKFLSBUF, BLKRRPART
    0x4B33, 0x4B3A, 0x4B45,  # KDGKBTYPE's neighbours that take numbers: KDSETMODE, KDSKBMODE, KIOCSOUND
))

# Requests whose argument points to data without pointers in it.
_POINTERS = frozenset((
    *range(0x5401, 0x5409),     # TCGETS to TCSETAF
    0x540F, 0x5410, 0x5411, 0x5412, 0x5413, 0x5414, 0x5415, 0x5416, 0x5417, 0x5418, 0x5419, 0x541A, 0x541B, 0x541C,
    0x541E, 0x541F, 0x5420, 0x5421, 0x5423, 0x5424, 0x5426, 0x5429, 0x5452, 0x5456, 0x5457, 0x545D, 0x5460,
    0x802C_542A, 0x402C_542B, 0x402C_542C, 0x402C_542D,    # TCGETS2, TCSETS2, TCSETSW2, TCSETSF2
    0x8004_5430, 0x4004_5431, 0x8004_5432, 0x8004_5438, 0x8004_5439, 0x8004_5440,
    0x8901, 0x8902, 0x8903, 0x8904, 0x8905, 0x8906, 0x8907,    # FIOSETOWN to SIOCGSTAMPNS
    *range(0x8910, 0x8912), *range(0x8913, 0x8928), 0x8929, 0x8933, 0x8942, 0x8943,    # struct ifreq without pointers
    0x8970, 0x8971, 0x8948, 0x8949,
    0x1260, 0x1263, 0x1268, 0x1278, 0x1279, 0x127A, 0x127B, 0x127C, 0x127D, 0x8008_1272, 0x8008_1270,    # block devices
    0x8008_6601, 0x4008_6602, 0x8008_7601, 0x4008_7602, 0x801C_581F, 0x401C_5820,    # file flags
    0xC020_660B, 0x4020_940D, 0x4008_5320, 0xC004_5877, 0xC004_5878,
    0x8004_5200, 0x4004_54CA, 0x8004_54D2, 0x4004_54CB,    # RNDGETENTCNT, tun devices
    0x0301, 0x4B3B, 0x4B44, 0x4B31, 0x4B32, 0x5600, 0x5601, 0x5603,
))

_NAMED_INTERFACES = 0x8912    # SIOCGIFCONF: the one with a pointer inside
_IFREQ_HOST = 40


@restarted_syscall
def ioctl(t: Thread, fd: Fd, request: UInt, argument: Ptr) -> int:
    """Ask a device."""
    if request in _POINTERS:
        return t.sleep("ioctl", fd, request, t.space.host(argument))
    if request in _NUMBERS:
        return t.sleep("ioctl", fd, request, argument)
    if request == _NAMED_INTERFACES:
        return _interfaces(t, fd, argument)
    t.process.unimplemented(f"ioctl {request:#x} is not implemented")
    return -ENOTTY


def _interfaces(t: Thread, fd: int, argument: int) -> int:
    """List network interfaces. The entries have 40 bytes on 64-bit hosts, 32 for 32-bit guests."""
    layout = t.abi.structs["ifconf"]
    length, buffer = layout.unpack(t.space.read(argument, layout.size))
    size = _IFREQ_HOST if t.abi.bits == 64 else 32
    count = max(0, min(length // size, 1000))
    host = HOST_LAYOUTS["ifconf"]
    room = t.scratch.room(count * _IFREQ_HOST) if buffer else 0
    block = t.scratch.put(host.pack([count * _IFREQ_HOST, room]))
    result = t.sleep("ioctl", fd, _NAMED_INTERFACES, block)
    if result < 0:
        return result
    filled = host.unpack(t.scratch.get(block, host.size))[0] // _IFREQ_HOST
    if buffer:
        entries = t.scratch.get(room, filled * _IFREQ_HOST)
        for n in range(filled):
            t.space.write(buffer + n * size, entries[n * _IFREQ_HOST:][:size])
    t.space.write(argument, layout.pack([filled * size, buffer]))
    return 0
