"""RCU with a seqlock, 7 March 2008: a walk starts again when somebody leaves."""

from __future__ import annotations

from tests.check.verdicts import scenario, verdict_of
from tests.protocols.under import HOLDS, told, under

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import Driver, PageRange, SpinLock, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm


class Once(Driver):
    """Told of one section at a time; drops by its start, and maps nothing by itself."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.open = False

    def invalidate_range_start(self, rng: PageRange) -> None:
        assert not self.open, "told twice that one section begins"
        self.open = True

    def invalidate_range_end(self, rng: PageRange) -> None:
        self.open = False


def leaving(protocol: str) -> str:
    made = Scenario(
        "munmap",
        ("munmap",),
        pages=1,
        frames=2,
        drivers=2,
        membership=Membership(unregisters=True),
        protocol=protocol,
    )
    return verdict_of(made.build(Once))


def test_order() -> None:
    assert told("rcu_seqlock", "munmap") == [
        "first start",
        "second start",
        "first end",
        "second end",
    ]


def test_holds_while_nobody_comes_or_goes() -> None:
    assert under("rcu_seqlock", "munmap") == HOLDS
    assert under("rcu_seqlock", "reclaim/2 drivers") == HOLDS


def test_whoever_leaves_has_the_others_told_twice() -> None:
    assert leaving("rcu_seqlock").startswith("assertion")
    assert leaving("srcu") == HOLDS


def test_a_grace_period_does_not_wait_for_a_method() -> None:
    """RCU is dropped while it runs, so it runs on after the removal has returned."""
    made = scenario("punch_hole/unregister", Kvm)
    for protocol, holds in (("rcu_seqlock", False), ("v9", True)):
        found = verdict_of(made.build(Kvm, {"protocol": protocol}), {"no_use_after_free"})
        assert (found == HOLDS) is holds, protocol


def test_registration_in_the_middle_of_a_section() -> None:
    assert under("rcu_seqlock", "punch_hole/register").startswith("paired")
