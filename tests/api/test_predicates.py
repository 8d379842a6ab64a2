"""`always`, `never` and `reachable`: properties that a driver brings along."""

from __future__ import annotations

from tests.api.drivers import NeverReached, OwnAlways, OwnNever, Right, Worried

from mmunotify import CheckResult, check, reachable
from mmunotify.check.predicates import own_predicates, own_properties
from mmunotify.lang.predicate import Quantifier, quantifier_of


def last_changes(result: CheckResult) -> list[str]:
    """Return what the last step of a counterexample changed."""
    assert result.trace is not None
    return [f"{c.column}: {c.before} -> {c.after}" for c in result.trace.events[-1].changes]


def test_always_violated() -> None:
    """The message names the predicate and what it saw; the trace ends where it became false."""
    result = check(OwnAlways, scenario="munmap")
    assert (result.verdict, result.property) == ("VIOLATED", "untouched")
    assert result.message == "untouched is false where ownalways.open is 1"
    assert "ownalways.open: 0 -> 1" in last_changes(result)
    assert result.shortest


def test_never_violated() -> None:
    """The same for a state that must not be."""
    result = check(OwnNever, scenario="munmap")
    assert (result.verdict, result.property) == ("VIOLATED", "translates")
    assert result.message.startswith("translates is true where spte[0x1")
    assert any(change.startswith("spte[0x") for change in last_changes(result))


def test_holding() -> None:
    """What holds is listed among what was checked; a goal that is reached is not mentioned."""
    result = check(Worried, scenario="munmap")
    assert result.ok
    assert result.properties[-2:] == ["at_most_one_section", "counted_to_five"]
    assert "section_open" not in str(result)


def test_unreached() -> None:
    """A goal that no scenario reaches is told, and is no violation."""
    result = check(NeverReached, scenario=("munmap", "cow"))
    assert result.ok
    assert "nine_sections was not reached in any of 2 scenarios" in " ".join(str(result).split())
    assert "W202" in str(result)


def test_reached_somewhere() -> None:
    """A goal is reached if any one scenario reaches it."""
    alone = check(NeverReached, scenario="munmap")
    assert [s.unreached for s in alone.scenarios] == [["nine_sections", "two_sections"]]
    both = check(NeverReached, scenario=("munmap", "punch_hole+migrate"))
    assert [s.unreached for s in both.scenarios] == [["nine_sections"], ["nine_sections"]]


def test_own_property_can_be_chosen() -> None:
    """Its name is as good as that of a standard property."""
    assert own_properties(Worried) == ["at_most_one_section", "counted_to_five"]
    assert own_properties(Right) == []
    result = check(Worried, scenario="munmap", properties="counted_to_five")
    assert result.ok
    assert "counted_to_five" in result.properties
    assert not {"at_most_one_section", "quiescent", "paired"} & set(result.properties)
    assert check(OwnAlways, scenario="munmap", properties="paired").ok


def test_names_differ() -> None:
    """Predicates of several objects have different names, in a fixed order."""

    class Part:
        def __init__(self, name: str) -> None:
            self.name = name

        @reachable
        def full(self) -> bool:
            return True

    found = list(own_predicates([Part("a"), Part("b"), Part("b"), Part("")]))
    assert [name for _, name, _ in found] == [
        "full",
        "full of b",
        "full of b 2",
        "full of part",
    ]
    assert {quantifier for quantifier, _, _ in found} == {Quantifier.REACHABLE}
    assert all(predicate() for _, _, predicate in found)
    assert quantifier_of(Part.full) is Quantifier.REACHABLE
