"""Claims 11, 12 and 14: how a driver keeps faults out between range_begin and range_end.

Invariant: the drivers of `drivers/hold_off` differ in nothing else, so what one violates and
another does not is due to that.
"""

from __future__ import annotations

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.claims.claim import Check, Claim
from mmunotify.claims.never_negative import NeverNegative
from mmunotify.drivers.hold_off import (
    CounterSequence,
    EverBegun,
    HeldRecursiveRwSem,
    HeldSeqCount,
    HeldSeqLock,
)

__all__ = ["CLAIMS"]

_TWO = Scenario(
    "two sections, one before registration",
    ("punch_hole", "truncate"),
    pages=1,
    frames=2,
    membership=Membership(registers=True),
    protocol="emm_summing",
)

CLAIMS = (
    Claim(
        11,
        "Several range_begins can run in parallel, so a global seqlock cannot be write-held from "
        "begin to end.",
        "KVM has a counter and a sequence; the interval notifier a counter and an odd and even "
        "sequence, a seqcount that lets several writers in.",
        (
            Check(
                "a seqlock write-held over the section",
                True,
                HeldSeqLock,
                "munmap+punch_hole",
                violates="context",
                properties=("context",),
            ),
            Check(
                "its count without its lock, so that two may write",
                True,
                HeldSeqCount,
                "munmap+punch_hole",
                violates="no_stale_translation",
                properties=("no_stale_translation",),
            ),
            Check("a counter and a sequence", True, CounterSequence, "munmap+punch_hole"),
        ),
    ),
    Claim(
        12,
        "A recursive rwsem taken in range_begin and released in range_end is the only way to keep "
        "faults out.",
        "RDMA did so from 3.19 to 5.4, with a leak on -EAGAIN (7608bf40cf24), and then gave it up.",
        (
            Check(
                "a counter and a sequence does it too, and nobody waits",
                False,
                CounterSequence,
                "madvise_dontneed+punch_hole",
            ),
            Check(
                "the rwsem, where a section must not sleep",
                False,
                HeldRecursiveRwSem,
                "oom_reaper",
                violates="context",
            ),
        ),
    ),
    Claim(
        14,
        "A flag that says whether a range_begin has ever happened lets a driver ignore ends that "
        "have no begin.",
        "Pairing is demanded instead; the author the next day: a missing end is ok, a missing "
        "begin never.",
        (
            Check(
                "the flag, with one section",
                True,
                EverBegun,
                "punch_hole/register",
                "emm_summing",
                properties=("bounds",),
            ),
            Check(
                "the flag, with two: an end that is not ours hides a section that is open",
                False,
                NeverNegative,
                _TWO,
                "",
                "no_stale_translation",
                properties=("no_stale_translation",),
            ),
        ),
        "how many sections there are at once",
    ),
)
