"""MMU notifiers as merged in 2.6.27: a list under RCU, registration under all locks of the mm.

Calling rules: methods run in an RCU read section and cannot sleep. A section runs while its caller
holds `mmap_sem` or a lock of the reverse map; `mm_take_all_locks` takes all of them for writing.
Invariant: registration never falls inside a section. Unregistration and release may: a subscriber
that leaves can miss an end, and never gets one without its start.
"""

from __future__ import annotations

from mmunotify.protocols.unlinks_first import UnlinksFirst
from mmunotify.protocols.v9 import RcuNotifiers

__all__ = ["RepairedTakeAllLocksNotifiers", "TakeAllLocksNotifiers"]


class RepairedTakeAllLocksNotifiers(RcuNotifiers):
    """The same with the order of release repaired: tell, unlink, wait.

    Since Linux kernel commit 3ad3d901bbcf ("mm: mmu_notifier: fix freed page still mapped in
    secondary MMU") (in v3.6).
    """


class TakeAllLocksNotifiers(UnlinksFirst, RcuNotifiers):
    """`struct mmu_notifier_mm`.

    Since Linux kernel commit cddb8a5c14aa, on 7906d00cd1f6, which brought `mm_take_all_locks` (in
    v2.6.27), until v3.5.
    """
