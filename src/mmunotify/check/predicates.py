"""The user's own properties: methods of the world's objects that say what holds.

Invariant: names are the same in every run, and no two predicates of a world share one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from mmunotify.check.accesses import Access, recorder
from mmunotify.check.schedule import Move, replay
from mmunotify.check.violation import Kind
from mmunotify.ir import interp
from mmunotify.ir.program import CellKind, PredicateKind, Program
from mmunotify.lang.predicate import Quantifier, quantifier_of

__all__ = ["own_predicates", "own_properties", "predicate_message"]

_SAYS = {PredicateKind.ALWAYS: "is false", PredicateKind.NEVER: "is true"}


def own_properties(driver: type) -> list[str]:
    """Return the names of the properties of a driver class that can be violated."""
    return [name for name, quantifier in _marked(driver) if quantifier is not Quantifier.REACHABLE]


def own_predicates(
    objects: Iterable[Any],
) -> Iterator[tuple[Quantifier, str, Callable[[], bool]]]:
    """Yield the predicates of `objects`: what they say, a name, and the bound method.

    The name is that of the method; where several objects have it, the object's is added.
    """
    taken: set[str] = set()
    for one in objects:
        for method, quantifier in _marked(type(one)):
            name = method
            owner = getattr(one, "name", "") or type(one).__name__.lower()
            if name in taken:
                name = f"{method} of {owner}"
            number = 2
            while name in taken:
                name = f"{method} of {owner} {number}"
                number += 1
            taken.add(name)
            yield quantifier, name, getattr(one, method)


def _marked(cls: Any) -> tuple[tuple[str, Quantifier], ...]:
    found = []
    for name in dir(cls):
        quantifier = quantifier_of(getattr(cls, name, None))
        if quantifier is not None:
            found.append((name, quantifier))
    return tuple(found)


def predicate_message(program: Program, schedule: Sequence[Move]) -> str:
    """Return what a user's own predicate says about the last state, and what it looked at there.

    "" if `schedule` violates none.
    """
    replayed = replay(program, schedule)
    found = replayed.violation
    if found is None or found.kind is not Kind.PREDICATE:
        return ""
    predicate, state = program.predicates[found.predicate], replayed.states[-1]
    if predicate.kind not in _SAYS:
        return ""
    accesses: list[Access] = []
    watch = recorder(program, accesses)
    interp.evaluate(program, state, predicate.entry, predicate.result, watch)
    read = dict.fromkeys(slot for access in accesses for slot in access.reads)
    facts = [
        f"{cell.name} is {cell.show(state[slot])}"
        for slot in read
        if slot < len(program.cells) and (cell := program.cells[slot]).kind is CellKind.SHARED
    ]
    where = f" where {', '.join(facts)}" if facts else ""
    return f"{predicate.name} {_SAYS[predicate.kind]}{where}"
