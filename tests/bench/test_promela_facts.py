"""What a path knows: it decides a test only as every state on the path does."""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from mmunotify.compile.promela.expression import Comparison, Expression, constant, plus, select
from mmunotify.compile.promela.facts import Facts

State = dict[str, int]

LOW, HIGH = -2, 2
NAMES = ("x", "y", "z")
STATES = [dict(zip(NAMES, found, strict=True)) for found in product(range(LOW, HIGH + 1), repeat=3)]
MEANING: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

variables = st.sampled_from([Expression(name, LOW, HIGH) for name in NAMES])
values = st.one_of(
    variables,
    st.integers(LOW - 1, HIGH + 1).map(constant),
    st.builds(plus, variables, st.integers(-2, 2)),
)
tests = st.builds(Comparison, st.sampled_from(sorted(MEANING)), values, values)


def value(of: Expression, state: State) -> int:
    """Return the value in a state: a name, a number, or a name plus a number."""
    return state.get(of.root or of.text, of.low) + of.more


def holds(test: Comparison, state: State) -> bool:
    """Tell whether a test holds in a state."""
    return MEANING[test.operator](value(test.left, state), value(test.right, state))


@given(st.lists(tests, max_size=5), tests)
def test_decides_as_every_state_does(path: list[Comparison], asked: Comparison) -> None:
    """What is decided is so in every state that satisfies what was assumed."""
    facts, states = Facts(), STATES
    for test in path:
        if facts.decide(test) is None:
            facts.assume(test)
        states = [state for state in states if holds(test, state)]
    decided = facts.decide(asked)
    if decided is not None and all(facts.decide(test) for test in path):
        assert all(holds(asked, state) is decided for state in states)


@given(tests)
def test_negation(test: Comparison) -> None:
    """A test and its negation never agree."""
    assert all(holds(test, state) != holds(test.negated(), state) for state in STATES)


def test_bounds_are_cut_at_both_ends() -> None:
    """After `x != -2` and `x < 2`, x is in -1..1."""
    x, facts = Expression("x", LOW, HIGH), Facts()
    facts.assume(Comparison("!=", x, constant(LOW)))
    facts.assume(Comparison("<", x, constant(HIGH)))
    assert facts.decide(Comparison(">=", x, constant(-1))) is True
    assert facts.decide(Comparison("==", x, constant(2))) is False
    assert facts.decide(Comparison("==", x, constant(1))) is None


def test_sums_stay_short() -> None:
    """Choosing between a value and one more adds a condition instead of doubling the text."""
    total: Expression = constant(0)
    for number in range(30):
        flag = Comparison("==", Expression(f"f{number}", 0, 1), constant(1))
        total = select(flag, plus(total, 1), total)
    assert (total.low, total.high) == (0, 30)
    assert len(total.text) < 1_000
