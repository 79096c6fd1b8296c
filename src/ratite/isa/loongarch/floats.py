"""What floating-point instructions share (LoongArch Reference Manual, volume 1, v1.10, chapter 3): precisions, what
becomes of NaNs, and exceptions that trap.

The engine's operations give the default NaN for every NaN; the manual (3.1.1.3) wants an operand's where there is one,
so `Precision.propagated` puts it in its place. Results of single precision have ones above them in the register, where
the manual allows anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ratite.ir import Value, Var
from ratite.isa.dsl import Insn, Session, around
from ratite.isa.dsl.floats import FLEN, FloatFormat
from ratite.isa.dsl.formats import Reg
from ratite.isa.loongarch import fcsr
from ratite.isa.loongarch.exceptions import Cause
from ratite.isa.loongarch.units import instructions_of

Text = Callable[[Session, Any], Value]
Write = Callable[[Session, Any, Value], None]


class Precision(FloatFormat):
    """A floating-point format, and what operations on it do here."""

    # --- registers ------------------------------------------------------------------------------------------------------
    def get(self, s: Session, r: Reg) -> Value:
        """The number in register `r`."""
        v: Value = s.f[r]
        return v.trunc(self.width)

    # --- operations -----------------------------------------------------------------------------------------------------
    def passed_on(self, s: Session, operands: Sequence[Value]) -> Value:
        """The NaN that an operation returns: the first signalling one, else the first, made quiet; else the default."""
        nan = s.const(self.default_nan, self.width)
        for test in (self.is_nan, self.is_signalling):
            for v in reversed(operands):
                nan = s.select(test(v), v | self.quiet, nan)
        return nan

    def propagated(self, s: Session, result: Value, *operands: Value) -> Value:
        """`result`, where that is a NaN the one that the operands pass on; they are in the order of their priority."""
        chosen = s.var(result)
        with s.when(self.is_nan(result), likely=False):
            chosen.value = self.passed_on(s, operands)
        return chosen.value

    def compute(self, s: Session, op: str, *operands: Value) -> Value:
        """Operation `op` in the current rounding mode."""
        return self.propagated(s, s.fp(op, self.width, *operands, fmt=self.fmt, rm="dyn"), *operands)

    # --- declarations ---------------------------------------------------------------------------------------------------
    def insn(self, pattern: str, syntax: str, write: Write | None = None, extension: str = "FP") -> Callable[[Text], Insn]:
        """The decorator for instructions of this precision that can raise exceptions: `ff` in the pattern and `fmt` in
        the syntax stand for it. The text gives the result; `write` puts it into its register, fd if nothing is said.
        """

        def into_fd(s: Session, o: Any, v: Value) -> None:
            self.set(s, o.fd, v)

        define = instructions_of(extension)(*self.named(pattern, syntax))
        return lambda text: define(_guarded(text, write or into_fd))


SINGLE = Precision("s", "01", 32, 23)
DOUBLE = Precision("d", "10", 64, 52)
PRECISIONS = (SINGLE, DOUBLE)


def raw(s: Session, o: Any, v: Value) -> None:
    """Write a result that is no number of its precision to fd."""
    s.f[o.fd] = v.zext(FLEN)


def _guarded(text: Text, write: Write) -> Callable[[Session, Any], None]:
    """The instruction that computes `text` and then, unless that traps, writes the result."""

    def semantics(s: Session, o: Any) -> None:
        watched, before = watch(s)
        result = text(s, o)
        with s.when(watched.value, likely=False):
            deliver(s, before.value)
        write(s, o, result)

    return around(text, semantics)


def watch(s: Session) -> tuple[Var, Var]:
    """Whether exceptions of this instruction have to be looked at, and Flags before it.

    Machine code never does: where an exception is enabled it leaves the instruction to the evaluator, which goes on.
    """
    watched, before = s.var(0, 1), s.var(0, 8)
    with s.when(s.fcsr_enables != 0, likely=False):
        s.interpret()
        watched.value = 1
        before.value = s.fp_flags()
        s.set_fp_flags(0)
    return watched, before


def deliver(s: Session, before: Value, exception: Cause = Cause.FLOATING_POINT) -> None:
    """Put what the instruction raised into Cause, and trap or add it to Flags."""
    raised = s.fp_flags()
    cause = fcsr.mirrored(raised)
    s.fcsr_cause = cause
    s.set_fp_flags(before)
    with s.when((cause & s.fcsr_enables) != 0):
        s.trap(exception)
    s.set_fp_flags(before | raised)
