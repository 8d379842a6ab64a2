"""Expressions: from syntax to values, folding what is known."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from mmunotify.compile.emit import Message
from mmunotify.compile.lower import (
    attributes,
    calls,
    conditions,
    elements,
    operands,
    variables,
)
from mmunotify.compile.lower.context import Lowering, Refused
from mmunotify.compile.types import Bool, IntType, Snapshot, Type, without_none
from mmunotify.compile.values import POISON, Closure, Const, Dyn, Tup, Value
from mmunotify.ir.ops import Op
from mmunotify.lang.counter import Counter, Epoch

__all__ = ["argument", "arithmetic", "as_number", "counted", "evaluate"]

_FOLD: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.BitAnd: lambda a, b: a & b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitXor: lambda a, b: a ^ b,
}
_OPS: dict[type[ast.operator], Op] = {
    ast.Add: Op.ADD,
    ast.Sub: Op.SUB,
    ast.Mult: Op.MUL,
    ast.FloorDiv: Op.DIV,
    ast.Mod: Op.MOD,
    ast.BitAnd: Op.AND,
    ast.BitOr: Op.OR,
    ast.BitXor: Op.XOR,
}
_SIGNS: dict[type[ast.operator], str] = {
    ast.Div: "/",
    ast.Pow: "**",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.MatMult: "@",
}
_REFUSED: dict[type[ast.expr], tuple[str, str]] = {
    ast.Dict: ("a dict", "build a Table in set-up"),
    ast.List: ("a list", "build a list in set-up, or use a tuple"),
    ast.Set: ("a set", "build a Set in set-up"),
    ast.JoinedStr: ("an f-string", "f-strings are for messages of assert and require"),
    ast.ListComp: ("a comprehension", "use a for loop"),
    ast.SetComp: ("a comprehension", "use a for loop"),
    ast.DictComp: ("a comprehension", "use a for loop"),
    ast.GeneratorExp: ("a generator", "use a for loop, or any(...) and all(...)"),
    ast.Await: ("await", "use wait_until(lambda: ...)"),
    ast.Yield: ("yield", "write a loop that calls a method"),
    ast.YieldFrom: ("yield", "write a loop that calls a method"),
    ast.Starred: ("* in an expression", "name the values one by one"),
    ast.Slice: ("a slice", "use a loop over range(...)"),
}
_NO_PLACE = "a state has no place to keep it"


def evaluate(low: Lowering, node: ast.expr) -> Value:
    """Return the value of an expression."""
    handler = _HANDLERS.get(type(node))
    if handler is None:
        what, fix = _REFUSED.get(type(node), ("this expression", ""))
        raise low.refuse("E104", node, f"{what} is not in the subset", _NO_PLACE, fix)
    return handler(low, node)


def argument(low: Lowering, node: ast.expr) -> Value:
    """Return the value of an argument of a call, which may be a string for a message."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return Const(node.value)
    return evaluate(low, node)


def counted(low: Lowering, value: Value, node: ast.AST) -> Value:
    """Read a Counter, as comparing it or asking for its truth does; other values stay."""
    if isinstance(value, Const):
        is_counter = isinstance(value.value, Counter)
    else:
        chosen = operands.objects_of(low, value)
        every = chosen.present if chosen is not None else []
        is_counter = bool(every) and all(isinstance(o, Counter) for _, o in every)
    return attributes.read(low, value, "value", node) if is_counter else value


def _constant(low: Lowering, node: ast.Constant) -> Value:
    if isinstance(node.value, bool | int | None):
        return Const(node.value)
    kinds = {"str": "a string", "ellipsis": "...", "complex": "a complex number"}
    kind = type(node.value).__name__
    fixes = {"str": "use an Enum; strings are for messages of assert and require"}
    what = f"{kinds.get(kind, f'a {kind}')} is not in the subset"
    raise low.refuse("E104", node, what, _NO_PLACE, fixes.get(kind, "use an int"))


def _name(low: Lowering, node: ast.Name) -> Value:
    return variables.read(low, node)


def _attribute(low: Lowering, node: ast.Attribute) -> Value:
    return attributes.read(low, evaluate(low, node.value), node.attr, node)


def _subscript(low: Lowering, node: ast.Subscript) -> Value:
    base = evaluate(low, node.value)
    elements.check_indexable(low, base, node)
    return elements.read(low, base, evaluate(low, node.slice), node)


# -- arithmetic -----------------------------------------------------------------------------------


def _bin_op(low: Lowering, node: ast.BinOp) -> Value:
    left = evaluate(low, node.left)
    right = evaluate(low, node.right)
    return arithmetic(low, node.op, left, right, node)


def arithmetic(low: Lowering, op: ast.operator, left: Value, right: Value, node: ast.AST) -> Value:
    """Return `left op right`."""
    if operands.poisoned(left, right):
        return POISON
    if type(op) not in _OPS:
        what = f"{_SIGNS[type(op)]} is not in the subset"
        raise low.refuse("E104", node, what, "values are small ints", "+ - * // % & | ^")
    kinds = [_number(low, v, node) for v in (left, right)]
    if isinstance(left, Const) and isinstance(right, Const):
        return _folded(low, op, left.value, right.value)
    kind = _interval(low, op, kinds[0], kinds[1], node)
    if isinstance(right, Const) and isinstance(op, ast.Add | ast.Sub):
        source, reg = operands.number(low, left, node), low.emitter.reg(kind)
        plus = right.value if isinstance(op, ast.Add) else -right.value
        low.emitter.emit(Op.ADDK, reg, source, int(plus))
        return Dyn(reg, kind)
    a, b = operands.number(low, left, node), operands.number(low, right, node)
    reg = low.emitter.reg(kind)
    if isinstance(op, ast.FloorDiv | ast.Mod):
        low.emitter.emit(_OPS[type(op)], reg, a, b, Message("bounds", "division by zero"))
    else:
        low.emitter.emit(_OPS[type(op)], reg, a, b)
    return Dyn(reg, kind)


