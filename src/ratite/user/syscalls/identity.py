"""Users, groups and capabilities."""

from __future__ import annotations

from ratite.user.table import forward

forward("getuid", sleeps=False)
forward("geteuid", sleeps=False)
forward("getgid", sleeps=False)
forward("getegid", sleeps=False)
forward("setuid", "UInt")
forward("setgid", "UInt")
forward("setreuid", "UInt, UInt")
forward("setregid", "UInt, UInt")
forward("setresuid", "UInt, UInt, UInt")
forward("getresuid", "Ptr, Ptr, Ptr")
forward("setresgid", "UInt, UInt, UInt")
forward("getresgid", "Ptr, Ptr, Ptr")
forward("setfsuid", "UInt")
forward("setfsgid", "UInt")
forward("getgroups", "Int, Ptr")
forward("setgroups", "Int, Ptr")
forward("capget", "Ptr, Ptr")
forward("capset", "Ptr, Ptr")
