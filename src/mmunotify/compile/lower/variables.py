"""Local names: aliases of values, and variables that live in registers.

What a variable can hold is learnt from all its assignments, over repeated lowerings. Invariant:
reading a variable gives a copy, so a value never changes after it was evaluated.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass
from typing import Any

from mmunotify.compile.annotations import expression_bounds
from mmunotify.compile.emit import Noted
from mmunotify.compile.lower import operands
from mmunotify.compile.lower.context import (
    MANY,
    Frame,
    Lowering,
    Path,
    Refused,
    Variable,
    VariableFact,
    suggestion,
)
from mmunotify.compile.types import IntType, Type, TypeMismatch, describe, join, resting
from mmunotify.compile.values import (
    POISON,
    Closure,
    Const,
    Dyn,
    Method,
    Poison,
    Sequenced,
    Span,
    SuperOf,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op

__all__ = ["assign", "bind", "delete", "merge", "poison", "read"]

_GROWTH = 16
_WHY_ONE_TYPE = "a variable becomes a cell of the state, and a cell has one type"


def bind(low: Lowering, name: str, value: Value, node: ast.AST) -> None:
    """Bind `name` to `value` in the current frame, as an alias or as a variable."""
    frame = low.frame
    while frame.is_comprehension and frame.outer is not None:
        frame = frame.outer  # := binds outside of it
    if isinstance(value, Poison):
        frame.env[name] = POISON
    elif name in frame.names.variables:
        frame.env.pop(name, None)
        assign(low, frame, name, value, node)
    else:
        frame.env[name] = named(low, value, name)


def named(low: Lowering, value: Value, name: str) -> Value:
    """Return `value` in registers that bear `name` in reports."""
    if isinstance(value, Dyn):
        scope = low.frame.round if low.frame.round >= 0 else low.frame.scope
        if not value.reg.name and value.reg.scope < 0:  # a fresh temporary: give it the name
            value.reg.name, value.reg.scope = name, scope
            return Dyn(value.reg, value.type)
        reg = low.emitter.reg(value.type, name, scope)
        low.emitter.emit(Op.MOV, reg, value.reg)
        return Dyn(reg, value.type)
    if isinstance(value, Tup):
        return Tup(tuple(named(low, i, name) for i in value.items), value.cls, value.fields)
    return value


# -- variables ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """What is assigned to: where its facts are, and how its registers are named."""

    path: Path
    key: object
    name: str = ""
    scope: int = -1


def assign(low: Lowering, frame: Frame, name: str, value: Value, node: ast.AST) -> None:
    """Assign `value` to the variable `name` of `frame`."""
    variable = frame.variables.get(name)
    if variable is None:
        variable = frame.variables[name] = low.variable()
    _declare(frame, name)
    place = _Place(frame.path, name, name, frame.scope)
    variable.value = _assigned(low, place, variable.value, value, node)
    low.emitter.note(Noted.BOUND, variable.number)


def _declare(frame: Frame, name: str) -> None:
    annotation = frame.names.annotations.get(name)
    if annotation is None:
        return
    fact = frame.path.fact(name)
    if isinstance(fact.type, IntType) and fact.type.declared:
        return
    found = expression_bounds(annotation, frame.function.python.__globals__)
    if found is not None:
        fact.type = IntType(found.low, found.high, declared=True)


def merge(
    low: Lowering, path: Path, key: object, current: Value | None, value: Value, node: ast.AST
) -> Value:
    """Make `value` one of the values of a place where several ways meet; return the place."""
    return _assigned(low, _Place(path, key), current, value, node)


def _assigned(
    low: Lowering, place: _Place, current: Value | None, value: Value, node: ast.AST
) -> Value:
    """Assign `value` to what is now in `current`; return where it is from now on."""
    if isinstance(value, Poison):
        return current if current is not None else POISON
    if isinstance(value, Closure | Method | Sequenced | Span | SuperOf):
        what = f"{place.name or 'this'} cannot hold a function or an iterator"
        raise low.refuse("E103", node, what, _WHY_ONE_TYPE, "use it where it is made")
    fact = place.path.fact(place.key)
    if isinstance(value, Tup):
        return _assigned_structure(low, place, fact, current, value, node)
    if fact.width is not None:
        raise _mixed(low, node, place.name, "a tuple", operands.described(low, value))
    _learn(low, fact, place.name, value, node)
    fact.relied_in = low.storages.lowering
    if isinstance(fact.only, Const):
        return fact.only
    if not isinstance(current, Dyn):
        current = Dyn(low.emitter.reg(fact.type, place.name, place.scope), fact.type)
    operands.move(low, current.reg, value, fact.type, node, place.name)
    return current


def _assigned_structure(
    low: Lowering,
    place: _Place,
    fact: VariableFact,
    current: Value | None,
    value: Tup,
    node: ast.AST,
) -> Value:
    if fact.only is not None:
        raise _mixed(low, node, place.name, describe(fact.type), "a tuple")
    if fact.width is not None and not _alike(fact, value):
        raise _mixed(low, node, place.name, "a tuple", "a tuple of another kind")
    fact.width, fact.cls = len(value.items), value.cls
    old = current.items if isinstance(current, Tup) else (None,) * len(value.items)
    inner = place.path.child(("items", place.key))
    items = tuple(
        _assigned(low, _Place(inner, n, place.name, place.scope), before, item, node)
        for n, (before, item) in enumerate(zip(old, value.items, strict=True))
    )
    return Tup(items, value.cls, value.fields)


def _alike(fact: VariableFact, value: Tup) -> bool:
    return fact.width == len(value.items) and fact.cls is value.cls


def _mixed(low: Lowering, node: ast.AST, name: str, one: str, two: str) -> Refused:
    what = f"{name or 'the result'} would hold {one} and {two}"
    return low.refuse("E203", node, what, _WHY_ONE_TYPE, "use two variables")


def _learn(low: Lowering, fact: VariableFact, name: str, value: Value, node: ast.AST) -> None:
    if isinstance(value, Const) and not operands.fits_cell(low, value.value):
        _learn_object(low, fact, value, node)
        return
    kind = operands.type_of(low, value, node)
    try:
        wider = join(fact.type, kind)
    except TypeMismatch:
        raise _mixed(low, node, name, describe(fact.type), describe(kind)) from None
    only = value if isinstance(value, Const) else MANY
    if fact.only is None:  # nothing was known, so nothing relied on it
        fact.only, fact.type = only, wider
        return
    if fact.only is not MANY and not _same_constant(fact.only, value):
        fact.only = MANY
        _changed(low, fact)
    if wider != fact.type:
        _grow(low, fact, wider, name, node)


def _grow(low: Lowering, fact: VariableFact, wider: Type, name: str, node: ast.AST) -> None:
    if fact.grown_in != low.storages.lowering:
        fact.growth += isinstance(wider, IntType)
        fact.grown_in = low.storages.lowering
    if fact.growth > _GROWTH:
        raise operands.no_bound(low, node, name)
    fact.type = wider
    _changed(low, fact)


def _changed(low: Lowering, fact: VariableFact) -> None:
    """Lower again what relied on less: nothing, where this is the first assignment there."""
    if fact.relied_in == low.storages.lowering:
        low.changed()


def _learn_object(low: Lowering, fact: VariableFact, value: Const, node: ast.AST) -> None:
    """A table, function or the like: a variable for it works as long as it is always the same."""
    if fact.only is None:
        fact.only = value
    elif not isinstance(fact.only, Const) or fact.only.value is not value.value:
        raise operands.unrepresentable(low, value.value, node)


def _same_constant(one: object, two: Value) -> bool:
    if not isinstance(one, Const) or not isinstance(two, Const):
        return False
    a, b = one.value, two.value
    return a is b or (type(a) is type(b) and isinstance(a, bool | int) and a == b)


def poison(low: Lowering, name: str) -> None:
    """Note that what is assigned to `name` was refused."""
    frame = low.frame
    frame.env[name] = POISON
    if name in frame.names.variables:
        variable = frame.variables.get(name)
        if variable is None:
            variable = frame.variables[name] = low.variable()
        low.emitter.note(Noted.BOUND, variable.number)


# -- reading --------------------------------------------------------------------------------------


def read(low: Lowering, node: ast.Name) -> Value:
    """Return the value of a name: local, of the lambda's surroundings, global or builtin."""
    name = node.id
    frame: Frame | None = low.frame
    while frame is not None:
        found = frame.env.get(name)
        if found is not None:
            return found
        variable = frame.variables.get(name)
        if variable is not None:
            return _read_variable(low, variable, node)
        if name in frame.names.bound:
            raise _unbound(low, node)
        frame = frame.outer
    return _outside(low, node)


