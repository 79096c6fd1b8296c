"""System V and POSIX message queues, semaphores and shared memory."""

from __future__ import annotations

from collections.abc import Callable
from errno import EINVAL, ENOMEM

from ratite.user.areas import PROT_EXEC, PROT_READ, PROT_WRITE
from ratite.user.structs import HOST_LAYOUTS
from ratite.user.table import Int, Long, Ptr, Size, forward, restarted_syscall, syscall
from ratite.user.thread import Thread

IPC_64 = 0x100
IPC_RMID, IPC_SET, IPC_STAT, IPC_INFO = range(4)
MSG_STAT, MSG_INFO, MSG_STAT_ANY = 11, 12, 13
SHM_LOCK, SHM_UNLOCK, SHM_STAT, SHM_INFO, SHM_STAT_ANY = 11, 12, 13, 14, 15
GETPID, GETVAL, GETALL, GETNCNT, GETZCNT, SETVAL, SETALL = range(11, 18)
SEM_STAT, SEM_INFO, SEM_STAT_ANY = 18, 19, 20
SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC = 0o10000, 0o20000, 0o40000, 0o100000

_INFO_SIZE = 128
_MESSAGE_LIMIT = 1 << 24


def _control(t: Thread, call: Callable[[int], int], command: int, argument: int, struct: str,
             infos: tuple[int, ...]) -> int:
    """The part of msgctl, semctl and shmctl that is alike: status structures and lists of limits.

    `call` makes the host's call with its last argument.
    """
    if command in infos:
        room = t.scratch.room(_INFO_SIZE)
        result = call(room)
        if result >= 0 and t.abi.bits == 64:
            t.space.write(argument, t.scratch.get(room, _INFO_SIZE)[:t.space.readable_size(argument, 72)])
        return result if t.abi.bits == 64 else -EINVAL
    block = t.take_copy(argument, struct) if command == IPC_SET else t.struct_room(struct)
    result = call(block)
    if result >= 0 and command != IPC_SET:
        t.give_copy(argument, struct, block)
    return result


@syscall
def msgctl(t: Thread, queue: Int, command: Int, argument: Ptr) -> int:
    """Control a message queue."""
    command &= ~IPC_64
    if command == IPC_RMID:
        return t.sleep("msgctl", queue, command, 0)
    if command in (IPC_SET, IPC_STAT, MSG_STAT, MSG_STAT_ANY, IPC_INFO, MSG_INFO):
        return _control(t, lambda block: t.sleep("msgctl", queue, command, block), command, argument, "msqid_ds",
                        (IPC_INFO, MSG_INFO))
    return -EINVAL


@syscall
def shmctl(t: Thread, segment: Int, command: Int, argument: Ptr) -> int:
    """Control a shared memory segment."""
    command &= ~IPC_64
    if command in (IPC_RMID, SHM_LOCK, SHM_UNLOCK):
        return t.sleep("shmctl", segment, command, 0)
    if command in (IPC_SET, IPC_STAT, SHM_STAT, SHM_STAT_ANY, IPC_INFO, SHM_INFO):
        return _control(t, lambda block: t.sleep("shmctl", segment, command, block), command, argument, "shmid_ds",
                        (IPC_INFO, SHM_INFO))
    return -EINVAL


@syscall
def semctl(t: Thread, group: Int, number: Int, command: Int, argument: Size) -> int:
    """Control a set of semaphores."""
    command &= ~IPC_64
    if command in (IPC_RMID, GETPID, GETVAL, GETNCNT, GETZCNT, SETVAL):
        return t.sleep("semctl", group, number, command, argument & 0xFFFF_FFFF)
    if command in (GETALL, SETALL):
        return t.sleep("semctl", group, number, command, t.space.host(argument))
    if command in (IPC_SET, IPC_STAT, SEM_STAT, SEM_STAT_ANY, IPC_INFO, SEM_INFO):
        return _control(t, lambda block: t.sleep("semctl", group, number, command, block), command, argument,
                        "semid_ds", (IPC_INFO, SEM_INFO))
    return -EINVAL


@syscall
def shmat(t: Thread, segment: Int, address: Ptr, flags: Int) -> int:
    """Attach a shared memory segment."""
    room = t.struct_room("shmid_ds")
    result = t.sleep("shmctl", segment, IPC_STAT, room)
    if result < 0:
        return result
    host = HOST_LAYOUTS["shmid_ds"]
    size = host.read(t.scratch.get(room, host.size))["segsz"]
    if size >= t.space.limit:
        return -ENOMEM
    if address % 4096:
        if not flags & SHM_RND:
            return -EINVAL
        address &= -4096
    if address and flags & SHM_REMAP:
        t.space.munmap(address, size)
    prot = PROT_READ | (0 if flags & SHM_RDONLY else PROT_WRITE) | (PROT_EXEC if flags & SHM_EXEC else 0)
    return t.space.attach(segment, size, address, prot, flags & SHM_RDONLY)


@syscall
def shmdt(t: Thread, address: Ptr) -> int:
    """Detach a shared memory segment."""
    t.space.detach(address)
    return 0


@restarted_syscall
def msgsnd(t: Thread, queue: Int, message: Ptr, size: Size, flags: Int) -> int:
    """Send a message; its type is as wide as the guest's long."""
    word = t.abi.model.word
    if size > _MESSAGE_LIMIT:
        return -EINVAL
    data = t.space.read(message, word + size)
    kind = int.from_bytes(data[:word], "little", signed=True)
    return t.sleep("msgsnd", queue, t.scratch.put(kind.to_bytes(8, "little", signed=True) + data[word:]), size, flags)


@restarted_syscall
def msgrcv(t: Thread, queue: Int, message: Ptr, size: Size, kind: Long, flags: Int) -> int:
    """Receive a message."""
    if size > _MESSAGE_LIMIT:
        return -EINVAL
    room = t.scratch.room(8 + size)
    result = t.sleep("msgrcv", queue, room, size, kind, flags)
    if result >= 0:
        data = t.scratch.get(room, 8 + result)
        t.space.write(message, data[:t.abi.model.word] + data[8:])
    return result


forward("msgget", "Int, Int")
forward("semget", "Int, Int, Int")
forward("shmget", "Int, Size, Int")
forward("semop", "Int, Ptr, UInt")
forward("semtimedop", "Int, Ptr, UInt, In(timespec)")
forward("semtimedop_time64", "Int, Ptr, UInt, In(timespec64)", host="semtimedop")


@syscall
def mq_notify(t: Thread, queue: Int, event: Ptr) -> int:
    """Ask for a signal when a message comes."""
    return t.sleep("mq_notify", queue, t.take_copy(event, "sigevent") if event else 0)


forward("mq_open", "Ptr, Int, UInt, In(mq_attr)")
forward("mq_unlink", "Ptr")
forward("mq_timedsend", "Int, Ptr, Size, UInt, In(timespec)", restart=True)
forward("mq_timedsend_time64", "Int, Ptr, Size, UInt, In(timespec64)", host="mq_timedsend", restart=True)
forward("mq_timedreceive", "Int, Ptr, Size, Ptr, In(timespec)", restart=True)
forward("mq_timedreceive_time64", "Int, Ptr, Size, Ptr, In(timespec64)", host="mq_timedreceive", restart=True)
forward("mq_getsetattr", "Int, In(mq_attr), Out(mq_attr)")
forward("add_key", "Ptr, Ptr, Ptr, Size, Int")
forward("request_key", "Ptr, Ptr, Ptr, Int")

