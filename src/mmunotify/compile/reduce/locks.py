"""Lock cells: shared cells that provably behave like the owner field of a lock.

Nothing is declared. A cell is a *lock cell* if it starts as -1, no instruction reaches it through
an index, and in every micro step of every thread `t`, whatever path it takes, a write is either

* an *acquire*: the constant `me` of `t` (one a thread, different for all threads), where the path
  has established that the cell is -1; or
* a *release*: -1, where the path has established (by ASSERT or a branch) that the cell is `me`.

Then `cell == me` is a fact about `t` alone: from -1 or from another thread's number only `t`
leads to `me`, and from `me` only `t` leads away. So at most one thread holds the lock, and a read
that only asks `cell == me` or `cell != me` (an owner check, a recursion check) has the same answer
whatever the others do: it is no communication at all. A release by a thread that is not the owner
fails its assertion and is a violation with and without reductions.

A lock cell is *plain* if all it is asked besides is `WAIT(cell == -1)`. Anything else that looks
at the cell (a trylock, `is_locked`, a copy, a predicate seen in every state) makes it *observed*:
it still excludes, but taking and giving it back are events others can see (`movers` needs that).

What each micro step does to a candidate is found by evaluating its paths (`paths`), not by the
shape of its text.

Invariant: an unknown form makes fewer lock cells, never more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmunotify.compile.reduce.cfg import Flow, Graph, span
from mmunotify.compile.reduce.liveness import Liveness
from mmunotify.compile.reduce.paths import FREE, Evaluator, StepLocks
from mmunotify.ir.ops import Op
from mmunotify.ir.program import CellKind

__all__ = ["Locks", "analyse"]


@dataclass(frozen=True)
class Locks:
    """The lock cells of a program (`cells`), and those of them that are `observed`.

    Masks over cells, by thread and boundary: `held` certainly before the step there (None: no
    path leads there) and `may` perhaps; `acquires`, `releases`: what the step may take or give
    back; `asks`: what it may wait for; `looks`: what it observes, or waits for without taking it;
    `needs`: what must be free for anything of the step to happen, a failure included.
    `inside[t][k]`: by instruction, what is held there beyond `held`, for steps that touch locks.
    """

    cells: int
    observed: int
    held: tuple[tuple[int | None, ...], ...]
    may: tuple[tuple[int, ...], ...]
    acquires: tuple[tuple[int, ...], ...]
    releases: tuple[tuple[int, ...], ...]
    asks: tuple[tuple[int, ...], ...]
    looks: tuple[tuple[int, ...], ...]
    needs: tuple[tuple[int, ...], ...]
    inside: tuple[dict[int, dict[int, int]], ...]


def _candidates(flow: Flow) -> int:
    """Return the cells that may turn out to be lock cells."""
    program = flow.program
    found = 0
    written = 0
    for n in range(len(flow.graphs)):
        written |= flow.written_by[n]
    for n, cell in enumerate(program.cells):
        if cell.initial == FREE and cell.kind is not CellKind.PC and written >> n & 1:
            found |= 1 << n
    for epoch in program.epochs:
        for slot in epoch:
            found &= ~(1 << slot)
    for graph in flow.graphs:
        for block in graph.blocks:
            for at in range(block.start, block.stop):
                i = program.code[at]
                if i.op is Op.LDX:
                    found &= ~span(i.b, i.d)
                elif i.op in (Op.STX, Op.FILL):
                    found &= ~span(i.a, i.d if i.op is Op.STX else i.b)
                elif i.op is Op.CHOOSE:
                    found &= ~(1 << i.a)
    return found


@dataclass
class _Verdict:
    """The lock cells, the observed ones among them, and each thread's number in each of them."""

    cells: int
    observed: int
    mine: list[dict[int, int]]


def _judge(candidates: int, seen: int, steps: Sequence[Sequence[StepLocks | None]]) -> _Verdict:
    """Return which of `candidates` are lock cells, given what predicates see in every state."""
    verdict = _Verdict(candidates, seen, [{} for _ in steps])
    taken: set[tuple[int, int]] = set()
    for me, row in zip(verdict.mine, steps, strict=True):
        for use in (step.uses for step in row if step is not None):
            verdict.cells &= ~use.spoilt
            verdict.observed |= use.looked
            for cell, value, before in use.writes:
                acquire = value != FREE and before == FREE and me.setdefault(cell, value) == value
                if value != FREE and not acquire:
                    verdict.cells &= ~(1 << cell)
        for pair in me.items():
            if pair in taken:
                verdict.cells &= ~(1 << pair[0])
            taken.add(pair)
    for me, row in zip(verdict.mine, steps, strict=True):
        for use in (step.uses for step in row if step is not None):
            for cell, value, before in use.writes:
                if value == FREE and (before is None or before != me.get(cell)):
                    verdict.cells &= ~(1 << cell)
            for cell, value in use.tests:
                if value != me.get(cell):
                    verdict.observed |= 1 << cell
    verdict.observed &= verdict.cells
    return verdict


