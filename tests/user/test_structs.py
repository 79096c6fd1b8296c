"""Structure layouts against the kernel's headers, as the cross compiler and the host's compiler lay them out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.user.abi import abi
from ratite.user.failure import GuestFault
from ratite.user.layout import ILP32, LP64, Converter, Layout
from ratite.user.structs import GENERIC_STRUCTS, HOST_LAYOUTS
from tests.user.cross import HOST_CC, RISCV_CC, check_constants, needs_host_cc, needs_riscv_cc


def _owner(permissions: str) -> dict[str, str]:
    """The fields of the ipc_perm structure that starts each System V object's status."""
    return {name: f"{permissions}.{name}" for name in ("uid", "gid", "cuid", "cgid", "mode")}


# Our name: the header's structure, its field prefix, and fields with other names there.
HEADERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "timespec": ("struct timespec", "tv_", {}),
    "timeval": ("struct timeval", "tv_", {}),
    "timezone": ("struct timezone", "tz_", {}),
    "itimerval": ("struct itimerval", "", {"interval_sec": "it_interval.tv_sec", "interval_usec": "it_interval.tv_usec",
                                           "sec": "it_value.tv_sec", "usec": "it_value.tv_usec"}),
    "itimerspec": ("struct itimerspec", "", {"interval_sec": "it_interval.tv_sec", "interval_nsec":
                                             "it_interval.tv_nsec", "sec": "it_value.tv_sec",
                                             "nsec": "it_value.tv_nsec"}),
    "tms": ("struct tms", "tms_", {}),
    "rusage": ("struct rusage", "ru_", {"utime_sec": "ru_utime.tv_sec", "utime_usec": "ru_utime.tv_usec", "stime_sec":
                                        "ru_stime.tv_sec", "stime_usec": "ru_stime.tv_usec", "counts": "ru_maxrss"}),
    "rlimit": ("struct rlimit", "rlim_", {}),
    "sysinfo": ("struct sysinfo", "", {}),
    "stat": ("struct stat", "st_", {"atime": "st_atim.tv_sec", "atime_nsec": "st_atim.tv_nsec",
                                    "mtime": "st_mtim.tv_sec", "mtime_nsec": "st_mtim.tv_nsec",
                                    "ctime": "st_ctim.tv_sec", "ctime_nsec": "st_ctim.tv_nsec"}),
    "statfs": ("struct statfs", "f_", {}),
    "flock": ("struct flock", "l_", {}),
    "iovec": ("struct iovec", "iov_", {}),
    "msghdr": ("struct msghdr", "msg_", {}),
    "cmsghdr": ("struct cmsghdr", "cmsg_", {}),
    "epoll_event": ("struct epoll_event", "", {}),
    "stack_t": ("stack_t", "ss_", {}),
    "sigevent": ("struct sigevent", "sigev_", {"tid": "_sigev_un._tid"}),
    "sched_param": ("struct sched_param", "sched_", {}),
    "timex": ("struct timex", "", {"sec": "time.tv_sec", "usec": "time.tv_usec"}),
    "semid_ds": ("struct semid_ds", "sem_", _owner("sem_perm")),
    "msqid_ds": ("struct msqid_ds", "msg_", _owner("msg_perm")),
    "shmid_ds": ("struct shmid_ds", "shm_", _owner("shm_perm")),
    "clone_args": ("struct clone_args", "", {}),
    "open_how": ("struct open_how", "", {}),
    "ifconf": ("struct ifconf", "ifc_", {}),
    "sock_fprog": ("struct sock_fprog", "", {}),
}
# Fields that only pad, or that the C library hides.
HIDDEN = {"pad", "pad0", "pad1", "pad2", "unused", "unused1", "unused2", "unused3", "unused4", "unused5", "spare",
          "key", "seq", "rest", "cbytes", "fsid"}
INCLUDES = """
#define _GNU_SOURCE
#include <stddef.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <net/if.h>
#include <time.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <linux/sched.h>
"""
# The C library's structure is longer than the kernel's.
PADDED = {"clone_args", "timex"}


def expectations(layouts: object) -> dict[str, int]:
    found = {}
    for ours, (theirs, prefix, names) in HEADERS.items():
        layout = layouts[ours]  # type: ignore[index]
        if ours not in PADDED:
            found[f"sizeof({theirs})"] = layout.size
        for field, offset in layout.offsets.items():
            if field not in HIDDEN:
                found[f"offsetof({theirs}, {names.get(field, prefix + field)})"] = offset
    return found


@needs_riscv_cc
def test_riscv64_layouts(tmp_path: Path) -> None:
    """Sizes and offsets of the guest's structures are those of the RISC-V headers."""
    assert RISCV_CC is not None
    assert check_constants(RISCV_CC, INCLUDES, expectations(abi("riscv64").structs), tmp_path) == []


@needs_host_cc
def test_host_layouts(tmp_path: Path) -> None:
    """Sizes and offsets of the host's structures are those of its own headers."""
    assert HOST_CC is not None
    assert check_constants(HOST_CC, INCLUDES, expectations(HOST_LAYOUTS), tmp_path) == []


@pytest.mark.parametrize("name", sorted(GENERIC_STRUCTS))
def test_every_structure_can_be_converted(name: str) -> None:
    """Each has a layout in every ABI, and host and guest forms convert into each other where they differ."""
    for arch in ("riscv64", "riscv32"):
        structs = abi(arch).structs
        to_host, to_guest = structs.to_host(name), structs.to_guest(name)
        assert (to_host is None) == (to_guest is None)
        if to_host is not None and to_guest is not None:
            assert to_guest.source.size == HOST_LAYOUTS[name].size
            assert len(to_host(bytes(structs[name].size))) == HOST_LAYOUTS[name].size


def test_the_c_rules() -> None:
    """Alignment, arrays, tail padding and packed fields."""
    assert Layout("a:u8 b:u64 c:u8", LP64).size == 24
    assert Layout("a:u8 b:long c:u8", ILP32).size == 12
    assert Layout("a:u32 b:p64", LP64).offsets == {"a": 0, "b": 4}
    assert Layout("a:u32 b:p64", LP64).size == 12
    layout = Layout("a:u16*3 b:u32", LP64)
    assert (layout.offsets["b"], layout.size) == (8, 12)
    assert layout.unpack(layout.pack([1, 2, 3, 4])) == (1, 2, 3, 4)
    assert layout.read(layout.make(a=7, b=9)) == {"a": 7, "b": 9}
    with pytest.raises(GuestFault):
        layout.unpack(bytes(11))
    with pytest.raises(KeyError):
        layout.make(absent=1)


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-(1 << 31), (1 << 31) - 1))
def test_conversion_keeps_values(seconds: int, nanoseconds: int) -> None:
    """Signed values keep their sign when they get wider and lose their upper bits when they get narrower."""
    wide, narrow = Layout("sec:long nsec:long", LP64), Layout("sec:long nsec:long", ILP32)
    down = narrow.unpack(Converter(wide, narrow)(wide.pack([seconds, nanoseconds])))
    assert down[1] == nanoseconds
    assert (down[0] - seconds) % (1 << 32) == 0
    assert wide.unpack(Converter(narrow, wide)(narrow.pack(down))) == down


def test_fields_the_source_lacks_are_zero() -> None:
    """Padding of the target is zero, whatever the source holds elsewhere."""
    source, target = Layout("b:u32 a:u64", LP64), Layout("a:u64 extra:u32*2 b:u32", LP64)
    assert target.unpack(Converter(source, target)(source.pack([5, 6]))) == (6, 0, 0, 5)
