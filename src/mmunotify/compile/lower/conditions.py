"""Conditions: jumps instead of values, with what is known folded away.

`branch` returns True or False when the condition is known (and then emits no jump), else None
after every way out has jumped to one of the two labels.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from enum import Enum
from typing import Any

from mmunotify.compile.emit import Label
from mmunotify.compile.lower import attributes, calls, expressions, operands, variables
from mmunotify.compile.lower.context import Lowering
from mmunotify.compile.objects import is_model_object, is_scalar
from mmunotify.compile.types import Bool, EnumType, IntType, NoneOnly, Ref, Snapshot, Type
from mmunotify.compile.values import (
    Closure,
    Const,
    Dyn,
    Method,
    Poison,
    Reg,
    Selected,
    Sequenced,
    Span,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang.counter import Epoch
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table

__all__ = [
    "as_value",
    "branch",
    "choose_value",
    "compare",
    "equality",
    "materialise",
    "settle",
    "truth",
]

_ORDER: dict[type[ast.cmpop], tuple[Op, bool]] = {
    ast.Lt: (Op.JLT, False),
    ast.LtE: (Op.JLE, False),
    ast.Gt: (Op.JLT, True),
    ast.GtE: (Op.JLE, True),
}
_FOLD: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}


def branch(low: Lowering, node: ast.expr, yes: Label, no: Label) -> bool | None:
    """Jump to `yes` or `no`; see the module's docstring for the result."""
    if isinstance(node, ast.BoolOp):
        return _bool_op(low, node, yes, no)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        found = branch(low, node.operand, no, yes)
        return None if found is None else not found
    if isinstance(node, ast.Compare):
        return _compare_chain(low, node, yes, no)
    if isinstance(node, ast.Call):
        return calls.branch(low, node, yes, no)
    return truth(low, expressions.scalar(low, node), yes, no, node)


def _bool_op(low: Lowering, node: ast.BoolOp, yes: Label, no: Label) -> bool | None:
    decides = isinstance(node.op, ast.Or)  # the value that ends the evaluation
    dynamic = False
    for part in node.values:
        go_on = low.emitter.new_label()
        known = branch(low, part, yes if decides else go_on, go_on if decides else no)
        if known is None:
            dynamic = True
            low.emitter.place(go_on)
        elif known is decides:
            return settle(low, decides, dynamic, yes, no)
    return settle(low, not decides, dynamic, yes, no)


def settle(low: Lowering, outcome: bool, dynamic: bool, yes: Label, no: Label) -> bool | None:
    """Return `outcome` if nothing was emitted, else jump by it and return None."""
    if not dynamic:
        return outcome
    low.emitter.emit(Op.JMP, yes if outcome else no)
    return None


def _compare_chain(low: Lowering, node: ast.Compare, yes: Label, no: Label) -> bool | None:
    left_node, left = node.left, expressions.scalar(low, node.left)
    dynamic = False
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        right = expressions.scalar(low, right_node)
        go_on = low.emitter.new_label()
        nodes = (left_node, right_node)
        known = compare(low, op, left, right, go_on, no, node, nodes)
        if known is None:
            dynamic = True
            low.emitter.place(go_on)
        elif not known:
            return settle(low, False, dynamic, yes, no)
        left_node, left = right_node, right
    return settle(low, True, dynamic, yes, no)


def truth(low: Lowering, value: Value, yes: Label, no: Label, node: ast.AST) -> bool | None:
    """Jump by the truth of `value`."""
    if isinstance(value, Poison):
        return True
    if isinstance(value, Const):
        return _constant_truth(low, value, yes, no, node)
    if isinstance(value, Tup):
        return _object_truth(low, value, yes, no, node) if value.cls else bool(value.items)
    if isinstance(value, Sequenced):
        return bool(value.items)
    if isinstance(value, Method | Closure | Span):
        return True
    reg = next(operands.registers(value))
    if isinstance(value, Dyn) and isinstance(value.type, NoneOnly):
        return False
    if isinstance(value, Selected) or isinstance(value.type, Ref):  # type: ignore[union-attr]
        if not operands.is_nullable(value):
            return True
        if isinstance(value, Selected) and None in value.objects:
            reg = operands.operand(low, value, node)
        low.emitter.emit(Op.JEQK, reg, -1, no)
    elif isinstance(value.type, EnumType):  # type: ignore[union-attr]
        if not operands.is_nullable(value):
            return True
        low.emitter.emit(Op.JEQK, reg, -1, no)
    else:
        if operands.is_nullable(value):
            low.emitter.emit(Op.JEQK, reg, -1, no)
        low.emitter.emit(Op.JZ, reg, no)
    low.emitter.emit(Op.JMP, yes)
    return None


