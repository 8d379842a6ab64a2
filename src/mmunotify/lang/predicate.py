"""`always`, `never`, `reachable`: a driver's own properties, as decorators of methods.

Invariant: a predicate takes no argument beside `self`, only reads, and returns a bool.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

__all__ = ["Quantifier", "always", "never", "quantifier_of", "reachable"]

F = TypeVar("F", bound=Callable[[Any], bool])
_MARK = "mmunotify_quantifier"


class Quantifier(Enum):
    """In which states a predicate must hold."""

    ALWAYS = "always"
    NEVER = "never"
    REACHABLE = "reachable"


def _mark(function: F, quantifier: Quantifier) -> F:
    setattr(function, _MARK, quantifier)
    return function


def always(function: F) -> F:
    """Require that a method of a driver returns True in every state."""
    return _mark(function, Quantifier.ALWAYS)


def never(function: F) -> F:
    """Require that a method of a driver returns True in no state."""
    return _mark(function, Quantifier.NEVER)


def reachable(function: F) -> F:
    """Ask for a method of a driver to return True in some state: no proof by idleness."""
    return _mark(function, Quantifier.REACHABLE)


def quantifier_of(function: object) -> Quantifier | None:
    """Return what a method was decorated with, if anything."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, Quantifier) else None
