"""`always`, `never`, `reachable`: properties of one's own, as decorators of methods.

    @always
    def nothing_while_open(self) -> bool:
        return self.open == 0 or all(self.spte[page] is None for page in self.mm.pages)

The methods of a driver and of every object that belongs to it count, in every scenario. Such a
method is in the subset; it is evaluated in a state and is no step. Its name is the name of the
property: reports and `--property` use it.

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
    """Require that a method returns True in every state.

    States in the middle of a step do not count: what one `atomic()` block changes is seen whole.
    """
    return _mark(function, Quantifier.ALWAYS)


def never(function: F) -> F:
    """Require that a method returns True in no state."""
    return _mark(function, Quantifier.NEVER)


def reachable(function: F) -> F:
    """Ask for a method to return True in some state of some scenario: no proof by idleness.

    A goal that no state reaches is no violation. The report names it, as W202.
    """
    return _mark(function, Quantifier.REACHABLE)


def quantifier_of(function: object) -> Quantifier | None:
    """Return what a method was decorated with, if anything."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, Quantifier) else None
