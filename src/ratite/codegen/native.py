"""The compiler of native functions written in Python (`ratite.codegen.compiled` has the language)."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any, NoReturn

from ratite.codegen.compiled import (
    COMPILED,
    copy,
    fill,
    load8,
    load16,
    load32,
    load64,
    load_signed32,
    store8,
    store16,
    store32,
    store64,
    store_release64,
)
from ratite.errors import DefinitionError

_LOADS = {load8: ("i8", "zext"), load16: ("i16", "zext"), load32: ("i32", "zext"), load_signed32: ("i32", "sext"), load64: ("i64", "")}
_STORES = {store8: "i8", store16: "i16", store32: "i32", store64: "i64"}
_OPERATORS: dict[type, str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "ashr",
}  # fmt: skip
_COMPARISONS: dict[type, str] = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge"}

#: What every module with compiled functions declares.
DECLARATIONS = """declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""


def text_of(function: Callable[..., Any]) -> str:
    """A compiled function as LLVM text. The native function has the same name and, for a function that returns nothing, no result."""
    return _Function(function).text()


class _Function:
    """One function on its way to LLVM text. Every variable is a place on the stack: LLVM finds registers for them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        source = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        assert isinstance(source, ast.FunctionDef)
        self.source = source
        self.parameters = [a.arg for a in source.args.args]
        names = (node.id for node in ast.walk(source) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        self.variables = {*self.parameters, *names}
        self.returns = not (isinstance(source.returns, ast.Constant) and source.returns.value is None)
        self.lines: list[str] = []
        self.loops: list[tuple[str, str]] = []  # where `continue` and `break` lead
        self.count = 0

    def text(self) -> str:
        """The definition."""
        self._body(self.source.body)
        self._emit("ret i64 0" if self.returns else "ret void")
        arguments = ", ".join(f"i64 %{p}" for p in self.parameters)
        places = [f"%v_{name} = alloca i64" for name in sorted(self.variables)]
        places += [f"store i64 %{p}, ptr %v_{p}" for p in self.parameters]
        body = "\n".join(line if line.endswith(":") else " " + line for line in [*places, *self.lines])
        return f"define {'i64' if self.returns else 'void'} @{self.function.__name__}({arguments}) nounwind {{\n{body}\n}}\n"

    def _fail(self, node: ast.AST, what: str) -> NoReturn:
        raise DefinitionError(f"{self.function.__qualname__}, line {getattr(node, 'lineno', 0)}: {what} has no native form")

    def _emit(self, line: str) -> None:
        self.lines.append(line)

    def _new(self, operation: str) -> str:
        self.count += 1
        self._emit(f"%t{self.count} = {operation}")
        return f"%t{self.count}"

    def _labels(self, *names: str) -> list[str]:
        self.count += 1
        return [f"{name}{self.count}" for name in names]

    def _go(self, label: str) -> None:
        self._emit(f"br label %{label}")

    # --- statements ---------------------------------------------------------------------------------------------------------------
    def _body(self, statements: list[ast.stmt]) -> None:
        for s in statements:
            self._statement(s)

    def _statement(self, s: ast.stmt) -> None:
        match s:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._set(name, self._value(value))
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self._set(name, self._operation(op, self._get(name), self._value(value), s))
            case ast.Return(value=None):
                self._leave("ret void")
            case ast.Return(value=value) if value is not None:
                self._leave(f"ret i64 {self._value(value)}")
            case ast.If(test=test, body=body, orelse=orelse):
                self._if(test, body, orelse)
            case ast.While(test=test, body=body, orelse=[]):
                self._while(test, body, [])
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=bounds), body=body, orelse=[]):
                self._for(name, bounds, body)
            case ast.Continue():
                self._leave(f"br label %{self.loops[-1][0]}")
            case ast.Break():
                self._leave(f"br label %{self.loops[-1][1]}")
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(value=ast.Call() as call):
                self._call(call)
            case _:
                self._fail(s, type(s).__name__)

    def _leave(self, line: str) -> None:
        self._emit(line)
        self._emit(f"{self._labels('behind')[0]}:")

    def _set(self, name: str, value: str) -> None:
        self._emit(f"store i64 {value}, ptr %v_{name}")

    def _get(self, name: str) -> str:
        return self._new(f"load i64, ptr %v_{name}")

    def _if(self, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        yes, no, on = self._labels("yes", "no", "on")
        self._branch(test, yes, no)
        self._emit(f"{yes}:")
        self._body(body)
        self._go(on)
        self._emit(f"{no}:")
        self._body(orelse)
        self._go(on)
        self._emit(f"{on}:")

    def _while(self, test: ast.expr, body: list[ast.stmt], step: list[ast.stmt]) -> None:
        again, once, next_, out = self._labels("again", "once", "next", "out")
        self._go(again)
        self._emit(f"{again}:")
        self._branch(test, once, out)
        self._emit(f"{once}:")
        self.loops.append((next_, out))
        self._body(body)
        self.loops.pop()
        self._go(next_)
        self._emit(f"{next_}:")
        self._body(step)
        self._go(again)
        self._emit(f"{out}:")

    def _for(self, name: str, bounds: list[ast.expr], body: list[ast.stmt]) -> None:
        """A loop over a range, whose end is computed once."""
        if len(bounds) > 2:
            self._fail(bounds[2], "a step")
        end = f"{name}.end"
        self.variables.add(end)
        self._set(end, self._value(bounds[-1]))
        self._set(name, self._value(bounds[0]) if len(bounds) == 2 else "0")
        variable, limit = ast.Name(name, ast.Load()), ast.Name(end, ast.Load())
        step = ast.AugAssign(ast.Name(name, ast.Store()), ast.Add(), ast.Constant(1))
        self._while(ast.Compare(variable, [ast.Lt()], [limit]), body, [step])

    # --- conditions ---------------------------------------------------------------------------------------------------------------
    def _branch(self, test: ast.expr, yes: str, no: str) -> None:
        """Go to one of two labels."""
        match test:
            case ast.BoolOp(op=junction, values=values):
                for value in values[:-1]:
                    (further,) = self._labels("further")
                    self._branch(value, *((further, no) if isinstance(junction, ast.And) else (yes, further)))
                    self._emit(f"{further}:")
                self._branch(values[-1], yes, no)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._branch(operand, no, yes)
            case ast.Compare(left=left, ops=ops, comparators=rights):
                for n, (op, right) in enumerate(zip(ops, rights, strict=True)):
                    result = self._compare(op, left, right)
                    (further,) = self._labels("further") if n + 1 < len(ops) else (yes,)
                    self._emit(f"br i1 {result}, label %{further}, label %{no}")
                    if further != yes:
                        self._emit(f"{further}:")
                    left = right
            case _:
                result = self._new(f"icmp ne i64 {self._value(test)}, 0")
                self._emit(f"br i1 {result}, label %{yes}, label %{no}")

    def _compare(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> str:
        if type(op) not in _COMPARISONS:
            self._fail(left, type(op).__name__)
        return self._new(f"icmp {_COMPARISONS[type(op)]} i64 {self._value(left)}, {self._value(right)}")

    # --- values -------------------------------------------------------------------------------------------------------------------
    def _value(self, e: ast.expr) -> str:
        known = self._constant(e)
        if known is not None:
            return str(known)
        match e:
            case ast.Name(id=name):
                return self._get(name)
            case ast.BinOp(left=left, op=op, right=right):
                return self._operation(op, self._value(left), self._value(right), e)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._new(f"sub i64 0, {self._value(operand)}")
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return self._new(f"xor i64 {self._value(operand)}, -1")
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._choice(test, body, orelse)
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                return self._choice(e, ast.Constant(1), ast.Constant(0))
            case ast.Call():
                return self._call(e)
        self._fail(e, type(e).__name__)

    def _constant(self, e: ast.expr) -> int | None:
        """The value of an expression in which no variable occurs; None for others."""
        for node in ast.walk(e):
            if isinstance(node, ast.Call) or (isinstance(node, ast.Name) and node.id in self.variables):
                return None
        value = eval(compile(ast.fix_missing_locations(ast.Expression(e)), "", "eval"), self.function.__globals__)
        if not isinstance(value, int):
            self._fail(e, ast.unparse(e))
        return int(value)

    def _operation(self, op: ast.operator, left: str, right: str, node: ast.AST) -> str:
        if type(op) not in _OPERATORS:
            self._fail(node, type(op).__name__)
        return self._new(f"{_OPERATORS[type(op)]} i64 {left}, {right}")

    def _choice(self, test: ast.expr, body: ast.expr, orelse: ast.expr) -> str:
        name = f"choice{self._labels('')[0]}"
        self.variables.add(name)
        yes, no, on = self._labels("yes", "no", "on")
        self._branch(test, yes, no)
        for label, value in ((yes, body), (no, orelse)):
            self._emit(f"{label}:")
            self._set(name, self._value(value))
            self._go(on)
        self._emit(f"{on}:")
        return self._get(name)

    def _call(self, call: ast.Call) -> str:
        """A call; its value, if it has one."""
        function = self.function.__globals__.get(call.func.id) if isinstance(call.func, ast.Name) else None
        arguments = [self._value(a) for a in call.args]
        if function in _LOADS:
            kind, extend = _LOADS[function]
            loaded = self._new(f"load {kind}, ptr {self._pointer(arguments[0])}, align 1")
            return self._new(f"{extend} {kind} {loaded} to i64") if extend else loaded
        if function in _STORES:
            kind = _STORES[function]
            value = arguments[1] if kind == "i64" else self._new(f"trunc i64 {arguments[1]} to {kind}")
            self._emit(f"store {kind} {value}, ptr {self._pointer(arguments[0])}, align 1")
        elif function is store_release64:
            self._emit(f"store atomic i64 {arguments[1]}, ptr {self._pointer(arguments[0])} release, align 8")
        elif function is copy:
            to, origin = self._pointer(arguments[0]), self._pointer(arguments[1])
            self._emit(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {origin}, i64 {arguments[2]}, i1 false)")
        elif function is fill:
            byte = self._new(f"trunc i64 {arguments[1]} to i8")
            self._emit(f"call void @llvm.memset.p0.i64(ptr {self._pointer(arguments[0])}, i8 {byte}, i64 {arguments[2]}, i1 false)")
        elif function in COMPILED:
            return self._call_compiled(function, arguments)
        else:
            self._fail(call, ast.unparse(call.func))
        return "0"

    def _call_compiled(self, function: Callable[..., Any], arguments: list[str]) -> str:
        passed = ", ".join(f"i64 {a}" for a in arguments)
        if inspect.signature(function).return_annotation in ("None", None):
            self._emit(f"call void @{COMPILED[function]}({passed})")
            return "0"
        return self._new(f"call i64 @{COMPILED[function]}({passed})")

    def _pointer(self, address: str) -> str:
        return self._new(f"inttoptr i64 {address} to ptr")
