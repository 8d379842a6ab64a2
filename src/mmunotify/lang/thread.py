"""`Thread`: what stands for a thread of execution in bodies (`current`).

Invariant: `preempt_count` and `non_block` are touched by the thread itself only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmunotify.lang.counter import Counter

__all__ = ["Thread"]


class Thread:
    """A thread that runs `body(*args)`; a `daemon` need not finish.

    `role` says what it does, for reports ("munmap", "fault"); `mmu` is "primary" or "secondary"
    and selects the side of the report its lane is on.
    """

    def __init__(
        self,
        name: str,
        body: Callable[..., Any],
        *args: Any,
        daemon: bool = False,
        role: str = "",
        mmu: str = "primary",
    ) -> None:
        self.name = name
        self.body = body
        self.args = args
        self.daemon = daemon
        self.role = role
        self.mmu = mmu
        self.preempt_count = Counter(high=7)
