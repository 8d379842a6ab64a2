"""Each line of a shipped driver that protects something is missed when it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.drivers.mutant import Caught, Mutants, Survivor, written
from tests.drivers.mutants import TABLES

from mmunotify import check

CAUGHT = [
    pytest.param(table, mutant, id=f"{name}-{mutant.name}")
    for name, table in TABLES.items()
    for mutant in table.caught
]
SURVIVORS = [
    pytest.param(table, mutant, id=f"{name}-{mutant.name}")
    for name, table in TABLES.items()
    for mutant in table.survivors
]
SCENARIOS = [
    pytest.param(table, scenario, id=f"{name}-{scenario}")
    for name, table in TABLES.items()
    for scenario in sorted({mutant.scenario for mutant in table.caught})
]


@pytest.mark.parametrize(("table", "mutant"), CAUGHT)
def test_caught(table: Mutants, mutant: Caught, tmp_path: Path) -> None:
    """The named property fails in the named scenario, with an interleaving that shows it."""
    result = check(written(tmp_path, table, mutant), scenario=mutant.scenario)
    assert (result.verdict, result.property) == ("VIOLATED", mutant.property), str(result)
    assert result.trace is not None
    assert result.trace.events


@pytest.mark.parametrize(("table", "mutant"), SURVIVORS)
def test_survivor(table: Mutants, mutant: Survivor, tmp_path: Path) -> None:
    """What is said to make no difference makes none where it would show first."""
    result = check(written(tmp_path, table, mutant), scenario=mutant.scenario)
    assert result.verdict == "HOLDS", str(result)


@pytest.mark.parametrize(("table", "scenario"), SCENARIOS)
def test_driver_holds(table: Mutants, scenario: str) -> None:
    """The driver itself violates nothing in these scenarios: what is caught is the mutation."""
    check(table.driver, scenario=scenario).assert_ok()


@pytest.mark.long
@pytest.mark.parametrize(("table", "mutant"), SURVIVORS)
def test_survivor_everywhere(table: Mutants, mutant: Survivor, tmp_path: Path) -> None:
    """No standard scenario tells a survivor from the driver."""
    result = check(written(tmp_path, table, mutant), workers=2, keep_going=True)
    failed = [s.name for s in result.scenarios if s.verdict != "HOLDS"]
    driver = check(table.driver, scenario=failed, keep_going=True) if failed else None
    assert driver is None or [s.verdict for s in driver.scenarios] == ["VIOLATED"] * len(failed)


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_names(table: Mutants) -> None:
    """Each mutant has a name of its own, and each survivor a reason."""
    names = [*(m.name for m in table.caught), *(m.name for m in table.survivors)]
    assert len(set(names)) == len(names)
    assert all(len(mutant.reason.split()) >= 5 for mutant in table.survivors)
