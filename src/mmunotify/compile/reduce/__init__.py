"""The reduction passes: from a program to what the search may leave out.

`reduce` proves each licence on the code and trusts nothing a front end says about it. The order
is fixed: control flow (`cfg`), dead cells (`liveness`), lock cells (`locks` over `paths`),
transactions (`movers`), ample sets (`ample`), symmetry (`symmetry`).

Invariant: for every mix, the reduced search finds a violation or a deadlock exactly if the
unreduced one does. Not the same one, and not by the same number of steps.

**Fair cycles** are looked for under `progress_reduction` alone, which resets dead cells and fuses
private steps. What a reset cell held has no influence on any step, on whether it can be made, or on
what is pending. A private step breaks neither law of `movers` where nothing is known of locks: it
reads only what no other thread writes, and writes only what no other thread looks at, nor any
predicate that is asked in every state. So it can be moved before or after steps of other threads,
and whether they can step, and what is pending, stays the same. Take a fair execution on which
something is pending from some point on. Move every private step to the step of its thread before
it, or, where a macro step begins with it, to the one after it, or to a moment at which that one has
to wait, if it never happens. That is an execution of the reduced graph. A thread that is passed
over for ever is passed over in both, with the same steps that it could have made: no fair execution
leaves a thread at a private step, which can always be made. It is infinite, as every cycle of the
code keeps a boundary; the graph is finite, so it has a fair cycle. The other way round, a step of
the reduced graph is some steps of the program. Transactions over locks, ample sets and symmetry
are not used: the first make locks look free at all times, the second lets threads stand still, the
third forgets which thread it was.
"""

from __future__ import annotations

from dataclasses import replace

from mmunotify.compile.reduce import cfg, locks, movers
from mmunotify.compile.reduce.ample import analyse as ample_sets
from mmunotify.compile.reduce.liveness import analyse as live_cells
from mmunotify.compile.reduce.liveness import clears
from mmunotify.compile.reduce.symmetry import Refusal, prove, refusals
from mmunotify.ir.program import Program
from mmunotify.ir.reduction import Boundary, Reduction

__all__ = ["MIXES", "Refusal", "mix", "progress_reduction", "reduce", "refusals"]

MIXES: dict[str, frozenset[str]] = {
    "none": frozenset(),
    "liveness": frozenset({"liveness"}),
    "transactions": frozenset({"liveness", "transactions"}),
    "ample": frozenset({"liveness", "transactions", "ample"}),
    "symmetry": frozenset({"liveness", "transactions", "symmetry"}),
    "all": frozenset({"liveness", "transactions", "ample", "symmetry"}),
}


def mix(program: Program, name: str) -> Reduction:
    """Return the reduction of `program` by the named mix, one of `MIXES`."""
    passes = MIXES[name]
    return reduce(
        program,
        liveness="liveness" in passes,
        transactions="transactions" in passes,
        ample="ample" in passes,
        symmetry="symmetry" in passes,
    )


def progress_reduction(program: Program) -> Reduction:
    """Return the reduction under which fair cycles may be looked for."""
    return replace(mix(program, "liveness"), name="progress")


def _name(passes: dict[str, bool]) -> str:
    chosen = frozenset(name for name, on in passes.items() if on)
    return next((n for n, mixed in MIXES.items() if mixed == chosen), "+".join(sorted(chosen)))


def reduce(
    program: Program,
    *,
    liveness: bool = True,
    transactions: bool = True,
    ample: bool = True,
    symmetry: bool = True,
) -> Reduction:
    """Return what a search of `program` may leave out.

    `liveness` resets dead cells and fuses private steps; `transactions` fuses by locks;
    `ample` explores one thread alone where that is enough; `symmetry` one state of each orbit.
    """
    passes = {
        "liveness": liveness,
        "transactions": transactions,
        "ample": ample,
        "symmetry": symmetry,
    }
    name = _name(passes)
    kinds = prove(program).kinds if symmetry and program.symmetry else ()
    if not (liveness or transactions or ample):
        return Reduction(name, symmetry=kinds)
    flow = cfg.build(program)
    lives = [live_cells(flow, t) for t in range(len(flow.graphs))]
    found = locks.analyse(flow, lives) if transactions or ample else None
    boundaries: tuple[tuple[Boundary, ...], ...]
    if transactions and found is not None:
        boundaries = movers.boundaries(flow, movers.classify(flow, found), found)
    elif liveness:
        boundaries = movers.boundaries(flow, movers.classify(flow, None), None)
    else:
        boundaries = tuple((Boundary.HARD,) * graph.done for graph in flow.graphs)
    return Reduction(
        name,
        boundaries,
        clears(flow, lives, boundaries) if liveness else (),
        ample_sets(flow, found, boundaries) if ample and found is not None else None,
        kinds,
    )
