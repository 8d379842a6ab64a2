"""`Srcu`: read-copy-update whose readers may sleep (`srcu_read_lock`).

Invariant: when `synchronize` returns, every read section of this `Srcu` that had begun before it
has ended. Readers of another one are not waited for.
"""

from __future__ import annotations

from mmunotify.lang.intrinsics import current
from mmunotify.lang.rcu import Rcu

__all__ = ["Srcu"]


class Srcu(Rcu):
    """Sleepable RCU. `with srcu:` is a read section; a reader is not in atomic context.

    The kernel's two counters and their index exist because it has no table of the readers of one
    domain; a table a thread says the same with fewer states.
    """

    def read_lock(self) -> None:
        """Begin a read section (`srcu_read_lock`); sections nest."""
        reader = self.readers[current()]
        reader.nesting += 1

    def read_unlock(self) -> None:
        """End a read section (`srcu_read_unlock`)."""
        reader = self.readers[current()]
        reader.nesting -= 1
