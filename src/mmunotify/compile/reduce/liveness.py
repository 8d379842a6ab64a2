"""Dead cells: what a thread will write before it reads it again need not tell states apart.

Backward dataflow over each thread's code (Aho, Lam, Sethi, Ullman: Compilers, 9.2.5). A cell is
*owned* by a thread if no other thread's code or message and no predicate reads it, so only the
owner's next read could tell two of its values apart. If every path of the owner from a boundary
overwrites an owned cell before it reads it, states that differ only there are bisimilar, and
setting it to its initial value picks one of them (Holzmann, "The engineering of a model checker:
the Gnu i-protocol case study revisited", 1999, calls this dead variable reset). Writes by others
keep that true: they neither read the cell nor stop the owner from overwriting it. In particular a
`BUMP` by another thread turns a snapshot 1 into 2 and makes no dead snapshot live. What a failure
message shows is a use at the instruction that fails.

Invariant: a cell that anybody but its owner reads is never cleared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmunotify.compile.reduce.cfg import Flow, Graph, bits, span
from mmunotify.ir.program import CellKind
from mmunotify.ir.reduction import Boundary

__all__ = ["Liveness", "analyse", "clears"]


@dataclass(frozen=True)
class Liveness:
    """What one thread still needs: `boundary[k]` at boundary `k`, `block[b]` at block `b`.

    `owned` are the cells that may be cleared where they are not in `boundary[k]`. `block` also
    tells which scratch slots are needed.
    """

    owned: int
    boundary: tuple[int, ...]
    block: tuple[int, ...]


def _owned(flow: Flow, thread: int) -> int:
    """Return the cells that only `thread` reads, or, if nobody reads them, only it writes."""
    program = flow.program
    mine = 0
    for n, cell in enumerate(program.cells):
        if cell.kind is CellKind.SHARED or (cell.kind is CellKind.LOCAL and cell.thread == thread):
            mine |= 1 << n
    others = flow.observed | flow.final
    written = 0
    for other in range(len(flow.graphs)):
        if other != thread:
            others |= flow.read_by[other] | flow.shown_by[other]
            written |= flow.written_by[other]
    used = flow.read_by[thread] | flow.shown_by[thread]
    return mine & ~others & (used | (flow.written_by[thread] & ~written))


def _summaries(flow: Flow, graph: Graph) -> tuple[list[int], list[int]]:
    """Return for each block what it needs and what it overwrites before needing it."""
    reads, kills, shown = flow.accesses.reads, flow.accesses.kills, flow.accesses.shown
    needs, killed = [], []
    for block in graph.blocks:
        need = kill = 0
        for at in range(block.stop - 1, block.start - 1, -1):
            need = (need & ~kills[at]) | reads[at] | shown[at]
            kill |= kills[at]
        needs.append(need)
        killed.append(kill)
    return needs, killed


def _solve(graph: Graph, needs: list[int], killed: list[int]) -> list[int]:
    """Return what each block needs, everything after it included."""
    after: list[list[int]] = []
    before: list[list[int]] = [[] for _ in graph.blocks]
    for n, block in enumerate(graph.blocks):
        next_ = list(block.successors)
        if block.boundary is not None and block.boundary < graph.done:
            next_.append(graph.entry[block.boundary])
        after.append(next_)
        for m in next_:
            before[m].append(n)
    live = list(needs)
    todo = list(range(len(graph.blocks)))
    queued = [True] * len(todo)
    while todo:
        n = todo.pop()
        queued[n] = False
        out = 0
        for m in after[n]:
            out |= live[m]
        new = needs[n] | (out & ~killed[n])
        if new != live[n]:
            live[n] = new
            for m in before[n]:
                if not queued[m]:
                    queued[m] = True
                    todo.append(m)
    return live


def analyse(flow: Flow, thread: int) -> Liveness:
    """Return what `thread` needs at each of its boundaries and blocks.

    Raises `ValueError` if scratch values would have to survive a boundary: the passes that fuse
    steps rely on there being none.
    """
    program, graph = flow.program, flow.graphs[thread]
    live = _solve(graph, *_summaries(flow, graph))
    scratch = span(len(program.cells), program.slots - len(program.cells))
    at = tuple(live[b] for b in graph.entry)
    for k, mask in enumerate(at):
        if mask & scratch:
            slots = ", ".join(str(s) for s in bits(mask & scratch))
            raise ValueError(
                f"thread {program.threads[thread].name}: scratch slots {slots} are read after "
                f"boundary {k} without having been written"
            )
    return Liveness(_owned(flow, thread), at, tuple(live))


def _differs(flow: Flow, graph: Graph, life: Liveness, kinds: Sequence[Boundary]) -> list[int]:
    """Return, a boundary each, the owned cells that may differ from their initial value there."""
    foreign = 0
    for other in range(len(flow.graphs)):
        if other != graph.thread:
            foreign |= flow.written_by[other]
    cells = flow.program.cells
    for slot in (s for epoch in flow.program.epochs for s in epoch if s < len(cells)):
        if cells[slot].initial == 1:  # a BUMP changes it although nobody took a snapshot
            foreign |= 1 << slot
    differs = [foreign & life.owned] * (graph.done + 1)
    todo = [0]
    seen = {0}
    while todo:
        k = todo.pop()
        keeps = life.boundary[k] if kinds[k] is Boundary.HARD else -1
        out = ((differs[k] & keeps) | graph.writes[k]) & life.owned
        for j in graph.exits[k]:
            if out & ~differs[j] or (j not in seen and j < graph.done):
                differs[j] |= out
                if j < graph.done:
                    seen.add(j)
                    todo.append(j)
    return differs


def clears(
    flow: Flow, lives: Sequence[Liveness], boundaries: Sequence[Sequence[Boundary]]
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Return the cells to reset, `[thread][boundary]`, `done` included.

    Only those that may differ from their initial value are listed, and none at a fused boundary.
    """
    rows = []
    for graph, life, kinds in zip(flow.graphs, lives, boundaries, strict=True):
        differs = _differs(flow, graph, life, kinds)
        rows.append(
            tuple(
                ()
                if k < graph.done and kinds[k] is Boundary.FUSED
                else tuple(bits(differs[k] & ~(life.boundary[k] if k < graph.done else 0)))
                for k in range(graph.done + 1)
            )
        )
    return tuple(rows)
