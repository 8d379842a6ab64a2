"""The cells of a program: which storages need some, their names, what they hold at first."""

from __future__ import annotations

from collections import Counter as Tally
from dataclasses import dataclass, replace
from typing import Any

from mmunotify.compile.objects import Objects, key_name, page_name
from mmunotify.compile.storage import PAGE, Storage, Storages, encode
from mmunotify.compile.types import (
    Bool,
    EnumType,
    IntType,
    NoneOnly,
    Ref,
    Snapshot,
    Type,
    bounds,
    is_nullable,
)
from mmunotify.ir.program import Cell, CellKind
from mmunotify.lang.counter import Epoch
from mmunotify.lang.table import Table

__all__ = ["SharedCells", "value_names"]


def value_names(kind: Type, objects: Objects) -> tuple[str, ...]:
    """Return the texts of the values of a type, lowest first; empty for plain numbers."""
    none = ("none",) if is_nullable(kind) else ()
    if isinstance(kind, NoneOnly):
        return none
    if isinstance(kind, Bool):
        return (*none, "no", "yes")
    if isinstance(kind, EnumType):
        return (*none, *(m.name for m in kind.members))
    if isinstance(kind, Ref):
        return (*none, *(objects.name(o) for o in objects.families[kind.family]))
    if isinstance(kind, Snapshot):
        return ("none", "fresh", "stale")
    if isinstance(kind, IntType) and kind.label == PAGE and kind.low >= 0:
        return (*none, *(page_name(p) for p in range(0 if none else kind.low, kind.high + 1)))
    if isinstance(kind, IntType) and kind.nullable:
        return (*none, *(str(v) for v in range(kind.high + 1)))
    return ()


def _key_name(table: Table[Any], key: Any, objects: Objects) -> str:
    return objects.name(key) if objects.knows(key) else key_name(table, key)


def _is_primitive(value: Any) -> bool:
    """Tell whether an object is a set, a queue or a lock of the language itself."""
    return type(value).__module__.startswith("mmunotify.lang.")


@dataclass
class SharedCells:
    """The cells of all storages that the code touches, and where each storage begins."""

    cells: list[Cell]
    first: dict[int, int]
    storages: Storages

    @classmethod
    def of(cls, storages: Storages, touched: set[int]) -> SharedCells:
        """Make the cells of every storage in `touched` that some body changes."""
        made = cls([], {}, storages)
        for storage in storages.all:
            counts = storage.mutable and storage.key in touched
            if counts and not isinstance(storage.owners[0], Epoch):
                made._add(storage)
        made._shorten()
        return made

    def _shorten(self) -> None:
        """Drop the leading parts of names that nothing needs to be told apart by."""
        whole = sorted({_stem(c.name) for c in self.cells})
        ends = Tally(end for stem in whole for end in _ends(stem))
        tables = {_stem(c.name) for c in self.cells if c.name.endswith("]")}
        objects = self.storages.objects
        primitives = {objects.name(o) for o in objects.kept if _is_primitive(o)}
        short = {}
        for stem in whole:
            # One word says enough if it is a table's or made of several; not what a primitive
            # calls the table inside it.
            alone = stem in tables and stem.rpartition(".")[0] not in primitives
            alone = alone or "_" in _ends(stem)[0]
            enough = _ends(stem) if alone else _ends(stem)[1:]
            short[stem] = next((e for e in enough if ends[e] == 1), stem)
        self.cells = [
            replace(
                c,
                name=short[_stem(c.name)] + c.name[len(_stem(c.name)) :],
                array=short.get(c.array, c.array),
            )
            for c in self.cells
        ]

    def _add(self, storage: Storage) -> None:
        objects = self.storages.objects
        self.first[storage.key] = len(self.cells)
        least, most = bounds(storage.type)
        names = value_names(storage.type, objects)
        values = [encode(v, storage.type, objects) for v in self.storages.initial(storage)]
        for index, (value, (name, array)) in enumerate(
            zip(values, _cell_names(storage, objects), strict=True)
        ):
            self.cells.append(
                Cell(
                    name,
                    min(least, value),
                    max(most, value),
                    value,
                    CellKind.SHARED,
                    names=names,
                    array=array,
                    index=index,
                )
            )

    def constants(self, storage: Storage) -> tuple[int, ...]:
        """Return the codes of a storage that no body changes."""
        objects = self.storages.objects
        return tuple(encode(v, storage.type, objects) for v in self.storages.initial(storage))


def _stem(name: str) -> str:
    """The name of a cell without the index of its table."""
    return name[: name.rindex("[")] if name.endswith("]") else name


def _ends(name: str) -> list[str]:
    """The ends of a dotted name, shortest first."""
    parts = name.split(".")
    return [".".join(parts[n:]) for n in range(len(parts) - 1, -1, -1)]


def _cell_names(storage: Storage, objects: Objects) -> list[tuple[str, str]]:
    if storage.attribute == "":
        return [
            (f"{objects.name(t)}[{_key_name(t, k, objects)}]", objects.name(t))
            for t in storage.owners
            for k in t.keys
        ]
    names = []
    for owner in storage.owners:
        own = objects.name(owner)
        whole = own if storage.attribute == "value" else f"{own}.{storage.attribute}"
        names.append((whole, storage.attribute))
    return names
