"""`base.name`: constants folded, state read, methods bound, properties inlined."""

from __future__ import annotations

import ast
from types import FunctionType, MethodType, ModuleType
from typing import Any

from mmunotify.compile.emit import Message
from mmunotify.compile.lower import access, calls, operands
from mmunotify.compile.lower.context import Lowering, suggestion
from mmunotify.compile.objects import is_model_object, is_scalar
from mmunotify.compile.storage import Conflict
from mmunotify.compile.types import BOTTOM, IntType, NoneOnly, Type, TypeMismatch, join
from mmunotify.compile.values import (
    POISON,
    Const,
    Dyn,
    Method,
    Poison,
    Selected,
    SuperOf,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op

__all__ = ["constants", "method_of", "read_attribute"]

_ABSENT = object()


def read_attribute(low: Lowering, base: Value, name: str, node: ast.AST) -> Value:
    """Return the value of `base.name`."""
    if isinstance(base, Poison):
        return POISON
    if isinstance(base, Const):
        return _of_constant(low, base, name, node)
    if isinstance(base, Tup) and base.cls is not None:
        return _of_structure(low, base, name, node)
    if isinstance(base, SuperOf):
        return _of_super(low, base, name, node)
    chosen = access.objects_of(low, base)
    if chosen is not None:
        return _of_selected(low, base, chosen, name, node)
    if isinstance(base, Dyn) and isinstance(base.type, NoneOnly):
        raise low.refuse("E205", node, f"None has no attribute {name}")
    raise low.refuse(
        "E205", node, f"this value has no attribute {name}", "it is a number, an enum or a tuple"
    )


def _class_attribute(cls: type, name: str) -> Any:
    for ancestor in cls.__mro__:
        if name in ancestor.__dict__:
            return ancestor.__dict__[name]
    return _ABSENT


def _bound(low: Lowering, found: Any, owner: Value, node: ast.AST) -> Value:
    """Return what a class attribute means for `owner`."""
    if isinstance(found, property) and found.fget is not None:
        return calls.inline(low, found.fget, [owner], {}, node)
    if isinstance(found, staticmethod):
        return Const(found.__func__)
    if isinstance(found, FunctionType):
        return Method(found, owner)
    return Const(found)


def _of_constant(low: Lowering, base: Const, name: str, node: ast.AST) -> Value:
    value = base.value
    if isinstance(value, type | ModuleType) or is_scalar(value):
        if hasattr(value, name):
            return Const(getattr(value, name))
        raise _unknown(low, value, name, node)
    cls = type(value)
    found = _class_attribute(cls, name)
    if isinstance(found, property | FunctionType | staticmethod):
        return _bound(low, found, base, node)
    own = getattr(value, name, _ABSENT)
    if own is _ABSENT:
        raise _unknown(low, value, name, node)
    if isinstance(own, MethodType):
        return Method(own.__func__, Const(own.__self__))
    if is_model_object(value):
        operands.adopt(low, value)
        if low.storages.is_mutable(value, name):
            storage = low.storages.attribute(value, name)
            return access.load(low, storage, low.storages.block(storage, value))
    return Const(own)


def _unknown(low: Lowering, value: Any, name: str, node: ast.AST) -> Exception:
    kind = value.__name__ if isinstance(value, type | ModuleType) else type(value).__name__
    if value is None:
        return low.refuse(
            "E205",
            node,
            f"None has no attribute {name}",
            "set-up put None here, and no body ever assigns anything else",
            "assign an object of the model somewhere, or drop this line",
        )
    known = [n for n in dir(value) if not n.startswith("__")]
    return low.refuse(
        "E110",
        node,
        f"{kind} has no attribute {name}",
        "neither set-up nor the class gave it one",
        suggestion(name, known) or f"set self.{name} in __init__",
    )


def _of_structure(low: Lowering, base: Tup, name: str, node: ast.AST) -> Value:
    if name in base.fields:
        return base.items[base.fields.index(name)]
    assert base.cls is not None
    found = _class_attribute(base.cls, name)
    if found is _ABSENT:
        fix = suggestion(name, [*base.fields, *vars(base.cls)])
        raise low.refuse("E110", node, f"{base.cls.__name__} has no attribute {name}", "", fix)
    return _bound(low, found, base, node)


def _of_super(low: Lowering, base: SuperOf, name: str, node: ast.AST) -> Value:
    owner = base.owner
    assert isinstance(owner, Const)
    order = type(owner.value).__mro__
    for ancestor in order[order.index(base.cls) + 1 :]:
        if name in ancestor.__dict__:
            return _bound(low, ancestor.__dict__[name], owner, node)
    raise low.refuse("E110", node, f"no base of {base.cls.__name__} has {name}")


def method_of(value: Any, name: str) -> Any:
    """Return the function that `value.name(...)` calls, or None."""
    found = _class_attribute(type(value), name)
    return found if isinstance(found, FunctionType) else None


def _of_selected(low: Lowering, base: Value, chosen: Selected, name: str, node: ast.AST) -> Value:
    objects = [o for o in chosen.objects if o is not None]
    founds = {id(_class_attribute(type(o), name)) for o in objects}
    first = _class_attribute(type(objects[0]), name)
    if len(founds) == 1 and isinstance(first, property | FunctionType | staticmethod):
        return _bound(low, first, base, node)
    for owner in objects:
        if not hasattr(owner, name):
            raise _unknown(low, owner, name, node)
    if any(low.storages.is_mutable(o, name) for o in objects):
        return _column(low, chosen, name, node)
    return constants(low, chosen, [getattr(o, name, None) for o in chosen.objects], node)


def _column(low: Lowering, chosen: Selected, name: str, node: ast.AST) -> Value:
    try:
        storage = low.storages.column(chosen.objects, name)
    except Conflict:
        raise low.refuse(
            "E205", node, f"{name} is reached through references into two collections"
        ) from None
    return access.load_selected(low, storage, chosen.reg)


def constants(low: Lowering, chosen: Selected, values: list[Any], node: ast.AST) -> Value:
    """Return the constant that `chosen` selects from `values`."""
    first = values[0]
    if all(v is first or (is_scalar(v) and type(v) is type(first) and v == first) for v in values):
        _check_present(low, chosen)
        return Const(first)
    if not all(is_scalar(v) for v in values):
        return Selected(chosen.reg, tuple(values), chosen.label)
    kind: Type = BOTTOM
    try:
        for value in values:
            kind = join(kind, operands.type_of(low, Const(value), node))
    except TypeMismatch:
        raise low.refuse("E203", node, "this may be a value of two kinds") from None
    codes = tuple(operands.constant_code(low, v, kind, node) for v in values)
    reg = low.emitter.reg(kind)
    message = Message("null_dereference", "None has no such attribute")
    low.emitter.emit(Op.LDT, reg, codes, chosen.reg, len(codes), message)
    return Dyn(reg, kind)


def _check_present(low: Lowering, chosen: Selected) -> None:
    if getattr(chosen.reg.type, "nullable", False) or (
        isinstance(chosen.reg.type, IntType) and chosen.reg.type.low < 0
    ):
        last = len(chosen.objects) - 1
        message = Message("null_dereference", "None has no attributes")
        low.emitter.emit(Op.RANGE, chosen.reg, 0, last, message)
