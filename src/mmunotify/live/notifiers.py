"""`LiveNotifiers`: the protocol that `check` explores, run with real threads.

What is shared is the source: `protocols.interval` and `protocols.srcu`, their subscriptions, and
the locks and SRCU of `lang` under them. What is not, because a model has a fixed world and a
process has not:

- subscribers come and go, so the tuple of slots is replaced by a longer or shorter one (readers
  keep the one they began with, as with any RCU list);
- threads come and go, so tables with an entry a thread grow when a thread is first seen, and any
  number of sections is open at a time.

Invariant: a slot is on the list only between the shared `register` and the shared `unregister`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from mmunotify.lang.driver import Driver
from mmunotify.lang.rcu import Reader
from mmunotify.lang.table import Table
from mmunotify.lang.thread import Thread
from mmunotify.protocols.interval import IntervalNotifiers
from mmunotify.protocols.subscription import Sections, Subscription

__all__ = ["LiveNotifiers", "ThreadTable"]

V = TypeVar("V")

_UNBOUNDED = 1 << 63


class ThreadTable(Table[V], Generic[V]):
    """A `Table` with an entry for every thread that ever asks, until the thread is gone."""

    def __init__(self, make: Callable[[], V]) -> None:
        super().__init__(())
        self._make = make
        self._entries: weakref.WeakKeyDictionary[Thread, V] = weakref.WeakKeyDictionary()

    def __getitem__(self, key: Any) -> V:
        """Return the entry of a thread, a new one if it is new."""
        found = self._entries.get(key)
        if found is None:
            found = self._entries.setdefault(key, self._make())
        return found

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the threads that are known now; newcomers do not count."""
        return iter(list(self._entries))

    def __len__(self) -> int:
        """The number of threads known now."""
        return len(self._entries)


class LiveNotifiers(IntervalNotifiers):
    """`IntervalNotifiers` whose subscribers and threads are not known from the beginning."""

    def __init__(self, mm: Any) -> None:
        super().__init__(mm, (), registered=False)
        self._slots = threading.Lock()
        self.srcu.readers = ThreadTable(Reader)
        self.srcu.threads = self.srcu.readers  # type: ignore[assignment]  # iterated over only
        self.tree.active_invalidate_ranges.high = _UNBOUNDED

    def register(self, driver: Driver) -> None:
        """Make a slot, then register as in the model."""
        subscription = Subscription(driver, hashed=False)
        subscription.sections = ThreadTable(Sections)
        with self._slots:
            self.by_driver.values[driver] = subscription
            self.subscriptions = (*self.subscriptions, subscription)
            for sub in driver.interval_notifiers:
                sub.tree = self.tree
            self.tree.subscriptions += driver.interval_notifiers
        super().register(driver)

    def unregister(self, driver: Driver) -> None:
        """Unregister as in the model, then drop the slot."""
        super().unregister(driver)
        with self._slots:
            subscription = self.by_driver.values.pop(driver)
            self.subscriptions = tuple(s for s in self.subscriptions if s is not subscription)
            leaving = driver.interval_notifiers
            self.tree.subscriptions = tuple(s for s in self.tree.subscriptions if s not in leaving)
