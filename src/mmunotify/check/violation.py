"""What can be wrong with a program: a failed assertion, a predicate, a deadlock, a cycle.

Invariant: two violations are the same bug exactly if `same_violation` says so; shortening never
trades one bug for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mmunotify.check.lasso import is_fair, pending_throughout
from mmunotify.check.places import Places
from mmunotify.ir import interp
from mmunotify.ir.interp import Blocked, Failed, State
from mmunotify.ir.program import Location, PredicateKind, Program

__all__ = [
    "DEADLOCK",
    "PROGRESS",
    "Kind",
    "Violation",
    "cycle_violation",
    "failed",
    "is_deadlock",
    "message",
    "predicate_violation",
    "same_violation",
    "violation_in",
    "violation_location",
]

DEADLOCK = "no_deadlock"
PROGRESS = "progress"


class Kind(StrEnum):
    """How a schedule violates a property."""

    FAILURE = "failure"  # its last step fails
    PREDICATE = "predicate"  # a predicate does not hold in its last state
    DEADLOCK = "deadlock"  # nobody can move in its last state
    CYCLE = "cycle"  # its end repeats for ever, in a fair way, with something pending


@dataclass(frozen=True)
class Violation:
    """What a schedule ends in. `slots` is everything at that moment, scratch included.

    `failure` indexes `Program.failures` and `predicate` `Program.predicates`; -1 where there is
    none. `instruction` is where a failure was met.
    """

    kind: Kind
    property: str
    slots: State
    failure: int = -1
    predicate: int = -1
    instruction: int = -1


def failed(program: Program, result: Failed, predicate: int = -1) -> Violation:
    """Return the violation that a step, or the predicate with that number, ran into."""
    kind = Kind.FAILURE if predicate < 0 else Kind.PREDICATE
    name = program.failures[result.failure].property
    return Violation(kind, name, result.slots, result.failure, predicate, result.instruction)


def violation_in(program: Program, state: State) -> Violation | None:
    """Return what is wrong with `state` itself: a predicate, or that nobody can move."""
    for number in range(len(program.predicates)):
        found = predicate_violation(program, state, number)
        if found is not None:
            return found
    if is_deadlock(program, state):
        return Violation(Kind.DEADLOCK, DEADLOCK, state + (0,) * (program.slots - len(state)))
    return None


def predicate_violation(program: Program, state: State, number: int) -> Violation | None:
    """Return the violation if predicate `number` should hold in `state` and does not."""
    predicate = program.predicates[number]
    if predicate.kind in (PredicateKind.REACHABLE, PredicateKind.PENDING):
        return None  # no single state shows it
    if predicate.kind is PredicateKind.FINAL and not interp.is_at_rest(program, state):
        return None
    slots: list[int] = []

    def remember(_instruction: int, now: list[int]) -> None:
        slots[:] = now

    value = interp.evaluate(program, state, predicate.entry, predicate.result, remember)
    if isinstance(value, Failed):
        return failed(program, value, number)
    if bool(value) is not (predicate.kind is PredicateKind.NEVER):
        return None
    name = program.failures[predicate.failure].property
    return Violation(Kind.PREDICATE, name, tuple(slots), predicate.failure, number)


def cycle_violation(
    program: Program, states: Sequence[State], moved: Sequence[int]
) -> Violation | None:
    """Return the violation if something stays pending where `states` repeat for ever.

    `moved[k]` is the thread that steps in `states[k]`; the last step leads to the first state.
    """
    pending = pending_throughout(program, states)
    if pending is None or not is_fair(program, states, moved):
        return None
    slots = states[0] + (0,) * (program.slots - len(states[0]))
    return Violation(Kind.CYCLE, PROGRESS, slots, program.predicates[pending].failure, pending)


def is_deadlock(program: Program, state: State) -> bool:
    """Tell whether some thread that is no daemon is unfinished and nobody can move."""
    if interp.is_terminal(program, state):
        return False
    return all(
        isinstance(step.result, Blocked)
        for thread in range(len(program.threads))
        for step in interp.steps(program, state, thread)
    )


def violation_location(program: Program, violation: Violation) -> int:
    """Return the location at which a violation is met, -1 for a deadlock."""
    if violation.instruction >= 0:
        found = program.code[violation.instruction].location
        if found >= 0:
            return found
    return program.failures[violation.failure].location if violation.failure >= 0 else -1


def same_violation(program: Program, one: Violation | None, two: Violation | None) -> bool:
    """Tell whether both are the same bug: the same property at the same source line."""
    if one is None or two is None:
        return one is two
    if (one.kind, one.property, one.predicate) != (two.kind, two.property, two.predicate):
        return False
    return _lines(program, one) == _lines(program, two)


def _lines(program: Program, violation: Violation) -> list[tuple[str, int]]:
    """Return the innermost line and, if that is a primitive of the language, the user's line."""
    chain = Places(program).chain(violation_location(program, violation))
    if not chain:
        return []
    told = Places(program).told(chain)
    return [_line(chain[-1]), _line(chain[told])]


def _line(location: Location) -> tuple[str, int]:
    return location.file, location.line


def message(program: Program, violation: Violation) -> str:
    """Return what the property says about this violation, its values filled in."""
    if violation.failure < 0:
        return "no thread can move, but not all have finished"
    failure = program.failures[violation.failure]
    values = []
    for number, slot in enumerate(failure.slots):
        names = failure.names[number] if number < len(failure.names) else ()
        at = violation.slots[slot] - (failure.lows[number] if number < len(failure.lows) else 0)
        values.append(names[at] if 0 <= at < len(names) else str(violation.slots[slot]))
    return failure.template.format(*values)
