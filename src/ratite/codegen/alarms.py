"""Native code around a guest's timers: setting an alarm, ringing it, and sleeping until there is something to do.

No line of Python runs between the moment at which a guest's timer is due and its handler, so whoever holds the interpreter's lock keeps no timer
waiting. A vCPU has a timer of the host's kernel (timerfd_create(2)), which its own thread sets. A thread that executes `serve_alarms` waits for all
of them (`ratite.cpu.alarms`); it notes in the state that the alarm has rung, and asks for attention. What the moment means, the instruction set's
`poll` finds out, on the vCPU's thread.

    set_alarm      have the alarm ring at a moment of the guest's clock; 1 when Python has to, which finds the moment in `alarm_at`
    run            `enter`; and while the guest waits for an interrupt, or for a compiler, sleep
    doze           sleep until the guest has to go on (1), or somebody wants the thread back in Python (0)
    rouse          end the sleep of a vCPU whose `attention` or `host_attention` has been set; from any thread
    hold, release  keep a vCPU that sleeps from executing anything (1: it does sleep), and no longer

`asleep` is 0, or a sum of 1: it sleeps, 2: it is held and must go to Python when it wakes up, 4: it has been roused. The thread says that it
sleeps before it looks at `attention`, and others set that before they look whether it sleeps, so one of them sees the other.
"""

from __future__ import annotations

from ratite.codegen import host_x86_64 as host
from ratite.isa.arch import Arch, Exit

SLEEPS, HELD, ROUSED = 1, 2, 4

_WAIT, _WAKE = 0 | 128, 1 | 128  # FUTEX_WAIT, FUTEX_WAKE of one process (futex(2))
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_EVENTS = 16
_INTERRUPTED = -4  # EINTR


def _ptr(name: str, offset: int | str, base: str = "%env") -> str:
    return f" %{name} = getelementptr i8, ptr {base}, i64 {offset}\n"


def _call(number: int, *arguments: str | int) -> str:
    """A call of the kernel."""
    passed = [*arguments, *[0] * (6 - len(arguments))]
    return f"call i64 @system_call({', '.join(f'i64 {a}' for a in (number, *passed))})"


