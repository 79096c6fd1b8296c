"""Priorities and scheduling classes."""

from __future__ import annotations

from ratite.user.table import forward

forward("sched_setparam", "Int, In(sched_param)")
forward("sched_getparam", "Int, Out(sched_param)")
forward("sched_setscheduler", "Int, Int, In(sched_param)")
forward("sched_getscheduler", "Int")
forward("sched_get_priority_max", "Int")
forward("sched_get_priority_min", "Int")
forward("sched_setattr", "Int, Ptr, UInt")
forward("sched_getattr", "Int, Ptr, UInt, UInt")
forward("setpriority", "Int, Int, Int")
forward("getpriority", "Int, Int")
forward("ioprio_set", "Int, Int, Int")
forward("ioprio_get", "Int, Int")
