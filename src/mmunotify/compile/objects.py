"""The object graph that set-up left behind: which objects there are and what to call them.

Objects are found from the threads and predicates in a fixed order, so numbers and names are the
same in every run. Invariant: nothing here runs code of the user: no property, no `__getattr__`.
"""

from __future__ import annotations

import sys
import sysconfig
from collections import deque
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from types import (
    BuiltinFunctionType,
    FunctionType,
    GenericAlias,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table

__all__ = [
    "ABSENT",
    "Objects",
    "class_attribute",
    "is_frozen",
    "is_model_object",
    "is_scalar",
    "key_name",
    "known_names",
    "own_value",
    "page_name",
]

_PLAIN = (bool, int, float, complex, str, bytes, type(None), Enum)
_NO_OBJECT = (
    type,
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    ModuleType,
    GenericAlias,
    BaseException,
    Pages,
    range,
)
_CONTAINERS = (list, tuple, dict, set, frozenset)
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_ROOTS = ("Generic", "Protocol", "ABC")


class _Absent:
    """There is no such attribute."""


ABSENT = _Absent()


def is_scalar(value: Any) -> bool:
    """Tell whether a cell can hold `value` as it is (object references aside)."""
    return value is None or isinstance(value, bool | int | Enum)


def is_model_object(value: Any) -> bool:
    """Tell whether `value` is an object with attributes of its own that set-up built."""
    cls: Any = type(value)
    return _is_model_class(cls)


@cache
def _is_model_class(cls: type) -> bool:
    if issubclass(cls, (*_PLAIN, *_NO_OBJECT, *_CONTAINERS)) or is_frozen(cls):
        return False
    if _is_standard(str(cls.__module__)) and not _is_executed(cls):
        return cls is SimpleNamespace
    return cls.__dictoffset__ != 0 or any("__slots__" in vars(c) for c in cls.__mro__)


def _is_executed(cls: type) -> bool:
    """Tell whether `exec` made the class: it then seems to be a builtin."""
    return cls.__module__ == "builtins" and bool(cls.__flags__ & _HEAP_TYPE)


def is_frozen(cls: type) -> bool:
    """Tell whether `cls` is a frozen dataclass, whose instances are values and no objects."""
    params = getattr(cls, "__dataclass_params__", None)
    return params is not None and bool(params.frozen)


@cache
def _is_standard(module: str) -> bool:
    """Tell whether a module comes with Python: its objects are locks, files, loggers ..."""
    if module.partition(".")[0] not in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is None or file.startswith(sysconfig.get_path("stdlib"))


# -- attributes, without running any of the user's code -------------------------------------------


def class_attribute(cls: type, name: str) -> Any:
    """Return what a class or its bases define as `name`, or `ABSENT`."""
    for ancestor in cls.__mro__:
        if name in ancestor.__dict__:
            return ancestor.__dict__[name]
    return ABSENT


def own_value(value: Any, name: str) -> Any:
    """Return the value of a plain attribute: of the object itself, else of its class."""
    found = class_attribute(type(value), name)
    if isinstance(found, MemberDescriptorType):  # __slots__
        try:
            return found.__get__(value)
        except AttributeError:
            return ABSENT
    return getattr(value, "__dict__", {}).get(name, found)


def known_names(value: Any) -> list[str]:
    """Return the names of an object's attributes that a user could have meant."""
    names = {n for cls in type(value).__mro__[:-1] for n in vars(cls)}
    return sorted(n for n in names | set(getattr(value, "__dict__", ())) if n[:2] != "__")


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    for cls in reversed(type(value).__mro__):
        for name, found in vars(cls).items():
            if isinstance(found, MemberDescriptorType):
                own = own_value(value, name)
                if own is not ABSENT:
                    yield name, own
    yield from list(getattr(value, "__dict__", {}).items())


def page_name(page: int) -> str:
    """Return how page number `page` is shown: as the address of 4 KiB pages from 0x1000 on."""
    return f"0x{(page + 1) * 0x1000:x}"


def key_name(table: Table[Any], key: Any) -> str:
    """Return how a key of a table is shown; an object without a name is its place in the table."""
    if isinstance(table.domain, Pages):
        return page_name(key)
    if isinstance(key, Enum):
        return key.name
    if is_scalar(key):
        return str(key)
    own = own_value(key, "name")
    if isinstance(own, str) and own:
        return own
    return str(next(n for n, k in enumerate(table.keys) if k is key))


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    """Yield (suffix of the name, part) of anything that may hold objects."""
    if isinstance(value, Table):
        keys = [(f"[{n}]", k) for n, k in enumerate(value.keys)]
        return keys + [(f"[{key_name(value, k)}]", v) for k, v in value.values.items()]
    if isinstance(value, dict):
        return [(f"[{k!r}]" if isinstance(k, str | int) else "", v) for k, v in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [(f"[{n}]", v) for n, v in enumerate(value)]
    if isinstance(value, MethodType):
        return [("", value.__self__)]
    if isinstance(value, FunctionType):
        return [("", v) for v in _captured(value) if v is not value]
    if is_model_object(value) or is_frozen(type(value)):
        return [(f".{n}", v) for n, v in _attributes(value)]
    return []


def _captured(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue


# -- the graph ------------------------------------------------------------------------------------


class Objects:
    """All model objects, in order of discovery, with names and families."""

    def __init__(self, roots: Iterable[tuple[str, Any]]) -> None:
        self.names: dict[int, str] = {}
        self.families: dict[str, list[Any]] = {}
        self.numbers: dict[int, int] = {}  # id of an object -> its number in its family
        self.kept: list[Any] = []  # ids stay valid as long as the objects live
        self.ranks: dict[int, int] = {}  # id -> place in the order of discovery
        self._families: dict[type, str] = {}  # of a class -> the name of its family
        self._roots: dict[str, type] = {}  # name of a family -> the class it is named after
        self._taken: set[str] = set()
        self._discover(deque(roots))

    def _discover(self, queue: deque[tuple[str, Any]]) -> None:
        while queue:
            name, value = queue.popleft()
            if isinstance(value, (*_PLAIN, type, ModuleType)):
                continue
            if id(value) in self.ranks:
                continue
            self.ranks[id(value)] = len(self.kept)
            self.kept.append(value)
            if is_model_object(value):
                self._add(name, value)
                name = self.names[id(value)]
            queue.extend((name + suffix, part) for suffix, part in _parts(value))

    def _add(self, name: str, value: Any) -> None:
        own = own_value(value, "name")
        path = name.lstrip(".") or type(value).__name__
        found = own if isinstance(own, str) and own else path
        self.names[id(value)] = self._unique(found, path)
        if not isinstance(value, Table | Counter | Epoch):
            family = self.families.setdefault(self.family(value), [])
            self.numbers[id(value)] = len(family)
            family.append(value)

    def _unique(self, name: str, path: str) -> str:
        """Return `name`, or `path` if another object has it, or the path with a number."""
        found, number = name, 1
        while found in self._taken:
            found = path if number == 1 else f"{path}#{number}"
            number += 1
        self._taken.add(found)
        return found

    def family(self, value: Any) -> str:
        """Return the family of an object: the name of its root-most class below `object`."""
        cls = type(value)
        if cls not in self._families:
            own = [c for c in cls.__mro__ if c is not object and c.__name__ not in _ROOTS]
            root = own[-1] if own else cls
            name = root.__name__
            if self._roots.setdefault(name, root) is not root:  # another class of that name
                name = f"{root.__module__}.{name}"
            self._families[cls] = name
        return self._families[cls]

    def name(self, value: Any) -> str:
        """The name of an object in reports."""
        return self.names.get(id(value), type(value).__name__)

    def knows(self, value: Any) -> bool:
        """Tell whether set-up built `value`."""
        return id(value) in self.names

    def number(self, value: Any) -> int:
        """Return the number of an object in its family; None is -1."""
        return -1 if value is None else self.numbers[id(value)]

    def ordered(self, values: Iterable[Any]) -> tuple[Any, ...]:
        """Return objects or tables in their order of discovery, each once."""
        found = {id(v): v for v in values}
        return tuple(sorted(found.values(), key=lambda v: self.ranks[id(v)]))

    def adopt(self, name: str, value: Any) -> None:
        """Add an object that only a body names (a module's global), and what it holds."""
        self._discover(deque([(name, value)]))
