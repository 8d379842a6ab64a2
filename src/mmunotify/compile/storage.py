"""Where state lives: one `Storage` an attribute, a table, or a column of one attribute.

What lowering learns here (which attributes bodies assign, of what type, which are indexed
dynamically) only grows; lowering is repeated until nothing grows any more.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mmunotify.compile.objects import Objects, family_name, is_model_object, is_scalar
from mmunotify.compile.types import (
    BOTTOM,
    Bool,
    EnumType,
    IntType,
    NoneOnly,
    Ref,
    Snapshot,
    Type,
    TypeMismatch,
    annotated_bounds,
    join,
)
from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table

__all__ = ["PAGE", "Conflict", "Storage", "Storages", "encode", "scalar_type"]

PAGE = "page"
_LIMIT = 16  # an inferred int type that still grows beyond this many values has no bound


class Conflict(Exception):
    """Two dynamic accesses want the same cells in different orders."""


@dataclass
class Storage:
    """Cells of one kind, one after another: `owners[i]` is the object (or table) of block `i`.

    `width` cells a block: 1 for an attribute, the number of keys for a table.
    """

    key: int
    name: str
    attribute: str
    owners: tuple[Any, ...]
    width: int
    type: Type
    label: str = ""  # what indexes it: a family, "page", or ""
    mutable: bool = False
    growth: int = 0
    threads: set[int] = field(default_factory=set)

    @property
    def length(self) -> int:
        """The number of cells."""
        return len(self.owners) * self.width


def scalar_type(value: Any, objects: Objects) -> Type:
    """Return the type of a set-up value; raise `TypeMismatch` if no cell can hold it."""
    if value is None:
        return NoneOnly()
    if isinstance(value, bool):
        return Bool()
    if isinstance(value, int):
        if not -128 <= value <= 127:
            raise TypeMismatch
        return IntType(value, value)
    if isinstance(value, Enum):
        return EnumType(type(value))
    if is_model_object(value) and objects.knows(value):
        return _reference(value, objects)
    raise TypeMismatch


def _reference(value: Any, objects: Objects) -> Ref:
    if id(value) not in objects.numbers:
        raise TypeMismatch
    family = family_name(value)
    return Ref(family, last=len(objects.families[family]) - 1)


def encode(value: Any, kind: Type, objects: Objects) -> int:
    """Return the code of a Python value in a cell of type `kind`."""
    if value is None:
        return 0 if isinstance(kind, Snapshot) else -1
    if isinstance(value, Enum) and isinstance(kind, EnumType):
        return kind.members.index(value)
    if isinstance(value, bool | int):
        return int(value)
    return objects.number(value)


class Storages:
    """All storages of one compilation, kept over the repeated lowerings."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.all: list[Storage] = []
        self.changed = False
        self._attributes: dict[tuple[int, str], Storage] = {}
        self._tables: dict[int, Storage] = {}

    # -- attributes ---------------------------------------------------------------------------

    def attribute(self, owner: Any, name: str) -> Storage:
        """Return the storage of one object's attribute, new if need be."""
        found = self._attributes.get((id(owner), name))
        return found if found is not None else self._new_attribute((owner,), name)

    def column(self, owners: tuple[Any, ...], name: str) -> Storage:
        """Return the storage of `name` for all `owners` in that order; raise `Conflict`."""
        found = self._attributes.get((id(owners[0]), name))
        if found is not None and _same(found.owners, owners):
            return found
        olds = [self._attributes.get((id(o), name)) for o in owners]
        if any(old is not None and len(old.owners) > 1 for old in olds):
            raise Conflict
        new = self._new_attribute(owners, name)
        for old in olds:
            if old is not None:
                new.mutable |= old.mutable
                self._widen(new, old.type)
        self.changed = True
        return new

    def block(self, storage: Storage, owner: Any) -> int:
        """Return the first cell of `owner` in `storage`."""
        position = next(n for n, o in enumerate(storage.owners) if o is owner)
        return position * storage.width

    def _new_attribute(self, owners: tuple[Any, ...], name: str) -> Storage:
        first = self.objects.name(owners[0])
        whole = first if isinstance(owners[0], Counter | Epoch) else f"{first}.{name}"
        storage = self._make(whole, name, owners, 1)
        for owner in owners:
            self._attributes[id(owner), name] = storage
            self._widen(storage, self._initial_type(owner, name))
        return storage

    def _initial_type(self, owner: Any, name: str) -> Type:
        if isinstance(owner, Counter):
            return IntType(0, owner.high, declared=True)
        if isinstance(owner, Epoch):
            return IntType(0, 0, declared=True)
        for cls in type(owner).__mro__:
            bounds = annotated_bounds(_annotation(cls, name))
            if bounds is not None:
                return IntType(bounds.low, bounds.high, declared=True)
        return scalar_type(getattr(owner, name), self.objects)

    def is_mutable(self, owner: Any, name: str) -> bool:
        """Tell whether a body assigns this attribute."""
        found = self._attributes.get((id(owner), name))
        return found is not None and found.mutable

    # -- tables -------------------------------------------------------------------------------

    def table(self, tables: tuple[Table[Any], ...]) -> Storage:
        """Return the storage of one table, or of several selected dynamically; may `Conflict`."""
        found = self._tables.get(id(tables[0]))
        if found is not None and (len(tables) == 1 or _same(found.owners, tables)):
            return found
        olds = [self._tables.get(id(t)) for t in tables]
        if any(old is not None and len(old.owners) > 1 for old in olds):
            raise Conflict
        if any(not _same(t.keys, tables[0].keys) for t in tables):
            raise Conflict
        storage = self._make(
            self.objects.name(tables[0]), "", tables, len(tables[0].keys), _index_label(tables[0])
        )
        for old in olds:
            if old is not None:
                storage.mutable |= old.mutable
                self._widen(storage, old.type)
                self.changed = True
        for table in tables:
            self._tables[id(table)] = storage
            for value in table.values.values():
                self._widen(storage, scalar_type(value, self.objects))
        return storage

    # -- growth -------------------------------------------------------------------------------

    def _make(
        self, name: str, attribute: str, owners: tuple[Any, ...], width: int, label: str = ""
    ) -> Storage:
        storage = Storage(len(self.all), name, attribute, owners, width, BOTTOM, label)
        self.all.append(storage)
        return storage

    def write(self, storage: Storage, kind: Type) -> None:
        """Note that a body writes a value of type `kind`; raise `TypeMismatch`."""
        if not storage.mutable:
            storage.mutable = True
            self.changed = True
        self._widen(storage, kind)

    def _widen(self, storage: Storage, kind: Type) -> None:
        wider = join(storage.type, kind)
        if wider != storage.type:
            storage.growth += isinstance(wider, IntType)
            storage.type = wider
            self.changed = True

    @staticmethod
    def unbounded(storage: Storage) -> bool:
        """Tell whether inference found no bound for an int."""
        return storage.growth > _LIMIT

    def initial(self, storage: Storage) -> list[Any]:
        """The set-up values of all cells, in order."""
        if storage.attribute == "":
            return [t.values[k] for t in storage.owners for k in t.keys]
        if isinstance(storage.owners[0], Epoch):
            return [0] * len(storage.owners)
        return [getattr(o, storage.attribute) for o in storage.owners]


def _annotation(cls: type, name: str) -> Any:
    found = inspect.get_annotations(cls).get(name)
    if not isinstance(found, str):
        return found
    try:  # annotations are strings under `from __future__ import annotations`
        return eval(found, dict(vars(sys.modules[cls.__module__])))
    except Exception:
        return None


def _same(one: tuple[Any, ...], two: tuple[Any, ...]) -> bool:
    if len(one) != len(two):
        return False
    return all(a is b or (is_scalar(a) and a == b) for a, b in zip(one, two, strict=True))


def _index_label(table: Table[Any]) -> str:
    if isinstance(table.domain, Pages):
        return PAGE
    return "" if is_scalar(table.keys[0]) else "object"
