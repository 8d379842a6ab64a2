"""EMM: the first answer that is not 0, and registration in the middle of a section."""

from __future__ import annotations

import pytest
from tests.check.verdicts import scenario
from tests.protocols.under import HOLDS, First, Refuses, Second, told, under

from mmunotify.check.choice import chosen_scenarios
from mmunotify.check.options import Options
from mmunotify.check.scenario import Membership, Scenario
from mmunotify.check.subject import subject_of
from mmunotify.drivers.kvm import Kvm
from mmunotify.errors import DiagnosticError


def test_order() -> None:
    assert told("emm", "reclaim") == ["first young?", "aging_not_lost"]
    assert told("emm_summing", "reclaim")[:2] == ["first young?", "second young?"]
    assert told("emm", "exit") == ["first release, off the list", "second release, off the list"]


def test_a_refusal_hides_the_section_from_those_behind() -> None:
    """And the VM goes on, whatever came back."""
    drivers = (First, Refuses, Second)
    assert told("emm", "oom_reaper", drivers)[:2] == ["first start", "first end"]
    assert told("emm_summing", "oom_reaper", drivers)[:2] == ["first start", "second start"]


def test_the_first_that_is_young_ends_the_scan() -> None:
    """T1: the accessed bit of the second is neither read nor cleared."""
    assert under("emm", "reclaim/2 drivers").startswith("aging_not_lost: a scan ended before")
    assert under("emm_summing", "reclaim/2 drivers") == HOLDS


@pytest.mark.parametrize("protocol", ["emm", "emm_summing"])
def test_registration_in_the_middle_of_a_section(protocol: str) -> None:
    assert under(protocol, "munmap/register") == HOLDS
    assert under(protocol, "punch_hole/register").startswith("paired: range_end without")


@pytest.mark.parametrize("protocol", ["emm", "emm_summing", "v10", "single_threaded"])
def test_nobody_can_leave(protocol: str) -> None:
    """So no standard scenario has it, and whoever asks for one is told why."""
    subject = subject_of(Kvm)
    every = chosen_scenarios(subject, Options(protocol=protocol))
    assert not any(s.membership.unregisters for s in every)
    options = Options(protocol=protocol, scenarios=("munmap/unregister",))
    with pytest.raises(DiagnosticError, match="E309") as refused:
        chosen_scenarios(subject, options)
    assert "mmu_notifier_unregister" in refused.value.diagnostics[0].why
    leaving = Scenario("a", ("munmap",), membership=Membership(unregisters=True))
    with pytest.raises(DiagnosticError, match="E309"):
        leaving.build(Kvm, {"protocol": protocol})
    assert scenario("munmap/unregister", Kvm).membership.unregisters
