"""Searches by the reference interpreter, slow and obvious, to hold the core against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mmunotify.ir import interp
from mmunotify.ir.interp import Blocked, Failed, State
from mmunotify.ir.program import PredicateKind, Program
from mmunotify.ir.reduction import Ample, Boundary, Reduction

__all__ = ["Macro", "Reference", "TooBig", "macro_steps", "search"]

FAILURE, DEADLOCK, PREDICATE = "failure", "deadlock", "predicate"


class TooBig(Exception):
    """The program has more states than a test should look at."""


@dataclass(frozen=True)
class Macro:
    """One way in which a thread goes on: `state` after it, or the failure it ran into."""

    thread: int
    choices: tuple[int, ...]
    boundary: int
    state: State
    failure: int = -1


@dataclass
class Reference:
    """Everything there is to find. `violations` maps each kind to its least number of steps."""

    states: dict[State, int] = field(default_factory=dict)
    transitions: int = 0
    violations: dict[str, int] = field(default_factory=dict)
    covered: set[int] = field(default_factory=set)
    entered: set[tuple[int, int]] = field(default_factory=set)
    reached: set[int] = field(default_factory=set)

    def violated(self, kind: str, steps: int) -> None:
        """Note a violation."""
        self.violations[kind] = min(steps, self.violations.get(kind, steps))


# One step -------------------------------------------------------------------------------------


def macro_steps(
    program: Program, reduction: Reduction, state: State, thread: int, covered: set[int]
) -> Iterator[Macro]:
    """Yield every way in which `thread` goes on to the next boundary that is kept."""
    yield from _run_on(program, reduction, state, thread, (), None, covered, 0)


def _run_on(
    program: Program,
    reduction: Reduction,
    state: State,
    thread: int,
    choices: tuple[int, ...],
    soft: Macro | None,
    covered: set[int],
    length: int,
) -> Iterator[Macro]:
    if length > 50:
        raise TooBig
    for step in interp.steps(program, state, thread):
        covered |= step.covered
        taken = choices + step.choices
        if isinstance(step.result, Failed):
            yield Macro(thread, taken, -1, (), step.result.failure)
        elif isinstance(step.result, Blocked):
            if soft is not None:
                yield soft
        else:
            yield from _arrive(
                program, reduction, step.result.state, thread, taken, soft, covered, length
            )


def _arrive(
    program: Program,
    reduction: Reduction,
    state: State,
    thread: int,
    choices: tuple[int, ...],
    soft: Macro | None,
    covered: set[int],
    length: int,
) -> Iterator[Macro]:
    boundary = interp.pc(program, state, thread)
    mode = Boundary.HARD
    if reduction.boundaries and boundary < program.threads[thread].done:
        mode = reduction.boundaries[thread][boundary]
    if mode is not Boundary.FUSED:
        state = _cleared(program, reduction, state, thread, boundary)
    here = Macro(thread, choices, boundary, state)
    if mode is Boundary.HARD:
        yield here
    else:
        soft = here if mode is Boundary.SOFT else soft
        yield from _run_on(program, reduction, state, thread, choices, soft, covered, length + 1)


def _cleared(
    program: Program, reduction: Reduction, state: State, thread: int, boundary: int
) -> State:
    if not reduction.clears:
        return state
    cells = list(state)
    for cell in reduction.clears[thread][boundary]:
        cells[cell] = program.cells[cell].initial
    return tuple(cells)


# A state --------------------------------------------------------------------------------------


class _Expansion:
    """The successors of a state, by way of threads that may be run alone."""

    def __init__(self, program: Program, reduction: Reduction, found: Reference) -> None:
        self.program, self.reduction, self.found = program, reduction, found
        self.next: list[State] = []
        self.failed = False
        self.moved = False

    def steps(self, state: State, thread: int) -> list[Macro]:
        boundary = interp.pc(self.program, state, thread)
        found = self.found
        macros = list(macro_steps(self.program, self.reduction, state, thread, found.covered))
        good = [macro for macro in macros if macro.failure < 0]
        self.failed = self.failed or len(good) < len(macros)
        found.transitions += len(good)
        if good:
            found.entered.add((thread, boundary))
        return good

    def alone(self, state: State) -> Iterator[int]:
        ample = self.reduction.ample
        if ample is None:
            return
        at = [interp.pc(self.program, state, t) for t in range(len(self.program.threads))]
        for thread, owner in enumerate(self.program.threads):
            if at[thread] != owner.done and _alone(self.program, ample, at, thread):
                yield thread

    def expand(self, state: State) -> None:
        for thread in self.alone(state):
            macros = self.steps(state, thread)
            if macros or self.failed:
                self.take(macros)
                return
        for thread in range(len(self.program.threads)):
            if thread not in list(self.alone(state)):
                self.take(self.steps(state, thread))

    def take(self, macros: list[Macro]) -> None:
        for macro in macros:
            self.moved = True
            self.chain(macro.state, 0)

    def chain(self, state: State, length: int) -> None:
        if length == 256:
            self.next.append(state)
            return
        for thread in self.alone(state):
            macros = self.steps(state, thread)
            if len(macros) == 1:
                self.chain(macros[0].state, length + 1)
            else:
                self.next += [macro.state for macro in macros]
            if macros:
                return
        self.next.append(state)


def _alone(program: Program, ample: Ample, at: list[int], thread: int) -> bool:
    held = ample.held[thread][at[thread]]
    if held < 0:
        return False
    reads, writes = ample.reads[thread][at[thread]], ample.writes[thread][at[thread]]
    for other, owner in enumerate(program.threads):
        if other == thread or at[other] == owner.done:
            continue
        theirs = ample.future_writes[held][other][at[other]]
        if writes & (theirs | ample.future_reads[held][other][at[other]]) or reads & theirs:
            return False
    return True


# All states -----------------------------------------------------------------------------------


def search(program: Program, reduction: Reduction | None = None, *, most: int = 1500) -> Reference:
    """Return everything that a breadth-first search finds; raise `TooBig` beyond `most` states."""
    found = Reference()
    reduction = reduction or Reduction()
    level = [program.initial]
    found.states[program.initial] = depth = 0
    _judge(program, program.initial, 0, found)
    while level:
        following: list[State] = []
        for state in level:
            for successor in _successors(program, reduction, state, depth, found):
                if successor not in found.states:
                    found.states[successor] = depth + 1
                    following.append(successor)
                    _judge(program, successor, depth + 1, found)
            if len(found.states) > most:
                raise TooBig
        level = following
        depth += 1
    return found


def _successors(
    program: Program, reduction: Reduction, state: State, depth: int, found: Reference
) -> list[State]:
    expansion = _Expansion(program, reduction, found)
    expansion.expand(state)
    if expansion.failed:
        found.violated(FAILURE, depth + 1)
    elif not expansion.moved and not interp.is_terminal(program, state):
        found.violated(DEADLOCK, depth)
    return expansion.next


def _judge(program: Program, state: State, depth: int, found: Reference) -> None:
    for number, predicate in enumerate(program.predicates):
        if predicate.kind is PredicateKind.FINAL and not interp.is_at_rest(program, state):
            continue
        value = interp.evaluate(program, state, predicate.entry, predicate.result)
        if isinstance(value, Failed):
            found.violated(PREDICATE, depth)
        elif predicate.kind in (PredicateKind.REACHABLE, PredicateKind.PENDING):
            if value:
                found.reached.add(number)
        elif bool(value) is (predicate.kind is PredicateKind.NEVER):
            found.violated(PREDICATE, depth)
