"""Where state lives: one `Storage` an attribute, a table, or a column of one attribute.

What lowering learns here (which attributes bodies assign, of what type, which are indexed
dynamically) only grows; what a unit (a thread or predicate) relied on is noted, so that only the
units are lowered again for which something has changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mmunotify.compile.annotations import attribute_bounds
from mmunotify.compile.objects import Objects, is_scalar, own_value
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
    join,
)
from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table

__all__ = ["PAGE", "Storage", "Storages", "encode", "same_keys", "scalar_type"]

PAGE = "page"
_Key = tuple[int, str]  # id of an owner, attribute
_GROWTH = 16  # an int whose inferred type still grows after so many lowerings has no bound


@dataclass(eq=False)
class Storage:
    """Cells of one kind, one after another: `owners[i]` is the object (or table) of block `i`.

    `width` cells a block: 1 for an attribute, the number of keys for a table. `opaque`: it holds
    something that no cell can; it can be read as long as nothing assigns to it.
    """

    key: int
    name: str
    attribute: str
    owners: tuple[Any, ...]
    width: int
    type: Type = BOTTOM
    label: str = ""  # what indexes it: a family, "page", or ""
    mutable: bool = False
    opaque: bool = False
    growth: int = 0
    grown_in: int = -1  # the lowering in which it grew last
    blocks: dict[int, int] = field(default_factory=dict)  # id of an owner -> its first cell

    def __post_init__(self) -> None:
        self.blocks = {id(o): n * self.width for n, o in enumerate(self.owners)}

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
        return IntType(int(value), int(value))
    if isinstance(value, Enum):
        return EnumType(type(value))
    if id(value) not in objects.numbers:
        raise TypeMismatch
    family = objects.family(value)
    last = len(objects.families[family]) - 1
    return Ref(family, last=last, classes=frozenset({type(value)}))


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
        self.unit = 0  # the thread or predicate being lowered
        self.lowering = 0  # counts lowerings
        self.stale: set[int] = set()  # units that relied on what has changed since
        self._found: dict[_Key, Storage] = {}
        self._relied: dict[int, set[_Key]] = {}  # what each unit relied on

    def begin(self, unit: int) -> None:
        """Note that `unit` is lowered anew from here on."""
        self.unit = unit
        self.lowering += 1
        self.stale.discard(unit)
        self._relied[unit] = set()

    def rely(self, storage: Storage) -> None:
        """Note that the unit's code is right only as long as `storage` stays as it is."""
        self._relied[self.unit].update((id(o), storage.attribute) for o in storage.owners)

    def is_mutable(self, owner: Any, name: str) -> bool:
        """Tell whether a body assigns this attribute; the unit relies on the answer."""
        key = (id(owner), name)
        self._relied[self.unit].add(key)
        found = self._found.get(key)
        return found is not None and found.mutable

    # -- finding ------------------------------------------------------------------------------

    def attribute(self, owner: Any, name: str) -> Storage:
        """Return the storage of one object's attribute; may raise `TypeMismatch`."""
        found = self._found.get((id(owner), name))
        return found if found is not None else self._merged((owner,), name)

    def column(self, owners: tuple[Any, ...], name: str) -> Storage:
        """Return the one storage of `name` for all `owners`; may raise `TypeMismatch`."""
        found = [self._found.get((id(o), name)) for o in owners]
        first = found[0]
        if first is not None and all(f is first for f in found):
            return first
        return self._merged(owners, name)

    def table(self, tables: tuple[Table[Any], ...]) -> Storage:
        """Return the one storage of tables that have the same keys."""
        return self.column(tables, "")

    def epoch(self, epoch: Epoch) -> Storage:
        """Return the storage of an epoch, which takes no cell."""
        return self.attribute(epoch, "value")

    def _merged(self, owners: tuple[Any, ...], name: str) -> Storage:
        """Make one storage for `owners` and all that share one with any of them."""
        olds = {f.key: f for o in owners if (f := self._found.get((id(o), name))) is not None}
        every = self.objects.ordered([*owners, *(o for old in olds.values() for o in old.owners)])
        storage = self._make(every, name)
        for old in olds.values():
            storage.mutable |= old.mutable
            storage.growth = max(storage.growth, old.growth)
            storage.type = join(storage.type, old.type)
        for owner in every:
            self._widen_initially(storage, owner, name)
        self.all.append(storage)
        for owner in every:
            self._found[id(owner), name] = storage
        if olds:
            self._changed(storage)
        return storage

    def _make(self, owners: tuple[Any, ...], name: str) -> Storage:
        first = owners[0]
        own = self.objects.name(first)
        if isinstance(first, Table):
            return Storage(
                len(self.all), own, "", owners, len(first.keys), label=_index_label(first)
            )
        whole = own if isinstance(first, Counter | Epoch) else f"{own}.{name}"
        return Storage(len(self.all), whole, name, owners, 1)

    def _widen_initially(self, storage: Storage, owner: Any, name: str) -> None:
        if not isinstance(owner, Table):
            storage.type = join(storage.type, self._initial_type(owner, name))
            return
        for value in owner.values.values():
            try:
                storage.type = join(storage.type, scalar_type(value, self.objects))
            except TypeMismatch:
                storage.opaque = True

    def _initial_type(self, owner: Any, name: str) -> Type:
        if isinstance(owner, Counter):
            return IntType(0, owner.high, declared=True)
        if isinstance(owner, Epoch):
            return IntType(0, 0, declared=True)
        initial = scalar_type(own_value(owner, name), self.objects)
        cls: Any = type(owner)
        bounds = attribute_bounds(cls, name)
        if bounds is None:
            return initial
        return join(IntType(bounds.low, bounds.high, declared=True), initial)

    # -- growth -------------------------------------------------------------------------------

    def write(self, storage: Storage, kind: Type) -> None:
        """Note that a body writes a value of type `kind`; raise `TypeMismatch`."""
        wider = join(storage.type, kind)
        if not storage.mutable:
            storage.mutable = True
            self._changed(storage)
        if wider != storage.type and not self.unbounded(storage):
            if storage.grown_in != self.lowering:
                storage.growth += isinstance(wider, IntType)
                storage.grown_in = self.lowering
            storage.type = wider
            self._changed(storage)

    def bump(self, storage: Storage) -> None:
        """Note that a body bumps an epoch."""
        if not storage.mutable:
            storage.mutable = True
            self._changed(storage)

    def _changed(self, storage: Storage) -> None:
        keys = {(id(o), storage.attribute) for o in storage.owners}
        self.stale.update(unit for unit, relied in self._relied.items() if relied & keys)

    @staticmethod
    def unbounded(storage: Storage) -> bool:
        """Tell whether inference found no bound for an int."""
        return storage.growth > _GROWTH

    def initial(self, storage: Storage) -> list[Any]:
        """The set-up values of all cells, in order."""
        if storage.attribute == "":
            return [t.values[k] for t in storage.owners for k in t.keys]
        if isinstance(storage.owners[0], Epoch):
            return [0] * len(storage.owners)
        return [own_value(o, storage.attribute) for o in storage.owners]


def same_keys(tables: tuple[Table[Any], ...]) -> bool:
    """Tell whether tables have the same keys in the same order."""
    first = tables[0].keys
    return all(len(t.keys) == len(first) and all(map(_same, t.keys, first)) for t in tables)


def _same(one: Any, two: Any) -> bool:
    return one is two or (is_scalar(one) and is_scalar(two) and bool(one == two))


def _index_label(table: Table[Any]) -> str:
    if isinstance(table.domain, Pages):
        return PAGE
    return "" if not table.keys or is_scalar(table.keys[0]) else "object"
