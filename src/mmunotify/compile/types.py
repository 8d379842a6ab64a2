"""Types of the subset: what a cell or a local can hold, and how annotations say so.

Every type is a finite set of values coded as small ints; None is always -1. `join` is the only
way types grow, so inference ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from mmunotify.lang.counter import Int

__all__ = [
    "BOTTOM",
    "Bool",
    "Bottom",
    "EnumType",
    "IntType",
    "NoneOnly",
    "Ref",
    "Snapshot",
    "Type",
    "TypeMismatch",
    "annotated_bounds",
    "join",
]


class TypeMismatch(Exception):
    """Two values that no one cell can hold."""


@dataclass(frozen=True)
class Bottom:
    """No value seen yet."""


@dataclass(frozen=True)
class NoneOnly:
    """Only None."""


@dataclass(frozen=True)
class Bool:
    """True (1) or False (0), perhaps None."""

    nullable: bool = False


@dataclass(frozen=True)
class IntType:
    """An int in `low..high`; `label` names what it denotes ("page"), "" for a plain number.

    `declared`: the bounds come from an annotation or a Counter and do not grow.
    """

    low: int
    high: int
    label: str = ""
    nullable: bool = False
    declared: bool = False


@dataclass(frozen=True)
class EnumType:
    """A member of `cls`, coded by its position."""

    cls: type[Enum]
    nullable: bool = False

    @property
    def members(self) -> tuple[Enum, ...]:
        """The members in definition order."""
        return tuple(self.cls)


@dataclass(frozen=True)
class Ref:
    """An object of `family` (a name), coded by its number in that family, at most `last`."""

    family: str
    nullable: bool = False
    last: int = 0


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of the epoch with key `epoch`: 0 nothing (None), 1 fresh, 2 stale."""

    epoch: int
    nullable: bool = True


Type = Bottom | NoneOnly | Bool | IntType | EnumType | Ref | Snapshot
BOTTOM = Bottom()


def join(one: Type, two: Type) -> Type:
    """Return the smallest type that holds both; raise `TypeMismatch` if there is none."""
    if one == two or isinstance(two, Bottom):
        return one
    if isinstance(one, Bottom):
        return two
    if isinstance(one, NoneOnly):
        return _with_none(two)
    if isinstance(two, NoneOnly):
        return _with_none(one)
    if isinstance(one, Bool) and isinstance(two, Bool):
        return Bool(one.nullable or two.nullable)
    if isinstance(one, IntType | Bool) and isinstance(two, IntType | Bool):
        return _join_ints(_as_int(one), _as_int(two))
    if isinstance(one, EnumType) and isinstance(two, EnumType) and one.cls is two.cls:
        return EnumType(one.cls, one.nullable or two.nullable)
    if isinstance(one, Ref) and isinstance(two, Ref) and one.family == two.family:
        return Ref(one.family, one.nullable or two.nullable, max(one.last, two.last))
    raise TypeMismatch


def _with_none(some: Type) -> Type:
    if isinstance(some, NoneOnly | Bottom | Snapshot):
        return some
    if isinstance(some, IntType) and some.low < 0:
        raise TypeMismatch  # None is coded -1
    return replace(some, nullable=True)


def _as_int(some: IntType | Bool) -> IntType:
    return some if isinstance(some, IntType) else IntType(0, 1, nullable=some.nullable)


def _join_ints(one: IntType, two: IntType) -> IntType:
    nullable = one.nullable or two.nullable
    for fixed in (one, two):
        if fixed.declared:
            return replace(fixed, nullable=nullable)
    low, high = min(one.low, two.low), max(one.high, two.high)
    if nullable and low < 0:
        raise TypeMismatch
    return IntType(low, high, one.label if one.label == two.label else "", nullable)


def annotated_bounds(annotation: Any) -> Int | None:
    """Return the `Int` in an annotation (`Int(0, 3)` or `Annotated[int, Int(0, 3)]`), if any."""
    if isinstance(annotation, Int):
        return annotation
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, Int):
            return extra
    return None
