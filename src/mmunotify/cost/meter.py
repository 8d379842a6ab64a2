"""`Meter`: counts what a driver's bodies do while they run as plain Python.

Invariant: the bodies are those that a check explores; the meter replaces methods on the instances,
never a line of a driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mmunotify.lang.driver import Driver
from mmunotify.lang.mutex import Mutex
from mmunotify.lang.rwlock import RwLock
from mmunotify.lang.rwsem import RwSem
from mmunotify.lang.spinlock import SpinLock

__all__ = ["Cost", "Meter"]

_TAKES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (SpinLock, ("acquire",)),
    (Mutex, ("acquire",)),
    (RwLock, ("read_lock", "write_lock")),
    (RwSem, ("down_read", "down_write")),
)
"""The methods that take a lock."""

_HOOKS = ("invalidate_range_start", "invalidate_range_end", "invalidate")


@dataclass
class Cost:
    """How often each happened.

    `flushes` of the secondary TLBs, `locks` of the drivers taken, `callbacks` made, `refills` of a
    bounded array of pages: how often it was emptied to be filled again.
    """

    flushes: int = 0
    locks: int = 0
    callbacks: int = 0
    refills: int = 0


class Meter:
    """Counts for `drivers`, from now on."""

    def __init__(self, drivers: Iterable[Driver]) -> None:
        self.cost = Cost()
        for driver in drivers:
            self._count(driver.tlb, "flush", "flushes")
            self._count(driver.tlb, "flush_range", "flushes")
            for hook in _HOOKS:
                self._count(driver, hook, "callbacks")
            self._count(driver, "drain", "refills")
            for value in vars(driver).values():
                self._count_lock(value)

    def _count_lock(self, value: Any) -> None:
        for kind, methods in _TAKES:
            if isinstance(value, kind):
                for method in methods:
                    self._count(value, method, "locks")

    def _count(self, owner: Any, method: str, what: str) -> None:
        """Replace a method of one object by itself, counted; nothing where there is none."""
        original: Callable[..., Any] | None = getattr(owner, method, None)
        if original is None:
            return

        def counted(*arguments: Any) -> Any:
            setattr(self.cost, what, getattr(self.cost, what) + 1)
            return original(*arguments)

        setattr(owner, method, counted)
