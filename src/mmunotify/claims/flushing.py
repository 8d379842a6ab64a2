"""Claims 15 to 18: what range_begin is for, put_page against the flush, and how many flushes.

Invariant: what is counted is counted while the bodies run that the checks explore.
"""

from __future__ import annotations

from math import ceil

from mmunotify.claims.claim import Check, Claim, Count
from mmunotify.claims.put_first import PutFirst, WithoutHolding
from mmunotify.cost.forms import CAPACITY
from mmunotify.drivers.end_only import EndOnly
from mmunotify.drivers.kvm import Kvm
from mmunotify.drivers.kvm_2_6_27 import Kvm2627

__all__ = ["CLAIMS"]

_SAFE = ("no_stale_translation",)

CLAIMS = (
    Claim(
        15,
        "KVM uses range_begin as an optimisation: with faults held off put_page may come before "
        "the flush, since the last reference goes later, outside of the lock.",
        "So merged. Since 2.6.32 sptes hold no references (acb66dd051d0), and range_begin is the "
        "only protection that there is.",
        (
            Check(
                "KVM of 2.6.27, which puts before it flushes, in a section",
                True,
                Kvm2627,
                "munmap",
                properties=_SAFE,
            ),
            Check(
                "today's KVM, if it does not hold faults off",
                False,
                WithoutHolding,
                "munmap",
                violates="no_stale_translation",
                properties=_SAFE,
            ),
        ),
        "whether sptes hold references to their frames",
    ),
    Claim(
        16,
        "put_page, spte = nonpresent, flush, in this order, is unsafe if the page can reach the "
        "free list before the flush.",
        "Proved again and again: 4539b35881ae, CVE-2022-0330 (7938d61591d3), a835429cda91.",
        (
            Check(
                "put before the flush, after the page table has let go",
                True,
                PutFirst,
                "munmap",
                violates="no_stale_translation",
                properties=_SAFE,
            ),
            Check("flush before the put", True, EndOnly, "munmap", properties=_SAFE),
        ),
    ),
    Claim(
        17,
        "range_begin takes mmu_lock, holds off new faults, invalidates everything, and then one "
        "flush is enough for any number of sptes.",
        "Adopted as it is; KVM's design to this day. 2.6.27 flushed after mmu_lock was dropped, "
        "which had to be repaired.",
        (
            Count("today's KVM", True, "start_end", "flushes", lambda _: 1),
            Check("and it is right", True, Kvm, "munmap+punch_hole"),
            Check("also for a range of more pages", True, Kvm, "clear_refs"),
        ),
    ),
    Claim(
        18,
        "With range_end alone KVM would need an array of pages of fixed size and several flushes.",
        "KVM never did. range_end alone is found only where pages are pinned: XPMEM, kdreg2.",
        (
            Count(
                f"an array of {CAPACITY} pages",
                True,
                "end_only",
                "flushes",
                lambda pages: ceil(pages / CAPACITY),
            ),
            Check("and it is safe, by the pins", True, EndOnly, "munmap", properties=_SAFE),
        ),
    ),
)