def _folded(low: Lowering, op: ast.operator, left: int, right: int) -> Value:
    if right == 0 and isinstance(op, ast.FloorDiv | ast.Mod):
        low.emitter.emit(Op.FAIL, Message("bounds", "division by zero"))
        return POISON
    return Const(_FOLD[type(op)](left, right))


def _number(low: Lowering, value: Value, node: ast.AST) -> IntType | Bool:
    """Return the type of an operand; refuse what is no number."""
    if isinstance(value, Const) and isinstance(value.value, Counter):
        raise operands.counter_named(low, value.value, node)
    if isinstance(value, Const) and isinstance(value.value, bool | int):
        plain = isinstance(value.value, bool)
        return Bool() if plain else IntType(int(value.value), int(value.value))
    epoch = isinstance(value, Const) and isinstance(value.value, Epoch)
    if epoch or (isinstance(value, Dyn) and isinstance(value.type, Snapshot)):
        raise _epoch_as_number(low, node)
    if isinstance(value, Dyn) and isinstance(value.type, IntType | Bool):
        return value.type
    raise low.refuse(
        "E203",
        node,
        f"{operands.described(low, value)} is no number",
        "arithmetic is on ints and bools",
    )


def as_number(low: Lowering, value: Value, node: ast.AST) -> Value:
    """Return an int or bool that is certainly not None; refuse all else."""
    if operands.poisoned(value):
        return value
    kind = without_none(_number(low, value, node))
    return value if isinstance(value, Const) else Dyn(operands.number(low, value, node), kind)


def _epoch_as_number(low: Lowering, node: ast.AST) -> Refused:
    return low.refuse(
        "E207",
        node,
        "an Epoch is no number here",
        "of a snapshot only one bit is kept: fresh, or stale since a bump",
        "use a Counter; of an Epoch: s = self.seq.read() ... if self.seq.read() != s:",
    )


def _ends(kind: IntType | Bool) -> tuple[int, int]:
    return (kind.low, kind.high) if isinstance(kind, IntType) else (0, 1)


def _interval(
    low: Lowering, op: ast.operator, one: IntType | Bool, two: IntType | Bool, node: ast.AST
) -> Type:
    (a, b), (c, d) = _ends(one), _ends(two)
    if isinstance(op, ast.BitAnd | ast.BitOr | ast.BitXor):
        if isinstance(one, Bool) and isinstance(two, Bool):
            return Bool()
        if min(a, c) < 0:
            return IntType(-128, 127)
        return IntType(0, (1 << max(b, d).bit_length()) - 1)
    if isinstance(op, ast.Mod):
        return IntType(min(0, c + 1), max(0, d - 1))
    rights = [c, d]
    if isinstance(op, ast.FloorDiv):
        rights = [v for v in (c, -1, 1, d) if c <= v <= d and v != 0]
    corners = [_FOLD[type(op)](x, y) for x in (a, b) for y in rights]
    least, most = min(corners, default=0), max(corners, default=0)
    if least < -128 or most > 127:
        raise low.refuse(
            "E202",
            node,
            f"this may become {most if most > 127 else least}, outside -128..127",
            "every int of a model is kept in one byte",
            "give the operands tighter bounds",
        )
    return IntType(least, most)


def _unary(low: Lowering, node: ast.UnaryOp) -> Value:
    if isinstance(node.op, ast.Not):
        return conditions.materialise(low, node)
    if isinstance(node.op, ast.Invert):
        what = "~ is not in the subset"
        raise low.refuse("E104", node, what, "ints here have no fixed width", "-1 - x")
    value = evaluate(low, node.operand)
    sign = ast.Sub() if isinstance(node.op, ast.USub) else ast.Add()
    return arithmetic(low, sign, Const(0), value, node)


# -- other expressions ----------------------------------------------------------------------------


def _condition(low: Lowering, node: ast.expr) -> Value:
    return conditions.materialise(low, node)


def _tuple(low: Lowering, node: ast.Tuple) -> Value:
    items: list[Value] = []
    for item in node.elts:
        if isinstance(item, ast.Starred):
            items.extend(calls.spread(low, item))
        else:
            items.append(evaluate(low, item))
    return POISON if operands.poisoned(*items) else Tup(tuple(items))


def _if_exp(low: Lowering, node: ast.IfExp) -> Value:
    return conditions.choose_value(low, node)


def _lambda(low: Lowering, node: ast.Lambda) -> Value:
    positional = [*node.args.posonlyargs, *node.args.args]
    first = len(positional) - len(node.args.defaults)
    given = list(zip(positional[first:], node.args.defaults, strict=True))
    given += [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d]
    defaults = tuple((a.arg, evaluate(low, d)) for a, d in given)
    return Closure(node, low.frame, low.frame.function, defaults)


def _named(low: Lowering, node: ast.NamedExpr) -> Value:
    value = evaluate(low, node.value)
    operands.refuse_counter(low, value, node)
    variables.bind(low, node.target.id, value, node)
    return value


def _call(low: Lowering, node: ast.Call) -> Value:
    return calls.call(low, node)


_HANDLERS: dict[type[ast.expr], Callable[[Lowering, Any], Value]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.BinOp: _bin_op,
    ast.UnaryOp: _unary,
    ast.BoolOp: _condition,
    ast.Compare: _condition,
    ast.Tuple: _tuple,
    ast.IfExp: _if_exp,
    ast.Lambda: _lambda,
    ast.NamedExpr: _named,
    ast.Call: _call,
}
