"""Each line of the KVM driver that protects something is missed when it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.drivers.mutants import CAUGHT, SURVIVORS, Caught, Survivor, written

from mmunotify import check
from mmunotify.drivers.kvm import Kvm

SCENARIOS = sorted({mutant.scenario for mutant in CAUGHT})


@pytest.mark.parametrize("mutant", CAUGHT, ids=lambda mutant: mutant.name)
def test_caught(mutant: Caught, tmp_path: Path) -> None:
    """The named property fails in the named scenario, with an interleaving that shows it."""
    result = check(written(tmp_path, mutant), scenario=mutant.scenario)
    assert (result.verdict, result.property) == ("VIOLATED", mutant.property), str(result)
    assert result.trace is not None
    assert result.trace.events


@pytest.mark.parametrize("mutant", SURVIVORS, ids=lambda mutant: mutant.name)
def test_survivor(mutant: Survivor, tmp_path: Path) -> None:
    """What is said to make no difference makes none where it would show first."""
    result = check(written(tmp_path, mutant), scenario=mutant.scenario)
    assert result.verdict == "HOLDS", str(result)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_driver_holds(scenario: str) -> None:
    """The driver itself violates nothing in these scenarios: what is caught is the mutation."""
    check(Kvm, scenario=scenario).assert_ok()


@pytest.mark.long
@pytest.mark.parametrize("mutant", SURVIVORS, ids=lambda mutant: mutant.name)
def test_survivor_everywhere(mutant: Survivor, tmp_path: Path) -> None:
    """No standard scenario tells a survivor from the driver."""
    check(written(tmp_path, mutant), workers=2).assert_ok()


def test_names() -> None:
    """Each mutant has a name of its own, and each survivor a reason."""
    names = [mutant.name for mutant in (*CAUGHT, *SURVIVORS)]
    assert len(set(names)) == len(names)
    assert all(len(mutant.reason.split()) >= 5 for mutant in SURVIVORS)
