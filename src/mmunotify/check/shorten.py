"""Shorten a schedule: fewest steps, then fewest switches, with the same violation at the end.

`shortest` is said only if an unreduced breadth-first search proved it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mmunotify.check.reorder import fewest_switches
from mmunotify.check.schedule import Move, Schedule, ScheduleError, advance, replay
from mmunotify.check.violation import (
    Kind,
    Violation,
    failed,
    predicate_violation,
    same_violation,
    violation_in,
)
from mmunotify.ir import interp
from mmunotify.ir.interp import Blocked, Failed, State, Stepped
from mmunotify.ir.program import Program

__all__ = ["Explored", "Finder", "Shortened", "core_finder", "explore", "shorten"]

Finder = Callable[[int, float], Schedule | None]
"""An unreduced breadth-first search, given limits (states, seconds): the first violation found."""


@dataclass(frozen=True)
class Shortened:
    """A schedule with the same violation; `shortest`: no schedule with fewer steps has it."""

    schedule: Schedule
    shortest: bool


def shorten(
    program: Program,
    schedule: Sequence[Move],
    *,
    states: int = 100_000,
    seconds: float = 2.0,
    finder: Finder | None = None,
) -> Shortened:
    """Return a schedule with fewest steps, and few switches, that ends in the same violation.

    `finder` is an engine's search (`core_finder`), tried before the slow one here; what it finds
    may violate the property at another line. Each keeps within `states` and `seconds`. Raise
    `ScheduleError` if `schedule` does not fit the program, `ValueError` if it violates nothing.
    """
    goal = replay(program, schedule).violation
    if goal is None:
        raise ValueError("the schedule violates nothing")
    found = _shortest(program, tuple(schedule), goal, states, seconds, finder)
    if found is None:
        best = _greedy(program, tuple(schedule), goal, time.monotonic() + seconds / 4)
        threads = sorted({move.thread for move in best})
        if len(threads) < len(program.threads):
            best = (
                explore(program, goal, threads, len(best) - 1, states, seconds / 4).schedule or best
            )
        found = Shortened(best, False)
    return Shortened(fewest_switches(program, found.schedule), found.shortest)


def _shortest(
    program: Program,
    schedule: Schedule,
    goal: Violation,
    states: int,
    seconds: float,
    finder: Finder | None,
) -> Shortened | None:
    """Return a schedule that is proven shortest, or None."""
    proposed = finder(states, seconds) if finder is not None else None
    if proposed is not None:
        found = replay(program, proposed).violation
        if found is not None and (found.kind, found.property) == (goal.kind, goal.property):
            return Shortened(proposed, True)
    threads = range(len(program.threads))
    explored = explore(program, goal, threads, len(schedule) - 1, states, seconds / 2)
    if explored.schedule is not None:
        return Shortened(explored.schedule, True)
    return Shortened(schedule, True) if explored.complete else None


def core_finder(program: Program) -> Finder:
    """Return the search of the native core, without any reduction.

    Raise `ImportError` if the core is not built.
    """
    from mmunotify.check.search import Search

    def find(states: int, seconds: float) -> Schedule | None:
        found = Search(program).run(max_states=states, max_seconds=seconds, walks=False)
        if not found.shortest:
            return None
        return tuple(Move(step.thread, step.choices) for step in found.schedule)

    return find


# -- breadth first -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Explored:
    """The first schedule found, if any; `complete`: there is none otherwise within the depth."""

    schedule: Schedule | None
    complete: bool


def explore(
    program: Program,
    goal: Violation,
    threads: Sequence[int],
    depth: int,
    states: int,
    seconds: float,
) -> Explored:
    """Search the interpreter breadth first for `goal` in at most `depth` steps of `threads`."""
    deadline = time.monotonic() + seconds
    start = program.initial
    came: dict[State, tuple[State, Move] | None] = {start: None}
    if _holds_goal(program, start, goal):
        return Explored((), True)
    level = [start]
    for steps in range(depth + 1):
        following: list[State] = []
        for state in level:
            if len(came) > states or time.monotonic() > deadline:
                return Explored(None, False)
            moves = list(_moves(program, state, threads))
            if not moves and goal.kind is Kind.DEADLOCK and _holds_goal(program, state, goal):
                return Explored(_path(came, state), True)
            for move, after in moves if steps < depth else ():
                if isinstance(after, Failed):
                    if same_violation(program, failed(program, after), goal):
                        return Explored((*_path(came, state), move), True)
                elif after not in came:
                    came[after] = state, move
                    if goal.kind is Kind.PREDICATE and _holds_goal(program, after, goal):
                        return Explored(_path(came, after), True)
                    following.append(after)
        level = following
    return Explored(None, True)


def _holds_goal(program: Program, state: State, goal: Violation) -> bool:
    """Tell whether `goal` is what is wrong with `state` itself."""
    if goal.kind is Kind.FAILURE:
        return False
    if goal.kind is Kind.DEADLOCK:
        found = violation_in(program, state)
    else:
        found = predicate_violation(program, state, goal.predicate)
    return same_violation(program, found, goal)


def _moves(
    program: Program, state: State, threads: Sequence[int]
) -> Iterator[tuple[Move, State | Failed]]:
    for thread in threads:
        for step in interp.steps(program, state, thread):
            if isinstance(step.result, Stepped):
                yield Move(thread, step.choices), step.result.state
            elif not isinstance(step.result, Blocked):
                yield Move(thread, step.choices), step.result


def _path(came: dict[State, tuple[State, Move] | None], state: State) -> Schedule:
    moves: list[Move] = []
    step = came[state]
    while step is not None:
        moves.append(step[1])
        step = came[step[0]]
    return tuple(reversed(moves))


# -- leaving steps out -------------------------------------------------------------------------


def _greedy(program: Program, schedule: Schedule, goal: Violation, deadline: float) -> Schedule:
    """Leave out what can be left out, large parts first, until nothing can or time is up."""
    best, changed = schedule, True
    while changed:
        changed = False
        for drop in _drops(program, best):
            if time.monotonic() > deadline:
                return best
            shorter = _without(program, best, drop, goal)
            if shorter is not None:
                best, changed = shorter, True
                break
    return best


def _drops(program: Program, schedule: Schedule) -> Iterator[frozenset[int]]:
    """Yield sets of steps that may be superfluous: threads, their last steps, rounds, any part."""
    own: dict[int, list[int]] = {}
    for at, move in enumerate(schedule):
        own.setdefault(move.thread, []).append(at)
    lasts = [steps[-count:] for steps in own.values() for count in range(len(steps), 0, -1)]
    yield from map(frozenset, sorted(lasts, key=len, reverse=True))
    states = replay(program, schedule).states
    rounds = [
        steps[first:last]
        for thread, steps in own.items()
        for first in range(len(steps))
        for last in range(first + 1, len(steps))
        if interp.pc(program, states[steps[first]], thread)
        == interp.pc(program, states[steps[last]], thread)
    ]
    yield from map(frozenset, sorted(rounds, key=len, reverse=True))
    size = len(schedule) // 2
    while size:
        for first in range(0, len(schedule), size):
            yield frozenset(range(first, min(first + size, len(schedule))))
        size //= 2


def _without(
    program: Program, schedule: Schedule, drop: frozenset[int], goal: Violation
) -> Schedule | None:
    """Return the schedule without some steps if it still ends in `goal`, perhaps earlier."""
    state, kept = program.initial, []
    for at, move in enumerate(schedule):
        if at in drop:
            continue
        kept.append(move)
        try:
            after = advance(program, state, move)
        except ScheduleError:
            return None
        if isinstance(after, Failed):
            same = same_violation(program, failed(program, after), goal)
            return tuple(kept) if same else None
        state = after
    return tuple(kept) if _holds_goal(program, state, goal) else None
