"""Cells of a world in plain Python: which attributes hold state, and a tap on every access.

Invariant: `Instrumented` changes no value; after `remove` every object has its own class again.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from mmunotify.check.reach import reachable_objects
from mmunotify.compile import World
from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.runtime import runtime
from mmunotify.lang.table import Table

__all__ = ["Instrumented", "IsCell", "assigned_cells"]

IsCell = Callable[[object, str], bool]
_SETUP = ("__init__", "attach")
_STATE = (Counter, Epoch, Table)


def assigned_cells(world: World) -> IsCell:
    """Return the guess that an attribute is a cell if any method but set-up's assigns its name."""
    files = {inspect.getsourcefile(type(found)) for found in reachable_objects([world])}
    names = {"value"}
    for file in files - {None}:
        names |= _assigned(str(file))

    def is_cell(owner: object, name: str) -> bool:
        if isinstance(owner, _STATE):
            return name in ("", "value")
        return name in names and not isinstance(vars(owner)[name], _STATE)

    return is_cell


@cache
def _assigned(file: str) -> set[str]:
    """Return the attribute names that functions of `file` assign, set-up left out."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    found: set[str] = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name not in _SETUP:
            found |= {
                node.attr
                for node in ast.walk(function)
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            }
    return found


def _tap() -> None:
    access = getattr(runtime(), "access", None)
    if access is not None:
        access()


def _property(name: str) -> property:
    def read(self: Any) -> Any:
        _tap()
        return self.__dict__[name]

    def write(self: Any, value: Any) -> None:
        _tap()
        self.__dict__[name] = value

    return property(read, write)


class _TappedTable(Table[Any]):
    def __getitem__(self, key: Any) -> Any:
        _tap()
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        _tap()
        super().__setitem__(key, value)

    def fill(self, value: Any) -> None:
        _tap()
        super().fill(value)


class _TappedEpoch(Epoch):
    def read(self) -> int:
        _tap()
        return super().read()

    def bump(self) -> None:
        _tap()
        super().bump()


def _tapped(cls: type, names: tuple[str, ...]) -> type:
    return type(cls.__name__, (cls,), {name: _property(name) for name in names})


class Instrumented:
    """The objects of a world with a tap on every access to a cell."""

    def __init__(self, world: World, is_cell: IsCell) -> None:
        found = [o for o in reachable_objects([world]) if o is not world]
        self._swaps = [(o, type(o), _new_class(o, is_cell)) for o in found]

    def install(self) -> None:
        """Give every object with cells a class whose attributes are tapped."""
        for found, _, new in self._swaps:
            found.__class__ = new

    def remove(self) -> None:
        """Give every object its own class back."""
        for found, old, _ in self._swaps:
            found.__class__ = old


def _new_class(found: Any, is_cell: IsCell) -> type:
    cls = type(found)
    if isinstance(found, Table):
        return _TappedTable if is_cell(found, "") else cls
    if isinstance(found, Epoch):
        return _TappedEpoch if is_cell(found, "value") else cls
    names = tuple(str(name) for name in vars(found) if is_cell(found, name))
    return _tapped(cls, names) if names else cls
