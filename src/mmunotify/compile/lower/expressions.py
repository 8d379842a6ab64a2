"""Expressions: from syntax to values, folding what is known."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from mmunotify.compile.emit import Message
from mmunotify.compile.lower import access, attributes, calls, conditions, operands, variables
from mmunotify.compile.lower.context import Lowering
from mmunotify.compile.types import Bool, IntType, Type
from mmunotify.compile.values import (
    POISON,
    Closure,
    Const,
    Dyn,
    Sequenced,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.pages import Pages

__all__ = ["arithmetic", "evaluate", "scalar"]

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


def evaluate(low: Lowering, node: ast.expr) -> Value:
    """Return the value of an expression."""
    handler = _HANDLERS.get(type(node))
    if handler is None:
        what, fix = _REFUSED.get(type(node), ("this expression", ""))
        raise low.refuse(
            "E104", node, f"{what} is not in the subset", "a state has no place to keep it", fix
        )
    found: Value = handler(low, node)
    return found


def scalar(low: Lowering, node: ast.expr) -> Value:
    """Return the value of an expression that is used as a number: a Counter gives its value."""
    return counted(low, evaluate(low, node))


def counted(low: Lowering, value: Value) -> Value:
    """Read a Counter; any other value is itself."""
    if isinstance(value, Const) and isinstance(value.value, Counter):
        return attributes.read_attribute(low, value, "value", ast.Pass())
    chosen = access.objects_of(low, value)
    if chosen is not None and all(isinstance(o, Counter) for o in chosen.objects):
        return attributes.read_attribute(low, value, "value", ast.Pass())
    return value


def _constant(low: Lowering, node: ast.Constant) -> Value:
    if isinstance(node.value, bool | int | None | str):
        return Const(node.value)
    kind = type(node.value).__name__
    raise low.refuse(
        "E104", node, f"a {kind} is not in the subset", "a cell holds a small int", "use an int"
    )


def _name(low: Lowering, node: ast.Name) -> Value:
    return variables.read(low, node)


def _attribute(low: Lowering, node: ast.Attribute) -> Value:
    return attributes.read_attribute(low, evaluate(low, node.value), node.attr, node)


def _subscript(low: Lowering, node: ast.Subscript) -> Value:
    base = evaluate(low, node.value)
    key = scalar(low, node.slice)
    if operands.poisoned(base, key):
        return POISON
    found = access.read_element(low, base, key, node)
    if found is not None:
        return found
    if isinstance(base, Tup | Sequenced) and isinstance(key, Const):
        item: Value = base.items[key.value]
        return item
    if isinstance(base, Const) and isinstance(base.value, list | tuple | range | Pages):
        return _of_sequence(low, tuple(base.value), key, node)
    kind = f"a {type(base.value).__name__}" if isinstance(base, Const) else "this value"
    raise low.refuse(
        "E208" if isinstance(base, Const) and isinstance(base.value, dict) else "E104",
        node,
        f"{kind} cannot be indexed in a body",
        "only a Table and fixed lists can",
        "build a Table in set-up",
    )


def _of_sequence(low: Lowering, items: tuple[Any, ...], key: Value, node: ast.AST) -> Value:
    if isinstance(key, Const):
        if not isinstance(key.value, int) or not -len(items) <= key.value < len(items):
            raise low.refuse("E206", node, f"{key.value!r} is no index of these {len(items)} items")
        return Const(items[key.value])
    return calls.select(low, items, operands.operand(low, key, node), node)


def _bin_op(low: Lowering, node: ast.BinOp) -> Value:
    left = scalar(low, node.left)
    right = scalar(low, node.right)
    return arithmetic(low, node.op, left, right, node)


def arithmetic(low: Lowering, op: ast.operator, left: Value, right: Value, node: ast.AST) -> Value:
    """Return `left op right`."""
    if operands.poisoned(left, right):
        return POISON
    if type(op) not in _OPS:
        raise low.refuse("E104", node, "this operator is not in the subset", "", "+ - * // % & | ^")
    if isinstance(left, Const) and isinstance(right, Const):
        return _folded(low, op, left.value, right.value, node)
    kinds = [_number(low, v, node) for v in (left, right)]
    kind = _interval(low, op, kinds[0], kinds[1], node)
    if isinstance(right, Const) and isinstance(op, ast.Add | ast.Sub):
        return _plus_constant(low, left, right, op, kind, node)
    code = _OPS[type(op)]
    a, b = (operands.operand(low, v, node) for v in (left, right))
    reg = low.emitter.reg(kind)
    extra: tuple[Message, ...] = ()
    if code in (Op.DIV, Op.MOD):
        extra = (Message("bounds", "division by zero"),)
    low.emitter.emit(code, reg, a, b, *extra)
    return Dyn(reg, kind)


def _plus_constant(
    low: Lowering, left: Value, right: Const, op: ast.operator, kind: Type, node: ast.AST
) -> Value:
    source = operands.operand(low, left, node)
    reg = low.emitter.reg(kind)
    low.emitter.emit(Op.ADDK, reg, source, right.value if isinstance(op, ast.Add) else -right.value)
    return Dyn(reg, kind)


def _folded(low: Lowering, op: ast.operator, left: Any, right: Any, node: ast.AST) -> Value:
    if isinstance(left, Epoch) or isinstance(right, Epoch):
        raise low.refuse("E207", node, "an Epoch can only be bumped and compared")
    if not all(isinstance(v, bool | int) for v in (left, right)):
        raise low.refuse("E104", node, "arithmetic is on ints and bools")
    if right == 0 and isinstance(op, ast.FloorDiv | ast.Mod):
        raise low.refuse("E202", node, "division by zero")
    return Const(_FOLD[type(op)](left, right))


def _number(low: Lowering, value: Value, node: ast.AST) -> IntType | Bool:
    kind = operands.type_of(low, value, node)
    if isinstance(kind, IntType | Bool):
        return kind
    raise low.refuse(
        "E203", node, "arithmetic is on ints and bools", "this value is a reference, enum or None"
    )


def _interval(
    low: Lowering, op: ast.operator, one: IntType | Bool, two: IntType | Bool, node: ast.AST
) -> Type:
    if isinstance(op, ast.BitAnd | ast.BitOr | ast.BitXor):
        if isinstance(one, Bool) and isinstance(two, Bool):
            return Bool()
        ends = [operands.bounds(k) for k in (one, two)]
        if min(e[0] for e in ends) < 0:
            return IntType(-128, 127)
        return IntType(0, (1 << max(e[1] for e in ends).bit_length()) - 1)
    (a, b), (c, d) = operands.bounds(one), operands.bounds(two)
    if isinstance(op, ast.Mod):
        return IntType(min(0, c + 1), max(0, d - 1))
    corners = [
        _FOLD[type(op)](x, y) for x in (a, b) for y in _divisors(op, c, d) if not _zero(op, y)
    ]
    low_end, high = min(corners, default=0), max(corners, default=0)
    if low_end < -128 or high > 127:
        raise low.refuse(
            "E202",
            node,
            f"this may become {high if high > 127 else low_end}, outside -128..127",
            "every int of a model is kept in one byte",
            "give the operands tighter bounds",
        )
    return IntType(low_end, high)


def _divisors(op: ast.operator, least: int, most: int) -> list[int]:
    if isinstance(op, ast.FloorDiv):
        return [v for v in (least, -1, 1, most) if least <= v <= most]
    return [least, most]


def _zero(op: ast.operator, value: int) -> bool:
    return isinstance(op, ast.FloorDiv) and value == 0


def _unary(low: Lowering, node: ast.UnaryOp) -> Value:
    if isinstance(node.op, ast.Not):
        return conditions.materialise(low, node)
    value = scalar(low, node.operand)
    if isinstance(node.op, ast.USub):
        return arithmetic(low, ast.Sub(), Const(0), value, node)
    if isinstance(node.op, ast.UAdd):
        return value
    raise low.refuse("E104", node, "~ is not in the subset", "ints here have no fixed width")


def _condition(low: Lowering, node: ast.expr) -> Value:
    return conditions.materialise(low, node)


def _tuple(low: Lowering, node: ast.Tuple) -> Value:
    return Tup(tuple(scalar(low, item) for item in node.elts))


def _if_exp(low: Lowering, node: ast.IfExp) -> Value:
    return conditions.choose_value(low, node.test, node.body, node.orelse, node)


def _lambda(low: Lowering, node: ast.Lambda) -> Value:
    return Closure(node, low.frame, low.frame.function)


def _named(low: Lowering, node: ast.NamedExpr) -> Value:
    value = scalar(low, node.value)
    variables.bind(low, node.target.id, value, node)
    return variables.read(low, ast.copy_location(ast.Name(node.target.id, ast.Load()), node))


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
