"""Ample sets of one thread: when the next step of a thread may be explored alone.

If nothing that the other threads can ever do while thread `t` stands still conflicts with its
next macro step, that step commutes with all they do, and exploring it alone loses no violation
and no deadlock (persistent sets: Godefroid, Partial-Order Methods for the Verification of
Concurrent Systems, 1996; ample sets C0 to C3: Clarke, Grumberg, Peled, Model Checking, 1999,
chapter 10). What the others can do is bounded statically by where they stand: everything their
code may touch from there on, except what lies behind taking a lock that `t` holds: while `t`
stands still, nobody gets past that.

* *Enabled* (C0): the search chooses `t` only if its step is not blocked. The cells its WAITs read
  are in `reads`, so the others cannot change that, nor where the step stops.
* *Steps that give locks back.* A macro step is R* N? L* (`movers`). Up to the first release the
  locks of `held` are all held; after it only left and both movers follow, which commute anyway.
* *What predicates see* (C2): `held` is -1 where the step may write a cell they read, as if a
  thread always read it. Cells only read by FINAL predicates count for daemons.
* *Cycles* (C3): every control-flow cycle of every thread contains a boundary with `held` -1.
  On a cycle of states some thread goes round one of its own cycles, and where it moves on from
  that boundary, the state was expanded in full. Chains of such steps end for the same reason.
* *A failure before a lock is taken.* A step that must take a held lock cannot happen; if it could
  fail first, by something others decide, it counts (`Locks.needs`).

Sets are masks over at most `WIDTH` classes of cells. Only what several threads touch and some
thread writes needs a class; if these are too many, cells of one array share one.

Invariant: joining classes, or adding bits to any set, only makes fewer steps ample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mmunotify.compile.reduce.cfg import Flow, Graph, bits, feedback
from mmunotify.compile.reduce.locks import Locks
from mmunotify.ir.reduction import Ample, Boundary

__all__ = ["WIDTH", "analyse"]

WIDTH = 256

_Rows = tuple[tuple[int, ...], ...]
_Pair = tuple[list[int], list[int]]


def _contended(flow: Flow) -> int:
    """Return the cells and epochs that several threads touch and some thread writes."""
    once = twice = written = 0
    for reads, writes in zip(flow.read_by, flow.written_by, strict=True):
        twice |= once & (reads | writes)
        once |= reads | writes
        written |= writes
    for t in flow.watched:  # every step of `t` writes its pc
        pc = flow.program.threads[t].pc
        twice, written = twice | 3 << pc, written | 3 << pc
    return twice & written


def _classes(flow: Flow, width: int) -> dict[int, int]:
    """Return the class of each contended cell, numbers below `width`."""
    cells = flow.program.cells
    contended = list(bits(_contended(flow)))
    if len(contended) <= width:
        return {cell: n for n, cell in enumerate(contended)}
    names: dict[str, int] = {}
    found = {}
    for cell in contended:
        name = cells[cell].array or cells[cell].name if cell < len(cells) else f"epoch {cell}"
        found[cell] = names.setdefault(name, len(names)) % width
    return found


def _translator(flow: Flow, width: int) -> Callable[[int], int]:
    """Return a function from masks of cells to masks of classes."""
    classes = _classes(flow, width)
    relevant = sum(1 << cell for cell in classes)
    known: dict[int, int] = {0: 0}

    def translate(mask: int) -> int:
        mask &= relevant
        found = known.get(mask)
        if found is None:
            found = 0
            for cell in bits(mask):
                found |= 1 << classes[cell]
            known[mask] = found
        return found

    return translate


def _steps(flow: Flow, graph: Graph, translate: Callable[[int], int]) -> _Pair:
    """Return the classes that each micro step may read, and may write."""
    pc = 3 << flow.program.threads[graph.thread].pc if graph.thread in flow.watched else 0
    reads = [translate(mask) for mask in graph.reads]
    writes = [translate(mask | pc) for mask in graph.writes]
    return reads, writes


def _order(graph: Graph) -> list[int]:
    """Return all boundaries in postorder: what comes after a boundary, cycles apart, first."""
    seen = [False] * (graph.done + 1)
    seen[graph.done] = True
    post: list[int] = []
    for root in range(graph.done):
        if seen[root]:
            continue
        seen[root] = True
        stack = [(root, iter(graph.exits[root]))]
        while stack:
            k, after = stack[-1]
            for j in after:
                if not seen[j]:
                    seen[j] = True
                    stack.append((j, iter(graph.exits[j])))
                    break
            else:
                post.append(k)
                stack.pop()
    return post


def _onward(
    graph: Graph, masks: Sequence[int], order: list[int], through: Sequence[bool]
) -> list[int]:
    """Return the union of `masks` over all that is reachable, entering only where `through`."""
    total = [masks[k] if through[k] else 0 for k in range(graph.done)] + [0]
    changed = True
    while changed:
        changed = False
        for k in order:
            if not through[k]:
                continue
            new = total[k]
            for j in graph.exits[k]:
                new |= total[j]
            if new != total[k]:
                total[k] = new
                changed = True
    return total


def _macro(
    graph: Graph, masks: Sequence[int], order: list[int], kinds: Sequence[Boundary]
) -> list[int]:
    """Return what the macro step from each boundary may touch: up to the next HARD one."""
    runs_on = [kind is not Boundary.HARD for kind in kinds]
    behind = _onward(graph, masks, order, runs_on)
    return [
        masks[k] | _union(behind[j] for j in graph.exits[k] if j < graph.done and runs_on[j])
        for k in range(graph.done)
    ] + [0]


def _union(masks: Iterable[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


def _heads(graph: Graph, kinds: Sequence[Boundary]) -> set[int]:
    """Return HARD boundaries of which every control-flow cycle contains one."""
    hard = [k for k in range(graph.done) if kinds[k] is Boundary.HARD]
    number = {k: n for n, k in enumerate(hard)}
    successors = []
    for k in hard:
        found: dict[int, None] = {}
        seen = {graph.done}
        todo = list(graph.exits[k])
        while todo:
            j = todo.pop()
            if j in seen:
                continue
            seen.add(j)
            if j in number:
                found[number[j]] = None
            else:
                todo.extend(graph.exits[j])
        successors.append(list(found))
    return {hard[n] for n in feedback(successors, list(range(len(hard))))}


def _held(
    flow: Flow,
    locks: Locks,
    kinds: Sequence[Sequence[Boundary]],
    written: Sequence[Sequence[int]],
) -> tuple[_Rows, list[int]]:
    """Return `Ample.held`, and the sets it numbers; `written`: cells by macro step."""
    numbers: dict[int, int] = {}
    rows = []
    for t, graph in enumerate(flow.graphs):
        heads = _heads(graph, kinds[t])
        visible = flow.visible(t)
        row = []
        for k in range(graph.done):
            held = locks.held[t][k]
            if (
                held is None
                or kinds[t][k] is Boundary.FUSED
                or k in heads
                or t in flow.watched
                or written[t][k] & visible
            ):
                row.append(-1)
            else:
                row.append(numbers.setdefault(held, len(numbers)))
        rows.append((*row, -1))
    return tuple(rows), list(numbers)


def _futures(
    flow: Flow, locks: Locks, sets: Sequence[int], steps: Sequence[_Pair], orders: list[list[int]]
) -> list[tuple[_Rows, _Rows]]:
    """Return what each thread may read and write in future, for each set of held locks."""
    found: list[tuple[_Rows, _Rows]] = []
    known: list[dict[tuple[bool, ...], _Pair]] = [{} for _ in flow.graphs]
    for under in sets:
        rows: list[_Pair] = []
        for t, (graph, (reads, writes)) in enumerate(zip(flow.graphs, steps, strict=True)):
            through = tuple(not needs & under for needs in locks.needs[t])
            if through not in known[t]:
                known[t][through] = (
                    _onward(graph, reads, orders[t], through),
                    _onward(graph, writes, orders[t], through),
                )
            rows.append(known[t][through])
        found.append((tuple(tuple(r) for r, _ in rows), tuple(tuple(w) for _, w in rows)))
    return found


def analyse(
    flow: Flow, locks: Locks, kinds: Sequence[Sequence[Boundary]], width: int = WIDTH
) -> Ample:
    """Return the ample sets of the search whose boundaries are `kinds`."""
    translate = _translator(flow, width)
    orders = [_order(graph) for graph in flow.graphs]
    steps = [_steps(flow, graph, translate) for graph in flow.graphs]
    reads, writes, written = [], [], []
    for graph, (r, w), order, kind in zip(flow.graphs, steps, orders, kinds, strict=True):
        reads.append(tuple(_macro(graph, r, order, kind)))
        writes.append(tuple(_macro(graph, w, order, kind)))
        written.append(_macro(graph, graph.writes, order, kind))
    held, sets = _held(flow, locks, kinds, written)
    futures = _futures(flow, locks, sets, steps, orders)
    return Ample(
        reads=tuple(reads),
        writes=tuple(writes),
        held=held,
        future_reads=tuple(r for r, _ in futures),
        future_writes=tuple(w for _, w in futures),
    )
