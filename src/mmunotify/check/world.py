"""`World`: everything a check starts from: the threads and what must hold.

Invariant: all state is reachable from `threads` and the predicates; set-up is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mmunotify.check.balance import balances
from mmunotify.check.obligations import watched
from mmunotify.check.predicates import own_predicates
from mmunotify.check.reach import reachable_objects
from mmunotify.lang.driver import Driver
from mmunotify.lang.predicate import Quantifier
from mmunotify.lang.thread import Thread
from mmunotify.primary.mm import Mm

__all__ = ["Predicate", "World"]

Predicate = Callable[[], bool]


@dataclass
class World:
    """The closed system of one scenario.

    `finals`: (property, predicate) that hold when all threads are done: `quiescent` of every object
    that has such a method (locks, the mm, drivers), and every counter that a driver counts down
    (`Balance`). `always`, `never`, `reachable`: by name, the predicates that drivers and the
    objects they consist of have as methods. `pending`: by name, the obligations of each thread, for
    `progress`; filled in by `watch_obligations`.
    """

    mm: Mm
    drivers: Sequence[Driver]
    threads: list[Thread]
    finals: list[tuple[str, Predicate]] = field(default_factory=list)
    always: dict[str, Predicate] = field(default_factory=dict)
    never: dict[str, Predicate] = field(default_factory=dict)
    reachable: dict[str, Predicate] = field(default_factory=dict)
    pending: dict[str, Predicate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = list(reachable_objects([*self.threads, self.mm, *self.drivers]))
        for one in found:
            if hasattr(one, "attach"):
                one.attach(self.threads)
        self.finals += [("quiescent", one.quiescent) for one in found if hasattr(one, "quiescent")]
        for driver in self.drivers:
            self.finals += [("quiescent", balance.quiescent) for balance in balances(driver)]
        groups = {
            Quantifier.ALWAYS: self.always,
            Quantifier.NEVER: self.never,
            Quantifier.REACHABLE: self.reachable,
        }
        for quantifier, name, predicate in own_predicates(found):
            groups[quantifier][name] = predicate

    def watch_obligations(self) -> None:
        """Let the program tell what every thread has begun and not ended."""
        self.pending = watched(self.threads, [*self.threads, self.mm, *self.drivers])
