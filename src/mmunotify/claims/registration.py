"""Claims 5, 6, 8, 9, 10, 13 and 20: who is told of a section while somebody registers.

Invariant: the GRU is the witness, as in the mail: it has nothing but its TLB, and only the
notifier takes a translation out of it.
"""

from __future__ import annotations

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.claims.claim import Check, Claim
from mmunotify.claims.drops import Drops
from mmunotify.claims.foreign import (
    LateInvalidatePage,
    PromptInvalidatePage,
    PunchHoleEnds,
    QuietPunchHole,
)
from mmunotify.claims.gru_2008 import Gru2008
from mmunotify.drivers.gru import Gru
from mmunotify.drivers.kvm import Kvm

__all__ = ["CLAIMS"]

_SAFE = ("no_stale_translation",)


def _by_page(name: str, operation: type) -> Scenario:
    return Scenario(name, (operation,), pages=1, frames=2, membership=Membership())


_ENDS = Scenario(
    "punch_hole, one registers",
    (PunchHoleEnds,),
    pages=1,
    frames=1,
    membership=Membership(registers=True),
    protocol="v10",
)

CLAIMS = (
    Claim(
        5,
        "Without rcu_read_lock round the methods the GRU cannot know from when on they are called: "
        "synchronize_rcu proves nothing any more.",
        "Two answers: registration under all locks of the mm (2.6.27), and birth in the colliding "
        "state (the interval notifier, 5.5).",
        (
            Check(
                "no RCU (EMM): the GRU registers, loads its TLB, and is not called",
                True,
                Gru2008,
                "punch_hole/register",
                "emm_summing",
                "no_stale_translation",
                properties=_SAFE,
            ),
            Check(
                "registration under all locks",
                True,
                Gru,
                "punch_hole/register",
                "take_all_locks",
                properties=_SAFE,
            ),
        ),
    ),
    Claim(
        6,
        "A seqlock written by registration, and replay of all callbacks where it has changed, "
        "makes synchronize_rcu unnecessary and is safe.",
        "Conceded the next day; replaced by mm_lock, then by mm_take_all_locks.",
        (
            Check(
                "#v10: the sequence is read once, so the replay never ends",
                False,
                Drops,
                _ENDS,
                "",
                "progress",
                properties=("progress",),
            ),
            Check(
                "with the sequence read anew: still an end without its start",
                False,
                Gru,
                "punch_hole/register",
                "v10_rereading",
                "paired",
                properties=("paired",),
            ),
        ),
    ),
    Claim(
        8,
        "Registration by the only thread of a process would do, if range_begin never came from "
        "another context; it does come (try_to_unmap_cluster), so it is more fragile than the "
        "seqlock.",
        "EMM briefly did this. Register still needs a user of the mm, no more.",
        (
            Check(
                "a section of the process itself: what is missed is harmless",
                True,
                Gru,
                "munmap/register",
                "single_threaded",
            ),
            Check(
                "a section of another context",
                True,
                Gru2008,
                "punch_hole/register",
                "single_threaded",
                "no_stale_translation",
                properties=_SAFE,
            ),
        ),
    ),
    Claim(
        9,
        "invalidate_page is fine in other contexts, since it comes after ptep_clear_flush.",
        "Moved out of the page-table lock so that it could sleep, moved back in 4.11, which broke "
        "those that slept; removed in 4.14 (c7ab0d2fdc84, 5f32b265400d).",
        (
            Check(
                "under the page-table lock, before the frame is freed",
                True,
                Gru,
                _by_page("invalidate_page under the lock", PromptInvalidatePage),
                "srcu",
            ),
            Check(
                "after the frame has been freed",
                False,
                Gru,
                _by_page("invalidate_page after the free", LateInvalidatePage),
                "srcu",
                "no_stale_translation",
                properties=_SAFE,
            ),
        ),
        "where it is called: it holds under the page-table lock, with the frame still referenced",
    ),
    Claim(
        10,
        "A driver may see range_end before range_begin.",
        "Not in Linux, where registration excludes sections. The mirror image remains: a start "
        "without its end, for a subscriber that leaves.",
        (
            Check(
                "#v10 with its sequence read anew",
                True,
                Gru,
                "punch_hole/register",
                "v10_rereading",
                "paired",
                properties=("paired",),
            ),
            Check(
                "registration under all locks",
                False,
                Gru,
                "punch_hole/register",
                "take_all_locks",
                properties=("paired",),
            ),
        ),
        "the protocol: registration in the middle of a section brings it about",
    ),
    Claim(
        13,
        "If range_begin and range_end were taken out of other contexts, registration could simply "
        "fail where mm_users is not 1.",
        "The opposite was done: in 4.14 all paths through the reverse map came to use sections.",
        (
            Check(
                "sections of the process itself only",
                True,
                Gru,
                "munmap/register",
                "single_threaded",
            ),
            Check(
                "but a section that is left out of another context must be replaced by something",
                False,
                Kvm,
                Scenario("punch_hole without a section", (QuietPunchHole,), pages=1, frames=2),
                "single_threaded",
                "no_stale_translation",
                properties=_SAFE,
            ),
        ),
        "what would tell the driver instead, in those contexts",
    ),
    Claim(
        20,
        "Without the repair the GRU corrupts memory after it has registered.",
        "Accepted by all in the thread; the GRU driver was merged on top of mm_take_all_locks "
        "(ee5b8feca3af).",
        (
            Check(
                "#v10 without replay is EMM: the GRU writes to a free frame",
                True,
                Gru2008,
                "punch_hole/register",
                "emm",
                "no_stale_translation",
                properties=_SAFE,
            ),
            Check(
                "as merged",
                True,
                Gru,
                "punch_hole/register",
                "take_all_locks",
                properties=_SAFE,
            ),
        ),
    ),
)