def _read_variable(low: Lowering, variable: Variable, node: ast.Name) -> Value:
    low.emitter.note(Noted.USED, variable.number, low.later(lambda: _unbound(low, node)))
    return _copied(low, variable.value) if variable.value is not None else POISON


def _copied(low: Lowering, value: Value) -> Value:
    if isinstance(value, Dyn):
        reg = low.emitter.reg(value.type)
        low.emitter.emit(Op.MOV, reg, value.reg)
        return Dyn(reg, value.type)
    if isinstance(value, Tup):
        return Tup(tuple(_copied(low, i) for i in value.items), value.cls, value.fields)
    return value


def _unbound(low: Lowering, node: ast.Name) -> Refused:
    return low.refuse(
        "E109",
        node,
        f"{node.id} may be used before it has a value",
        "on some way to this line nothing is assigned to it",
        f"assign {node.id} on every way, or before the branch",
    )


def _outside(low: Lowering, node: ast.Name) -> Value:
    python = low.frame.function.python
    free = python.__code__.co_freevars
    if node.id in free:
        cell = python.__closure__[free.index(node.id)]
        try:
            return Const(cell.cell_contents)
        except ValueError:
            raise _unbound(low, node) from None
    scope: dict[str, Any] = python.__globals__
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
    variable = low.frame.variables.get(node.id)
    if variable is None:
        if low.frame.env.pop(node.id, None) is None:
            raise _unbound(low, node)
        return
    low.emitter.note(Noted.USED, variable.number, low.later(lambda: _unbound(low, node)))
    if variable.value is not None:
        for reg in operands.registers(variable.value):
            low.emitter.emit(Op.CONST, reg, resting(reg.type))
    low.emitter.note(Noted.UNBOUND, variable.number)
