"""Types of the subset: what a cell or a local can hold.

Every type is a finite set of values coded as small ints; None is always -1 (0 for a snapshot).
`join` is the only way types grow, so inference ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

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
    "bounds",
    "describe",
    "is_nullable",
    "join",
    "resting",
    "without_none",
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
    """An object of one of `classes`, coded by its number in its `family`, which ends at `last`."""

    family: str
    nullable: bool = False
    last: int = 0
    classes: frozenset[type] = frozenset()


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of the epoch with key `epoch`: 0 nothing (None), 1 fresh, 2 stale."""

    epoch: int
    nullable: bool = False


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
    nullable = one.nullable or two.nullable
    if isinstance(one, Bool) and isinstance(two, Bool):
        return Bool(nullable)
    if isinstance(one, IntType | Bool) and isinstance(two, IntType | Bool):
        return _join_ints(_as_int(one), _as_int(two))
    if isinstance(one, EnumType) and isinstance(two, EnumType) and one.cls is two.cls:
        return EnumType(one.cls, nullable)
    if isinstance(one, Ref) and isinstance(two, Ref) and one.family == two.family:
        return Ref(one.family, nullable, max(one.last, two.last), one.classes | two.classes)
    if isinstance(one, Snapshot) and isinstance(two, Snapshot) and one.epoch == two.epoch:
        return Snapshot(one.epoch, nullable)
    raise TypeMismatch


def _with_none(some: Type) -> Type:
    if isinstance(some, NoneOnly | Bottom):
        return some
    if isinstance(some, IntType) and some.low < 0:
        raise TypeMismatch  # None is coded -1
    return replace(some, nullable=True)


def _as_int(some: IntType | Bool) -> IntType:
    return some if isinstance(some, IntType) else IntType(0, 1, nullable=some.nullable)


def _join_ints(one: IntType, two: IntType) -> IntType:
    nullable = one.nullable or two.nullable
    if one.declared != two.declared:
        return replace(one if one.declared else two, nullable=nullable)
    low, high = min(one.low, two.low), max(one.high, two.high)
    if nullable and low < 0:
        raise TypeMismatch
    label = one.label if one.label == two.label else ""
    return IntType(low, high, label, nullable, one.declared)


def describe(kind: Type) -> str:
    """Return what a value of a type is called in a message."""
    if isinstance(kind, Bool):
        return "a bool"
    if isinstance(kind, IntType):
        return "an int"
    if isinstance(kind, EnumType):
        return f"a member of {kind.cls.__name__}"
    if isinstance(kind, Ref):
        return "a " + " or a ".join(sorted(c.__name__ for c in kind.classes))
    return "a snapshot of an Epoch" if isinstance(kind, Snapshot) else "None"


def without_none(kind: Type) -> Type:
    """Return the type of the values of `kind` that are not None."""
    if isinstance(kind, Bottom | NoneOnly) or not kind.nullable:
        return kind
    return replace(kind, nullable=False)


def is_nullable(kind: Type) -> bool:
    """Tell whether a value of this type may be None."""
    return isinstance(kind, NoneOnly) or bool(getattr(kind, "nullable", False))


def bounds(kind: Type) -> tuple[int, int]:
    """Return the lowest and highest code of a type, None included."""
    if isinstance(kind, IntType):
        return min(kind.low, -1) if kind.nullable else kind.low, kind.high
    if isinstance(kind, Bool):
        return -1 if kind.nullable else 0, 1
    if isinstance(kind, EnumType):
        return -1 if kind.nullable else 0, len(kind.members) - 1
    if isinstance(kind, Snapshot):
        return 0, 2
    if isinstance(kind, Ref):
        return -1 if kind.nullable else 0, kind.last
    return -1, -1


def resting(kind: Type) -> int:
    """Return what a register of type `kind` holds when it holds nothing."""
    if isinstance(kind, Snapshot):
        return 0
    if isinstance(kind, Ref | EnumType) or is_nullable(kind):
        return -1
    if isinstance(kind, IntType) and kind.label:
        return -1  # no page, so that pages stay interchangeable
    return kind.low if isinstance(kind, IntType) and kind.low > 0 else 0
