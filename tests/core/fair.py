"""Fair cycles by the reference interpreter, slow and obvious, to hold the core against."""

from __future__ import annotations

from collections.abc import Iterable

from mmunotify.check.lasso import able, queues
from mmunotify.ir import interp
from mmunotify.ir.interp import State, Stepped
from mmunotify.ir.program import PredicateKind, Program

__all__ = ["pending_for_ever"]

Edges = dict[State, list[tuple[int, State]]]


def pending_for_ever(program: Program, states: Iterable[State]) -> set[int]:
    """Return the PENDING predicates that stay true on some fair cycle; `states` are all."""
    edges = {state: list(_edges(program, state)) for state in states}
    found = set()
    for number, predicate in enumerate(program.predicates):
        if predicate.kind is not PredicateKind.PENDING:
            continue
        pending = {
            state
            for state in edges
            if interp.evaluate(program, state, predicate.entry, predicate.result) == 1
        }
        if _has_fair_cycle(program, edges, pending):
            found.add(number)
    return found


def _edges(program: Program, state: State) -> Iterable[tuple[int, State]]:
    for thread in range(len(program.threads)):
        for step in interp.steps(program, state, thread):
            if isinstance(step.result, Stepped):
                yield thread, step.result.state


def _has_fair_cycle(program: Program, edges: Edges, within: set[State]) -> bool:
    left = set(within)
    while left:
        state = next(iter(left))
        after = _reachable(edges, state, within)
        component = {s for s in after if state in _reachable(edges, s, within)}
        left -= component | {state}
        if component and _is_fair(program, edges, component):
            return True
    return False


def _reachable(edges: Edges, start: State, within: set[State]) -> set[State]:
    """Return what one step or more lead to."""
    found: set[State] = set()
    todo = [start]
    while todo:
        for _, after in edges[todo.pop()]:
            if after in within and after not in found:
                found.add(after)
                todo.append(after)
    return found


def _is_fair(program: Program, edges: Edges, component: set[State]) -> bool:
    moving = {t for s in component for t, after in edges[s] if after in component}
    rest = set(component)
    for thread in range(len(program.threads)):
        if thread in moving:
            continue
        can = {s for s in component if able(program, s, thread)}
        if can == component:
            return False
        rows = queues(program, thread)
        rest -= {s for s in can if rows[interp.pc(program, s, thread)]}
    return rest == component or _has_fair_cycle(program, edges, rest)
