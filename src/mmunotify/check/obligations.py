"""The obligations of a world: what each thread may have begun, as predicates for `progress`.

Invariant: names are the same in every run, and no two obligations of a thread share one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mmunotify.check.reach import reachable_objects
from mmunotify.lang.obligation import Obligation
from mmunotify.lang.thread import Thread

__all__ = ["watched"]


def watched(threads: Sequence[Thread], roots: Iterable[Any]) -> dict[str, Callable[[], bool]]:
    """Watch every obligation that `roots` lead to; return, by name, whether a thread has it.

    Those that a thread never begins are constant, which the compiler sees.
    """
    found: dict[str, Callable[[], bool]] = {}
    for obligation in [o for o in reachable_objects(roots) if isinstance(o, Obligation)]:
        obligation.watched = True
        for thread in threads:
            name = f"{obligation.name} of {thread.name}"
            number = 2
            while name in found:
                name = f"{obligation.name} {number} of {thread.name}"
                number += 1
            found[name] = obligation.by_thread[thread].is_pending
    return found
