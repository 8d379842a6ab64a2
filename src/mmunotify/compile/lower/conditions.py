"""Conditions: jumps instead of values, with what is known folded away.

`branch` returns True or False when the condition is known (and then emits no jump), else None
after every way out has jumped to one of the two labels.
"""

from __future__ import annotations

import ast
from dataclasses import replace

from mmunotify.compile.emit import Label
from mmunotify.compile.lower import (
    attributes,
    calls,
    cases,
    comparisons,
    expressions,
    operands,
    variables,
)
from mmunotify.compile.lower.context import Lowering
from mmunotify.compile.objects import ABSENT, class_attribute
from mmunotify.compile.types import Bool, EnumType, IntType, Ref, is_nullable
from mmunotify.compile.values import (
    POISON,
    Closure,
    Const,
    Dyn,
    Method,
    Poison,
    Selected,
    Sequenced,
    Span,
    SuperOf,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op

__all__ = ["as_value", "branch", "choose_value", "materialise", "settle", "truth", "unknown"]


def branch(low: Lowering, node: ast.expr, yes: Label, no: Label) -> bool | None:
    """Jump to `yes` or `no`; see the module's docstring for the result."""
    if isinstance(node, ast.BoolOp):
        return _bool_op(low, node, yes, no)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        found = branch(low, node.operand, no, yes)
        return None if found is None else not found
    if isinstance(node, ast.Compare):
        return comparisons.chain(low, node, yes, no)
    if isinstance(node, ast.Call):
        return calls.branch(low, node, yes, no)
    return truth(low, expressions.evaluate(low, node), yes, no, node)


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


def unknown(low: Lowering, yes: Label, no: Label) -> None:
    """Go on both ways after a condition that was refused, so that errors in both are found."""
    if not low.emitter.dead:
        low.poisoned = True
        yes.used += 1
        no.used += 1


# -- truth ----------------------------------------------------------------------------------------


def truth(low: Lowering, value: Value, yes: Label, no: Label, node: ast.AST) -> bool | None:
    """Jump by the truth of `value`."""
    if isinstance(value, Poison):
        unknown(low, yes, no)
        return None
    value = expressions.counted(low, value, node)
    if isinstance(value, Const):
        return _constant_truth(low, value, yes, no, node)
    if isinstance(value, Tup):
        if value.cls is None or issubclass(value.cls, tuple):
            return bool(value.items)
        return _object_truth(low, value, yes, no, node)
    if isinstance(value, Sequenced):
        return bool(value.items)
    if isinstance(value, Method | Closure | Span | SuperOf):
        return True
    chosen = operands.objects_of(low, value)
    if chosen is not None:
        return _reference_truth(low, chosen, yes, no, node)
    assert isinstance(value, Dyn)
    if is_nullable(value.type):
        low.emitter.emit(Op.JEQK, value.reg, -1, no)
    low.emitter.emit(Op.JZ, value.reg, no)
    low.emitter.emit(Op.JMP, yes)
    return None


def _constant_truth(
    low: Lowering, value: Const, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    if low.objects.knows(value.value):
        return _object_truth(low, value, yes, no, node)
    found = attributes.special(value, "__bool__") or attributes.special(value, "__len__")
    if found is not None:
        return _object_truth(low, value, yes, no, node)
    return bool(value.value)


def _object_truth(
    low: Lowering, value: Const | Tup, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    for name in ("__bool__", "__len__"):
        found = attributes.special(value, name)
        if found is not None:
            return truth(low, calls.inline(low, found, [value], {}, node), yes, no, node)
    return bool(value.value) if isinstance(value, Const) else True


def _reference_truth(
    low: Lowering, chosen: Selected, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    """None is false; an object is true unless its class says otherwise."""
    falsy = [n for n, o in enumerate(chosen.objects) if o is None]
    if chosen.nullable:
        falsy.append(-1)
    odd = [(n, o) for n, o in chosen.present if _decides_truth(o)]
    if not odd:
        return _is_none(low, chosen, falsy, yes, no)
    there = low.emitter.new_label()
    if _is_none(low, chosen, falsy, there, no) is None:
        low.emitter.place(there)
    answer = cases.each(
        low,
        Selected(operands.present(low, chosen, "truth").reg, chosen.objects),
        "truth",
        node,
        lambda one: _as_bool(low, one, node),
    )
    known = truth(low, answer, yes, no, node)
    return settle(low, known, True, yes, no) if known is not None else None


def _decides_truth(value: object) -> bool:
    cls = type(value)
    return any(class_attribute(cls, name) is not ABSENT for name in ("__bool__", "__len__"))


def _as_bool(low: Lowering, value: Value, node: ast.AST) -> Value:
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    known = truth(low, value, yes, no, node)
    return Const(known) if known is not None else as_value(low, yes, no, end)


def _is_none(
    low: Lowering, chosen: Selected, falsy: list[int], yes: Label, no: Label
) -> bool | None:
    """Jump to `no` for the numbers that stand for None."""
    if not falsy:
        return True
    if not chosen.present:
        return False
    for number in falsy:
        low.emitter.emit(Op.JEQK, chosen.reg, number, no)
    low.emitter.emit(Op.JMP, yes)
    return None


# -- conditions as values -------------------------------------------------------------------------


def materialise(low: Lowering, node: ast.expr) -> Value:
    """Return the value of `not`, `and`, `or` or a comparison."""
    if isinstance(node, ast.BoolOp):
        return _bool_value(low, node)
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    known = branch(low, node, yes, no)
    if known is not None:
        return Const(known)
    return as_value(low, yes, no, end)


def as_value(low: Lowering, yes: Label, no: Label, end: Label) -> Dyn:
    """Place the labels and return 1 or 0 by which of them was jumped to."""
    reg = low.emitter.reg(Bool())
    low.emitter.place(yes)
    low.emitter.emit(Op.CONST, reg, 1)
    low.emitter.emit(Op.JMP, end)
    low.emitter.place(no)
    low.emitter.emit(Op.CONST, reg, 0)
    low.emitter.place(end)
    return Dyn(reg, Bool())


def _bool_value(low: Lowering, node: ast.BoolOp) -> Value:
    """`a and b`, `a or b` as Python has them: the operand that decides."""
    decides = isinstance(node.op, ast.Or)
    key, end = cases.where(node), low.emitter.new_label()
    result: Value | None = None
    for part in node.values[:-1]:
        value = expressions.evaluate(low, part)
        go_on, stop = low.emitter.new_label(), low.emitter.new_label()
        known = truth(low, value, stop if decides else go_on, go_on if decides else stop, part)
        if known is not None and known is not decides:
            continue
        if known is None:
            low.emitter.place(stop)
            value = _narrowed(low, value, decides)
        elif result is None:
            return value
        result = variables.merge(low, low.path, key, result, value, part)
        low.emitter.emit(Op.JMP, end)
        if known is not None:
            low.emitter.place(end)
            return result
        low.emitter.place(go_on)
    last = expressions.evaluate(low, node.values[-1])
    if result is None:
        return last
    if not low.emitter.dead:
        result = variables.merge(low, low.path, key, result, last, node)
    low.emitter.place(end)
    return result


def _narrowed(low: Lowering, value: Value, holds: bool) -> Value:
    """Return `value` as what it must be when its truth is `holds`."""
    if isinstance(value, Poison) or not isinstance(value, Dyn):
        return value
    kind = value.type
    if not holds:
        if isinstance(kind, Ref | EnumType) and not _may_be_false(low, value):
            return Const(None)
        if isinstance(kind, Bool | IntType) and not kind.nullable:
            return Const(False if isinstance(kind, Bool) else 0)
        return value
    if isinstance(kind, Bool):
        return Const(True)
    if isinstance(kind, Ref | EnumType) and kind.nullable:
        return Dyn(value.reg, replace(kind, nullable=False))
    return value


def _may_be_false(low: Lowering, value: Value) -> bool:
    chosen = operands.objects_of(low, value)
    return chosen is not None and any(_decides_truth(o) for _, o in chosen.present)


def choose_value(low: Lowering, node: ast.IfExp) -> Value:
    """Return the value of `body if test else orelse`."""
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    known = branch(low, node.test, yes, no)
    if known is not None:
        return expressions.evaluate(low, node.body if known else node.orelse)
    key, result = cases.where(node), None
    for label, part in ((yes, node.body), (no, node.orelse)):
        low.emitter.place(label)
        value = expressions.evaluate(low, part)
        if not low.emitter.dead:
            result = variables.merge(low, low.path, key, result, value, part)
        low.emitter.emit(Op.JMP, end)
    low.emitter.place(end)
    return POISON if result is None else result
