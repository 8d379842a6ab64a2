"""Fewest context switches: the same steps in an order that is easier to read.

Steps of different threads may change places if neither writes what the other touches. Among all
orders that this allows the best one is found exactly; then whole runs are moved over each other
even where they touch the same cells, as long as a replay ends in the same violation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from mmunotify.check.accesses import Recording, footprint, recording
from mmunotify.check.schedule import Move, Schedule, ScheduleError, replay
from mmunotify.check.violation import Kind, same_violation
from mmunotify.ir.program import Program

__all__ = ["fewest_switches", "switches"]

_LIMIT = 20_000  # sets of steps done, in the exact search
_ROUNDS = 8


def switches(schedule: Sequence[Move]) -> int:
    """Return how often the thread changes from one step to the next."""
    return max(sum(1 for _ in groupby(schedule, key=lambda move: move.thread)) - 1, 0)


def fewest_switches(program: Program, schedule: Sequence[Move]) -> Schedule:
    """Return `schedule` in an order with few switches that ends in the same violation."""
    best = _reordered(recording(program, schedule))
    for _ in range(_ROUNDS):
        better = next(_better(program, best), None)
        if better is None:
            break
        best = better
    return best


def _better(program: Program, schedule: Schedule) -> Iterator[Schedule]:
    """Yield schedules with fewer switches that are not merely reorderings of `schedule`."""
    goal = replay(program, schedule).violation
    for candidate in _moved_runs(schedule):
        try:
            found = replay(program, candidate).violation
        except ScheduleError:
            continue
        if same_violation(program, goal, found):
            reordered = _reordered(recording(program, candidate))
            if switches(reordered) < switches(schedule):
                yield reordered


def _moved_runs(schedule: Schedule) -> Iterator[Schedule]:
    """Yield the schedules in which a run is moved to another one of the same thread."""
    runs = [tuple(run) for _, run in groupby(schedule, key=lambda move: move.thread)]
    for at, run in enumerate(runs):
        for to in range(at + 2, len(runs)):
            if runs[to][0].thread == run[0].thread:
                middle = runs[at + 1 : to]
                yield _joined([*runs[:at], run, runs[to], *middle, *runs[to + 1 :]])
                if to + 1 < len(runs):
                    yield _joined([*runs[:at], *middle, run, runs[to], *runs[to + 1 :]])


def _joined(runs: Sequence[Schedule]) -> Schedule:
    return tuple(move for run in runs for move in run)


def _reordered(run: Recording) -> Schedule:
    """Return the best order of the steps that keeps every two that conflict as they are."""
    before = _predecessors(run)
    found = _search(run.schedule, before)
    if found is None:
        return run.schedule
    return tuple(run.schedule[at] for at in found)


def _predecessors(run: Recording) -> list[int]:
    """Return, for each step, the set of steps (a bit mask) that must stay before it."""
    prints = [footprint(run.program, accesses) for accesses in run.steps]
    moves = run.schedule
    before = [
        sum(
            1 << i
            for i in range(j)
            if moves[i].thread == moves[j].thread or prints[i].conflicts(prints[j])
        )
        for j in range(len(moves))
    ]
    if run.violation is not None and run.violation.kind is Kind.FAILURE:
        before[-1] = (1 << (len(moves) - 1)) - 1  # nothing comes after what fails
    return before


def _search(schedule: Schedule, before: Sequence[int]) -> list[int] | None:
    """Return the order with fewest runs, breadth first over runs; None if that takes too long.

    A run is made as long as it can be: a step made now instead of later costs no switch.
    """
    own: dict[int, list[int]] = {}
    for at, move in enumerate(schedule):
        own.setdefault(move.thread, []).append(at)
    everything = (1 << len(schedule)) - 1
    level: dict[tuple[int, int], list[int]] = {(0, -1): []}
    seen = set(level)
    while level:
        following: dict[tuple[int, int], list[int]] = {}
        for (done, last), order in level.items():
            if done == everything:
                return order
            for thread, steps in own.items():
                if thread != last:
                    now, more = _run(done, steps, before)
                    if more and (now, thread) not in seen:
                        seen.add((now, thread))
                        following[now, thread] = order + more
        if len(seen) > _LIMIT:
            return None
        level = following
    return None


def _run(done: int, steps: Sequence[int], before: Sequence[int]) -> tuple[int, list[int]]:
    """Make as many of a thread's `steps` as can be made; return what is done then, and they."""
    more = []
    for at in steps:
        if done >> at & 1:
            continue
        if before[at] & ~done:
            break
        done |= 1 << at
        more.append(at)
    return done, more
