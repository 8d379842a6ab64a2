"""Fair cycles: a schedule whose end repeats for ever, and whether that is a fair execution.

Weak fairness: a thread that could step from some point on, without end, does so again and again.
Strong fairness of queues: a thread that waits in a queue (a lock) and could go on again and again
does. Invariant: what is said here of a cycle was computed from its own states in the interpreter.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.ir import interp
from mmunotify.ir.interp import Blocked, State
from mmunotify.ir.ops import OPS, Op, Role
from mmunotify.ir.program import PredicateKind, Program

__all__ = ["able", "is_fair", "obligation_cells", "pending_throughout", "queues"]

_LAST = (Op.JMP, Op.FAIL, Op.STEP, Op.END)  # control never goes on behind these


def able(program: Program, state: State, thread: int) -> bool:
    """Tell whether `thread` can step in `state`; a finished one cannot."""
    return any(
        not isinstance(step.result, Blocked) for step in interp.steps(program, state, thread)
    )


def queues(program: Program, thread: int) -> tuple[bool, ...]:
    """Tell for each boundary of a thread whether the step from it waits in a queue, only there."""
    return tuple(_waits(program, entry) == {True} for entry in program.threads[thread].entries)


def obligation_cells(program: Program) -> dict[int, int]:
    """Return the cells that PENDING predicates look at, with the predicate's number.

    They are ghosts: no step reads them.
    """
    found: dict[int, int] = {}
    for number, predicate in enumerate(program.predicates):
        if predicate.kind is PredicateKind.PENDING:
            for at in _reached(program, predicate.entry):
                i = program.code[at]
                for role, field in zip(OPS[i.op].roles, i.fields, strict=False):
                    if role is Role.READ and field < len(program.cells):
                        found[field] = number
    return found


def _waits(program: Program, entry: int) -> set[bool]:
    """Return, for the waits that a step may come to, whether they are in a queue."""
    code = program.code
    return {bool(code[at].b) for at in _reached(program, entry) if code[at].op is Op.WAIT}


def _reached(program: Program, entry: int) -> set[int]:
    """Return the instructions that a step from `entry`, or a predicate, may come to."""
    todo, seen = [entry], set()
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        i = program.code[at]
        for role, field in zip(OPS[i.op].roles, i.fields, strict=False):
            if role is Role.TARGET:
                todo.append(field)
        if i.op not in _LAST:
            todo.append(at + 1)
    return seen


def pending_throughout(program: Program, states: Sequence[State]) -> int | None:
    """Return the number of a PENDING predicate that is true in all of `states`."""
    for number, predicate in enumerate(program.predicates):
        if predicate.kind is PredicateKind.PENDING and all(
            interp.evaluate(program, state, predicate.entry, predicate.result) == 1
            for state in states
        ):
            return number
    return None


def is_fair(program: Program, states: Sequence[State], moved: Sequence[int]) -> bool:
    """Tell whether it is fair to go through `states` for ever; `moved` are the threads that step.

    `states[k]` is the one in which `moved[k]` steps.
    """
    return all(
        _is_served(program, states, thread)
        for thread in range(len(program.threads))
        if thread not in moved
    )


def _is_served(program: Program, states: Sequence[State], thread: int) -> bool:
    can = [state for state in states if able(program, state, thread)]
    if len(can) == len(states):
        return False
    rows = queues(program, thread)
    return not any(rows[interp.pc(program, state, thread)] for state in can)
