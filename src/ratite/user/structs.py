"""The structures that system calls exchange, as the asm-generic kernel interface declares them.

An ABI that differs overrides an entry in its own file. The host's own differences are in `HOST_STRUCTS`. Names are the
kernel's, field names the part behind the prefix (`st_`, `tv_`, `ru_` ...).

Sources: the Linux kernel's `include/uapi/asm-generic/` and `include/uapi/linux/` headers.
"""

from __future__ import annotations

from ratite.user.layout import HOST, Converter, DataModel, Layout

GENERIC_STRUCTS: dict[str, str] = {
    "timespec": "sec:long nsec:long",
    "timespec64": "sec:i64 nsec:i64",
    "timeval": "sec:long usec:long",
    "timezone": "minuteswest:i32 dsttime:i32",
    "itimerval": "interval_sec:long interval_usec:long sec:long usec:long",
    "itimerspec": "interval_sec:long interval_nsec:long sec:long nsec:long",
    "itimerspec64": "interval_sec:i64 interval_nsec:i64 sec:i64 nsec:i64",
    "tms": "utime:long stime:long cutime:long cstime:long",
    "rusage": "utime_sec:long utime_usec:long stime_sec:long stime_usec:long counts:long*14",
    "rlimit": "cur:ulong max:ulong",
    "sysinfo": "uptime:long loads:ulong*3 totalram:ulong freeram:ulong sharedram:ulong bufferram:ulong "
               "totalswap:ulong freeswap:ulong procs:u16 pad:u16 totalhigh:ulong freehigh:ulong mem_unit:u32",
    "stat": "dev:ulong ino:ulong mode:u32 nlink:u32 uid:u32 gid:u32 rdev:ulong pad1:ulong size:long blksize:i32 "
            "pad2:i32 blocks:long atime:long atime_nsec:ulong mtime:long mtime_nsec:ulong ctime:long "
            "ctime_nsec:ulong unused:u32*2",
    "statfs": "type:long bsize:long blocks:long bfree:long bavail:long files:long ffree:long fsid:i32*2 "
              "namelen:long frsize:long flags:long spare:long*4",
    "statfs64": "type:u32 bsize:u32 blocks:u64 bfree:u64 bavail:u64 files:u64 ffree:u64 fsid:i32*2 namelen:u32 "
                "frsize:u32 flags:u32 spare:u32*4",
    "flock": "type:i16 whence:i16 start:long len:long pid:i32",
    "flock64": "type:i16 whence:i16 start:i64 len:i64 pid:i32",
    "iovec": "base:ptr len:ulong",
    "msghdr": "name:ptr namelen:u32 iov:ptr iovlen:ulong control:ptr controllen:ulong flags:u32",
    "cmsghdr": "len:ulong level:i32 type:i32",
    "epoll_event": "events:u32 data:u64",
    "sigset_argument": "set:ptr size:ulong",
    "sigaction": "handler:ptr flags:ulong mask_low:u32 mask_high:u32",
    "stack_t": "sp:ptr flags:i32 size:ulong",
    "sigevent": "value:ptr signo:i32 notify:i32 tid:i32 rest:i32*11",
    "mq_attr": "flags:long maxmsg:long msgsize:long curmsgs:long reserved:long*4",
    "sched_param": "priority:i32",
    "timex": "modes:u32 offset:long freq:long maxerror:long esterror:long status:i32 constant:long "
             "precision:long tolerance:long sec:long usec:long tick:long ppsfreq:long jitter:long shift:i32 "
             "stabil:long jitcnt:long calcnt:long errcnt:long stbcnt:long tai:i32 rest:i32*11",
    "semid_ds": "key:i32 uid:u32 gid:u32 cuid:u32 cgid:u32 mode:u32 seq:u16 pad:u16 unused:ulong*2 otime:long "
                "ctime:long nsems:ulong unused3:ulong unused4:ulong",
    "msqid_ds": "key:i32 uid:u32 gid:u32 cuid:u32 cgid:u32 mode:u32 seq:u16 pad:u16 unused:ulong*2 stime:long "
                "rtime:long ctime:long cbytes:ulong qnum:ulong qbytes:ulong lspid:i32 lrpid:i32 unused4:ulong "
                "unused5:ulong",
    "shmid_ds": "key:i32 uid:u32 gid:u32 cuid:u32 cgid:u32 mode:u32 seq:u16 pad:u16 unused:ulong*2 segsz:ulong "
                "atime:long dtime:long ctime:long cpid:i32 lpid:i32 nattch:ulong unused4:ulong unused5:ulong",
    "clone_args": "flags:u64 pidfd:u64 child_tid:u64 parent_tid:u64 exit_signal:u64 stack:u64 stack_size:u64 "
                  "tls:u64",
    "open_how": "flags:u64 mode:u64 resolve:u64",
    "ifconf": "len:i32 buf:ptr",
    "sock_fprog": "len:u16 filter:ptr",
    "offset": "value:long",
    "robust_list_head": "next:ptr offset:long pending:ptr",
}

HOST_STRUCTS: dict[str, str] = {
    **GENERIC_STRUCTS,
    "stat": "dev:ulong ino:ulong nlink:ulong mode:u32 uid:u32 gid:u32 pad0:i32 rdev:ulong size:long "
            "blksize:long blocks:long atime:long atime_nsec:ulong mtime:long mtime_nsec:ulong ctime:long "
            "ctime_nsec:ulong unused:long*3",
    "epoll_event": "events:u32 data:p64",
    "semid_ds": "key:i32 uid:u32 gid:u32 cuid:u32 cgid:u32 mode:u32 seq:u16 pad:u16 unused:ulong*2 otime:long "
                "unused1:ulong ctime:long unused2:ulong nsems:ulong unused3:ulong unused4:ulong",
    # The host kernel has no second form of these: its plain ones are 64 bits wide.
    "statfs64": GENERIC_STRUCTS["statfs"],
    "flock64": GENERIC_STRUCTS["flock"],
}


class Structs:
    """The structures of one ABI: laid out when first asked for, and converted from and to the host's."""

    def __init__(self, declarations: dict[str, str], model: DataModel) -> None:
        self._declarations = declarations
        self._model = model
        self._layouts: dict[str, Layout] = {}
        self._converters: dict[tuple[str, bool], Converter | None] = {}

    def __getitem__(self, name: str) -> Layout:
        layout = self._layouts.get(name)
        if layout is None:
            layout = self._layouts[name] = Layout(self._declarations[name], self._model)
        return layout

    def to_host(self, name: str) -> Converter | None:
        """What makes the host's structure of the guest's; None where they are the same bytes."""
        return self._converter(name, True)

    def to_guest(self, name: str) -> Converter | None:
        """What makes the guest's structure of the host's; None where they are the same bytes."""
        return self._converter(name, False)

    def _converter(self, name: str, inward: bool) -> Converter | None:
        key = (name, inward)
        if key not in self._converters:
            guest, host = self[name], HOST_LAYOUTS[name]
            if guest == host:
                self._converters[key] = None
            else:
                self._converters[key] = Converter(guest, host) if inward else Converter(host, guest)
        return self._converters[key]


HOST_LAYOUTS = Structs(HOST_STRUCTS, HOST)
