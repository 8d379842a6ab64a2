"""`base[key]`: elements of tables, of fixed lists, and of what has `__getitem__` in the subset."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmunotify.compile.emit import Message, literally
from mmunotify.compile.lower import access, attributes, calls, cases, operands
from mmunotify.compile.lower.context import Lowering, Refused
from mmunotify.compile.objects import is_scalar
from mmunotify.compile.storage import Storage, encode, same_keys
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
    POISON,
    Const,
    Dyn,
    Reg,
    Selected,
    Sequenced,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table

__all__ = ["check_indexable", "items_of", "read", "select", "write"]


# -- positions of keys ----------------------------------------------------------------------------


def _position(
    low: Lowering, table: Table[Any], key: Value, node: ast.AST
) -> int | Callable[[], Reg]:
    """Return the position of a key: known now, or how to emit it; -1 where it is no key."""
    if isinstance(key, Const):
        return _known_position(low, table, key.value, node)
    if isinstance(key, Tup):
        raise _no_key(low, node, "a tuple")
    if isinstance(key, Selected) and all(isinstance(o, Counter) for _, o in key.present):
        raise operands.counter_named(low, key.present[0][1], node)
    kind = operands.type_of(low, key, node)
    if not _suits(low, table.keys, kind):
        raise _no_key(low, node, operands.described(low, key))
    codes = [encode(k, kind, low.objects) for k in table.keys]
    reg = operands.operand(low, key, node)
    if codes == list(range(len(codes))):
        return lambda: reg
    least, most = bounds(_full(low, kind))
    mapping = tuple(codes.index(c) if c in codes else -1 for c in range(least, most + 1))
    return partial(_mapped, low, mapping, reg, least, _bad_key(low, table, reg))


def _known_position(low: Lowering, table: Table[Any], key: Any, node: ast.AST) -> int:
    if isinstance(key, Counter | Epoch):
        raise operands.counter_named(low, key, node)
    for number, candidate in enumerate(table.keys):
        if candidate is key or (is_scalar(candidate) and is_scalar(key) and candidate == key):
            return number
    raise _no_key(low, node, _shown(low, key))


def _no_key(low: Lowering, node: ast.AST, what: str) -> Refused:
    return low.refuse(
        "E206",
        node,
        f"{what} is no key of this table",
        "a Table has the keys that set-up gave it",
        "build the Table over what it is indexed by",
    )


def _shown(low: Lowering, key: Any) -> str:
    if is_scalar(key):
        return str(key)
    return operands.described(low, Const(key))


def _suits(low: Lowering, keys: tuple[Any, ...], kind: Type) -> bool:
    """Tell whether a value of a type can be one of `keys`."""
    if isinstance(kind, EnumType):
        return all(isinstance(k, kind.cls) for k in keys)
    if isinstance(kind, Ref):
        return all(low.objects.knows(k) and low.objects.family(k) == kind.family for k in keys)
    return isinstance(kind, IntType | Bool) and all(isinstance(k, bool | int) for k in keys)


def _full(low: Lowering, kind: Type) -> Type:
    """Return a type with the codes that a mapping must have an entry for; None fails before."""
    if isinstance(kind, Ref):
        return IntType(0, len(low.objects.families[kind.family]) - 1)
    return kind


def _bad_key(low: Lowering, table: Table[Any], reg: Reg) -> Message:
    name = literally(low.objects.name(table))
    return Message("bounds", f"{{0}} is no key of {name}", (reg,), (reg.type,))


def _mapped(low: Lowering, mapping: tuple[int, ...], reg: Reg, least: int, message: Message) -> Reg:
    emitter = low.emitter
    shifted = reg
    if least:
        shifted = emitter.reg(IntType(0, len(mapping) - 1))
        emitter.emit(Op.ADDK, shifted, reg, -least)
    result = emitter.reg(IntType(-1, max(mapping)))
    emitter.emit(Op.LDT, result, mapping, shifted, len(mapping), message)
    return result


# -- elements of tables ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Element:
    """Where an element is: cell `first + index` of a storage, below `first + length`."""

    storage: Storage
    first: int
    length: int
    index: int | Callable[[], Reg]
    message: Message


def _element(low: Lowering, table: Table[Any], key: Value, node: ast.AST) -> _Element:
    """Return an element of a table that is known now."""
    storage = low.storages.table((table,))
    where = _position(low, table, key, node)
    first = storage.blocks[id(table)]
    if isinstance(where, int):
        return _Element(storage, first, storage.width, where, Message("bounds", ""))
    reg = operands.operand(low, key, node)
    return _Element(storage, first, storage.width, where, _bad_key(low, table, reg))


def _element_of_any(low: Lowering, chosen: Selected, key: Value, node: ast.AST) -> _Element:
    """Return an element of a table that only a run selects."""
    tables = tuple(t for _, t in chosen.present)
    storage = low.storages.table(tables)
    where = _position(low, tables[0], key, node)
    chosen = operands.present(low, chosen, "elements")
    blocks = tuple(
        storage.blocks[id(t)] // max(1, storage.width) if isinstance(t, Table) else -1
        for t in chosen.objects
    )
    message = Message("bounds", "there is no such element")
    if not isinstance(where, int):
        message = _bad_key(low, tables[0], operands.operand(low, key, node))
    index = partial(_flat, low, chosen.reg, blocks, storage, where, message)
    return _Element(storage, 0, storage.length, index, message)


def _flat(
    low: Lowering,
    reg: Reg,
    blocks: tuple[int, ...],
    storage: Storage,
    where: int | Callable[[], Reg],
    message: Message,
) -> Reg:
    """Emit `block * width + position`; a position outside of its block fails."""
    emitter = low.emitter
    block = reg
    if any(code not in (n, -1) for n, code in enumerate(blocks)):
        block = operands.mapped(low, reg, blocks, IntType(0, len(storage.owners) - 1))
    row = emitter.reg(IntType(0, storage.length))
    width = emitter.reg(IntType(storage.width, storage.width))
    emitter.emit(Op.CONST, width, storage.width)
    emitter.emit(Op.MUL, row, block, width)
    result = emitter.reg(IntType(0, storage.length))
    if isinstance(where, int):
        emitter.emit(Op.ADDK, result, row, where)
        return result
    position = where()
    operands.check_between(low, position, position.type, 0, storage.width - 1, message)
    emitter.emit(Op.ADD, result, row, position)
    return result


def _load(low: Lowering, element: _Element, node: ast.AST) -> Value:
    storage = element.storage
    mutable = low.storages.is_mutable(storage.owners[0], "")
    if isinstance(element.index, int):
        cell = element.first + element.index
        if not mutable:
            return Const(low.storages.initial(storage)[cell])
        return access.load(low, storage, cell)
    values = low.storages.initial(storage)[element.first : element.first + element.length]
    if mutable:
        return access.load_at(
            low, storage, element.first, element.length, element.index, element.message
        )
    reg = element.index()
    operands.check_between(low, reg, reg.type, 0, len(values) - 1, element.message)
    return operands.one_of(low, reg, dict(enumerate(values)), node)


def _store(low: Lowering, element: _Element, value: Value, node: ast.AST) -> None:
    if isinstance(element.index, int):
        access.store(low, element.storage, element.first + element.index, value, node)
        return
    access.store_at(
        low,
        element.storage,
        element.first,
        element.length,
        element.index,
        element.message,
        value,
        node,
    )


# -- base[key] ------------------------------------------------------------------------------------


def read(low: Lowering, base: Value, key: Value, node: ast.AST) -> Value:
    """Return `base[key]`."""
    if operands.poisoned(base, key):
        return POISON
    if isinstance(base, Const) and isinstance(base.value, Table):
        return _load(low, _element(low, base.value, key, node), node)
    items = items_of(base)
    if items is not None:
        return _item(low, items, key, node)
    chosen = operands.objects_of(low, base)
    if chosen is None:
        return _by_method(low, base, "__getitem__", [key], node)
    parts = [o for _, o in chosen.present]
    if parts and all(isinstance(p, Table) for p in parts) and same_keys(tuple(parts)):
        return _load(low, _element_of_any(low, chosen, key, node), node)
    return cases.each(low, chosen, "elements", node, lambda one: read(low, one, key, node))


def write(low: Lowering, base: Value, key: Value, value: Value, node: ast.AST) -> None:
    """Emit `base[key] = value`."""
    if operands.poisoned(base, key, value):
        return
    if isinstance(base, Const) and isinstance(base.value, Table):
        _store(low, _element(low, base.value, key, node), value, node)
        return
    chosen = operands.objects_of(low, base)
    if chosen is None:
        _write_other(low, base, key, value, node)
        return
    parts = [o for _, o in chosen.present]
    if parts and all(isinstance(p, Table) for p in parts) and same_keys(tuple(parts)):
        _store(low, _element_of_any(low, chosen, key, node), value, node)
        return

    def run(one: Const) -> Value:
        write(low, one, key, value, node)
        return Const(None)

    cases.each(low, chosen, "elements", node, run)


def _write_other(low: Lowering, base: Value, key: Value, value: Value, node: ast.AST) -> None:
    if items_of(base) is None and not _is_collection(base):
        _by_method(low, base, "__setitem__", [key, value], node)
        return
    raise low.refuse(
        "E114",
        node,
        "only the elements of a Table can be assigned in a body",
        "a list or dict of set-up is a constant, a tuple never changes",
        "build a Table in set-up",
    )


def _is_collection(base: Value) -> bool:
    return isinstance(base, Const) and isinstance(base.value, dict | set | frozenset | str | range)


def _by_method(
    low: Lowering, base: Value, method: str, arguments: list[Value], node: ast.AST
) -> Value:
    """Call `__getitem__` or `__setitem__` of an object; refuse what has none."""
    function = attributes.special(base, method)
    if function is None:
        raise _not_indexable(low, base, node)
    return calls.inline(low, function, [base, *arguments], {}, node)


def check_indexable(low: Lowering, base: Value, node: ast.AST) -> None:
    """Refuse the elements of a dict, a string and the like, whatever the key is."""
    if _is_collection(base) and items_of(base) is None:
        raise _not_indexable(low, base, node)


def _not_indexable(low: Lowering, base: Value, node: ast.AST) -> Refused:
    what = operands.described(low, base)
    return low.refuse(
        "E208" if _is_collection(base) else "E104",
        node,
        f"{what} cannot be indexed in a body",
        "elements are those of a Table, or of a list or tuple that set-up fixed",
        "build a Table in set-up",
    )


# -- elements of fixed sequences ------------------------------------------------------------------


def items_of(base: Value) -> tuple[Value, ...] | None:
    """Return the elements of a tuple, list or range in a fixed order, or None if it is none."""
    if isinstance(base, Sequenced) or (isinstance(base, Tup) and _is_tuple(base.cls)):
        return base.items
    if isinstance(base, Const) and isinstance(base.value, list | tuple | range | Pages):
        return tuple(map(Const, base.value))
    return None


def _is_tuple(cls: type | None) -> bool:
    return cls is None or issubclass(cls, tuple)


def _item(low: Lowering, items: tuple[Value, ...], key: Value, node: ast.AST) -> Value:
    if isinstance(key, Const):
        if isinstance(key.value, Counter | Epoch):
            raise operands.counter_named(low, key.value, node)
        if not isinstance(key.value, int) or not -len(items) <= key.value < len(items):
            what = f"{_shown(low, key.value)} is no index of these {len(items)} items"
            raise low.refuse("E206", node, what, "the items are fixed by set-up")
        return items[key.value]
    kind = operands.type_of(low, key, node)
    if not isinstance(kind, IntType | Bool) or isinstance(kind, Snapshot):
        what = f"{operands.described(low, key)} is no index of these {len(items)} items"
        raise low.refuse("E206", node, what, "an index is an int")
    if not all(isinstance(i, Const) for i in items):
        raise low.refuse(
            "E104",
            node,
            "a tuple made in a body can only be indexed by a number known beforehand",
            "its items live in different places",
            "use a Table, or unpack the tuple",
        )
    constants = tuple(i.value for i in items if isinstance(i, Const))
    return select(low, constants, Dyn(operands.number(low, key, node), kind), node)


def select(low: Lowering, items: tuple[Any, ...], index: Dyn, node: ast.AST) -> Value:
    """Return `items[index]` for a fixed sequence of set-up objects or numbers."""
    reg = _wrapped(low, index, len(items))
    return operands.one_of(low, reg, dict(enumerate(items)), node)


def _wrapped(low: Lowering, index: Dyn, length: int) -> Reg:
    """Return the register with an index from 0 on: -1 is the last item, as in Python."""
    text = f"{{0}} is no index of {length} items"
    message = Message("bounds", text, (index.reg,), (index.type,))
    if bounds(index.type)[0] < 0 and not is_nullable(index.type):
        operands.check_between(low, index.reg, index.type, -length, length - 1, message)
        emitter = low.emitter
        result = emitter.reg(IntType(0, length - 1))
        positive, end = emitter.new_label(), emitter.new_label()
        zero = emitter.reg(IntType(0, 0))
        emitter.emit(Op.CONST, zero, 0)
        emitter.emit(Op.JLE, zero, index.reg, positive)
        emitter.emit(Op.ADDK, result, index.reg, length)
        emitter.emit(Op.JMP, end)
        emitter.place(positive)
        emitter.emit(Op.MOV, result, index.reg)
        emitter.place(end)
        return result
    operands.check_between(low, index.reg, index.type, 0, length - 1, message)
    return index.reg
