"""The search for what waits for ever, after everything else was found to hold.

It has a program of its own only as far as obligations are concerned: their cells are seen by
`progress` alone, so without it they are dead and cost no states. It is a second search, as the
reductions of the first one do not preserve cycles.
Invariant: `progress` is said to hold only if its search was complete.
"""

from __future__ import annotations

from dataclasses import replace

from mmunotify.check.accesses import recording
from mmunotify.check.lasso import able
from mmunotify.check.schedule import Lasso, Move, Schedule, closed
from mmunotify.check.search import BrokenKind, Found, Search, Verdict
from mmunotify.check.slice import Graph
from mmunotify.ir.program import PredicateKind, Program
from mmunotify.ir.reduction import Reduction

__all__ = [
    "MOST_STATES",
    "has_obligations",
    "moves_of",
    "shortened",
    "turned",
    "without_obligations",
]

MOST_STATES = 4_000_000
"""States after which a search for `progress` that nobody asked for gives up."""


def has_obligations(program: Program) -> bool:
    """Tell whether `progress` can be violated at all."""
    return any(p.kind is PredicateKind.PENDING for p in program.predicates)


def without_obligations(program: Program) -> Program:
    """Return the program without what `progress` asks; predicates keep their numbers."""
    asked = tuple(p for p in program.predicates if p.kind is not PredicateKind.PENDING)
    assert program.predicates[: len(asked)] == asked
    return replace(program, predicates=asked)


def moves_of(program: Program, found: Found) -> Schedule:
    """Return the schedule that a search has found, a lasso if it ends in a cycle."""
    moves = tuple(Move(step.thread, tuple(step.choices)) for step in found.schedule)
    return closed(program, moves, found.loop) if found.loop >= 0 else moves


def turned(program: Program, lasso: Lasso) -> Lasso:
    """Return the lasso with its cycle begun where a thread that only waits on it has to wait."""
    run = recording(program, lasso)
    thread, loop = Graph(run).waiting, lasso[lasso.loop :]
    if thread is None or thread in {move.thread for move in loop}:
        return lasso
    states = run.states[lasso.loop : -1]
    by = next((n for n, state in enumerate(states) if not able(program, state, thread)), 0)
    return Lasso((*lasso[: lasso.loop], *loop[:by], *loop[by:], *loop[:by]), lasso.loop + by)


def shortened(program: Program, lasso: Lasso, states: int, seconds: float) -> Lasso:
    """Return the lasso of an unreduced search, whose way to the cycle is short, if there is time.

    It may be another thing that waits for ever.
    """
    found = Search(program, Reduction()).run(max_states=states, max_seconds=seconds, walks=False)
    if found.verdict is not Verdict.VIOLATED or found.broken is None:
        return lasso
    if found.broken.kind is not BrokenKind.CYCLE:
        return lasso
    other = moves_of(program, found)
    assert isinstance(other, Lasso)
    return other if len(other) < len(lasso) else lasso
