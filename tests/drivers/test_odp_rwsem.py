"""On-demand paging of the rwsem era: what the lock from start to end cost."""

from __future__ import annotations

import pytest
from tests.check.verdicts import HOLDS, verdict, verdict_of

from mmunotify.check.scenario import Scenario
from mmunotify.drivers.odp_rwsem import OdpRwsem
from mmunotify.lang import EAGAIN, PageRange


class LeaksOnEagain(OdpRwsem):
    """Before 7608bf40cf24: the refusal forgets that the rwsem is held."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        if not rng.blockable:
            if not self.umem_rwsem.down_read_trylock():
                raise EAGAIN
            if self.in_tree:
                raise EAGAIN
        super().invalidate_range_start(rng)


class WaitsAtExit(OdpRwsem):
    """Releases as it unregisters: no section is open any more."""

    def release(self) -> None:
        with self.umem_rwsem.write:
            self.active = False
            self.invalidate_range(PageRange(0, len(self.mm.pages)))


@pytest.mark.parametrize("name", ["punch_hole+exit", "migrate+exit"])
def test_a_section_that_is_open_at_exit_keeps_the_rwsem(name: str) -> None:
    assert verdict(OdpRwsem, name).startswith("quiescent")
    assert verdict(WaitsAtExit, name) == HOLDS


def test_refusal_and_end_exclude_each_other_today() -> None:
    assert verdict(OdpRwsem, "oom_reaper").startswith("paired")


def test_refusal_under_the_rules_of_its_time() -> None:
    """Until 5.12 a refused section had no end, so what range_start took had to be given back."""
    reaped = Scenario("reaped", ("oom_reaper",), pages=1, frames=2, protocol="srcu_4_19")
    assert verdict_of(reaped.build(OdpRwsem)) == HOLDS
    assert verdict_of(reaped.build(LeaksOnEagain)).startswith("no_deadlock")
