"""Comparisons: equality, order and membership as jumps."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from types import FunctionType
from typing import Any

from mmunotify.compile.emit import Label
from mmunotify.compile.lower import (
    attributes,
    builtin,
    calls,
    conditions,
    elements,
    expressions,
    operands,
)
from mmunotify.compile.lower.context import Lowering, Refused
from mmunotify.compile.objects import class_attribute, is_frozen, is_model_object, is_scalar
from mmunotify.compile.types import (
    Bool,
    EnumType,
    IntType,
    Ref,
    Snapshot,
    Type,
    bounds,
    is_nullable,
)
from mmunotify.compile.values import (
    Const,
    Dyn,
    Reg,
    Selected,
    Span,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang.counter import Counter, Epoch

__all__ = ["chain", "compare", "equality"]

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


def chain(low: Lowering, node: ast.Compare, yes: Label, no: Label) -> bool | None:
    """Jump by `a < b < c`, each operand evaluated once and only if it is needed."""
    left = expressions.evaluate(low, node.left)
    dynamic = False
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        right = expressions.evaluate(low, right_node)
        go_on = low.emitter.new_label()
        known = compare(low, op, left, right, go_on, no, node)
        if known is None:
            dynamic = True
            low.emitter.place(go_on)
        elif not known:
            return conditions.settle(low, False, dynamic, yes, no)
        left = right
    return conditions.settle(low, True, dynamic, yes, no)


def equality(low: Lowering, node: ast.expr) -> Reg | bool | None:
    """Return `a == b` or `a is b` with one constant side in a register, without a jump.

    None: the condition has another form. The plain form is what the reductions recognise in locks.
    """
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return None
    op = node.ops[0]
    if not isinstance(op, ast.Eq | ast.Is | ast.NotEq | ast.IsNot):
        return None
    left = expressions.evaluate(low, node.left)
    right = expressions.evaluate(low, node.comparators[0])
    if not isinstance(op, ast.Is | ast.IsNot):
        left = expressions.counted(low, left, node)
        right = expressions.counted(low, right, node)
    code = _single_code(low, left, right, isinstance(op, ast.Is | ast.IsNot))
    if code is None:
        yes, no, end = (low.emitter.new_label() for _ in range(3))
        known = compare(low, op, left, right, yes, no, node)
        return known if known is not None else conditions.as_value(low, yes, no, end).reg
    value, wanted = code
    kind = value.type if isinstance(value, Dyn) else IntType(wanted, wanted)
    constant, result = low.emitter.reg(kind), low.emitter.reg(Bool())
    low.emitter.emit(Op.CONST, constant, wanted)
    positive = isinstance(op, ast.Eq | ast.Is)
    low.emitter.emit(Op.EQ if positive else Op.NE, result, value.reg, constant)
    return result


def _single_code(
    low: Lowering, left: Value, right: Value, identity: bool
) -> tuple[Dyn | Selected, int] | None:
    """Return the one value that is not constant, and the code that makes them equal."""
    if isinstance(left, Const):
        left, right = right, left
    if not isinstance(left, Dyn | Selected) or not isinstance(right, Const):
        return None
    if _overloaded(low, left) or isinstance(right.value, tuple | list):
        return None
    if identity and isinstance(left, Dyn) and _other_number(left.type, right.value):
        return None
    codes = _codes(low, left, right.value)
    return (left, codes[0]) if len(codes) == 1 else None


# -- one comparison -------------------------------------------------------------------------------


def compare(
    low: Lowering,
    op: ast.cmpop,
    left: Value,
    right: Value,
    yes: Label,
    no: Label,
    node: ast.AST,
) -> bool | None:
    """Jump by `left op right`."""
    if operands.poisoned(left, right):
        conditions.unknown(low, yes, no)
        return None
    if isinstance(op, ast.In | ast.NotIn):
        if isinstance(op, ast.NotIn):
            yes, no = no, yes
        found = _contains(low, right, left, yes, no, node)
        return found if found is None or isinstance(op, ast.In) else not found
    identity = isinstance(op, ast.Is | ast.IsNot)
    if not identity:
        left = expressions.counted(low, left, node)
        right = expressions.counted(low, right, node)
    if isinstance(op, ast.Eq | ast.Is):
        return _equal(low, left, right, yes, no, node, identity)
    if isinstance(op, ast.NotEq | ast.IsNot):
        found = _equal(low, left, right, no, yes, node, identity)
        return None if found is None else not found
    return _ordered(low, op, left, right, yes, no, node)


def _ordered(
    low: Lowering, op: ast.cmpop, left: Value, right: Value, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    for value in (left, right):
        _require_number(low, value, node)
    if isinstance(left, Const) and isinstance(right, Const):
        return _FOLD[type(op)](left.value, right.value)
    known = _by_bounds(op, left, right)
    if known is not None:
        return known
    code, swapped = _ORDER[type(op)]
    a, b = operands.number(low, left, node), operands.number(low, right, node)
    low.emitter.emit(code, *((b, a) if swapped else (a, b)), yes)
    low.emitter.emit(Op.JMP, no)
    return None


def _require_number(low: Lowering, value: Value, node: ast.AST) -> None:
    if isinstance(value, Const) and isinstance(value.value, bool | int):
        return
    if isinstance(value, Dyn) and isinstance(value.type, IntType | Bool):
        return
    if _is_epoch(value):
        raise low.refuse(
            "E207",
            node,
            "snapshots of an Epoch have no order",
            "of a snapshot only one bit is kept: fresh, or stale since a bump",
            "use a Counter",
        )
    what = f"{operands.described(low, value)} has no order"
    raise low.refuse("E203", node, what, "only ints and bools can be ordered")


def _by_bounds(op: ast.cmpop, left: Value, right: Value) -> bool | None:
    """Return the outcome that no value of the two types can change, if there is one."""
    ends = []
    for value in (left, right):
        if isinstance(value, Const):
            ends.append((int(value.value), int(value.value)))
        elif isinstance(value, Dyn) and not operands.is_nullable(value):
            ends.append(bounds(value.type))
        else:
            return None
    answers = {_FOLD[type(op)](a, b) for a in ends[0] for b in ends[1]}
    return answers.pop() if len(answers) == 1 else None


# -- equality -------------------------------------------------------------------------------------


def _equal(
    low: Lowering,
    left: Value,
    right: Value,
    yes: Label,
    no: Label,
    node: ast.AST,
    identity: bool,
) -> bool | None:
    left, right = _expanded(left), _expanded(right)
    if isinstance(left, Tup) and isinstance(right, Tup):
        return _equal_structures(low, left, right, yes, no, node, identity)
    if _is_epoch(left) or _is_epoch(right):
        return _equal_snapshots(low, left, right, yes, no, node)
    for value in (left, right):
        if not identity and _overloaded(low, value):
            raise _own_equality(low, value, node)
    if isinstance(left, Const) and isinstance(right, Const):
        return _equal_constants(low, left.value, right.value, node, identity)
    if isinstance(left, Const):
        left, right = right, left
    if not isinstance(left, Dyn | Selected):
        return _equal_others(low, left, right, node)
    if isinstance(right, Const):
        return _equal_constant(low, left, right.value, yes, no, identity)
    if not isinstance(right, Dyn | Selected):
        return False
    return _equal_dynamic(low, left, right, yes, no, node, identity)


def _equal_dynamic(
    low: Lowering,
    left: Dyn | Selected,
    right: Dyn | Selected,
    yes: Label,
    no: Label,
    node: ast.AST,
    identity: bool,
) -> bool | None:
    kinds = [operands.type_of(low, v, node) for v in (left, right)]
    if _comparable(kinds[0], kinds[1], identity):
        a, b = operands.operand(low, left, node), operands.operand(low, right, node)
        for reg, kind, other in ((a, kinds[0], kinds[1]), (b, kinds[1], kinds[0])):
            if is_nullable(kind) and not is_nullable(other) and bounds(other)[0] < 0:
                low.emitter.emit(Op.JEQK, reg, -1, no)  # None, which is no -1
        low.emitter.emit(Op.JEQ, a, b, yes)
        low.emitter.emit(Op.JMP, no)
        return None
    if not (operands.is_nullable(left) and operands.is_nullable(right)):
        return False
    first = low.emitter.new_label()  # nothing but None and None is equal
    low.emitter.emit(Op.JEQK, operands.operand(low, left, node), -1, first)
    low.emitter.emit(Op.JMP, no)
    low.emitter.place(first)
    low.emitter.emit(Op.JEQK, operands.operand(low, right, node), -1, yes)
    low.emitter.emit(Op.JMP, no)
    return None


def _comparable(one: Type, two: Type, identity: bool) -> bool:
    """Tell whether equal codes mean equal values."""
    if isinstance(one, IntType | Bool) and isinstance(two, IntType | Bool):
        return not identity or type(one) is type(two)
    if isinstance(one, EnumType) and isinstance(two, EnumType):
        return one.cls is two.cls
    return isinstance(one, Ref) and isinstance(two, Ref) and one.family == two.family


def _equal_constants(low: Lowering, a: Any, b: Any, node: ast.AST, identity: bool) -> bool:
    if identity or a is None or b is None:
        return a is b or (type(a) is type(b) and isinstance(a, int) and bool(a == b))
    if is_scalar(a) and is_scalar(b):
        return bool(a == b)
    for value in (a, b):
        if isinstance(value, str | float | bytes | complex | list | dict | set | frozenset):
            raise low.refuse(
                "E208",
                node,
                f"{operands.described(low, Const(value))} cannot be compared in a body",
                "it has no counterpart in the model",
                "use an Enum in place of a string, a small int in place of a float",
            )
    return a is b


def _equal_others(low: Lowering, left: Value, right: Value, node: ast.AST) -> bool:
    """Compare what is neither constant nor in a register: only with None that makes sense."""
    if isinstance(right, Const) and not callable(right.value):
        return False
    what = f"{operands.described(low, left)} cannot be compared"
    raise low.refuse("E104", node, what, "a state has no place to keep it")


def _equal_constant(
    low: Lowering,
    value: Dyn | Selected,
    constant: Any,
    yes: Label,
    no: Label,
    identity: bool,
) -> bool | None:
    if identity and isinstance(value, Dyn) and _other_number(value.type, constant):
        return False
    codes = _codes(low, value, constant)
    if not codes:
        return False
    for code in codes:
        low.emitter.emit(Op.JEQK, value.reg, code, yes)
    low.emitter.emit(Op.JMP, no)
    return None


def _other_number(kind: Type, constant: Any) -> bool:
    """Tell whether one is a bool and the other an int, which are equal but never the same."""
    if isinstance(kind, IntType):
        return isinstance(constant, bool)
    return isinstance(kind, Bool) and isinstance(constant, int) and not isinstance(constant, bool)


def _codes(low: Lowering, value: Dyn | Selected, constant: Any) -> list[int]:
    """Return the codes by which `value` equals `constant`."""
    if constant is None and not operands.is_nullable(value):
        return []
    if isinstance(value, Selected):
        found = [n for n, o in enumerate(value.objects) if o is constant]
        return [*found, -1] if constant is None and value.nullable else found
    kind = value.type
    if constant is None:
        return [0 if isinstance(kind, Snapshot) else -1]
    if isinstance(kind, IntType | Bool):
        least, most = (kind.low, kind.high) if isinstance(kind, IntType) else (0, 1)
        fits = isinstance(constant, bool | int) and least <= constant <= most
        return [int(constant)] if fits else []
    if isinstance(kind, EnumType):
        return [kind.members.index(constant)] if isinstance(constant, kind.cls) else []
    if isinstance(constant, Enum) or is_scalar(constant):
        return []
    operands.adopt(low, constant)
    members = low.objects.families[kind.family] if isinstance(kind, Ref) else []
    return [n for n, m in enumerate(members) if m is constant and type(m) in kind.classes]  # type: ignore[union-attr]


# -- classes with an equality of their own --------------------------------------------------------


def _overloaded(low: Lowering, value: Value) -> bool:
    """Tell whether `==` of this value is not identity, nor that of a number or enum member."""
    if isinstance(value, Const):
        return is_model_object(value.value) and _has_equality(type(value.value))
    chosen = operands.objects_of(low, value)
    return chosen is not None and any(
        is_model_object(o) and _has_equality(type(o)) for _, o in chosen.present
    )


def _has_equality(cls: type) -> bool:
    if issubclass(cls, Counter):
        return False  # it was read already
    return class_attribute(cls, "__eq__") is not object.__eq__


def _own_equality(low: Lowering, value: Value, node: ast.AST) -> Refused:
    name = operands.described(low, value)
    return low.refuse(
        "E104",
        node,
        f"== of {name} runs its class's __eq__",
        "objects of the model are compared by what they are, not by what is in them",
        "use `is`, or call a method",
    )


# -- structures -----------------------------------------------------------------------------------


def _expanded(value: Value) -> Value:
    """Return a tuple or frozen dataclass of set-up as one of a body."""
    if not isinstance(value, Const):
        return value
    python = value.value
    cls = type(python)
    if isinstance(python, tuple):
        own = cls if cls is not tuple else None
        return Tup(tuple(map(Const, python)), own, getattr(cls, "_fields", ()))
    if is_frozen(cls) and is_dataclass(python):
        names = tuple(f.name for f in fields(python))
        return Tup(tuple(Const(getattr(python, n)) for n in names), cls, names)
    return value


def _equal_structures(
    low: Lowering,
    left: Tup,
    right: Tup,
    yes: Label,
    no: Label,
    node: ast.AST,
    identity: bool,
) -> bool | None:
    if identity:
        what = "`is` of two tuples or frozen dataclasses"
        raise low.refuse("E104", node, what, "they are values and have no identity", "use ==")
    own = [c for c in (left.cls, right.cls) if c is not None]
    if any(_is_written(class_attribute(c, "__eq__")) for c in own):
        raise _own_equality(low, left if left.cls is not None else right, node)
    tuples = all(c is None or issubclass(c, tuple) for c in (left.cls, right.cls))
    if (left.cls is not right.cls and not tuples) or len(left.items) != len(right.items):
        return False
    dynamic = False
    for a, b in zip(left.items, right.items, strict=True):
        go_on = low.emitter.new_label()
        known = _equal(low, a, b, go_on, no, node, False)
        if known is None:
            dynamic = True
            low.emitter.place(go_on)
        elif not known:
            return conditions.settle(low, False, dynamic, yes, no)
    return conditions.settle(low, True, dynamic, yes, no)


def _is_written(function: Any) -> bool:
    """Tell whether a method was written by hand, not by `@dataclass`."""
    return isinstance(function, FunctionType) and function.__code__.co_filename != "<string>"


# -- epochs ---------------------------------------------------------------------------------------


def _is_epoch(value: Value) -> bool:
    if isinstance(value, Const):
        return isinstance(value.value, Epoch)
    return isinstance(value, Dyn) and isinstance(value.type, Snapshot)


def _equal_snapshots(
    low: Lowering, left: Value, right: Value, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    for one, other in ((left, right), (right, left)):
        if isinstance(other, Const) and other.value is None and isinstance(one, Dyn):
            return _equal_constant(low, one, None, yes, no, False)
    fresh = [v for v in (left, right) if isinstance(v, Dyn) and _is_fresh(low, v)]
    if not fresh or not all(isinstance(v, Dyn) and _is_epoch(v) for v in (left, right)):
        raise low.refuse(
            "E207",
            node,
            "an Epoch's snapshot can only be compared with a read() of that Epoch",
            "of a snapshot only one bit is kept: fresh, or stale since a bump",
            "s = self.seq.read() ... if self.seq.read() != s:",
        )
    assert isinstance(left, Dyn)
    assert isinstance(right, Dyn)
    if left.type.epoch != right.type.epoch:  # type: ignore[union-attr]
        raise low.refuse(
            "E207", node, "these are snapshots of two different Epochs", "no bit tells them apart"
        )
    other = right if fresh[0] is left else left
    low.emitter.emit(Op.JEQK, other.reg, 1, yes)
    low.emitter.emit(Op.JMP, no)
    return None


def _is_fresh(low: Lowering, value: Dyn) -> bool:
    """Tell whether the epoch was read in the step that goes on here."""
    return value.taken is not None and value.taken is low.emitter.mark


# -- membership -----------------------------------------------------------------------------------


def _contains(
    low: Lowering, container: Value, item: Value, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    if isinstance(container, Span):
        return _in_span(low, container, item, yes, no, node)
    items = elements.items_of(container)
    if items is None and isinstance(container, Const) and builtin.is_table(container.value):
        items = tuple(map(Const, container.value.keys))
    if items is None:
        return _contains_method(low, container, item, yes, no, node)
    dynamic = False
    for candidate in items:
        go_on = low.emitter.new_label()
        known = compare(low, ast.Eq(), item, candidate, yes, go_on, node)
        if known is None:
            dynamic = True
            low.emitter.place(go_on)
        elif known:
            return conditions.settle(low, True, dynamic, yes, no)
    return conditions.settle(low, False, dynamic, yes, no)


def _in_span(
    low: Lowering, span: Span, item: Value, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    above = low.emitter.new_label()
    known = compare(low, ast.LtE(), span.start, item, above, no, node)
    if known is False:
        return False
    if known is None:
        low.emitter.place(above)
    below = compare(low, ast.Lt(), item, span.stop, yes, no, node)
    return below if below is None else conditions.settle(low, below, known is None, yes, no)


def _contains_method(
    low: Lowering, container: Value, item: Value, yes: Label, no: Label, node: ast.AST
) -> bool | None:
    method = attributes.special(container, "__contains__")
    if method is None and isinstance(container, Dyn):
        chosen = operands.objects_of(low, container)
        method = None if chosen is None else attributes.special(chosen, "__contains__")
    if method is None:
        what = f"`in` {operands.described(low, container)} is not in the subset"
        raise low.refuse(
            "E104",
            node,
            what,
            "what can be in it must be fixed by set-up",
            "a tuple, a Set (s.has(x)), or a class with __contains__",
        )
    answer = calls.inline(low, method, [container, item], {}, node)
    return conditions.truth(low, answer, yes, no, node)
