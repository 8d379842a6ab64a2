"""Candidates for symmetry: families of objects, pages, and threads that run the same body.

Only candidates: which of them are interchangeable is proven on the finished code.
"""

from __future__ import annotations

from typing import Any

from mmunotify.compile.cells import SharedCells
from mmunotify.compile.objects import Objects, is_model_object
from mmunotify.compile.storage import PAGE, Storage
from mmunotify.ir.program import SymmetryKind
from mmunotify.lang.table import Table
from mmunotify.lang.thread import Thread

__all__ = ["candidates"]


def candidates(
    shared: SharedCells,
    threads: list[Thread],
    private: list[tuple[int, ...]],
    pages: int,
    labels: set[str],
) -> tuple[SymmetryKind, ...]:
    """Return the candidate kinds; `private[t]` are the pc and local cells of thread `t`.

    `labels` are those that occur: what has no cells and is named by none makes no difference.
    """
    objects = shared.storages.objects
    kinds = [_pages(shared, pages)] if pages > 1 else []
    grouped: set[int] = set()
    for group in _thread_groups(threads):
        kind = _threads(shared, threads, private, group, grouped)
        if kind is not None:
            kinds.append(kind)
    for name, members in objects.families.items():
        if len(members) > 1 and name != "Thread" and not any(id(m) in grouped for m in members):
            kind = _family(shared, name, members)
            if kind is not None:
                kinds.append(kind)
    return tuple(k for k in kinds if k.size > 1 and _matters(k, labels))


def _matters(kind: SymmetryKind, labels: set[str]) -> bool:
    return any(kind.columns) or any(label in labels for label, _ in kind.values)


def _pages(shared: SharedCells, pages: int) -> SymmetryKind:
    columns: list[list[int]] = [[] for _ in range(pages)]
    for storage in shared.storages.all:
        if storage.label == PAGE and storage.key in shared.first:
            first = shared.first[storage.key]
            for cell in range(storage.length):
                columns[cell % storage.width].append(first + cell)
    return SymmetryKind(PAGE, pages, tuple(map(tuple, columns)), ((PAGE, tuple(range(pages))),))


def _family(shared: SharedCells, name: str, members: list[Any]) -> SymmetryKind | None:
    bundles = _bundles(shared.storages.objects, [[m] for m in members])
    if bundles is None:
        return None
    columns, values = _columns_and_values(shared, bundles)
    return SymmetryKind(name, len(members), columns, values)


def _thread_groups(threads: list[Thread]) -> list[list[int]]:
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, thread in enumerate(threads):
        function = getattr(thread.body, "__func__", thread.body)
        groups.setdefault((function, len(thread.args), thread.daemon), []).append(number)
    return [g for g in groups.values() if len(g) > 1]


def _threads(
    shared: SharedCells,
    threads: list[Thread],
    private: list[tuple[int, ...]],
    group: list[int],
    grouped: set[int],
) -> SymmetryKind | None:
    roots = []
    for number in group:
        thread = threads[number]
        receiver = getattr(thread.body, "__self__", None)
        roots.append([thread, receiver, *thread.args])
    same = [n for n in range(len(roots[0])) if any(r[n] is not roots[0][n] for r in roots[1:])]
    if any(not is_model_object(r[n]) for r in roots for n in same):
        return None
    bundles = _bundles(shared.storages.objects, [[r[n] for n in same] for r in roots])
    if bundles is None:
        return None
    grouped.update(id(o) for bundle in bundles for o in bundle if not isinstance(o, Thread))
    columns, values = _columns_and_values(shared, bundles)
    columns = tuple((*c, *private[n]) for c, n in zip(columns, group, strict=True))
    name = threads[group[0]].role or threads[group[0]].name
    return SymmetryKind(f"thread {name}", len(group), columns, values, tuple(group))


def _bundles(objects: Objects, roots: list[list[Any]]) -> list[list[Any]] | None:
    """Return, per element, the objects that go with it, in the same order for every element."""
    bundles = [list(r) for r in roots]
    seen = {id(o) for o in bundles[0]}
    position = 0
    while position < len(bundles[0]):
        row = [b[position] for b in bundles]
        position += 1
        if len({type(o) for o in row}) != 1:
            return None
        if isinstance(row[0], Table):
            continue
        for name in sorted(vars(row[0])) if hasattr(row[0], "__dict__") else []:
            parts = [vars(o).get(name) for o in row]
            distinct = len({id(p) for p in parts}) == len(parts)
            own = distinct and all(is_model_object(p) and objects.knows(p) for p in parts)
            if own and id(parts[0]) not in seen:
                seen.add(id(parts[0]))
                for bundle, part in zip(bundles, parts, strict=True):
                    bundle.append(part)
    return bundles


def _columns_and_values(
    shared: SharedCells, bundles: list[list[Any]]
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[str, tuple[int, ...]], ...]]:
    columns: list[list[int]] = [[] for _ in bundles]
    owned = _owned(shared)
    for row in zip(*bundles, strict=True):
        parts = [owned.get(id(member), {}) for member in row]
        for name in sorted(parts[0]):
            if len({len(p.get(name, ())) for p in parts}) == 1:
                for column, part in zip(columns, parts, strict=True):
                    column.extend(part[name])
        for storage in shared.storages.all:
            if storage.attribute == "" and storage.key in shared.first:
                _add_keyed(storage, shared.first[storage.key], row, columns)
    objects = shared.storages.objects
    values: dict[str, tuple[int, ...]] = {}
    for row in zip(*bundles, strict=True):
        if id(row[0]) in objects.numbers and objects.family(row[0]) not in values:
            values[objects.family(row[0])] = tuple(objects.number(o) for o in row)
    return tuple(map(tuple, columns)), tuple(values.items())


def _owned(shared: SharedCells) -> dict[int, dict[str, list[int]]]:
    """Return the cells of each object (by id), by attribute."""
    owned: dict[int, dict[str, list[int]]] = {}
    for storage in shared.storages.all:
        if storage.key in shared.first:
            start = shared.first[storage.key]
            for number, owner in enumerate(storage.owners):
                first = start + number * storage.width
                cells = list(range(first, first + storage.width))
                owned.setdefault(id(owner), {})[storage.attribute] = cells
    return owned


def _add_keyed(
    storage: Storage, first: int, row: tuple[Any, ...], columns: list[list[int]]
) -> None:
    keys = {id(k): n for n, k in enumerate(storage.owners[0].keys)}
    if not all(id(o) in keys for o in row) or storage.label == PAGE:
        return
    for block in range(len(storage.owners)):
        for column, member in zip(columns, row, strict=True):
            column.append(first + block * storage.width + keys[id(member)])
