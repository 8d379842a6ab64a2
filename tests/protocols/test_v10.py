"""#v10: the replay that never ends, and the end that comes without its start."""

from __future__ import annotations

import pytest
from tests.check.verdicts import scenario, verdict_of
from tests.protocols.under import HOLDS, REGISTERS, endless, told, under, under_two

from mmunotify.check.scenario import Scenario
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import Driver, Obligation, PageRange, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.primary.truncate import PunchHole


def test_order() -> None:
    assert told("v10", "munmap") == ["first start", "second start", "first end", "second end"]
    assert told("v10", "exit") == ["first release, off the list", "second release, off the list"]


@pytest.mark.parametrize("protocol", ["v10", "v10_rereading"])
def test_holds_while_nobody_comes(protocol: str) -> None:
    for name in ("munmap", "cow", "reclaim/2 drivers", "munmap/register"):
        assert under(protocol, name) == HOLDS, name


class Drops(Driver):
    """Drops when a section begins, and counts nothing."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_start(self, rng: PageRange) -> None:
        for page in rng:
            self.spte[page] = None


class Hears(Drops):
    """Hears of both ends."""

    def invalidate_range_end(self, rng: PageRange) -> None:
        pass


class Punch(PunchHole):
    """Has to come to an end."""

    name = "punch"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.begun = Obligation("punch")

    def run(self) -> None:
        with self.begun:
            super().run()


def test_the_replay_never_ends() -> None:
    """T2: one registration during a walk, and the walk goes on for ever."""

    def never_ends(protocol: str) -> str:
        made = Scenario(
            "punch", (Punch,), pages=1, frames=1, membership=REGISTERS, protocol=protocol
        )
        return endless(made, Drops)

    assert never_ends("v10") == "punch of punch"
    assert never_ends("v10_rereading") == ""
    assert never_ends("take_all_locks") == ""


def test_a_counter_has_no_room_for_it() -> None:
    """KVM is told so often that one section begins that its counter overflows."""
    assert "mmu_invalidate_in_progress would become" in under_two("v10", "punch_hole", Kvm)


def test_an_end_without_its_start() -> None:
    """T3: whoever comes between the two hears of the end alone, however often it is replayed."""
    made = scenario("punch_hole/register", Hears)
    for protocol in ("v10", "v10_rereading"):
        world = made.build(Hears, {"protocol": protocol})
        found = verdict_of(world, {"paired"})
        assert found == "paired: range_end without its range_start", protocol


def test_a_replay_tells_those_that_were_there_twice() -> None:
    """So a counter of sections never comes back to 0."""
    found = under_two("v10_rereading", "punch_hole", Kvm)
    assert found.startswith(("paired", "quiescent"))
