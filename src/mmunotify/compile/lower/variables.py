"""Local names: aliases of values, and variables that live in registers.

What a variable can hold is learnt from all its assignments, over repeated lowerings.
"""

from __future__ import annotations

import ast
import builtins
from typing import Any

from mmunotify.compile.lower import operands
from mmunotify.compile.lower.context import MANY, Frame, Lowering, VariableFact, suggestion
from mmunotify.compile.types import (
    IntType,
    Type,
    TypeMismatch,
    annotated_bounds,
    join,
)
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

__all__ = ["assign", "assign_fact", "bind", "delete", "read", "snapshot"]

_GROWTH = 16
_WHY_ONE_TYPE = "a variable becomes a cell of the state, and a cell has one type"


def bind(low: Lowering, name: str, value: Value, node: ast.AST) -> None:
    """Bind `name` to `value` in the current frame, as an alias or as a variable."""
    frame = low.frame
    if isinstance(value, Poison):
        frame.env[name] = POISON
        return
    annotation = frame.names.annotations.get(name)
    if name in frame.names.variables:
        _declare(low, name, annotation)
        frame.env.pop(name, None)
        assign(low, name, value, node)
    else:
        frame.env[name] = snapshot(low, value, name)


def _declare(low: Lowering, name: str, annotation: ast.expr | None) -> None:
    if annotation is None:
        return
    fact = low.session.fact(low.key(name))
    bounds = annotated_bounds(_evaluate(low, annotation))
    if bounds is not None and not (isinstance(fact.kind, IntType) and fact.kind.declared):
        fact.kind = IntType(bounds.low, bounds.high, declared=True)
        low.session.changed = True


def _evaluate(low: Lowering, annotation: ast.expr) -> Any:
    code = compile(ast.Expression(annotation), "<annotation>", "eval")
    try:
        return eval(code, dict(low.frame.function.python.__globals__))
    except Exception:
        return None


def snapshot(low: Lowering, value: Value, name: str = "") -> Value:
    """Return `value` in registers that no later assignment changes."""
    if isinstance(value, Dyn) and (value.reg.name or name):
        kind = value.type
        scope = low.frame.round if low.frame.round >= 0 else low.frame.scope
        if not value.reg.name and value.reg.scope < 0:  # a fresh temporary: give it the name
            value.reg.name, value.reg.scope = name, scope
            return value
        reg = low.emitter.reg(kind, name, scope if name else -1)
        low.emitter.emit(Op.MOV, reg, value.reg)
        return Dyn(reg, kind)
    if isinstance(value, Tup):
        return Tup(tuple(snapshot(low, i, name) for i in value.items), value.cls, value.fields)
    return value


def assign(low: Lowering, name: str, value: Value, node: ast.AST) -> None:
    """Assign `value` to the variable `name` of the current frame."""
    current = low.frame.variables.get(name)
    fresh = assign_fact(low, low.key(name), name, current, value, node, low.frame)
    low.frame.variables[name] = fresh


def assign_fact(
    low: Lowering,
    key: tuple[Any, ...],
    name: str,
    current: Value | None,
    value: Value,
    node: ast.AST,
    frame: Frame,
) -> Value:
    """Assign `value` to the variable with facts `key`, now in `current`; return where it is."""
    if isinstance(value, Poison):
        return current if current is not None else POISON
    if isinstance(value, Closure | Method | Sequenced | Span | SuperOf):
        raise low.refuse(
            "E103", node, f"{name or 'this'} cannot hold a function or an iterator", _WHY_ONE_TYPE
        )
    fact = low.session.fact(key)
    if isinstance(value, Tup):
        return _assign_structure(low, key, fact, name, current, value, node, frame)
    if fact.width is not None:
        raise _mixed(low, node, name)
    _learn(low, fact, name, value, node)
    if isinstance(fact.only, Const):
        return fact.only
    if not isinstance(current, Dyn):
        current = Dyn(low.emitter.reg(fact.kind, name, frame.scope if name else -1), fact.kind)
    operands.move(low, current.reg, value, fact.kind, node, name)
    return current


def _assign_structure(
    low: Lowering,
    key: tuple[Any, ...],
    fact: VariableFact,
    name: str,
    current: Value | None,
    value: Tup,
    node: ast.AST,
    frame: Frame,
) -> Value:
    if fact.only is not None or (fact.width is not None and fact.width != len(value.items)):
        raise _mixed(low, node, name)
    fact.width, fact.cls, fact.fields = len(value.items), value.cls, value.fields
    old = current.items if isinstance(current, Tup) else (None,) * len(value.items)
    items = tuple(
        assign_fact(low, (*key, n), name, before, item, node, frame)
        for n, (before, item) in enumerate(zip(old, value.items, strict=True))
    )
    return Tup(items, value.cls, value.fields)


def _mixed(low: Lowering, node: ast.AST, name: str) -> Exception:
    return low.refuse(
        "E203",
        node,
        f"{name or 'the result'} would hold values of two kinds",
        _WHY_ONE_TYPE,
        "use two variables",
    )


def _learn(low: Lowering, fact: VariableFact, name: str, value: Value, node: ast.AST) -> None:
    kind = operands.type_of(low, value, node)
    if fact.only is None and isinstance(value, Const):
        fact.only = value
        low.session.changed = True
    elif isinstance(fact.only, Const) and not _same_constant(fact.only, value):
        fact.only = MANY
        low.session.changed = True
    elif fact.only is None:
        fact.only = MANY
    _widen(low, fact, name, kind, node)


def _same_constant(one: Const, two: Value) -> bool:
    if not isinstance(two, Const):
        return False
    a, b = one.value, two.value
    return a is b or (type(a) is type(b) and isinstance(a, bool | int) and a == b)


def _widen(low: Lowering, fact: VariableFact, name: str, kind: Type, node: ast.AST) -> None:
    try:
        wider = join(fact.kind, kind)
    except TypeMismatch:
        raise _mixed(low, node, name) from None
    if wider == fact.kind:
        return
    fact.growth += isinstance(wider, IntType)
    if fact.growth > _GROWTH:
        raise operands.no_bound(low, node, name)
    fact.kind = wider
    low.session.changed = True


def read(low: Lowering, node: ast.Name) -> Value:
    """Return the value of a name: local, of the lambda's surroundings, global or builtin."""
    frame: Frame | None = low.frame
    while frame is not None:
        for found in (frame.variables.get(node.id), frame.env.get(node.id)):
            if found is not None:
                return found
        if node.id in frame.names.bound and frame.outer is None:
            raise low.refuse("E109", node, f"{node.id} is used before it has a value")
        frame = frame.outer
    return _outside(low, node)


def _outside(low: Lowering, node: ast.Name) -> Value:
    python: Any = low.frame.function.python
    free = python.__code__.co_freevars
    if node.id in free:
        return Const(python.__closure__[free.index(node.id)].cell_contents)
    scope = python.__globals__
    for names in (scope, vars(builtins)):
        if node.id in names:
            return Const(names[node.id])
    known = [*low.frame.env, *low.frame.names.bound, *scope]
    raise low.refuse(
        "E109",
        node,
        f"{node.id} is not defined",
        "no local, global or builtin has that name",
        suggestion(node.id, known),
    )


def delete(low: Lowering, node: ast.Name) -> None:
    """End the life of a name: it holds nothing from here on."""
    value = low.frame.variables.pop(node.id, None)
    if isinstance(value, Selected | Tup | Dyn):
        low.frame.variables[node.id] = value
        for reg in operands.registers(value):
            low.emitter.emit(Op.CONST, reg, operands.resting(reg.type))
    low.frame.env.pop(node.id, None)