def alarms_text(arch: Arch) -> str:
    """The LLVM text of these functions, for a system."""
    slots, w = arch.layout.slots, arch.word

    def at(name: str, base: str = "%env") -> str:
        return _ptr(f"{name}_p", slots[name].offset, base)

    return f"""
declare i64 @system_call(i64, i64, i64, i64, i64, i64, i64)
define i64 @set_alarm(ptr %env, i64 %when) nounwind {{
 %spec = alloca [4 x i64]
{at("alarm")} %file = load i64, ptr %alarm_p
 %python = icmp eq i64 %file, 0
 br i1 %python, label %none, label %set
none:
{at("alarm_at")} store i64 %when, ptr %alarm_at_p
 ret i64 1
set:
{at("clock_offset")} %offset = load i64, ptr %clock_offset_p
 %host = sub i64 %when, %offset
 %gone = icmp slt i64 %host, 1
 %moment = select i1 %gone, i64 1, i64 %host
 %seconds = udiv i64 %moment, 1000000000
 %rest = urem i64 %moment, 1000000000
 store i64 0, ptr %spec
{_ptr("s1", 8, "%spec")} store i64 0, ptr %s1
{_ptr("s2", 16, "%spec")} store i64 %seconds, ptr %s2
{_ptr("s3", 24, "%spec")} store i64 %rest, ptr %s3
 %address = ptrtoint ptr %spec to i64
 %u = {_call(host.SYS_TIMERFD_SETTIME, "%file", _ABSOLUTE, "%address", 0)}
 ret i64 0
}}
define void @rouse(ptr %env) nounwind {{
{at("asleep")} fence seq_cst
 %state = load atomic i32, ptr %asleep_p seq_cst, align 8
 %bit = and i32 %state, {SLEEPS}
 %sleeps = icmp ne i32 %bit, 0
 br i1 %sleeps, label %wake, label %done
wake:
 %before = atomicrmw or ptr %asleep_p, i32 {ROUSED} seq_cst
 %address = ptrtoint ptr %asleep_p to i64
 %u = {_call(host.SYS_FUTEX, "%address", _WAKE, 1)}
 br label %done
done:
 ret void
}}
define i64 @hold(ptr %env) nounwind {{
{at("asleep")} %pair = cmpxchg ptr %asleep_p, i32 {SLEEPS}, i32 {SLEEPS | HELD} seq_cst seq_cst
 %did = extractvalue {{ i32, i1 }} %pair, 1
 %result = zext i1 %did to i64
 ret i64 %result
}}
define void @release(ptr %env) nounwind {{
{at("asleep")} %before = atomicrmw and ptr %asleep_p, i32 {~HELD} seq_cst
 ret void
}}
define i64 @doze(ptr %env) nounwind {{
{at("asleep")}{at("attention")}{at("host_attention")} %address = ptrtoint ptr %asleep_p to i64
 br label %look
look:
 store i8 0, ptr %attention_p
 fence seq_cst
 %wanted = call i{w} @wakeup(ptr %env)
 %go = icmp ne i{w} %wanted, 0
 br i1 %go, label %on, label %sleep
on:
 store i8 1, ptr %attention_p
 ret i64 1
sleep:
 store atomic i32 {SLEEPS}, ptr %asleep_p seq_cst, align 8
 fence seq_cst
 %both = load atomic i16, ptr %attention_p seq_cst, align 2
 %calm = icmp eq i16 %both, 0
 br i1 %calm, label %wait, label %up
wait:
 %u = {_call(host.SYS_FUTEX, "%address", _WAIT, SLEEPS)}
 br label %up
up:
 %before = atomicrmw xchg ptr %asleep_p, i32 0 seq_cst
 %held = and i32 %before, {HELD}
 %free = icmp eq i32 %held, 0
 br i1 %free, label %asked, label %python
asked:
 %host = load atomic i8, ptr %host_attention_p seq_cst, align 1
 %none = icmp eq i8 %host, 0
 br i1 %none, label %look, label %python
python:
 ret i64 0
}}
define internal i1 @nap(ptr %env) nounwind {{
{at("asleep")}{at("attention")}{at("awaiting")} store atomic i32 {SLEEPS}, ptr %asleep_p seq_cst, align 8
 fence seq_cst
 %both = load atomic i16, ptr %attention_p seq_cst, align 2
 %calm = icmp eq i16 %both, 0
 %waits = load atomic i8, ptr %awaiting_p seq_cst, align 1
 %still = icmp ne i8 %waits, 0
 %sleep = and i1 %calm, %still
 br i1 %sleep, label %wait, label %up
wait:
 %address = ptrtoint ptr %asleep_p to i64
 %u = {_call(host.SYS_FUTEX, "%address", _WAIT, SLEEPS)}
 br label %up
up:
 store atomic i8 0, ptr %awaiting_p seq_cst, align 1
 %before = atomicrmw xchg ptr %asleep_p, i32 0 seq_cst
 %bit = and i32 %before, {HELD}
 %held = icmp ne i32 %bit, 0
 ret i1 %held
}}
define void @run(ptr %env) nounwind {{
{at("reason")}{at("alarm")}{at("awaiting")} %awaits = load atomic i8, ptr %awaiting_p seq_cst, align 1
 %patient = icmp ne i8 %awaits, 0
 br i1 %patient, label %nap, label %again
nap:
 %held = call i1 @nap(ptr %env)
 br i1 %held, label %back, label %again
back:
 store i64 {Exit.TRANSLATE}, ptr %reason_p
 ret void
again:
 call void @enter(ptr %env)
 %why = load i64, ptr %reason_p
 %halted = icmp eq i64 %why, {Exit.HALT}
 %file = load i64, ptr %alarm_p
 %able = icmp ne i64 %file, 0
 %both = and i1 %halted, %able
 br i1 %both, label %rest, label %done
rest:
 %on = call i64 @doze(ptr %env)
 %go = icmp ne i64 %on, 0
 br i1 %go, label %again, label %done
done:
 ret void
}}
define void @serve_alarms(i64 %poll) nounwind {{
 %events = alloca [{_EVENTS} x [{host.EPOLL_EVENT_SIZE} x i8]], align 8
 %address = ptrtoint ptr %events to i64
 br label %again
again:
 %count = {_call(host.SYS_EPOLL_WAIT, "%poll", "%address", _EVENTS, -1)}
 %failed = icmp slt i64 %count, 0
 br i1 %failed, label %why, label %next
why:
 %signal = icmp eq i64 %count, {_INTERRUPTED}
 br i1 %signal, label %again, label %done
next:
 %n = phi i64 [ 0, %again ], [ %n1, %ring ]
 %more = icmp slt i64 %n, %count
 br i1 %more, label %one, label %again
one:
 %distance = mul i64 %n, {host.EPOLL_EVENT_SIZE}
 %place = add i64 %distance, {host.EPOLL_EVENT_DATA}
{_ptr("data", "%place", "%events")} %env = load ptr, ptr %data, align 1
 %end = icmp eq ptr %env, null
 br i1 %end, label %done, label %ring
ring:
{at("alarm_rang")}{at("attention")} store atomic i8 1, ptr %alarm_rang_p release, align 1
 store atomic i8 1, ptr %attention_p seq_cst, align 1
 call void @rouse(ptr %env)
 %n1 = add i64 %n, 1
 br label %next
done:
 ret void
}}
"""
