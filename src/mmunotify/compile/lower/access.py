"""Reading and writing state: attributes, table elements, counters, epochs.

Every function announces its access to the emitter, which makes it a step of its own unless it is
inside `atomic()`.
"""

from __future__ import annotations

import ast
from typing import Any

from mmunotify.compile.emit import Message
from mmunotify.compile.lower import operands
from mmunotify.compile.lower.context import Lowering, Refused, suggestion
from mmunotify.compile.objects import family_name, is_scalar
from mmunotify.compile.storage import Conflict, Storage, encode
from mmunotify.compile.types import EnumType, IntType, Ref, Snapshot, Type, TypeMismatch
from mmunotify.compile.values import (
    Address,
    Const,
    Dyn,
    Reg,
    Selected,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.table import Table

__all__ = [
    "bump",
    "fill",
    "load",
    "load_selected",
    "objects_of",
    "position",
    "read_element",
    "snapshot_epoch",
    "store",
    "store_selected",
    "write_attribute",
    "write_element",
]


def objects_of(low: Lowering, value: Value) -> Selected | None:
    """Return a dynamic reference as a choice among objects, or None if it is no reference."""
    if isinstance(value, Selected):
        return value
    if isinstance(value, Dyn) and isinstance(value.type, Ref):
        family = tuple(low.objects.families[value.type.family])
        return Selected(value.reg, family, value.type.family)
    return None


def load(low: Lowering, storage: Storage, index: int) -> Value:
    """Read one cell."""
    low.emitter.access(storage.key)
    reg = low.emitter.reg(storage.type)
    low.emitter.emit(Op.MOV, reg, Address(storage.key, index))
    return Dyn(reg, storage.type)


def store(low: Lowering, storage: Storage, index: int, value: Value, node: ast.AST) -> None:
    """Write one cell."""
    _learn(low, storage, value, node)
    prepared = _prepared(low, storage, value, node)
    low.emitter.access(storage.key)
    target = Address(storage.key, index)
    if isinstance(prepared, Const):
        operands.move(low, target, prepared, storage.type, node, storage.name)
    else:
        low.emitter.emit(Op.MOV, target, prepared)


def _prepared(low: Lowering, storage: Storage, value: Value, node: ast.AST) -> Const | Reg:
    """Return what to store, checked against a declared bound before the access."""
    if isinstance(value, Const):
        return value
    reg = operands.operand(low, value, node)
    own = operands.type_of(low, value, node)
    if isinstance(own, IntType) and isinstance(storage.type, IntType):
        operands.check_range(low, reg, own, storage.type, storage.name)
    return reg


def _learn(low: Lowering, storage: Storage, value: Value, node: ast.AST) -> None:
    kind = operands.type_of(low, value, node)
    try:
        low.storages.write(storage, kind)
    except TypeMismatch:
        raise low.refuse(
            "E203",
            node,
            f"{storage.name} would hold values of two kinds",
            "one cell of the state has one type",
            "use two attributes, or one Enum",
        ) from None
    if low.storages.unbounded(storage):
        raise operands.no_bound(low, node, storage.name)


def _bad_index(storage: Storage, reg: Reg) -> Message:
    if isinstance(reg.type, Ref):
        name = storage.attribute or storage.name
        return Message("null_dereference", f"None has no {name}")
    return Message("bounds", f"{{0}} is no key of {storage.name}", (reg,), (reg.type,))


def load_selected(low: Lowering, storage: Storage, index: Reg) -> Value:
    """Read the cell that `index` selects."""
    message = _bad_index(storage, index)
    low.emitter.access(storage.key)
    reg = low.emitter.reg(storage.type)
    low.emitter.emit(Op.LDX, reg, Address(storage.key, 0), index, storage.length, message)
    return Dyn(reg, storage.type)


def store_selected(
    low: Lowering, storage: Storage, index: Reg, value: Value, node: ast.AST
) -> None:
    """Write the cell that `index` selects."""
    _learn(low, storage, value, node)
    prepared = _prepared(low, storage, value, node)
    if isinstance(prepared, Const):
        prepared = operands.operand(low, prepared, node, storage.type)
    low.emitter.access(storage.key)
    low.emitter.emit(
        Op.STX, Address(storage.key, 0), index, prepared, storage.length,
        _bad_index(storage, index),
    )  # fmt: skip


# -- attributes ---------------------------------------------------------------------------------


def write_attribute(
    low: Lowering, base: Value, name: str, value: Value, node: ast.Attribute
) -> None:
    """Emit `base.name = value`."""
    if isinstance(base, Const):
        _check_assignable(low, base.value, name, node)
        storage = low.storages.attribute(base.value, name)
        store(low, storage, low.storages.block(storage, base.value), value, node)
        return
    chosen = objects_of(low, base)
    if chosen is None:
        raise low.refuse("E104", node, f"nothing here has an attribute {name} to assign")
    for owner in chosen.objects:
        if owner is not None:
            _check_assignable(low, owner, name, node)
    try:
        storage = low.storages.column(chosen.objects, name)
        store_selected(low, storage, chosen.reg, value, node)
    except Conflict:
        raise _conflict(low, name, node) from None


def _conflict(low: Lowering, name: str, node: ast.AST) -> Refused:
    return low.refuse(
        "E205",
        node,
        f"{name} is reached through references into two different collections",
        "the cells of an attribute stand in one order",
        "keep the reference itself instead of an index into another list",
    )


def _check_assignable(low: Lowering, owner: Any, name: str, node: ast.AST) -> None:
    operands.adopt(low, owner)
    what = f"{type(owner).__name__}.{name}"
    if not low.objects.knows(owner):
        raise low.refuse("E114", node, f"{what} cannot be assigned in a body")
    if not hasattr(owner, name):
        raise low.refuse(
            "E110",
            node,
            f"{what} does not exist when the threads start",
            "state is what set-up builds; a body cannot add to it",
            suggestion(name, [n for n in dir(owner) if not n.startswith("_")])
            or f"set self.{name} in __init__",
        )
    now = getattr(owner, name)
    if isinstance(now, Table | Counter | Epoch | list | tuple | dict | set) or callable(now):
        kind = type(now).__name__
        raise low.refuse(
            "E114",
            node,
            f"{what} is a {kind} that set-up made; a body cannot replace it",
            "the objects of a model are fixed; only what is in them changes",
            {
                "Table": f"{name}[key] = value, or {name}.fill(value)",
                "Counter": f"{name} += 1, or {name}.set(value)",
                "Epoch": f"{name}.bump()",
            }.get(kind, "use a Table, a Set or a Queue"),
        )
    if not is_scalar(now) and not low.objects.knows(now):
        raise low.refuse("E208", node, f"{what} holds a {type(now).__name__}")


# -- tables -------------------------------------------------------------------------------------


def position(low: Lowering, keys: tuple[Any, ...], key: Value, node: ast.AST) -> int | Reg:
    """Return the position of `key` among `keys`: known now, or in a register."""
    if isinstance(key, Const):
        for number, candidate in enumerate(keys):
            if candidate is key.value or (is_scalar(candidate) and candidate == key.value):
                return number
        raise low.refuse(
            "E206",
            node,
            f"{_show(key.value)} is no key of this table",
            "a Table has the keys that set-up gave it",
        )
    kind = operands.type_of(low, key, node)
    reg = operands.operand(low, key, node)
    codes = _codes(low, keys, kind, node)
    if codes == tuple(range(len(codes))):
        return reg
    least, most = operands.bounds(_full(low, kind))
    mapping = tuple(codes.index(c) if c in codes else -1 for c in range(least, most + 1))
    return _mapped(low, mapping, reg, least, IntType(-1, len(keys) - 1))


def _full(low: Lowering, kind: Type) -> Type:
    if isinstance(kind, Ref):
        return IntType(0, len(low.objects.families[kind.family]) - 1)
    return kind


def _mapped(low: Lowering, mapping: tuple[int, ...], reg: Reg, least: int, kind: Type) -> Reg:
    shifted = reg
    if least:
        shifted = low.emitter.reg(IntType(0, len(mapping) - 1))
        low.emitter.emit(Op.ADDK, shifted, reg, -least)
    result = low.emitter.reg(kind)
    message = Message("bounds", "{0} is no key of this table", (reg,), (reg.type,))
    low.emitter.emit(Op.LDT, result, mapping, shifted, len(mapping), message)
    return result


def _codes(low: Lowering, keys: tuple[Any, ...], kind: Type, node: ast.AST) -> tuple[int, ...]:
    suits = all(
        isinstance(k, kind.cls) if isinstance(kind, EnumType)
        else not is_scalar(k) and family_name(k) == kind.family if isinstance(kind, Ref)
        else is_scalar(k)
        for k in keys
    )  # fmt: skip
    if not suits:
        raise low.refuse(
            "E206", node, "this is not the kind of key the table has", "keys are fixed by set-up"
        )
    return tuple(encode(k, kind, low.objects) for k in keys)


def _show(value: Any) -> str:
    return getattr(value, "name", None) or repr(value)


def _element(
    low: Lowering, base: Value, key: Value, node: ast.AST
) -> tuple[Storage, int | Reg] | None:
    if isinstance(base, Const) and isinstance(base.value, Table):
        table = base.value
        storage = low.storages.table((table,))
        where = position(low, table.keys, key, node)
        first = low.storages.block(storage, table)
        if isinstance(where, int):
            return storage, first + where
        return storage, _offset(low, where, first, storage) if first else where
    chosen = objects_of(low, base)
    if chosen is None or not all(isinstance(t, Table) for t in chosen.objects):
        return None
    try:
        storage = low.storages.table(chosen.objects)
    except Conflict:
        raise _conflict(low, "this table", node) from None
    return storage, _two_dimensional(low, chosen.reg, storage, key, node)


def _offset(low: Lowering, reg: Reg, first: int, storage: Storage) -> Reg:
    result = low.emitter.reg(IntType(first, storage.length - 1))
    low.emitter.emit(Op.ADDK, result, reg, first)
    return result


def _two_dimensional(low: Lowering, block: Reg, storage: Storage, key: Value, node: ast.AST) -> Reg:
    """Return the register with `block * width + position of key`, both checked."""
    last = len(storage.owners) - 1
    low.emitter.emit(Op.RANGE, block, 0, last, Message("null_dereference", "None is no table"))
    where = position(low, storage.owners[0].keys, key, node)
    row = low.emitter.reg(IntType(0, last * storage.width))
    width = low.emitter.reg(IntType(storage.width, storage.width))
    low.emitter.emit(Op.CONST, width, storage.width)
    low.emitter.emit(Op.MUL, row, block, width)
    result = low.emitter.reg(IntType(0, storage.length - 1))
    if isinstance(where, int):
        low.emitter.emit(Op.ADDK, result, row, where)
        return result
    outside = Message("bounds", f"{{0}} is no key of {storage.name}", (where,), (where.type,))
    low.emitter.emit(Op.RANGE, where, 0, storage.width - 1, outside)
    low.emitter.emit(Op.ADD, result, row, where)
    return result


def read_element(low: Lowering, base: Value, key: Value, node: ast.AST) -> Value | None:
    """Return `base[key]` of a table, or None if `base` is no table."""
    found = _element(low, base, key, node)
    if found is None:
        return None
    storage, where = found
    if not storage.mutable and isinstance(where, int):
        return Const(low.storages.initial(storage)[where])
    if isinstance(where, int):
        return load(low, storage, where)
    return load_selected(low, storage, where)


def write_element(low: Lowering, base: Value, key: Value, value: Value, node: ast.AST) -> bool:
    """Emit `base[key] = value`; tell whether `base` is a table."""
    found = _element(low, base, key, node)
    if found is None:
        return False
    storage, where = found
    if isinstance(where, int):
        store(low, storage, where, value, node)
    else:
        store_selected(low, storage, where, value, node)
    return True


def fill(low: Lowering, table: Table[Any], value: Value, node: ast.AST) -> None:
    """Emit `table.fill(value)`: all elements, one step."""
    storage = low.storages.table((table,))
    _learn(low, storage, value, node)
    first = low.storages.block(storage, table)
    if isinstance(value, Const):
        code = operands.constant_code(low, value.value, storage.type, node)
        low.emitter.access(storage.key)
        low.emitter.emit(Op.FILL, Address(storage.key, first), storage.width, code)
        return
    source = _prepared(low, storage, value, node)
    assert isinstance(source, Reg)
    with low.emitter.atomically():
        for number in range(storage.width):
            low.emitter.access(storage.key)
            low.emitter.emit(Op.MOV, Address(storage.key, first + number), source)


# -- epochs -------------------------------------------------------------------------------------


def _epoch_storage(low: Lowering, epoch: Epoch) -> Storage:
    return low.storages.attribute(epoch, "value")


def snapshot_epoch(low: Lowering, epoch: Epoch) -> Value:
    """Emit `epoch.read()`: a snapshot that is fresh until the next bump."""
    storage = _epoch_storage(low, epoch)
    low.emitter.access(storage.key)
    kind = Snapshot(storage.key, nullable=False)
    reg = low.emitter.reg(kind)
    low.emitter.emit(Op.CONST, reg, 1)
    return Dyn(reg, kind)


def bump(low: Lowering, epoch: Epoch) -> None:
    """Emit `epoch.bump()`: every fresh snapshot becomes stale."""
    storage = _epoch_storage(low, epoch)
    if not storage.mutable:
        storage.mutable = True
        low.session.changed = True
    low.emitter.access(storage.key)
    low.emitter.emit(Op.BUMP, storage.key)
