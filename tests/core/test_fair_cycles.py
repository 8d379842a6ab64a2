"""Fair cycles: the core finds what the reference finds, and what it shows is one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from tests.core import reference
from tests.core.fair import pending_for_ever
from tests.core.machines import odometer
from tests.core.programs import lock_rounds, pending_programs
from tests.core.reference import TooBig

from mmunotify.check.schedule import Lasso, Move, replay
from mmunotify.check.search import BrokenKind, Found, Reason, Search, Verdict
from mmunotify.check.violation import Kind
from mmunotify.compile.reduce import progress_reduction
from mmunotify.ir.ops import Op
from mmunotify.ir.program import Instr, Predicate, PredicateKind, Program, SymmetryKind
from mmunotify.ir.reduction import Reduction

SMALL = 250  # states; the reference is quadratic

usual = settings(
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    max_examples=max(settings().max_examples, 200),
    phases=set(Phase) - {Phase.explain},
)


def endless() -> Program:
    """Return a thread that goes through 4096 states for ever, and something that stays pending."""
    program = odometer(digits=6)
    code = (*program.code, Instr(Op.CONST, program.slots, 1), Instr(Op.END))
    pending = Predicate("p", PredicateKind.PENDING, len(program.code), program.slots, 0)
    return replace(program, code=code, slots=program.slots + 1, predicates=(pending,))


def test_limits() -> None:
    """A search for cycles that stops at a limit is no answer, and can be gone on with."""
    search = Search(endless())
    found = search.run(walks=False)
    assert found.verdict is Verdict.VIOLATED
    assert len(found.schedule) - found.loop == 1  # it sets a digit to what it is
    stopped = search.run(walks=False, max_seconds=1e-9)
    assert (stopped.verdict, stopped.reason) == (Verdict.INCOMPLETE, Reason.TIME)
    small = search.run(walks=False, max_bytes=found.bytes)
    assert (small.verdict, small.reason) == (Verdict.INCOMPLETE, Reason.MEMORY)
    assert small.loop == -1
    again = search.run(walks=False)
    assert (again.broken, again.schedule, again.loop) == (found.broken, found.schedule, found.loop)


def test_with_some_reductions_it_is_refused() -> None:
    """Symmetry and ample sets do not preserve cycles."""
    program = endless()
    kind = SymmetryKind("digits", 2, ((0,), (2,)), ())
    with pytest.raises(ValueError, match="without ample sets and symmetry"):
        Search(program, Reduction(symmetry=(kind,)))


def expected(program: Program) -> set[int]:
    """Return what is pending for ever; give up programs with another violation, and big ones."""
    try:
        found = reference.search(program, most=SMALL)
    except TooBig:
        assume(False)
        raise
    assume(not found.violations)
    return pending_for_ever(program, found.states)


def agree(program: Program, found: Found, wanted: set[int]) -> None:
    """Require the verdict of the reference, and a cycle that the interpreter goes round."""
    if not wanted:
        assert found.verdict is Verdict.HOLDS
        assert found.loop == -1
        return
    assert found.verdict is Verdict.VIOLATED
    assert found.broken is not None
    assert found.broken.kind is BrokenKind.CYCLE
    assert found.broken.number in wanted
    moves = [Move(step.thread, step.choices) for step in found.schedule]
    violation = replay(program, Lasso(moves, found.loop)).violation
    assert violation is not None
    assert violation.kind is Kind.CYCLE
    assert violation.predicate in wanted


@usual
@given(pending_programs() | lock_rounds())
def test_unreduced(program: Program) -> None:
    wanted = expected(program)
    agree(program, Search(program).run(walks=False), wanted)
    agree(program, Search(program).run(walks=False, workers=2, parallel_from=1), wanted)


@usual
@given(pending_programs() | lock_rounds())
def test_reduced(program: Program) -> None:
    wanted = expected(program)
    found = Search(program, progress_reduction(program)).run(walks=False)
    assert (found.verdict is Verdict.VIOLATED) == bool(wanted)
    if found.broken is not None:
        assert found.broken.number in wanted
