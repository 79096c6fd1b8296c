"""Clocks, sleeping and timers. Calls whose name ends in 64 are those of 32-bit programs with a 64-bit `time_t`."""

from __future__ import annotations

from ratite.user.table import Int, Ptr, forward, syscall
from ratite.user.thread import Thread

_TIME64 = {"timespec": "timespec64", "itimerspec": "itimerspec64"}


def _both(name: str, kinds: str, name64: str = "", sleeps: bool = False) -> None:
    """Declare a call with the ABI's own time structure, and its form with the 64-bit one."""
    forward(name, kinds, sleeps=sleeps)
    for struct, struct64 in _TIME64.items():
        kinds = kinds.replace(f"({struct})", f"({struct64})")
    forward(name64 or name + "64", kinds, host=name, sleeps=sleeps)


_both("clock_gettime", "Int, Out(timespec)")
_both("clock_settime", "Int, In(timespec)")
_both("clock_getres", "Int, Out(timespec)", "clock_getres_time64")
_both("clock_nanosleep", "Int, Int, In(timespec), Out(timespec)", "clock_nanosleep_time64", sleeps=True)
_both("timer_gettime", "Int, Out(itimerspec)")
_both("timer_settime", "Int, Int, In(itimerspec), Out(itimerspec)")
_both("timerfd_gettime", "Fd, Out(itimerspec)")
_both("timerfd_settime", "Fd, Int, In(itimerspec), Out(itimerspec)")
_both("sched_rr_get_interval", "Int, Out(timespec)", "sched_rr_get_interval_time64")

forward("nanosleep", "In(timespec), Out(timespec)")
forward("gettimeofday", "Out(timeval), Out(timezone)", sleeps=False)
forward("settimeofday", "In(timeval), In(timezone)")
forward("getitimer", "Int, Out(itimerval)", sleeps=False)
forward("setitimer", "Int, In(itimerval), Out(itimerval)")
forward("adjtimex", "InOut(timex)")
forward("clock_adjtime", "Int, InOut(timex)")
forward("timerfd_create", "Int, Int")
forward("timer_getoverrun", "Int")
forward("timer_delete", "Int")


@syscall
def timer_create(t: Thread, clock: Int, event: Ptr, timer: Ptr) -> int:
    """Make a timer. The value that its signal carries is the guest's and goes through as it is."""
    host_event = t.take_copy(event, "sigevent") if event else 0
    return t.sleep("timer_create", clock, host_event, t.space.host(timer))
