"""Reduced search, slow and obvious: what `Reduction` licenses, executed to the letter.

The oracle for the native core, which must visit the same states, and the means by which the
passes are tested against the unreduced search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import permutations, product

from mmunotify.ir.interp import (
    Failed,
    State,
    _Fail,
    _next_tape,
    _Run,
    evaluate,
    is_at_rest,
    is_terminal,
    pc,
)
from mmunotify.ir.program import PredicateKind, Program, SymmetryKind
from mmunotify.ir.reduction import Boundary, Reduction

__all__ = ["Found", "TooMany", "differs", "ends", "macro_steps", "search"]


class TooMany(Exception):
    """The search was given up."""


@dataclass
class Found:
    """What a search found: violated properties, whether it met a deadlock, what was reached.

    `ends`: the states that no thread can leave, finished or not.
    """

    states: set[State] = field(default_factory=set)
    ends: set[State] = field(default_factory=set)
    violations: set[str] = field(default_factory=set)
    deadlock: bool = False
    reached: set[str] = field(default_factory=set)

    @property
    def bad(self) -> set[str]:
        """The kinds of things that are wrong."""
        return ({"violation"} if self.violations else set()) | (
            {"deadlock"} if self.deadlock else set()
        )


class _Search:
    def __init__(self, program: Program, reduction: Reduction, limit: int) -> None:
        self.program = program
        self.reduction = reduction
        self.limit = limit
        self.found = Found()
        self.group = _group(program, reduction.symmetry)

    def kind(self, thread: int, boundary: int) -> Boundary:
        if not self.reduction.boundaries or boundary == self.program.threads[thread].done:
            return Boundary.HARD
        return self.reduction.boundaries[thread][boundary]

    def store(self, run: _Run, thread: int, boundary: int) -> State:
        """Return the state of `run` at `boundary`, dead cells cleared."""
        owner = self.program.threads[thread]
        state = run.slots[: len(self.program.cells)]
        state[owner.pc : owner.pc + 2] = [boundary % 128, boundary // 128]
        if self.reduction.clears:
            for cell in self.reduction.clears[thread][boundary]:
                state[cell] = self.program.cells[cell].initial
        return tuple(state)

    def one(self, state: State, thread: int, run: _Run) -> State | Failed | None:
        """Run one macro step; None: it is blocked at once."""
        owner = self.program.threads[thread]
        boundary = pc(self.program, state, thread)
        soft: State | None = None
        while True:
            run.slots[len(self.program.cells) :] = [0] * (
                self.program.slots - len(self.program.cells)
            )
            try:
                reached = run.go(owner.entries[boundary])
            except _Fail as fail:
                return Failed(fail.failure, tuple(run.slots), run.at)
            if reached is None:
                assert soft is not None or boundary == pc(self.program, state, thread)
                return soft
            boundary = owner.done if reached < 0 else reached
            kind = self.kind(thread, boundary)
            if kind is Boundary.HARD:
                return self.store(run, thread, boundary)
            soft = self.store(run, thread, boundary) if kind is Boundary.SOFT else None

    def steps(self, state: State, thread: int) -> Iterator[State | Failed]:
        if pc(self.program, state, thread) == self.program.threads[thread].done:
            return
        tape: list[int] | None = []
        while tape is not None:
            run = _Run(self.program, state, tape)
            result = self.one(state, thread, run)
            if result is not None:
                yield result
            tape = _next_tape(run.taken, run.widths)

    def alone(self, state: State) -> int | None:
        """Return a thread that may be expanded alone."""
        ample = self.reduction.ample
        if ample is None:
            return None
        at = [pc(self.program, state, t) for t in range(len(self.program.threads))]
        for t, k in enumerate(at):
            if k == self.program.threads[t].done or ample.held[t][k] < 0:
                continue
            h = ample.held[t][k]
            clear = True
            for u, m in enumerate(at):
                if u == t or m == self.program.threads[u].done:
                    continue
                reads, writes = ample.future_reads[h][u][m], ample.future_writes[h][u][m]
                clear &= not (ample.writes[t][k] & (reads | writes) or ample.reads[t][k] & writes)
            if clear and next(self.steps(state, t), None) is not None:
                return t
        return None

    def results(self, state: State, thread: int) -> list[State]:
        """Return the states after a step of `thread`; note what fails."""
        after = []
        for result in self.steps(state, thread):
            if isinstance(result, Failed):
                self.found.violations.add(self.program.failures[result.failure].property)
            else:
                after.append(result)
        return after

    def chain(self, state: State) -> list[State]:
        """Run threads alone as long as each has one way to go on; return what is to be stored."""
        while (t := self.alone(state)) is not None:
            after = self.results(state, t)
            if len(after) != 1:
                return after
            state = after[0]
        return [state]

    def expand(self, state: State) -> Iterator[State]:
        """Yield the successors to be stored."""
        t = self.alone(state)
        threads = range(len(self.program.threads)) if t is None else [t]
        if not any(next(self.steps(state, u), None) for u in threads):
            self.found.ends.add(state)
            self.found.deadlock |= not is_terminal(self.program, state)
        for u in threads:
            for after in self.results(state, u):
                yield from self.chain(after)

    def look(self, state: State) -> None:
        """Evaluate the predicates in a stored state."""
        for p in self.program.predicates:
            if p.kind is PredicateKind.FINAL and not is_at_rest(self.program, state):
                continue
            value = evaluate(self.program, state, p.entry, p.result)
            if isinstance(value, Failed):
                self.found.violations.add(self.program.failures[value.failure].property)
            elif p.kind in (PredicateKind.REACHABLE, PredicateKind.PENDING):
                if value and p.kind is PredicateKind.REACHABLE:
                    self.found.reached.add(p.name)
            elif bool(value) == (p.kind is PredicateKind.NEVER):
                self.found.violations.add(self.program.failures[p.failure].property)

    def run(self) -> Found:
        first = self.least(self.program.initial)
        self.found.states.add(first)
        todo = [first]
        while todo:
            state = todo.pop()
            self.look(state)
            for after in self.expand(state):
                least = self.least(after)
                if least not in self.found.states:
                    if len(self.found.states) >= self.limit:
                        raise TooMany
                    self.found.states.add(least)
                    todo.append(least)
        return self.found

    def least(self, state: State) -> State:
        """Return the smallest state of the orbit."""
        if len(self.group) == 1:
            return state
        return min(_apply(cells, values, state) for cells, values in self.group)


_Move = tuple[list[int], list[dict[int, int] | None]]


def _apply(cells: list[int], values: list[dict[int, int] | None], state: State) -> State:
    out = [0] * len(state)
    for c, value in enumerate(state):
        moved = values[c]
        out[cells[c]] = value if moved is None else moved.get(value, value)
    return tuple(out)


def _group(program: Program, kinds: tuple[SymmetryKind, ...]) -> list[_Move]:
    """Return every permutation of cells and values that the kinds generate."""
    moves = []
    for orders in product(*(permutations(range(kind.size)) for kind in kinds)):
        cells = list(range(len(program.cells)))
        values: list[dict[int, int]] = [{} for _ in program.cells]
        for kind, order in zip(kinds, orders, strict=True):
            place = {
                c: d
                for i, j in enumerate(order)
                for c, d in zip(kind.columns[i], kind.columns[j], strict=True)
            }
            cells = [place.get(c, c) for c in cells]
            for label, denoted in kind.values:
                for c in range(len(program.cells)):
                    if program.labels[c] == label:
                        values[c] |= {denoted[i]: denoted[j] for i, j in enumerate(order)}
        moves.append((cells, [v or None for v in values]))
    return moves


def macro_steps(
    program: Program, reduction: Reduction, state: State, thread: int
) -> list[State | Failed]:
    """Return what a macro step of `thread` from `state` leads to."""
    return list(_Search(program, reduction, 0).steps(state, thread))


def search(program: Program, reduction: Reduction | None = None, limit: int = 100_000) -> Found:
    """Visit every state that `reduction` leaves; raise `TooMany` beyond `limit` states."""
    return _Search(program, reduction or Reduction(), limit).run()


def ends(program: Program, found: Found, reduction: Reduction) -> set[State]:
    """Return the ends in `found` as far as `reduction` must keep them apart.

    Cells that are cleared anywhere count as if they always were, and one state of each orbit
    stands for all.
    """
    cleared = {c for row in reduction.clears for cells in row for c in cells}
    group = _Search(program, reduction, 0)
    return {
        group.least(
            tuple(program.cells[c].initial if c in cleared else v for c, v in enumerate(state))
        )
        for state in found.ends
    }


def differs(program: Program, base: Found, reduction: Reduction, limit: int = 100_000) -> str:
    """Return in what the search under `reduction` contradicts the unreduced one, or "".

    Without a violation, it must find the same ends and reach the same predicates; with one, it
    must find one of the things that are wrong.
    """
    found = search(program, reduction, limit)
    if bool(found.bad) != bool(base.bad):
        return f"{reduction.name}: {found.bad or 'nothing'} instead of {base.bad or 'nothing'}"
    if not found.bad <= base.bad or not found.violations <= base.violations:
        return f"{reduction.name}: invented {found.violations} or {found.bad}"
    if not found.reached <= base.reached:
        return f"{reduction.name}: invented that {found.reached} are reached"
    if base.violations:
        return ""
    if found.reached != base.reached:
        return f"{reduction.name}: missed that {base.reached - found.reached} are reached"
    if ends(program, base, reduction) != ends(program, found, reduction):
        return f"{reduction.name}: not the same ends"
    return ""
