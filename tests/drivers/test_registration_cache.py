"""The registration cache: it holds, and each line that protects something is missed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import mmunotify.drivers.registration_cache
from mmunotify import Scenario, check
from mmunotify.drivers.registration_cache import RegistrationCache

SOURCE = Path(mmunotify.drivers.registration_cache.__file__)
SCENARIOS = (
    "munmap",
    "punch_hole",
    "punch_hole/2 devices",
    "migrate",
    "cow",
    "exit",
    "punch_hole+cpu_write",
)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_holds(scenario: str) -> None:
    """The driver violates nothing."""
    check(RegistrationCache, scenario=race(scenario)).assert_ok()


def race(name: str) -> Scenario | str:
    """Return the scenario: with a CPU that writes to new pages there is none by that name."""
    operations = tuple(name.split("+"))
    if "cpu_write" not in operations:
        return name
    return Scenario(name, operations, pages=1, frames=3)


@dataclass(frozen=True)
class Mutant:
    """An edit of the driver, and the scenario and property in which it shows."""

    name: str
    scenario: str
    property: str
    old: str
    new: str


MUTANTS = (
    Mutant(
        "a section does not drop what is registered",
        "punch_hole+cpu_write",
        "no_stale_bytes",
        "                here.open += 1\n                self.drop(page)\n",
        "                here.open += 1\n",
    ),
    Mutant(
        "the device's TLB is not flushed",
        "punch_hole",
        "no_stale_translation",
        "            self.tlb.flush_range(rng)\n",
        "",
    ),
    Mutant(
        "an invalidation between reserve and commit is not seen",
        "punch_hole+cpu_write",
        "no_stale_bytes",
        "current = self.generation.read() == generation and not closed",
        "current = not closed",
    ),
    Mutant(
        "a section that ended between reserve and commit is not seen",
        "punch_hole+cpu_write",
        "no_stale_bytes",
        "closed = self.sections[page].open > 0",
        "closed = False",
    ),
    Mutant(
        "a hit counts no user",
        "punch_hole/2 devices",
        "bounds",
        "            if slot is not None:\n                slot.users += 1\n",
        "",
    ),
    Mutant(
        "dead slots are not deregistered",
        "punch_hole",
        "quiescent",
        "                here.open -= 1\n        self.reap()\n",
        "                here.open -= 1\n",
    ),
    Mutant(
        "the last user of a dead slot does not deregister",
        "punch_hole",
        "quiescent",
        "        if last:\n            self.retire(slot)\n",
        "",
    ),
    Mutant(
        "a dead slot can be deregistered by two",
        "punch_hole",
        "quiescent",
        "                slot.users += 1  # nobody else takes it for dead (`State::reaped`)\n",
        "                pass\n",
    ),
    Mutant(
        "a section deregisters what is in use",
        "punch_hole",
        "bounds",
        "mine = slot.taken and not slot.live and slot.users == 0",
        "mine = slot.taken and not slot.live",
    ),
    Mutant(
        "closing does not deregister",
        "exit",
        "quiescent",
        "            self.tlb.flush()\n        self.reap()\n",
        "            self.tlb.flush()\n",
    ),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant(mutant: Mutant, tmp_path: Path) -> None:
    """The named property fails in the named scenario."""
    text = SOURCE.read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1
    path = tmp_path / "mutant.py"
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    result = check(path, scenario=race(mutant.scenario))
    assert (result.verdict, result.property) == ("VIOLATED", mutant.property), str(result)
