"""Claims 1 to 4 and 7: what the mail holds against EMM notifiers.

Invariant: where a claim is about form and not about correctness, the evidence says what the form
costs, and that no property tells the two apart.
"""

from __future__ import annotations

import inspect

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.claims.claim import Check, Claim, Fact
from mmunotify.claims.gru_2008 import Gru2008
from mmunotify.claims.torn_list import TornList
from mmunotify.drivers.gru import Gru
from mmunotify.drivers.hold_off import CounterSequence
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang.driver import Driver
from mmunotify.lang.page_range import Event

__all__ = ["CLAIMS"]

_TORN = Scenario(
    "punch_hole, one more registers",
    ("punch_hole",),
    pages=1,
    frames=2,
    drivers=1,
    membership=Membership(registers=True),
    beside=(CounterSequence,),
    protocol=TornList,
)


# The members of struct mmu_notifier_ops that the model has.
_TABLE = (
    "invalidate_range_start",
    "invalidate_range_end",
    "arch_invalidate_secondary_tlbs",
    "clear_flush_young",
    "clear_young",
    "test_young",
    "release",
)


def _signatures() -> tuple[str, bool]:
    """Return how many forms the methods of today's table have."""
    forms = {str(inspect.signature(getattr(Driver, hook))) for hook in _TABLE}
    text = f"{len(_TABLE)} methods have {len(forms)} signatures"
    return text, len(forms) > 1


def _events() -> tuple[str, bool]:
    return f"one hook, invalidate, serves {len(Event)} events", len(Event) > 1


CLAIMS = (
    Claim(
        1,
        "EMM stops at the first answer that is not 0, so aging cannot be right: every subscriber "
        "has to be asked, and the answers or-ed.",
        "clear_flush_young and clear_young ask everybody; test_young, which has no side effect, "
        "stops at the first.",
        (
            Check(
                "EMM as posted, two KVMs, one page is aged",
                True,
                Kvm,
                "reclaim/2 drivers",
                "emm",
                "aging_not_lost",
            ),
            Check("or-ed over all, as in Linux", True, Kvm, "reclaim/2 drivers", "take_all_locks"),
            Check(
                "EMM after its fix-up of the same day, which sums",
                False,
                Kvm,
                "reclaim/2 drivers",
                "emm_summing",
                properties=("aging_not_lost",),
            ),
        ),
        "what becomes of the answers; the fix-up shows that EMM could be mended",
    ),
    Claim(
        2,
        "One signature and one type of answer for all methods will fall apart as methods come.",
        "The table of methods stayed; it grew and shrank. Half of the other idea came back: an "
        "event in struct mmu_notifier_range, and the one callback of the interval notifier.",
        (
            Fact("methods that Linux has today", True, _signatures),
            Fact("the interval notifier", False, _events),
        ),
        "which half: the list has a table, the interval tree one callback with events",
    ),
    Claim(
        3,
        "EMM is not safe under RCU: a reader may see a subscriber that is only half there.",
        "Corrected in later versions of EMM, which was never merged; Linux pushes with "
        "hlist_add_head_rcu.",
        (
            Check(
                "the new head is seen before its next pointer: who stands behind is passed over",
                True,
                CounterSequence,
                _TORN,
                violates="paired",
            ),
        ),
    ),
    Claim(
        4,
        "A switch in one callback is worse than an array of pointers.",
        "A matter of style for the list; every user of the interval notifier has the switch.",
        (
            Check(
                "the same GRU behind one callback: nothing tells it from an array",
                False,
                Gru,
                "munmap",
                "emm_summing",
            ),
        ),
    ),
    Claim(
        7,
        "EMM needs the same repair of its registration.",
        "EMM V3 took mm_lock, as MMU notifiers did.",
        (
            Check(
                "EMM, the GRU registers during punch_hole",
                True,
                Gru,
                "punch_hole/register",
                "emm_summing",
                "paired",
                properties=("paired",),
            ),
            Check(
                "the frame that it then uses is free",
                True,
                Gru2008,
                "punch_hole/register",
                "emm_summing",
                "no_stale_translation",
                properties=("no_stale_translation",),
            ),
        ),
    ),
)
