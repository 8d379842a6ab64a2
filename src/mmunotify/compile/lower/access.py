"""Reading and writing cells: the accesses to shared state.

Every function announces its access to the emitter, which makes it a step of its own unless it is
inside `atomic()`. What is stored is checked against declared bounds before the access.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mmunotify.compile.annotations import attribute_bounds
from mmunotify.compile.emit import Message, literally
from mmunotify.compile.lower import operands
from mmunotify.compile.lower.context import Lowering
from mmunotify.compile.storage import Storage
from mmunotify.compile.types import IntType, NoneOnly, Snapshot, Type, TypeMismatch, describe
from mmunotify.compile.values import Address, Const, Dyn, Reg, Value
from mmunotify.ir.ops import Op
from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.table import Table

__all__ = ["bump", "fill", "load", "load_at", "snapshot", "store", "store_at"]


def _read(low: Lowering, storage: Storage, reg: Reg) -> Value:
    low.storages.rely(storage)
    if isinstance(storage.type, NoneOnly):
        return Const(None)
    return Dyn(reg, reg.type)


def _plain(kind: Type) -> Type:
    """Return a type without its declaration: bounds are those of the cell, not of the value."""
    return replace(kind, declared=False) if isinstance(kind, IntType) else kind


def load(low: Lowering, storage: Storage, index: int) -> Value:
    """Read one cell."""
    low.emitter.access(storage.key)
    reg = low.emitter.reg(_plain(storage.type))
    low.emitter.emit(Op.MOV, reg, Address(storage.key, index))
    return _read(low, storage, reg)


def load_at(
    low: Lowering,
    storage: Storage,
    first: int,
    length: int,
    index: Callable[[], Reg],
    message: Message,
) -> Value:
    """Read the cell that `index` selects of the `length` cells from `first` on."""
    low.emitter.access(storage.key)
    reg = low.emitter.reg(_plain(storage.type))
    low.emitter.emit(Op.LDX, reg, Address(storage.key, first), index(), length, message)
    return _read(low, storage, reg)


def store(low: Lowering, storage: Storage, index: int, value: Value, node: ast.AST) -> None:
    """Write one cell."""
    _learn(low, storage, value, node)
    bounds = _declared(storage, index // storage.width)
    prepared = _prepared(low, storage, value, bounds, _name(low, storage, index), node)
    low.emitter.access(storage.key)
    target = Address(storage.key, index)
    if isinstance(prepared, Const):
        code = operands.constant_code(low, prepared.value, storage.type, node)
        low.emitter.emit(Op.CONST, target, code)
    else:
        low.emitter.emit(Op.MOV, target, prepared.reg)


def store_at(
    low: Lowering,
    storage: Storage,
    first: int,
    length: int,
    index: Callable[[], Reg],
    message: Message,
    value: Value,
    node: ast.AST,
) -> None:
    """Write the cell that `index` selects of the `length` cells from `first` on."""
    _learn(low, storage, value, node)
    blocks = range(len(storage.owners)) if storage.attribute else ()
    limits = {_declared(storage, block) for block in blocks}
    bounds = limits.pop() if len(limits) == 1 else None
    prepared = _prepared(low, storage, value, bounds, _name(low, storage), node)
    reg = operands.operand(low, prepared, node, storage.type)
    if limits:
        _check_each(low, storage, reg, index, message)
    low.emitter.access(storage.key)
    low.emitter.emit(Op.STX, Address(storage.key, first), index(), reg, length, message)


def _learn(low: Lowering, storage: Storage, value: Value, node: ast.AST) -> None:
    kind = operands.type_of(low, value, node)
    if storage.opaque:
        what = f"{_name(low, storage)} holds what no cell can hold beside {describe(kind)}"
        raise low.refuse("E203", node, what, "one cell of the state has one type")
    try:
        low.storages.write(storage, kind)
    except TypeMismatch:
        raise low.refuse(
            "E203",
            node,
            f"{_name(low, storage)} would hold {describe(storage.type)} and {describe(kind)}",
            "one cell of the state has one type",
            "use two attributes, or one Enum; None stands for nothing",
        ) from None
    low.storages.rely(storage)
    if low.storages.unbounded(storage):
        raise operands.no_bound(low, node, _name(low, storage))


def _prepared(
    low: Lowering,
    storage: Storage,
    value: Value,
    bounds: tuple[int, int] | None,
    name: str,
    node: ast.AST,
) -> Const | Dyn:
    """Return what to store, checked against the bounds."""
    kind = storage.type
    if bounds is not None and isinstance(kind, IntType):
        kind = IntType(*bounds, nullable=kind.nullable)
    if isinstance(value, Const):
        code = operands.constant_code(low, value.value, storage.type, node)
        if isinstance(kind, IntType) and value.value is not None:
            operands.check_constant(low, code, kind, name)
        return value
    reg = operands.operand(low, value, node)
    own = operands.type_of(low, value, node)
    if isinstance(own, IntType) and isinstance(kind, IntType):
        operands.check_range(low, reg, own, kind, name)
    return Dyn(reg, own)


def _declared(storage: Storage, block: int) -> tuple[int, int] | None:
    """Return the bounds that set-up declared for the cells of one owner."""
    owner = storage.owners[block]
    if isinstance(owner, Counter):
        return 0, owner.high
    if isinstance(owner, Table):
        return None
    cls: Any = type(owner)
    found = attribute_bounds(cls, storage.attribute)
    return None if found is None else (found.low, found.high)


def _check_each(
    low: Lowering, storage: Storage, reg: Reg, index: Callable[[], Reg], message: Message
) -> None:
    """Emit a check that `reg` fits the cell that `index` selects, each of which has its bounds."""
    emitter = low.emitter
    ends = [_declared(storage, block) or (-128, 127) for block in range(len(storage.owners))]
    for which, op_bound in enumerate(zip(*ends, strict=True)):
        limit = emitter.reg(IntType(-128, 127))
        emitter.emit(Op.LDT, limit, op_bound, index(), len(op_bound), message)
        fits = emitter.new_label()
        emitter.emit(Op.JLE, *((reg, limit) if which else (limit, reg)), fits)
        text = f"{literally(_name(low, storage))} would become {{0}}, outside its bounds"
        emitter.emit(Op.FAIL, Message("bounds", text, (reg,), (reg.type,)))
        emitter.place(fits)


def _name(low: Lowering, storage: Storage, index: int | None = None) -> str:
    """Return what a message calls a cell, or any cell of the storage."""
    owner = storage.owners[0 if index is None else index // storage.width]
    if index is None and len(storage.owners) > 1:
        return {"value": "the counter", "": "the table"}.get(storage.attribute, storage.attribute)
    own = low.objects.name(owner)
    if isinstance(owner, Counter | Epoch | Table):
        return own
    return f"{own}.{storage.attribute}"


def fill(low: Lowering, table: Table[object], value: Value, node: ast.AST) -> None:
    """Emit `table.fill(value)`: all elements, one step."""
    storage = low.storages.table((table,))
    _learn(low, storage, value, node)
    first, width = storage.blocks[id(table)], len(table.keys)
    if width == 0:
        return
    if isinstance(value, Const):
        code = operands.constant_code(low, value.value, storage.type, node)
        low.emitter.access(storage.key)
        low.emitter.emit(Op.FILL, Address(storage.key, first), width, code)
        return
    source = operands.operand(low, value, node)
    with low.emitter.atomically():
        for number in range(width):
            low.emitter.access(storage.key)
            low.emitter.emit(Op.MOV, Address(storage.key, first + number), source)


# -- epochs ---------------------------------------------------------------------------------------


def snapshot(low: Lowering, epoch: Epoch) -> Value:
    """Emit `epoch.read()`: a snapshot that is fresh until the next bump."""
    storage = low.storages.epoch(epoch)
    low.emitter.access(storage.key)
    kind = Snapshot(storage.key)
    reg = low.emitter.reg(kind)
    low.emitter.emit(Op.CONST, reg, 1)
    return Dyn(reg, kind, taken=low.emitter.mark)


def bump(low: Lowering, epoch: Epoch) -> None:
    """Emit `epoch.bump()`: every fresh snapshot becomes stale."""
    storage = low.storages.epoch(epoch)
    low.storages.bump(storage)
    low.emitter.access(storage.key)
    low.emitter.emit(Op.BUMP, storage.key)