def _after(step: StepLocks | None, j: int, held: int, may: int, mine: int) -> tuple[int, int]:
    """Return what is certainly and perhaps held at boundary `j` after `step`."""
    if step is None:
        return held, may
    known, written, _ = step.exits[j]
    free = sum(1 << cell for cell in known) & ~mine
    return (held & ~written) | mine, ((may | written) & ~free) | mine


def _holds(
    graph: Graph, steps: Sequence[StepLocks | None], cells: int, me: dict[int, int]
) -> tuple[tuple[int | None, ...], tuple[int, ...]]:
    """Return the locks certainly and perhaps held at each boundary (forward dataflow)."""
    held: list[int | None] = [None] * (graph.done + 1)
    may = [0] * (graph.done + 1)
    held[0] = 0
    todo = [0]
    while todo:
        k = todo.pop()
        step = steps[k]
        for j in graph.exits[k]:
            if step is not None and j not in step.exits:
                continue  # no path leads there
            mine = _mask(step.exits[j][0], me) & cells if step is not None else 0
            must, perhaps = _after(step, j, held[k] or 0, may[k], mine)
            old = held[j]
            new = must if old is None else old & must
            if new != old or perhaps & cells & ~may[j]:
                held[j] = new
                may[j] |= perhaps & cells
                if j < graph.done:
                    todo.append(j)
    return tuple(held[: graph.done]), tuple(may[: graph.done])


def _mask(known: dict[int, int], me: dict[int, int]) -> int:
    """Return the cells that hold this thread's number."""
    return sum(1 << cell for cell, value in known.items() if me.get(cell) == value)


@dataclass(frozen=True, slots=True)
class _Row:
    """One micro step in terms of lock cells; see `Locks`."""

    acquires: int = 0
    releases: int = 0
    asks: int = 0
    looks: int = 0
    needs: int = 0


def _row(step: StepLocks | None, cells: int, me: dict[int, int]) -> _Row:
    if step is None:
        return _Row()
    acquires = releases = asks = 0
    looks = step.uses.looked
    for cell, value, _ in step.uses.writes:
        acquires |= 0 if value == FREE else 1 << cell
        releases |= 1 << cell if value == FREE else 0
    for known, _, asked in step.exits.values():
        asks |= asked
        looks |= asked & ~_mask(known, me)  # waited for, and not taken or not kept
    for cell, value in step.uses.tests:
        looks |= 0 if me.get(cell) == value else 1 << cell
    alone = all(me.get(cell) == value for cell, value in step.uses.checks)
    needs = step.uses.needs if alone and step.exits else 0
    return _Row(acquires & cells, releases & cells, asks & cells, looks & cells, needs & cells)


def analyse(flow: Flow, lives: Sequence[Liveness]) -> Locks:
    """Return the lock cells of the program and where they are held."""
    candidates = _candidates(flow)
    steps: list[list[StepLocks | None]] = []
    for graph, life in zip(flow.graphs, lives, strict=True):
        evaluator = Evaluator(flow, graph, life, candidates)
        steps.append([evaluator.step(k) for k in range(graph.done)])
    verdict = _judge(candidates, flow.observed, steps)
    cells = verdict.cells
    held, may, rows, inside = [], [], [], []
    for graph, steps_of, me in zip(flow.graphs, steps, verdict.mine, strict=True):
        must, perhaps = _holds(graph, steps_of, cells, me)
        held.append(must)
        may.append(perhaps)
        rows.append([_row(step, cells, me) for step in steps_of])
        inside.append(
            {
                k: {at: _mask(known, me) & cells for at, known in step.inside.items()}
                for k, step in enumerate(steps_of)
                if step is not None
            }
        )
    return Locks(
        cells,
        verdict.observed,
        tuple(held),
        tuple(may),
        tuple(tuple(r.acquires for r in row) for row in rows),
        tuple(tuple(r.releases for r in row) for row in rows),
        tuple(tuple(r.asks for r in row) for row in rows),
        tuple(tuple(r.looks for r in row) for row in rows),
        tuple(tuple(r.needs for r in row) for row in rows),
        tuple(inside),
    )
