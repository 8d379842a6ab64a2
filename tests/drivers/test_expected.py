"""Each shipped driver holds where it is said to hold, and fails where it is said to fail."""

from __future__ import annotations

import pytest
from tests.check.verdicts import scenario
from tests.drivers.expected import EXPECTED, Expected

from mmunotify.check.job import Job
from mmunotify.check.options import Options
from mmunotify.check.search import Verdict
from mmunotify.check.subject import subject_of
from mmunotify.terms import PROPERTIES

QUICK = [
    pytest.param(known, name, id=f"{driver}-{name}")
    for driver, known in EXPECTED.items()
    for name in known.quick
]
REST = [
    pytest.param(known, name, id=f"{driver}-{name}")
    for driver, known in EXPECTED.items()
    for name in known.scenarios
    if name not in known.quick
]
STATES = [
    pytest.param(known, name, states, id=f"{driver}-{name}")
    for driver, known in EXPECTED.items()
    for name, states in known.states.items()
]


def violated(known: Expected, name: str, options: Options) -> str:
    """Return the property that a scenario is found to violate, or ""."""
    job = Job(subject_of(known.driver), scenario(name, known.driver), options)
    found = job.answer().entry
    assert found.verdict in ("HOLDS", "VIOLATED"), found.reason
    return found.property if found.verdict == "VIOLATED" else ""


def verify(known: Expected, name: str) -> None:
    """Require what is expected of a scenario: what fails, fails, and nothing else does."""
    expected = known.properties(name)
    if not expected:
        assert violated(known, name, Options()) == ""
        return
    for one in expected:
        assert violated(known, name, Options(properties=(one,))) == one
    others = tuple(p for p in PROPERTIES if p not in (*expected, "progress"))
    # What a counter cannot hold cannot be gone past, even if it is not asked for.
    assert violated(known, name, Options(properties=others)) in ("", *expected)


@pytest.mark.parametrize(("known", "name"), QUICK)
def test_scenario(known: Expected, name: str) -> None:
    """The scenarios that show most."""
    verify(known, name)


@pytest.mark.long
@pytest.mark.parametrize(("known", "name"), REST)
def test_every_scenario(known: Expected, name: str) -> None:
    """All others."""
    verify(known, name)


@pytest.mark.parametrize(("known", "name", "states"), STATES)
def test_states(known: Expected, name: str, states: int) -> None:
    """The whole state space has the states that it had: the model has not changed unawares."""
    options = Options(pages=1, frames=2, reduced=False)
    found = Job(subject_of(known.driver), scenario(name, known.driver), options).search()
    assert (found.verdict, found.states) == (Verdict.HOLDS, states)


@pytest.mark.parametrize("known", EXPECTED.values(), ids=list(EXPECTED))
def test_names(known: Expected) -> None:
    """What is expected is expected of scenarios and properties that there are."""
    assert set(known.violates) <= set(PROPERTIES)
    named = {*known.quick, *known.states, *(s for where in known.violates.values() for s in where)}
    assert named <= set(known.scenarios)