def _constant_truth(
    low: Lowering, value: Const, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    if is_model_object(value.value) and not isinstance(value.value, Table):
        return _object_truth(low, value, yes, no, node)
    return bool(value.value)


def _object_truth(
    low: Lowering, value: Const | Tup, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    cls = value.cls if isinstance(value, Tup) else type(value.value)
    for name in ("__bool__", "__len__"):
        found = getattr(cls, name, None)
        if found is not None:
            return truth(low, calls.inline(low, found, [value], {}, node), yes, no, node)
    return True


def equality(low: Lowering, node: ast.expr) -> Reg | bool | None:
    """Return `a == b` or `a is b` with one constant side in a register, without a jump.

    None: the condition has another form. The plain form is what the reductions recognise in locks.
    """
    simple = isinstance(node, ast.Compare) and len(node.ops) == 1
    if not simple or not isinstance(node.ops[0], ast.Eq | ast.Is | ast.NotEq | ast.IsNot):  # type: ignore[attr-defined]
        return None
    assert isinstance(node, ast.Compare)
    left = expressions.scalar(low, node.left)
    right = expressions.scalar(low, node.comparators[0])
    if isinstance(left, Const):
        left, right = right, left
    yes, no = low.emitter.new_label(), low.emitter.new_label()
    codes: list[int] = []
    if isinstance(left, Dyn) and isinstance(left.type, NoneOnly):
        pass
    elif isinstance(left, Dyn | Selected) and isinstance(right, Const):
        nothing = right.value is None and not operands.is_nullable(left)
        codes = [] if nothing else _codes(low, left, right.value)
    positive = isinstance(node.ops[0], ast.Eq | ast.Is)
    if len(codes) != 1:
        known = compare(
            low, node.ops[0], left, right, yes, no, node, (node.left, node.comparators[0])
        )
        if known is not None:
            return known
        return as_value(low, yes, no, low.emitter.new_label()).reg  # type: ignore[union-attr]
    kind = left.type if isinstance(left, Dyn) else IntType(codes[0], codes[0])
    wanted, result = low.emitter.reg(kind), low.emitter.reg(Bool())
    low.emitter.emit(Op.CONST, wanted, codes[0])
    reg = next(operands.registers(left))
    low.emitter.emit(Op.EQ if positive else Op.NE, result, reg, wanted)
    return result


# -- comparisons --------------------------------------------------------------------------------


def compare(
    low: Lowering,
    op: ast.cmpop,
    left: Value,
    right: Value,
    yes: Label,
    no: Label,
    node: ast.AST,
    nodes: tuple[ast.expr, ast.expr] | None = None,
) -> bool | None:
    """Jump by `left op right`."""
    if operands.poisoned(left, right):
        return True
    if isinstance(op, ast.In | ast.NotIn):
        if isinstance(op, ast.NotIn):
            yes, no = no, yes
        found = _contains(low, right, left, yes, no, node)
        return found if found is None or isinstance(op, ast.In) else not found
    if isinstance(op, ast.Eq | ast.Is):
        return _equal(low, left, right, yes, no, node, nodes)
    if isinstance(op, ast.NotEq | ast.IsNot):
        found = _equal(low, left, right, no, yes, node, nodes)
        return None if found is None else not found
    return _ordered(low, op, left, right, yes, no, node)


def _ordered(
    low: Lowering, op: ast.cmpop, left: Value, right: Value, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    if isinstance(left, Const) and isinstance(right, Const):
        if not all(isinstance(v.value, bool | int) for v in (left, right)):
            raise low.refuse("E203", node, "only ints can be ordered")
        return _FOLD[type(op)](left.value, right.value)
    for value in (left, right):
        kind = operands.type_of(low, value, node)
        if isinstance(kind, Snapshot):
            raise low.refuse(
                "E207",
                node,
                "snapshots of an Epoch have no order",
                "only whether it moved is kept",
                "use a Counter",
            )
        if not isinstance(kind, IntType | Bool):
            raise low.refuse("E203", node, "only ints can be ordered")
    code, swapped = _ORDER[type(op)]
    a, b = operands.operand(low, left, node), operands.operand(low, right, node)
    low.emitter.emit(code, *((b, a) if swapped else (a, b)), yes)
    low.emitter.emit(Op.JMP, no)
    return None


def _equal(
    low: Lowering,
    left: Value,
    right: Value,
    yes: Label,
    no: Label,
    node: ast.AST,
    nodes: tuple[ast.expr, ast.expr] | None,
) -> bool | None:
    if isinstance(left, Const) and isinstance(right, Const):
        return _equal_constants(left.value, right.value)
    if isinstance(left, Tup) and isinstance(right, Tup):
        return _equal_structures(low, left, right, yes, no, node)
    if isinstance(left, Const):
        left, right = right, left
    if isinstance(right, Const):
        return _equal_constant(low, left, right.value, yes, no)
    kinds = operands.type_of(low, left, node), operands.type_of(low, right, node)
    if isinstance(kinds[0], Snapshot) or isinstance(kinds[1], Snapshot):
        return _equal_snapshots(low, left, right, kinds, yes, no, node, nodes)
    if not _comparable(*kinds):
        return False
    a, b = operands.operand(low, left, node), operands.operand(low, right, node)
    low.emitter.emit(Op.JEQ, a, b, yes)
    low.emitter.emit(Op.JMP, no)
    return None


def _comparable(one: Type, two: Type) -> bool:
    if isinstance(one, NoneOnly) or isinstance(two, NoneOnly):
        return True
    if isinstance(one, IntType | Bool):
        return isinstance(two, IntType | Bool)
    if isinstance(one, EnumType):
        return isinstance(two, EnumType) and one.cls is two.cls
    return isinstance(one, Ref) and isinstance(two, Ref) and one.family == two.family


def _equal_constants(a: Any, b: Any) -> bool:
    if is_scalar(a) and is_scalar(b) and a is not None and b is not None:
        return bool(a == b)
    return a is b


def _equal_structures(
    low: Lowering, left: Tup, right: Tup, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    if left.cls is not right.cls or len(left.items) != len(right.items):
        return False
    dynamic = False
    for a, b in zip(left.items, right.items, strict=True):
        go_on = low.emitter.new_label()
        known = _equal(low, a, b, go_on, no, node, None)
        if known is None:
            dynamic = True
            low.emitter.place(go_on)
        elif not known:
            return settle(low, False, dynamic, yes, no)
    return settle(low, True, dynamic, yes, no)


def _equal_constant(
    low: Lowering, value: Value, constant: Any, yes: Label, no: Label
) -> bool | None:
    if not isinstance(value, Dyn | Selected):
        return False
    if isinstance(value, Dyn) and isinstance(value.type, NoneOnly):
        return constant is None
    if constant is None and not operands.is_nullable(value):
        return False
    codes = _codes(low, value, constant)
    reg = next(operands.registers(value))
    for code in codes:
        low.emitter.emit(Op.JEQK, reg, code, yes)
    if not codes:
        return False
    low.emitter.emit(Op.JMP, no)
    return None


def _codes(low: Lowering, value: Dyn | Selected, constant: Any) -> list[int]:
    """Return the codes by which `value` equals `constant`."""
    if isinstance(value, Selected):
        found = [n for n, o in enumerate(value.objects) if o is constant]
        return [*found, -1] if constant is None and -1 not in found else found
    kind = value.type
    if constant is None:
        return [0 if isinstance(kind, Snapshot) else -1]
    if isinstance(kind, IntType | Bool):
        least, most = operands.bounds(kind)
        fits = isinstance(constant, bool | int) and least <= constant <= most
        return [int(constant)] if fits else []
    if isinstance(kind, EnumType):
        return [kind.members.index(constant)] if isinstance(constant, kind.cls) else []
    if isinstance(constant, Enum) or is_scalar(constant):
        return []
    operands.adopt(low, constant)
    members = low.objects.families[kind.family] if isinstance(kind, Ref) else []
    return [n for n, member in enumerate(members) if member is constant]


def _equal_snapshots(
    low: Lowering,
    left: Value,
    right: Value,
    kinds: tuple[Type, Type],
    yes: Label,
    no: Label,
    node: ast.AST,
    nodes: tuple[ast.expr, ast.expr] | None,
) -> bool | None:
    fresh = [isinstance(v, Dyn) and not v.reg.name and v.reg.scope < 0 for v in (left, right)]
    apart = nodes is not None and fresh[0] and not isinstance(nodes[1], ast.Name)
    if (
        not any(fresh)
        or kinds[0].__class__ is not kinds[1].__class__
        or (apart and not low.emitter.atomic)
    ):
        raise low.refuse(
            "E207",
            node,
            "an Epoch's snapshot can only be compared with a read() of that Epoch",
            "of a snapshot only one bit is kept: fresh, or stale since a bump",
            "s = self.seq.read() ... if self.seq.read() != s:",
        )
    assert isinstance(kinds[0], Snapshot)
    assert isinstance(kinds[1], Snapshot)
    if kinds[0].epoch != kinds[1].epoch:
        raise low.refuse("E207", node, "these are snapshots of two different epochs")
    other = right if fresh[0] else left
    low.emitter.emit(Op.JEQK, operands.operand(low, other, node), 1, yes)
    low.emitter.emit(Op.JMP, no)
    return None


def _contains(
    low: Lowering, container: Value, item: Value, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    items: list[Value] | None = None
    if (isinstance(container, Tup) and container.cls is None) or isinstance(container, Sequenced):
        items = list(container.items)
    elif isinstance(container, Const) and isinstance(
        container.value, list | tuple | range | Pages | Table
    ):
        items = [Const(v) for v in container.value]
    if items is None:
        return _contains_method(low, container, item, yes, no, node)
    dynamic = False
    for candidate in items:
        go_on = low.emitter.new_label()
        known = _equal(low, item, candidate, yes, go_on, node, None)
        if known is None:
            dynamic = True
            low.emitter.place(go_on)
        elif known:
            return settle(low, True, dynamic, yes, no)
    return settle(low, False, dynamic, yes, no)


def _contains_method(
    low: Lowering, container: Value, item: Value, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    if isinstance(container, Const) and isinstance(container.value, Epoch):
        raise low.refuse("E207", node, "an Epoch contains nothing")
    method = attributes.read_attribute(low, container, "__contains__", node)
    if not isinstance(method, Method):
        raise low.refuse("E104", node, "`in` needs a fixed collection, a Set or __contains__")
    answer = calls.inline(low, method.function, [method.owner, item], {}, node)
    return truth(low, answer, yes, no, node)


# -- conditions as values -----------------------------------------------------------------------


def materialise(low: Lowering, node: ast.expr) -> Value:
    """Return the value of `not`, `and`, `or` or a comparison."""
    if isinstance(node, ast.BoolOp):
        return _bool_value(low, node)
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    known = branch(low, node, yes, no)
    if known is not None:
        return Const(known)
    return as_value(low, yes, no, end)


def as_value(low: Lowering, yes: Label, no: Label, end: Label) -> Value:
    """Place the labels and return 1 or 0 by which of them was jumped to."""
    reg = low.emitter.reg(Bool())
    low.emitter.place(yes)
    low.emitter.emit(Op.CONST, reg, 1)
    low.emitter.emit(Op.JMP, end)
    low.emitter.place(no)
    low.emitter.emit(Op.CONST, reg, 0)
    low.emitter.place(end)
    return Dyn(reg, Bool())


def _where(node: ast.AST) -> tuple[str, int, int]:
    return type(node).__name__, node.lineno, node.col_offset  # type: ignore[attr-defined]


def _bool_value(low: Lowering, node: ast.BoolOp) -> Value:
    """`a and b`, `a or b` as Python has them: the operand that decides."""
    decides = isinstance(node.op, ast.Or)
    key, end = (*low.path, _where(node)), low.emitter.new_label()
    result: Value | None = None
    for number, part in enumerate(node.values):
        value = expressions.scalar(low, part)
        last = number == len(node.values) - 1
        if last and result is None:
            return value
        go_on, stop = low.emitter.new_label(), low.emitter.new_label()
        known = None if last else truth(
            low, value, stop if decides else go_on, go_on if decides else stop, part
        )  # fmt: skip
        if known is not None and known is not decides:
            continue
        if known is None and not last:
            low.emitter.place(stop)
        result = variables.assign_fact(low, key, "", result, value, part, low.frame)
        low.emitter.emit(Op.JMP, end)
        if known is not None or last:
            break
        low.emitter.place(go_on)
    low.emitter.place(end)
    assert result is not None
    return result


def choose_value(
    low: Lowering, test: ast.expr, body: ast.expr, orelse: ast.expr, node: ast.AST
) -> Value:
    """Return the value of `body if test else orelse`."""
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    known = branch(low, test, yes, no)
    if known is not None:
        return expressions.evaluate(low, body if known else orelse)
    key = (*low.path, _where(node))
    low.emitter.place(yes)
    value = expressions.scalar(low, body)
    result = variables.assign_fact(low, key, "", None, value, node, low.frame)
    low.emitter.emit(Op.JMP, end)
    low.emitter.place(no)
    value = expressions.scalar(low, orelse)
    result = variables.assign_fact(low, key, "", result, value, node, low.frame)
    low.emitter.place(end)
    return result
