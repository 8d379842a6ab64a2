"""What the search may leave out: the result of the reduction passes, input of the native core.

Every field is a licence that a pass has proven sound; the empty `Reduction` licenses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from mmunotify.ir.program import SymmetryKind

__all__ = ["Ample", "Boundary", "Reduction"]


class Boundary(IntEnum):
    """How the search treats a boundary that a thread reaches."""

    HARD = 0  # the step ends, the state is stored
    FUSED = 1  # run on as if it were not there
    SOFT = 2  # run on; if the step that follows blocks, the state at this boundary is stored


@dataclass(frozen=True)
class Ample:
    """Access sets for the choice of a single thread to expand (bit masks over access classes).

    All are indexed `[thread][boundary]`, `done` included (there `held` is -1); a bit is a class of
    cells. `reads` and `writes`: what the step from this boundary may touch. `held`: number of the
    set of locks certainly held there, or -1 where the thread must not be chosen alone (cycle
    proviso). `future_reads[h]` and `future_writes[h]`: what the thread may touch, from this
    boundary on, before it acquires a lock of held set `h`. A chain of steps of such threads is not
    stored, but where a step has several successors.
    """

    reads: tuple[tuple[int, ...], ...]
    writes: tuple[tuple[int, ...], ...]
    held: tuple[tuple[int, ...], ...]
    future_reads: tuple[tuple[tuple[int, ...], ...], ...]
    future_writes: tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True)
class Reduction:
    """The licences of one search.

    `boundaries[thread][k]` (empty: all hard). `clears[thread][k]`: cells of the thread that are
    dead at boundary `k` (`k == done` included) and are set to their initial values there (empty:
    none). `symmetry`: proven kinds only; the columns of threads hold their pc and local cells.
    """

    name: str = "none"
    boundaries: tuple[tuple[Boundary, ...], ...] = ()
    clears: tuple[tuple[tuple[int, ...], ...], ...] = ()
    ample: Ample | None = None
    symmetry: tuple[SymmetryKind, ...] = ()
