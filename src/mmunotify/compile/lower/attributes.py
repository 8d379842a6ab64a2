"""`base.name`: constants folded, state read and written, methods bound, properties inlined."""

from __future__ import annotations

import ast
from functools import partial
from types import (
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from mmunotify.compile.emit import Message
from mmunotify.compile.lower import access, calls, cases, operands
from mmunotify.compile.lower.context import Lowering, Refused, suggestion
from mmunotify.compile.objects import (
    ABSENT,
    class_attribute,
    is_frozen,
    is_model_object,
    known_names,
    own_value,
)
from mmunotify.compile.storage import Storage
from mmunotify.compile.types import IntType, TypeMismatch, without_none
from mmunotify.compile.values import (
    POISON,
    Const,
    Dyn,
    Method,
    Poison,
    Reg,
    Selected,
    SuperOf,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.table import Table

__all__ = ["method_of", "read", "special", "write"]

_CODE = (property, FunctionType, staticmethod, classmethod)
_NATIVE = (GetSetDescriptorType, MemberDescriptorType, WrapperDescriptorType)


# -- reading --------------------------------------------------------------------------------------


def read(low: Lowering, base: Value, name: str, node: ast.AST) -> Value:
    """Return the value of `base.name`."""
    if isinstance(base, Poison):
        return POISON
    if isinstance(base, Const):
        return _of_constant(low, base, name, node)
    if isinstance(base, Tup) and base.cls is not None:
        return _of_structure(low, base, name, node)
    if isinstance(base, SuperOf):
        return _of_super(low, base, name, node)
    chosen = operands.objects_of(low, base)
    if chosen is not None:
        return _of_selected(low, base, chosen, name, node)
    what = f"{operands.described(low, base)} has no attribute {name}"
    raise low.refuse("E110", node, what, "it is a value and no object of set-up")


def _bound(low: Lowering, found: Any, owner: Value, node: ast.AST) -> Value:
    """Return what a class attribute means for `owner`."""
    if isinstance(found, property):
        if found.fget is None:
            raise low.refuse("E110", node, "this property can only be assigned to")
        return calls.inline(low, found.fget, [owner], {}, node)
    if isinstance(found, staticmethod):
        return Const(found.__func__)
    if isinstance(found, classmethod):
        chosen = operands.objects_of(low, owner)
        return Method(found.__func__, Const(_class_of(owner if chosen is None else chosen)))
    return Method(found, owner) if isinstance(found, FunctionType) else Const(found)


def _class_of(owner: Value) -> Any:
    if isinstance(owner, Const):
        return owner.value if isinstance(owner.value, type) else type(owner.value)
    if isinstance(owner, Tup):
        return owner.cls
    return type(owner.present[0][1]) if isinstance(owner, Selected) else None


def _of_constant(low: Lowering, base: Const, name: str, node: ast.AST) -> Value:
    value = base.value
    if value is None:
        operands.fail_none(low, name)
        return POISON
    _check_epoch(low, value, name, node)
    if isinstance(value, type | ModuleType):
        return Const(_native(low, value, name, node))
    found = class_attribute(type(value), name)
    if isinstance(found, _CODE):
        return _bound(low, found, base, node)
    if not is_model_object(value) and not is_frozen(type(value)):
        return Const(_native(low, value, name, node))
    own = own_value(value, name)
    if own is ABSENT:
        raise _unknown(low, value, name, node)
    if own is found and hasattr(type(found), "__get__"):
        if isinstance(found, _NATIVE):
            return Const(_native(low, value, name, node))
        what = f"{type(value).__name__}.{name} is a {type(found).__name__}"
        raise low.refuse(
            "E106", node, what, "what it does when it is read is not in the subset", "a property"
        )
    if isinstance(own, MethodType):
        return Method(own.__func__, Const(own.__self__))
    operands.adopt(low, value)
    if is_model_object(value) and low.storages.is_mutable(value, name):
        storage = low.storages.attribute(value, name)
        return access.load(low, storage, storage.blocks[id(value)])
    return Const(own)


def _check_epoch(low: Lowering, value: Any, name: str, node: ast.AST) -> None:
    if isinstance(value, Epoch) and name == "value":
        raise low.refuse(
            "E207",
            node,
            "the value of an Epoch is not kept",
            "of each snapshot one bit is kept: fresh, or stale since a bump",
            "read() and compare, or use a Counter",
        )


def _native(low: Lowering, value: Any, name: str, node: ast.AST) -> Any:
    """Return an attribute of a module, a class or a Python value."""
    try:
        return getattr(value, name)
    except Exception:
        raise _unknown(low, value, name, node) from None


def _unknown(low: Lowering, value: Any, name: str, node: ast.AST) -> Refused:
    named = isinstance(value, type | ModuleType)
    kind = value.__name__ if named else type(value).__name__
    known = [n for n in vars(value) if n[:2] != "__"] if named else known_names(value)
    fix = suggestion(name, known)
    if not fix and is_model_object(value):
        fix = f"set self.{name} in __init__"
    return low.refuse(
        "E110",
        node,
        f"{kind} has no attribute {name}",
        "neither set-up nor the class gave it one",
        fix,
        about=(kind, name),
    )


def _of_structure(low: Lowering, base: Tup, name: str, node: ast.AST) -> Value:
    if name in base.fields:
        return base.items[base.fields.index(name)]
    assert base.cls is not None
    found = class_attribute(base.cls, name)
    if found is ABSENT:
        fix = suggestion(name, [*base.fields, *vars(base.cls)])
        raise low.refuse("E110", node, f"{base.cls.__name__} has no attribute {name}", "", fix)
    return _bound(low, found, base, node)


def _of_super(low: Lowering, base: SuperOf, name: str, node: ast.AST) -> Value:
    chosen = operands.objects_of(low, base.owner)
    if chosen is not None and varies(chosen, name, base.cls):
        one_by_one = partial(_of_super_of, low, base.cls, name, node)
        return cases.each(low, chosen, name, node, one_by_one)
    first = chosen.present[0][1] if chosen is not None else None
    cls = type(first) if chosen is not None else _class_of(base.owner)
    found = ABSENT if cls is None else inherited(cls, base.cls, name)
    if found is ABSENT:
        raise low.refuse("E110", node, f"no base of {base.cls.__name__} has {name}")
    return _bound(low, found, base.owner, node)


def _of_super_of(low: Lowering, cls: type, name: str, node: ast.AST, one: Const) -> Value:
    return _of_super(low, SuperOf(cls, one), name, node)


def inherited(cls: type, after: type, name: str) -> Any:
    """Return what `super().name` finds in an object of `cls` in a method of `after`."""
    for ancestor in cls.__mro__[cls.__mro__.index(after) + 1 :]:
        if name in ancestor.__dict__:
            return ancestor.__dict__[name]
    return ABSENT


def varies(chosen: Selected, name: str, after: type | None = None) -> bool:
    """Tell whether a call of `name` depends on which of several objects it is called on.

    `after`: the class in whose method `super().name` stands; None for a call on the object itself.
    """
    found = {_called_on(o, name, after) for _, o in chosen.present}
    return len(found) > 1


def _called_on(value: Any, name: str, after: type | None) -> tuple[int, type | None]:
    """Return what tells calls of `value.name` apart."""
    cls = type(value)
    found = class_attribute(cls, name) if after is None else inherited(cls, after, name)
    if found is ABSENT:
        found = own_value(value, name)
    return id(found), cls if isinstance(found, classmethod) else None


def method_of(value: Any, name: str) -> Any:
    """Return the function that `value.name(...)` calls, or None."""
    found = class_attribute(type(value), name)
    return found if isinstance(found, FunctionType) else None


def special(base: Value, name: str) -> FunctionType | None:
    """Return the function of a special method of an object, or None."""
    if isinstance(base, Tup):
        found = class_attribute(base.cls, name) if base.cls is not None else None
    elif isinstance(base, Const):
        found = class_attribute(type(base.value), name)
    elif isinstance(base, Selected):
        every = [class_attribute(type(o), name) for _, o in base.present]
        found = every[0] if every and all(f is every[0] for f in every) else None
    else:
        found = None
    return found if isinstance(found, FunctionType) else None


# -- reading through a reference ------------------------------------------------------------------


def _of_selected(low: Lowering, base: Value, chosen: Selected, name: str, node: ast.AST) -> Value:
    objects = [o for _, o in chosen.present]
    if not objects:
        operands.fail_none(low, name)
        return POISON
    founds = [class_attribute(type(o), name) for o in objects]
    if isinstance(founds[0], _CODE) and not varies(chosen, name):
        return _bound(low, founds[0], _as_object(low, base, chosen, name), node)
    if any(isinstance(f, _CODE) for f in founds):
        return cases.each(low, chosen, name, node, lambda one: read(low, one, name, node))
    if not all(is_model_object(o) for o in objects):
        values = {n: _data(low, o, name, node) for n, o in chosen.present}
        return _constants(low, chosen, values, name, node)
    for owner in objects:
        if own_value(owner, name) is ABSENT:
            raise _lacking(low, owner, objects, name, node)
        operands.adopt(low, owner)
    if any(low.storages.is_mutable(o, name) for o in objects):
        return _column(low, chosen, name, node)
    return _constants(low, chosen, {n: own_value(o, name) for n, o in chosen.present}, name, node)


def _as_object(low: Lowering, base: Value, chosen: Selected, name: str) -> Value:
    """Return a reference that is certainly not None."""
    there = operands.present(low, chosen, name)
    return Dyn(base.reg, without_none(base.type)) if isinstance(base, Dyn) else there


def _data(low: Lowering, value: Any, name: str, node: ast.AST) -> Any:
    found = own_value(value, name)
    if found is ABSENT or (hasattr(type(found), "__get__") and not callable(found)):
        return _native(low, value, name, node)
    return found


def _lacking(low: Lowering, owner: Any, objects: list[Any], name: str, node: ast.AST) -> Refused:
    if len({type(o) for o in objects}) == 1:
        return _unknown(low, owner, name, node)
    kinds = " or a ".join(sorted({type(o).__name__ for o in objects}))
    return low.refuse(
        "E205",
        node,
        f"this may be a {kinds}, and a {type(owner).__name__} has no attribute {name}",
        "the code has to be right for every object that is ever assigned here",
        f"give {type(owner).__name__} an attribute {name}, or keep the two apart",
    )


def _column(low: Lowering, chosen: Selected, name: str, node: ast.AST) -> Value:
    storage = _storage_of_any(low, chosen, name, node)
    message = Message("null_dereference", f"None has no {name}")
    index = partial(_block, low, chosen, storage, message)
    return access.load_at(low, storage, 0, storage.length, index, message)


def _storage_of_any(low: Lowering, chosen: Selected, name: str, node: ast.AST) -> Storage:
    owners = tuple(o for _, o in chosen.present)
    try:
        return low.storages.column(owners, name)
    except TypeMismatch:
        kinds = {operands.described(low, Const(own_value(o, name))) for o in owners}
        what = f"{name} is {' or '.join(sorted(kinds))}, depending on the object"
        raise low.refuse(
            "E203", node, what, "what a reference leads to has one type", "give them two names"
        ) from None


def _block(low: Lowering, chosen: Selected, storage: Storage, message: Message) -> Reg:
    """Emit the number of the chosen object's block; -1 or a failure for None."""
    blocks = {n: storage.blocks[id(o)] for n, o in chosen.present}
    if all(n == block for n, block in blocks.items()) and None not in chosen.objects:
        return chosen.reg
    codes = tuple(blocks.get(n, -1) for n in range(len(chosen.objects)))
    result = low.emitter.reg(IntType(-1, len(storage.owners) - 1))
    low.emitter.emit(Op.LDT, result, codes, chosen.reg, len(codes), message)
    return result


def _constants(
    low: Lowering, chosen: Selected, values: dict[int, Any], name: str, node: ast.AST
) -> Value:
    """Return the constant attribute `name` of the chosen object; `values` by its number."""
    there = operands.present(low, chosen, name)
    return operands.one_of(low, there.reg, values, node)


# -- writing --------------------------------------------------------------------------------------


def write(low: Lowering, base: Value, name: str, value: Value, node: ast.AST) -> None:
    """Emit `base.name = value`."""
    if operands.poisoned(base, value):
        return
    if isinstance(base, Const):
        _write_constant(low, base, name, value, node)
        return
    chosen = operands.objects_of(low, base)
    if chosen is None or not all(is_model_object(o) for _, o in chosen.present):
        what = f"{operands.described(low, base)} cannot be changed"
        raise low.refuse("E114", node, what, "only objects of set-up have attributes to assign")
    if any(isinstance(class_attribute(type(o), name), property) for _, o in chosen.present):
        cases.each(low, chosen, name, node, lambda one: _written(low, one, name, value, node))
        return
    for _, owner in chosen.present:
        _check_assignable(low, owner, name, node)
    storage = _storage_of_any(low, chosen, name, node)
    message = Message("null_dereference", f"None has no {name}")
    index = partial(_block, low, chosen, storage, message)
    access.store_at(low, storage, 0, storage.length, index, message, value, node)


def _written(low: Lowering, base: Const, name: str, value: Value, node: ast.AST) -> Value:
    _write_constant(low, base, name, value, node)
    return Const(None)


def _write_constant(low: Lowering, base: Const, name: str, value: Value, node: ast.AST) -> None:
    owner = base.value
    if owner is None:
        operands.fail_none(low, name)
        return
    _check_epoch(low, owner, name, node)
    found = class_attribute(type(owner), name)
    if isinstance(found, property):
        if found.fset is None:
            what = f"{type(owner).__name__}.{name} is a property without a setter"
            raise low.refuse("E114", node, what, "Python could not assign it either")
        calls.inline(low, found.fset, [base, value], {}, node)
        return
    _check_assignable(low, owner, name, node)
    try:
        storage = low.storages.attribute(owner, name)
    except TypeMismatch:
        raise operands.unrepresentable(low, own_value(owner, name), node) from None
    access.store(low, storage, storage.blocks[id(owner)], value, node)


_INSTEAD = {
    "Table": "{0}[key] = value, or {0}.fill(value)",
    "Counter": "{0} += 1, or {0}.set(value)",
    "Epoch": "{0}.bump()",
}


def _check_assignable(low: Lowering, owner: Any, name: str, node: ast.AST) -> None:
    operands.adopt(low, owner)
    what = f"{type(owner).__name__}.{name}"
    if not is_model_object(owner):
        kind = operands.described(low, Const(owner))
        raise low.refuse("E114", node, f"{kind} cannot be changed in a body", "set-up fixed it")
    if isinstance(class_attribute(type(owner), "__setattr__"), FunctionType):
        why = f"{type(owner).__name__}.__setattr__ would run, which the checker does not know of"
        raise low.refuse("E114", node, f"{what} cannot be assigned in a body", why, "a method")
    now = own_value(owner, name)
    if now is ABSENT:
        raise low.refuse(
            "E110",
            node,
            f"{what} does not exist when the threads start",
            "state is what set-up builds; a body cannot add to it",
            suggestion(name, known_names(owner)) or f"set self.{name} in __init__",
            about=(type(owner).__name__, name),
        )
    if isinstance(now, Table | Counter | Epoch | list | tuple | dict | set) or callable(now):
        kind = "method" if callable(now) else type(now).__name__
        raise low.refuse(
            "E114",
            node,
            f"{what} is a {kind} that set-up made; a body cannot replace it",
            "the objects of a model are fixed; only what is in them changes",
            _INSTEAD.get(kind, "use a Table, a Set or a Queue").format(f"self.{name}"),
        )
    if not operands.fits_cell(low, now):
        raise operands.unrepresentable(low, now, node)
