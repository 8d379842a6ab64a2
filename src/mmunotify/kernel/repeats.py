"""`Repeats`: several VMs of one process are each told of an invalidation; it is one all the same.

Invariant: what a thread does twice in a row is two invalidations, told by every VM each.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from mmunotify.kernel.notifications import Notification

__all__ = ["Repeats", "vms_of"]


class Repeats:
    """Tells which notifications are those of further VMs, given all of them in order."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[tuple[str, int, int, tuple[str, ...]], int]] = {}

    def is_repeat(self, one: Notification, vms: int) -> bool:
        """Tell whether another VM was told the same; `vms` of that process are told in all."""
        if vms == 1:
            return False
        what = (one.kind, one.start, one.end, one.stack)
        last, count = self._last.get(one.tid, (None, 0))
        count = count + 1 if what == last and count < vms else 1
        self._last[one.tid] = (what, count)
        return count > 1


def vms_of(pid: int) -> int:
    """How many VMs a process has open, as far as this user can see."""
    found = 0
    with contextlib.suppress(OSError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed in the meantime
                found += str(file.readlink()) == "anon_inode:kvm-vm"
    return found
