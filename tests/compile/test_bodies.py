"""Random bodies, compiled and as plain Python: they leave the same world behind."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from tests.compile.bodies import bodies, module_text
from tests.compile.twin import module_of, twins


@settings(
    max_examples=max(settings().max_examples, 300),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(bodies())
def test_same_results(body: str) -> None:
    """The same cells, and the same end: over, blocked, or a violation of the same property."""
    with module_of(module_text(body)) as module:
        twins(module.Machine)


def outcome(*lines: str) -> str:
    """Run both ways a body of these lines; return what stopped it."""
    method = "\n        ".join(("    def body(self):", *lines))
    with module_of(module_text(f"{method}\n")) as module:
        return twins(module.Machine).stopped


def test_how_a_run_stops() -> None:
    """The twins can tell the ends of runs apart."""
    assert outcome("self.x = 1") == ""
    assert outcome("self.x = self.tab[self.move() + 3]") == "bounds"
    assert outcome("self.ref.val = 1") == "null_dereference"
    assert outcome("assert self.on") == "assertion"
    assert outcome("raise Slip") == "uncaught"
    assert outcome("wait_until(lambda: self.on)") == "blocked"


def test_super_of_a_reference() -> None:
    """`super()` finds the next class of the object that a reference leads to."""
    for number in range(3):
        assert outcome(f"self.own = self.nodes[{number}]", "self.y = self.own.cost()") == ""


def test_class_of_a_reference() -> None:
    """A class method gets the class of the object that a reference leads to."""
    for number in range(3):
        assert outcome(f"self.own = self.nodes[{number}]", "self.y = self.own.grade()") == ""
