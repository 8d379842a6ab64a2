"""The object graph that set-up left behind: which objects there are and what to call them.

Objects are found from the threads and predicates in a fixed order, so numbers and names are the
same in every run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table

__all__ = ["Objects", "family_name", "is_model_object", "is_scalar"]

_PLAIN = (bool, int, float, str, bytes, type(None), Enum)
_NO_OBJECT = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType, Pages, range)
_CONTAINERS = (list, tuple, dict, set, frozenset)


def is_scalar(value: Any) -> bool:
    """Tell whether a cell can hold `value` as it is (object references aside)."""
    return value is None or isinstance(value, bool | int | Enum)


def is_model_object(value: Any) -> bool:
    """Tell whether `value` is an object with attributes of its own that set-up built."""
    if isinstance(value, (*_PLAIN, *_NO_OBJECT, *_CONTAINERS)):
        return False
    params = getattr(type(value), "__dataclass_params__", None)
    if params is not None and params.frozen:
        return False
    return hasattr(value, "__dict__") or hasattr(type(value), "__slots__")


def family_name(value: Any) -> str:
    """Return the family of an object: its root-most class below `object`."""
    roots = [c for c in type(value).__mro__ if c is not object and c.__module__ != "typing"]
    named = [c for c in roots if c.__name__ not in ("Generic", "Protocol", "ABC")]
    return named[-1].__name__


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    for cls in reversed(type(value).__mro__):
        for name in getattr(cls, "__slots__", ()):
            if hasattr(value, name):
                yield name, getattr(value, name)
    yield from getattr(value, "__dict__", {}).items()


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    """Yield (suffix of the name, part) of anything that may hold objects."""
    if isinstance(value, Table):
        return [(f"[{n}]", v) for n, v in enumerate((*value.keys, *value.values.values()))]
    if isinstance(value, dict):
        return [(f"[{k!r}]", v) for k, v in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [(f"[{n}]", v) for n, v in enumerate(value)]
    if isinstance(value, MethodType):
        return [("", value.__self__)]
    if isinstance(value, FunctionType):
        cells = value.__closure__ or ()
        return [("", c.cell_contents) for c in cells if c.cell_contents is not value]
    if is_model_object(value) or hasattr(value, "__dataclass_params__"):
        return [(f".{n}", v) for n, v in _attributes(value)]
    return []


class Objects:
    """All model objects, in order of discovery, with names and families."""

    def __init__(self, roots: Iterable[tuple[str, Any]]) -> None:
        self.names: dict[int, str] = {}
        self.families: dict[str, list[Any]] = {}
        self.numbers: dict[int, int] = {}  # id of an object -> its number in its family
        self._seen: set[int] = set()
        self.kept: list[Any] = []  # ids stay valid as long as the objects live
        self._discover(deque(roots))

    def _discover(self, queue: deque[tuple[str, Any]]) -> None:
        while queue:
            name, value = queue.popleft()
            if isinstance(value, (*_PLAIN, type, ModuleType)):
                continue
            if id(value) in self._seen:
                continue
            self._seen.add(id(value))
            self.kept.append(value)
            if is_model_object(value):
                self._add(name, value)
                name = self.names[id(value)]
            queue.extend((name + suffix, part) for suffix, part in _parts(value))

    def _add(self, name: str, value: Any) -> None:
        own = getattr(value, "name", None)
        self.names[id(value)] = own if isinstance(own, str) and own else name.lstrip(".")
        if not isinstance(value, Table | Counter | Epoch):
            family = self.families.setdefault(family_name(value), [])
            self.numbers[id(value)] = len(family)
            family.append(value)

    def name(self, value: Any) -> str:
        """The name of an object in reports."""
        return self.names.get(id(value), type(value).__name__)

    def knows(self, value: Any) -> bool:
        """Tell whether set-up built `value`."""
        return id(value) in self.names

    def number(self, value: Any) -> int:
        """Return the number of an object in its family; None is -1."""
        return -1 if value is None else self.numbers[id(value)]

    def adopt(self, name: str, value: Any) -> None:
        """Add an object that only a body names (a module's global), and what it holds."""
        self._discover(deque([(name, value)]))
