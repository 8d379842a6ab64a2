"""What the front end knows about a value while it lowers a body.

Constants are folded, structures live in the compiler only, and the rest sits in registers.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmunotify.compile.source import Function
from mmunotify.compile.types import Type

if TYPE_CHECKING:
    from mmunotify.compile.lower.context import Frame

__all__ = [
    "NOBODY",
    "POISON",
    "Address",
    "Closure",
    "Const",
    "Dyn",
    "Method",
    "Operand",
    "Poison",
    "Reg",
    "Selected",
    "Sequenced",
    "Span",
    "SuperOf",
    "Tup",
    "Value",
]


@dataclass(eq=False)
class Reg:
    """A register of one thread: `name` is the user's variable, "" for a temporary.

    `scope` is the number of the inlined call whose return ends a named register's life.
    """

    number: int
    type: Type
    name: str = ""
    scope: int = -1


@dataclass(frozen=True)
class Address:
    """Element `index` of the storage with key `storage`."""

    storage: int
    index: int


Operand = Reg | Address


@dataclass(frozen=True, eq=False)
class Const:
    """A value known at compile time: number, enum member, set-up object, function, class."""

    value: Any


@dataclass(frozen=True, eq=False)
class Dyn:
    """A value in a register that nothing else writes while the value is in use.

    `type` may be narrower than the register's: what a check or a condition left of it.
    `taken`: for a snapshot that an epoch was just read for, the step it was read in.
    """

    reg: Reg
    type: Type
    taken: object = None


class _Nobody:
    """No object has this number."""


NOBODY = _Nobody()


@dataclass(frozen=True, eq=False)
class Selected:
    """One of `objects`, by the number in `reg`; if `nullable` -1 denotes None.

    `NOBODY` stands where a number cannot occur.
    """

    reg: Reg
    objects: tuple[Any, ...]
    nullable: bool = False

    @property
    def present(self) -> list[tuple[int, Any]]:
        """The objects that it may be, with their numbers; None is left out."""
        return [(n, o) for n, o in enumerate(self.objects) if o is not None and o is not NOBODY]


@dataclass(frozen=True, eq=False)
class Tup:
    """A tuple, or an instance of the frozen dataclass or NamedTuple `cls`."""

    items: tuple[Value, ...]
    cls: type | None = None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Method:
    """A function bound to `self`."""

    function: Any
    owner: Value


@dataclass(frozen=True, eq=False)
class Closure:
    """A lambda with the frame it was written in and the values of its defaults."""

    node: ast.Lambda
    frame: Frame
    function: Function
    defaults: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True, eq=False)
class Sequenced:
    """Something to iterate over whose elements are known one by one."""

    items: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Span:
    """`range(start, stop)` with bounds only a run knows; at most `trips` rounds."""

    start: Value
    stop: Value
    trips: int


@dataclass(frozen=True, eq=False)
class SuperOf:
    """`super()` in a method of `cls`."""

    cls: type
    owner: Value


@dataclass(frozen=True, eq=False)
class Poison:
    """The value of something that was refused; silences follow-up errors."""


POISON = Poison()
Value = Const | Dyn | Selected | Tup | Method | Closure | Sequenced | Span | SuperOf | Poison
