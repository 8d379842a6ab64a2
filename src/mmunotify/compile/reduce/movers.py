"""Transactions: which boundaries need not be stored, from what commutes with what.

Lipton (Reduction: a method of proving properties of parallel programs, CACM 1975): a step is a
*right mover* if doing it later, after steps of other threads that came after it, makes no
difference; a *left mover* if doing it earlier does; taking a lock is the one, giving it back the
other, and what no other thread can be concerned with is both. A sequence R* N? L* can be moved
together around its one non-mover, so nothing is lost if no other thread ever runs within it.
Flanagan and Qadeer (Transactions for software model checking, 2003) make a state search of it; the
classes come from lock sets as in Eraser (Savage et al., 1997), here over locks certainly held.

**Classes.** Both: cells that one thread alone accesses, cells nobody writes, cells whose every
access, anywhere, holds one common lock; also reading what no other thread writes, or what is only
ever written under a lock that the reader holds. Taking a plain lock: right. Giving it back: left.
All else, and whatever is done to a lock that is observed: non-mover. A micro step is the
composition of its accesses: as classes are sets of broken laws, their union. What a predicate
reads in every state may not change but at a non-mover; then each value the predicate can see is
seen at the end of the transaction around it. FINAL predicates see threads at their end, but
daemons anywhere.

**Violations.** Let an execution fail in thread `t`. Transactions of others that did not get to
their non-mover can be left out: nobody saw them. Those past it can be run to their end: left and
both movers are not stopped by others, and if they fail or block by themselves, that is found, too.
What is left is a sequence of whole transactions and then the one of `t`, up to the failure.

**Deadlocks.** In a deadlock a thread may be stuck within a transaction, at a WAIT. A boundary
before a WAIT is SOFT, so the state there is stored when the WAIT is unmet, after whatever the
transaction did before. Past its non-mover, a thread is stuck by itself: no other thread can free
it or has stuck it. Before it, its steps so far are moved to the end of the execution, where the
WAIT must be found unmet for the same reason as in the deadlock. The other threads that are moved
there touch nothing it reads but a lock they took: so they go first. That works unless they wait in
a circle, each for a lock another took in its unfinished transaction (Lipton's restriction R1: that
a transaction once begun can end). So where locks may be waited for in a circle, the boundary before
each such nested acquire is HARD: two threads with A then B and B then A are caught with one
lock each. Lock orders without a circle cost nothing.

**Cycles.** Every cycle of the code has a HARD boundary, so macro steps end. Where the phases give
none, a back edge's target becomes one.

Invariant: without a HARD boundary between, steps of a macro step are R* N? L*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag

from mmunotify.compile.reduce.cfg import Flow, Graph, bits, feedback, span
from mmunotify.compile.reduce.locks import Locks
from mmunotify.ir.reduction import Boundary

__all__ = ["Mover", "boundaries", "classify", "nested"]


class Mover(IntFlag):
    """Which of the two laws a step breaks; the class of a composition is the union."""

    BOTH = 0
    RIGHT = 1  # moves right only
    LEFT = 2  # moves left only
    NON = 3


def _stored(flow: Flow) -> int:
    program = flow.program
    return span(0, len(program.cells)) | span(program.slots, len(program.epochs))


@dataclass(frozen=True, slots=True)
class _Touch:
    """What a micro step reads and writes while it certainly holds the locks `under`."""

    under: int
    reads: int
    writes: int


def _touches(flow: Flow, locks: Locks | None, t: int, k: int) -> list[_Touch]:
    """Return the accesses of a step by the locks held; none if no path leads there.

    A lock counts for an access if it is held before the step or was taken earlier in it: in
    neither case can another thread hold it during the step.
    """
    graph, accesses = flow.graphs[t], flow.accesses
    if locks is None:
        return [_Touch(0, graph.reads[k], graph.writes[k])]
    held = locks.held[t][k]
    if held is None:
        return []
    inside = locks.inside[t].get(k)
    if inside is None:
        return [_Touch(held, graph.reads[k], graph.writes[k])]
    found: dict[int, tuple[int, int]] = {}
    for b in graph.regions[k]:
        for at in range(graph.blocks[b].start, graph.blocks[b].stop):
            under = held | inside.get(at, 0)
            reads, writes = found.get(under, (0, 0))
            found[under] = (reads | accesses.reads[at], writes | accesses.writes[at])
    return [_Touch(under, reads, writes) for under, (reads, writes) in found.items()]


@dataclass(frozen=True)
class _Discipline:
    """Which accesses concern no other thread.

    `free`: cells and epochs that one thread alone accesses, that nobody writes, or whose every
    access holds one common lock. `writers[lock]`: cells whose every write holds `lock`, so that
    reading them under it is free, too. `foreign[t]`: what other threads than `t` write.
    """

    free: int
    writers: dict[int, int]
    foreign: list[int]

    def concerns(self, t: int, touch: _Touch) -> int:
        """Return what `touch` by thread `t` shares with others at that moment."""
        reads = touch.reads & self.foreign[t]
        for lock in bits(touch.under):
            reads &= ~self.writers.get(lock, 0)
        return (reads | touch.writes) & ~self.free


def _discipline(flow: Flow, locks: Locks | None, touches: Sequence[_Touch]) -> _Discipline:
    once = twice = written = 0
    for reads, writes in zip(flow.read_by, flow.written_by, strict=True):
        twice |= once & (reads | writes)
        once |= reads | writes
        written |= writes
    foreign = []
    for t in range(len(flow.graphs)):
        foreign.append(0)
        for u, writes in enumerate(flow.written_by):
            foreign[t] |= writes if u != t else 0
    free = ~(twice & written)
    writers = {}
    for lock in bits(locks.cells if locks is not None else 0):
        without = unwritten = 0
        for touch in touches:
            if not touch.under >> lock & 1:
                without |= touch.reads | touch.writes
                unwritten |= touch.writes
        free |= ~without
        writers[lock] = ~unwritten
    return _Discipline(free, writers, foreign)


def classify(flow: Flow, locks: Locks | None) -> list[list[Mover]]:
    """Return the class of each micro step, `[thread][boundary]`.

    Without `locks`, the classes if nothing were known of them.
    """
    handled = locks.cells if locks is not None else 0
    relevant = _stored(flow) & ~handled
    steps = [
        [_touches(flow, locks, t, k) for k in range(graph.done)]
        for t, graph in enumerate(flow.graphs)
    ]
    merged: dict[int, _Touch] = {}
    for touch in (touch for row in steps for step in row for touch in step):
        old = merged.get(touch.under, _Touch(touch.under, 0, 0))
        merged[touch.under] = _Touch(
            touch.under, old.reads | touch.reads, old.writes | touch.writes
        )
    rules = _discipline(flow, locks, list(merged.values()))
    rows = []
    for t, graph in enumerate(flow.graphs):
        visible = flow.visible(t)
        row = []
        for k, step in enumerate(steps[t]):
            shared = 0
            for touch in step:
                shared |= rules.concerns(t, touch)
            if shared & relevant or graph.writes[k] & visible:
                row.append(Mover.NON)
            elif locks is not None and (graph.reads[k] | graph.writes[k]) & handled:
                row.append(_lock_class(locks, t, k))
            else:
                row.append(Mover.BOTH)
        rows.append(row)
    return rows


def _lock_class(locks: Locks, t: int, k: int) -> Mover:
    taken, given = locks.acquires[t][k], locks.releases[t][k]
    if locks.looks[t][k] or (taken | given) & locks.observed:
        return Mover.NON
    return (Mover.RIGHT if taken else Mover.BOTH) | (Mover.LEFT if given else Mover.BOTH)


def nested(flow: Flow, locks: Locks) -> list[set[int]]:
    """Return, a thread each, the boundaries before a nested acquire that may close a circle."""
    after: dict[int, int] = dict.fromkeys(bits(locks.cells), 0)
    waits = [
        (t, k, locks.may[t][k], locks.asks[t][k])
        for t in range(len(flow.graphs))
        for k in range(flow.graphs[t].done)
        if locks.may[t][k] and locks.asks[t][k]
    ]
    for _, _, held, asked in waits:
        for lock in bits(held):
            after[lock] |= asked & ~(1 << lock)
    for middle in after:  # transitive closure (Warshall)
        for lock, reached in after.items():
            if reached >> middle & 1:
                after[lock] = reached | after[middle]
    found: list[set[int]] = [set() for _ in flow.graphs]
    for t, k, held, asked in waits:
        if any(after[lock] & held & ~(1 << lock) for lock in bits(asked)):
            found[t].add(k)
    return found


def _phases(graph: Graph, classes: Sequence[Mover], forced: set[int]) -> set[int]:
    """Return the HARD boundaries: those `forced` and those that R* N? L* asks for."""
    hard = {0} | forced
    past = [False] * (graph.done + 1)  # whether the non-mover, or a left mover, may be behind
    seen = [False] * (graph.done + 1)
    todo = [0]
    while todo:
        k = todo.pop()
        seen[k] = True
        if past[k] and classes[k] & Mover.RIGHT:
            hard.add(k)
        out = bool(classes[k] & Mover.LEFT) or (past[k] and k not in hard)
        for j in graph.exits[k]:
            if j < graph.done and ((out and not past[j]) or not seen[j]):
                past[j] |= out
                todo.append(j)
    return hard


def _thread(graph: Graph, classes: Sequence[Mover], forced: set[int]) -> tuple[Boundary, ...]:
    roots = list(range(graph.done))
    while True:
        hard = _phases(graph, classes, forced)
        onward = [
            [] if k in hard else [j for j in graph.exits[k] if j < graph.done and j not in hard]
            for k in range(graph.done)
        ]
        cut = feedback(onward, roots)
        if not cut:
            break
        forced = forced | set(cut)
    return tuple(
        Boundary.HARD if k in hard else Boundary.SOFT if graph.waits[k] else Boundary.FUSED
        for k in range(graph.done)
    )


def boundaries(
    flow: Flow, classes: Sequence[Sequence[Mover]], locks: Locks | None
) -> tuple[tuple[Boundary, ...], ...]:
    """Return how the search is to treat each boundary, `[thread][boundary]`.

    `locks`: None if `classes` uses no lock. A thread whose pc is read keeps all its boundaries.
    """
    circles = nested(flow, locks) if locks is not None else [set[int]() for _ in flow.graphs]
    rows = []
    for t, graph in enumerate(flow.graphs):
        if t in flow.watched:
            rows.append((Boundary.HARD,) * graph.done)
            continue
        rows.append(_thread(graph, classes[t], circles[t]))
    return tuple(rows)
