"""`Balance`: counters of a driver that must be back where they began.

Invariant: a counter counts something that is held if, and only if, the driver's code counts it down
somewhere (`self.counter -= 1`); one that is only counted up is a sequence number.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache

from mmunotify.check.reach import reachable_objects
from mmunotify.lang.counter import Counter
from mmunotify.lang.driver import Driver
from mmunotify.primary.mm import Mm
from mmunotify.primary.notifiers import Notifiers

__all__ = ["Balance", "balances"]


class Balance:
    """One such counter, with the value it had after set-up."""

    def __init__(self, driver: Driver, counter: Counter) -> None:
        self.mm: Mm = driver.mm
        self.driver = driver
        self.counter = counter
        self.start = counter.read()

    def quiescent(self) -> bool:
        """Tell whether the counter is back, unless its driver was torn down on the way.

        A driver that unsubscribes between the start and the end of a section never sees the end.
        """
        return not self.mm.notifiers.subscribed(self.driver) or self.counter == self.start


def balances(driver: Driver) -> Iterator[Balance]:
    """Yield the counters of `driver`, and of its own objects, that its code counts down."""
    for found in reachable_objects([driver], within=_belongs_to_driver):
        names = _counted_down(type(found))
        for name, value in vars(found).items():
            if isinstance(value, Counter) and name in names:
                yield Balance(driver, value)


def _belongs_to_driver(found: object) -> bool:
    """Tell whether an object is the driver's, not that of an mm or a protocol of one's own."""
    module = type(found).__module__
    return isinstance(found, Driver) or not (
        isinstance(found, (Mm, Notifiers))
        or module.startswith(("mmunotify.lang", "mmunotify.primary", "mmunotify.protocols"))
    )


def _counted_down(cls: type) -> frozenset[str]:
    """Return the attributes x of which the class's code has an `x -= ...`."""
    found: set[str] = set()
    for base in cls.__mro__[:-1]:
        try:
            source = inspect.getsource(base)
        except (OSError, TypeError):
            continue
        found |= _in_source(source)
    return frozenset(found)


@cache
def _in_source(source: str) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(textwrap.dedent(source))):
        if not isinstance(node, ast.AugAssign) or not isinstance(node.op, ast.Sub):
            continue
        if isinstance(node.target, ast.Attribute):
            found.add(node.target.attr)
    return frozenset(found)
