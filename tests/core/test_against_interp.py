"""The core against the reference interpreter, on random programs: same states, same verdicts."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, assume, given, note, settings
from hypothesis import strategies as st
from tests.core import reference
from tests.core.machines import odometer
from tests.core.programs import programs, reductions
from tests.core.reference import DEADLOCK, FAILURE, PREDICATE, Reference, TooBig

from mmunotify.check.search import BrokenKind, Found, Outcome, Search, Successor, Verdict
from mmunotify.ir import interp
from mmunotify.ir.interp import Failed, State, Stepped
from mmunotify.ir.program import Program
from mmunotify.ir.reduction import Reduction

usual = settings(
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    max_examples=max(settings().max_examples, 200),
    phases=set(Phase) - {Phase.explain},  # it takes minutes here and explains nothing
)


def explore(program: Program, reduction: Reduction | None = None) -> Reference:
    """Search by the interpreter; give the example up if it is too big."""
    try:
        return reference.search(program, reduction)
    except TooBig:
        assume(False)
        raise


def by_interpreter(program: Program, state: State) -> list[Successor]:
    """Return what the core's `successors` must return."""
    expected = []
    for thread in range(len(program.threads)):
        for step in interp.steps(program, state, thread):
            if isinstance(step.result, Stepped):
                after = step.result.state
                boundary = interp.pc(program, after, thread)
                expected.append(Successor(thread, step.choices, Outcome.STEPPED, boundary, after))
            elif isinstance(step.result, Failed):
                number = step.result.failure
                expected.append(Successor(thread, step.choices, Outcome.FAILED, number, ()))
            else:
                expected.append(Successor(thread, step.choices, Outcome.BLOCKED, -1, ()))
    return expected


def kind_of(found: Found) -> str:
    """Return the name that the reference has for what was violated."""
    assert found.broken is not None
    if found.broken.kind is BrokenKind.DEADLOCK:
        return DEADLOCK
    if found.broken.kind is BrokenKind.FAILURE and found.path and found.path[-1].boundary < 0:
        return FAILURE
    return PREDICATE  # violated, or it ran into a failure itself


def agree(found: Found, expected: Reference) -> None:
    """Hold what the core found against everything there is to find."""
    if not expected.violations:
        assert found.verdict is Verdict.HOLDS
        assert found.states == len(expected.states)
        assert found.transitions == expected.transitions
        assert found.depth == max(expected.states.values())
        assert found.covered == expected.covered
        assert found.reached == expected.reached
        return
    assert found.verdict is Verdict.VIOLATED
    assert kind_of(found) in expected.violations
    if not found.by_walk:
        assert len(found.path) >= expected.violations[kind_of(found)]


def runs(program: Program, found: Found, *, reduced: bool = False) -> None:
    """Run the schedule that the core found in the interpreter: it must end as the core says.

    With `reduced` a deadlock is not looked at: whoever stops within a fused step still moves.
    """
    assert found.broken is not None
    state = program.initial
    failure = -1
    for number, move in enumerate(found.schedule):
        step = next(
            step
            for step in interp.steps(program, state, move.thread)
            if step.choices == move.choices
        )
        if isinstance(step.result, Stepped):
            state = step.result.state
        else:
            assert isinstance(step.result, Failed)
            assert number == len(found.schedule) - 1
            failure = step.result.failure
    if kind_of(found) == FAILURE:
        assert failure == found.broken.number
        return
    assert failure == -1
    if kind_of(found) == DEADLOCK and not reduced:
        assert not interp.is_terminal(program, state)
        assert all(
            not isinstance(step.result, Stepped)
            for thread in range(len(program.threads))
            for step in interp.steps(program, state, thread)
        )


@usual
@given(programs())
def test_successors_state_by_state(program: Program) -> None:
    """Every state has the same successors, in the same order, blocked and failed ones included."""
    core = Search(program)
    for state in explore(program).states:
        assert list(core.successors(state)) == by_interpreter(program, state)


@usual
@given(programs())
def test_search(program: Program) -> None:
    """The unreduced search finds all states, and a violation by a shortest path."""
    expected = explore(program)
    found = Search(program).run(walks=False)
    agree(found, expected)
    if not expected.violations:
        assert found.entered == expected.entered
        return
    note(str(found))
    assert found.shortest
    assert len(found.path) == expected.violations[kind_of(found)]
    assert [(step.thread, step.choices) for step in found.path] == [
        (step.thread, step.choices) for step in found.schedule
    ]
    runs(program, found)
    replayed = Search(program).replay(found.schedule)
    assert replayed.steps == len(found.schedule) - (kind_of(found) == FAILURE)


@usual
@given(programs(), st.integers(0, 3))
def test_walks(program: Program, seed: int) -> None:
    """Random walks say only what is true, and the same for the same seed."""
    expected = explore(program)
    found = Search(program).run(seed=seed, walk_steps=300)
    again = Search(program).run(seed=seed, walk_steps=300)
    assert (found.verdict, found.path) == (again.verdict, again.path)
    agree(found, expected)
    if expected.violations:
        runs(program, found)


@usual
@given(st.data())
def test_reduced_successors(data: st.DataObject) -> None:
    """Steps run over fused and soft boundaries, and clear cells, as the licences say."""
    program = data.draw(programs())
    reduction = data.draw(reductions(program, ample=False))
    expected = explore(program, reduction)
    core = Search(program, reduction)
    for state in expected.states:
        macros = [
            (macro.thread, macro.choices, macro.failure, macro.boundary, macro.state)
            for thread in range(len(program.threads))
            for macro in reference.macro_steps(program, reduction, state, thread, set())
        ]
        got = [
            (
                next_.thread,
                next_.choices,
                next_.number if next_.outcome is Outcome.FAILED else -1,
                next_.number if next_.outcome is Outcome.STEPPED else -1,
                next_.state,
            )
            for next_ in core.successors(state, reduced=True)
            if next_.outcome is not Outcome.BLOCKED
        ]
        assert got == macros


@usual
@given(st.data())
def test_reduced_search(data: st.DataObject) -> None:
    """Under any licences the search visits what the reference visits; its paths are real.

    Clearing is left out where paths are run: a cell that is not dead must not be cleared.
    """
    program = data.draw(programs())
    reduction = data.draw(reductions(program))
    reduction = Reduction("random", reduction.boundaries, (), reduction.ample)
    expected = explore(program, reduction)
    found = Search(program, reduction).run(walks=False)
    agree(found, expected)
    if found.verdict is Verdict.VIOLATED:
        assert not found.shortest
        runs(program, found, reduced=True)


@pytest.mark.parametrize("words", [1, 4, 70])
def test_every_width_of_a_state(words: int) -> None:
    """States of any number of words are stored and found again."""
    program = odometer(digits=3, ballast=8 * words)
    found = Search(program).run(walks=False)
    assert found.states == len(explore(program).states)
