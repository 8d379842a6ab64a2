"""Small worlds for tests of primitives: a few bodies, searched through and run at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mmunotify.check.plain import Ending, PlainRun
from mmunotify.check.reach import reachable_objects
from mmunotify.check.search import BrokenKind, Search, Verdict
from mmunotify.compile import compile_world
from mmunotify.compile.reduce import reduce
from mmunotify.ir.program import Program
from mmunotify.lang import Thread

__all__ = ["HOLDS", "Small", "reached", "verdict"]

HOLDS = "holds"
Predicate = Callable[[], bool]


@dataclass
class Small:
    """A world of nothing but threads, one for each of `bodies`."""

    bodies: list[Callable[[], None]]
    finals: list[tuple[str, Predicate]] = field(default_factory=list)
    always: dict[str, Predicate] = field(default_factory=dict)
    never: dict[str, Predicate] = field(default_factory=dict)
    reachable: dict[str, Predicate] = field(default_factory=dict)
    pending: dict[str, Predicate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.threads = [Thread(f"t{n}", body) for n, body in enumerate(self.bodies)]
        for found in list(reachable_objects(self.threads)):
            if hasattr(found, "attach"):
                found.attach(self.threads)


def verdict(build: Callable[[], Small], runs: int = 40) -> str:
    """Return "holds" or the property that the world violates.

    Every interleaving is searched, with and without reductions; plain runs must not contradict.
    """
    program = compile_world(build())
    found = {_search(program, reduced) for reduced in (False, True)}
    assert len(found) == 1, found
    answer = found.pop()
    for seed in range(runs):
        outcome = PlainRun(build()).random_run(seed)
        if answer == HOLDS:
            assert outcome.ending is Ending.DONE, (seed, outcome)
    return answer


def reached(build: Callable[[], Small]) -> set[str]:
    """Return the `reachable` predicates that some state makes true."""
    program = compile_world(build())
    found = Search(program).run(walks=False)
    assert found.verdict is Verdict.HOLDS
    return {program.predicates[number].name for number in found.reached}


def _search(program: Program, reduced: bool) -> str:
    found = Search(program, reduce(program) if reduced else None).run(walks=False)
    if found.verdict is Verdict.HOLDS:
        return HOLDS
    assert found.verdict is Verdict.VIOLATED
    assert found.broken is not None
    if found.broken.kind is BrokenKind.DEADLOCK:
        return "no_deadlock"
    if found.broken.kind is BrokenKind.PREDICATE:
        return program.predicates[found.broken.number].name
    return program.failures[found.broken.number].property
