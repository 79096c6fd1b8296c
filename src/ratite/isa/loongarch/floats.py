"""What floating-point instructions share (LoongArch Reference Manual, volume 1, v1.10, chapter 3): precisions, what
becomes of NaNs, and exceptions that trap.

The engine's operations give the default NaN for every NaN; the manual (3.1.1.3) wants an operand's where there is one,
so `Precision.propagated` puts it in its place. Results of single precision have ones above them in the register, where
the manual allows anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ratite.ir import Value, Var
from ratite.isa.dsl import Insn, Session
from ratite.isa.dsl.formats import Reg
from ratite.isa.loongarch import fcsr
from ratite.isa.loongarch.exceptions import Cause
from ratite.isa.loongarch.units import instructions_of

#: Width of the floating-point registers.
FLEN = 64

Text = Callable[[Session, Any], Value]
Write = Callable[[Session, Any, Value], None]


@dataclass(frozen=True)
class Precision:
    """A floating-point format: the suffix of its mnemonics, its two-bit code in instructions, and its shape."""

    suffix: str
    code: str
    width: int
    fraction: int

    @property
    def fmt(self) -> str:
        """Its name in `Session.fp`."""
        return f"f{self.width}"

    @property
    def sign(self) -> int:
        """The sign bit."""
        return 1 << (self.width - 1)

    @property
    def magnitude(self) -> int:
        """All bits but the sign."""
        return self.sign - 1

    @property
    def infinity(self) -> int:
        """The bits of positive infinity."""
        return self.sign - (1 << self.fraction)

    @property
    def quiet(self) -> int:
        """The bit that makes a NaN quiet."""
        return 1 << (self.fraction - 1)

    @property
    def default_nan(self) -> int:
        """The NaN of operations that have no NaN to pass on."""
        return self.infinity | self.quiet

    @property
    def bias(self) -> int:
        """What is added to exponents."""
        return (1 << (self.width - self.fraction - 2)) - 1

    def power(self, exponent: int) -> int:
        """The bits of a power of two that is a normal number."""
        return self.bias + exponent << self.fraction

    # --- registers ------------------------------------------------------------------------------------------------------
    def get(self, s: Session, r: Reg) -> Value:
        """The number in register `r`."""
        v: Value = s.f[r]
        return v.trunc(self.width)

    def set(self, s: Session, r: Reg, v: Value) -> None:
        """Write the number `v` to register `r`."""
        s.f[r] = v if self.width == FLEN else v.zext(FLEN) | (1 << FLEN) - (1 << self.width)

    # --- operations -----------------------------------------------------------------------------------------------------
    def is_nan(self, v: Value) -> Value:
        """Whether a number is a NaN."""
        return v & self.magnitude > self.infinity

    def is_signalling(self, v: Value) -> Value:
        """Whether a number is a signalling NaN."""
        return self.is_nan(v) & (v & self.quiet == 0)

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

        define = instructions_of(extension)(pattern.replace("ff", self.code), syntax.replace("fmt", self.suffix))
        return lambda text: define(_guarded(text, write or into_fd))


SINGLE = Precision("s", "01", 32, 23)
DOUBLE = Precision("d", "10", 64, 52)
PRECISIONS = (SINGLE, DOUBLE)


def raw(s: Session, o: Any, v: Value) -> None:
    """Write a result that is no number of its precision to fd."""
    s.f[o.fd] = v.zext(FLEN)


def _guarded(text: Text, write: Write) -> Callable[[Session, Any], None]:
    """The instruction that computes `text` and then, unless that traps, writes the result."""
    hint = inspect.get_annotations(text)["o"]

    def semantics(s: Session, o: Any) -> None:
        watched, before = watch(s)
        result = text(s, o)
        with s.when(watched.value, likely=False):
            deliver(s, before.value)
        write(s, o, result)

    semantics.__doc__ = text.__doc__
    semantics.__annotations__ = {"o": text.__globals__[hint] if isinstance(hint, str) else hint}
    return semantics


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
