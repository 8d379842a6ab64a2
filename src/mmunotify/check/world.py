"""`World`: everything a check starts from: the threads and what must hold.

Invariant: all state is reachable from `threads` and the predicates; set-up is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import FunctionType, MethodType, ModuleType
from typing import Any

from mmunotify.lang.driver import Driver
from mmunotify.lang.table import Table
from mmunotify.lang.thread import Thread
from mmunotify.primary.mm import Mm

__all__ = ["Predicate", "World", "reachable_objects"]

Predicate = Callable[[], bool]


@dataclass
class World:
    """The closed system of one scenario.

    `finals`: (property, predicate) that hold when all threads are done. `always`, `never`,
    `reachable`: the user's predicates by name.
    """

    mm: Mm
    drivers: Sequence[Driver]
    threads: list[Thread]
    finals: list[tuple[str, Predicate]] = field(default_factory=list)
    always: dict[str, Predicate] = field(default_factory=dict)
    never: dict[str, Predicate] = field(default_factory=dict)
    reachable: dict[str, Predicate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for found in reachable_objects(self.threads):
            attach = getattr(found, "attach", None)
            if attach is not None:
                attach(self.threads)
        for found in reachable_objects(self.threads):
            quiescent = getattr(found, "quiescent", None)
            if quiescent is not None:
                self.finals.append(("quiescent", quiescent))


def reachable_objects(roots: Iterable[Any]) -> Iterator[Any]:
    """Yield every object of the model that can be reached from `roots`, each once."""
    seen: dict[int, Any] = {}
    queue = list(roots)
    while queue:
        found = queue.pop(0)
        if id(found) in seen or isinstance(found, str | int | float | Enum | type | ModuleType):
            continue
        seen[id(found)] = found
        if isinstance(found, Table):
            queue += [*found.keys, *found.values.values()]
        if isinstance(found, list | tuple | set | frozenset):
            queue += list(found)
        elif isinstance(found, dict):
            queue += list(found.values())
        elif isinstance(found, MethodType):
            queue.append(found.__self__)
        elif isinstance(found, FunctionType):
            queue += [cell.cell_contents for cell in found.__closure__ or ()]
        elif hasattr(found, "__dict__"):
            yield found
            queue += list(vars(found).values())
