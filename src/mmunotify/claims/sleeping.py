"""Claim 19: may a method sleep?"""

from __future__ import annotations

from mmunotify.claims.claim import Check, Claim
from mmunotify.drivers.xpmem import Xpmem

__all__ = ["CLAIMS"]

CLAIMS = (
    Claim(
        19,
        "Later patches will let the VM schedule inside of the methods.",
        "Not in 2008: spinlocks of the VM that sleep were refused. SRCU came in 3.7 "
        "(21a92735f660); methods called under the page-table lock never may; and since 4.19 a "
        "section may forbid it (93065ac753e4).",
        (
            Check(
                "XPMEM, which sleeps, under RCU",
                False,
                Xpmem,
                "munmap",
                "take_all_locks",
                "context",
                properties=("context",),
            ),
            Check("under SRCU", True, Xpmem, "munmap", "srcu_3_7", properties=("context",)),
        ),
        "what protects the list",
    ),
)
