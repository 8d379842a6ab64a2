"""DAMON: what was used is noted, and nobody forgets it who is not asked to."""

from __future__ import annotations

import pytest
from tests.check.verdicts import HOLDS, scenario, verdict
from tests.primary.sequence import EVENTS, Listening, perform, world_of

from mmunotify.check.scenario import standard
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import Driver, PageRange


class Asked(Listening):
    """Writes down what it is asked; was used."""

    def clear_young(self, rng: PageRange) -> bool:
        EVENTS.append("young? (clear)")
        return True

    def test_young(self, rng: PageRange) -> bool:
        EVENTS.append("young?")
        return True


class Drops(Kvm):
    """Forgets what it was asked about without a word."""

    def clear_young(self, rng: PageRange) -> bool:
        self.age_gfn_range(rng)
        return False


class NeverYoung(Kvm):
    def test_young(self, rng: PageRange) -> bool:
        return False


class ClearsWhenTested(Kvm):
    def test_young(self, rng: PageRange) -> bool:
        return self.age_gfn_range(rng)


def test_order() -> None:
    world = world_of("damon", Asked)
    assert perform(world) == ["young? (clear)", "young?"]
    frame = world.mm.pte[0]
    assert frame is not None
    assert frame.young


def test_a_young_frame_is_not_reclaimed() -> None:
    world = world_of("damon", Asked)
    perform(world)
    reclaim = world_of("reclaim", Listening)
    frame = reclaim.mm.pte[0]
    assert frame is not None
    frame.young = True
    assert perform(reclaim) == ["young?"]
    assert not frame.young


@pytest.mark.parametrize("name", ["damon", "damon+reclaim"])
def test_kvm(name: str) -> None:
    assert verdict(Kvm, name) == HOLDS


@pytest.mark.parametrize(
    ("driver", "name"),
    [(Drops, "damon"), (NeverYoung, "damon"), (ClearsWhenTested, "damon+reclaim")],
)
def test_aging_that_is_lost(driver: type[Driver], name: str) -> None:
    assert verdict(driver, name).startswith("aging_not_lost")


def test_only_where_somebody_listens() -> None:
    assert scenario("damon", Kvm).operations == ("damon",)
    assert not any(s.name.startswith("damon") for s in standard(Listening))
