"""The table of docs/clients.md says what `tests/drivers/expected.py` says, of the same drivers."""

from __future__ import annotations

import re

import pytest
from docs.console import ROOT
from tests.drivers.expected import EXPECTED
from tests.drivers.mutants import TABLES

ROWS = {
    cells[0].strip("` "): cells
    for line in (ROOT / "docs" / "clients.md").read_text().splitlines()
    if line.startswith("| `") and len(cells := line.strip("| ").split(" | ")) == 6
}


def test_drivers() -> None:
    """Every driver that is known is in the table, in that order."""
    assert sorted(ROWS) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_verdict(name: str) -> None:
    """A verdict is `holds`, or in how many scenarios each property fails."""
    violates = EXPECTED[name].violates
    found = dict(re.findall(r"`(\w+)` (\d+)", ROWS[name][5]))
    assert found == {one: str(len(where)) for one, where in violates.items()}
    assert (ROWS[name][5].strip() == "holds") == (not violates)


def test_mutants() -> None:
    """Every driver has mutants, but those that differ from another one in a lock only."""
    assert set(EXPECTED) - set(TABLES) == {"ever_begun", "recursive_rwsem"}
