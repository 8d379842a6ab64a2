"""`World`: everything a check starts from: the threads and what must hold.

Invariant: all state is reachable from `threads` and the predicates; set-up is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mmunotify.check.balance import balances
from mmunotify.check.reach import reachable_objects
from mmunotify.lang.driver import Driver
from mmunotify.lang.predicate import Quantifier, quantifier_of
from mmunotify.lang.thread import Thread
from mmunotify.primary.mm import Mm

__all__ = ["Predicate", "World"]

Predicate = Callable[[], bool]


@dataclass
class World:
    """The closed system of one scenario.

    `finals`: (property, predicate) that hold when all threads are done: `quiescent` of every object
    that has such a method (locks, the mm, drivers), and every counter that a driver counts down
    (`Balance`). `always`, `never`, `reachable`: the drivers' own predicates by name.
    """

    mm: Mm
    drivers: Sequence[Driver]
    threads: list[Thread]
    finals: list[tuple[str, Predicate]] = field(default_factory=list)
    always: dict[str, Predicate] = field(default_factory=dict)
    never: dict[str, Predicate] = field(default_factory=dict)
    reachable: dict[str, Predicate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = list(reachable_objects([*self.threads, self.mm, *self.drivers]))
        for one in found:
            if hasattr(one, "attach"):
                one.attach(self.threads)
        self.finals += [("quiescent", one.quiescent) for one in found if hasattr(one, "quiescent")]
        for driver in self.drivers:
            self.finals += [("quiescent", balance.quiescent) for balance in balances(driver)]
            self._add_predicates(driver)

    def _add_predicates(self, driver: Driver) -> None:
        groups = {
            Quantifier.ALWAYS: self.always,
            Quantifier.NEVER: self.never,
            Quantifier.REACHABLE: self.reachable,
        }
        for name in dir(type(driver)):
            quantifier = quantifier_of(getattr(type(driver), name))
            if quantifier is not None:
                group = groups[quantifier]
                group[name if name not in group else f"{name} of {driver.name}"] = getattr(
                    driver, name
                )
