"""The engine under measurement: worlds compiled, reduced and searched, each part clocked."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.protocol import World
from bench.samples import clocked

from mmunotify.check.search import Found, Search
from mmunotify.compile import compile_world
from mmunotify.compile.reduce import mix, reduce
from mmunotify.ir.program import Program
from mmunotify.ir.reduction import Reduction

__all__ = ["Run", "compiled", "run", "symmetric"]

MOST_BYTES = 6 * 2**30


@dataclass(frozen=True)
class Run:
    """One search: what it found, and the seconds of its parts.

    `search` is from a reduction to the verdict, random walks and all set-up included.
    """

    found: Found
    passes: float  # the reduction passes
    search: float
    cpu: float  # of the search, all its threads together

    @property
    def wall(self) -> float:
        """Seconds from a compiled program to the verdict."""
        return self.passes + self.search

    @property
    def bytes_per_state(self) -> float:
        """The memory of states and slots, by state."""
        return self.found.bytes / max(1, self.found.states)


def compiled(world: World) -> Program:
    """Return the program of a world."""
    return compile_world(world)


def run(
    program: Program,
    name: str = "none",
    *,
    workers: int = 1,
    walks: bool = False,
    max_seconds: float | None = None,
) -> Run:
    """Reduce by the named mix and search; random walks come first only if asked for."""
    reduction, passes = clocked(lambda: mix(program, name))
    before = time.process_time()
    found, searching = clocked(
        lambda: Search(program, reduction).run(
            workers=workers, walks=walks, max_seconds=max_seconds, max_bytes=MOST_BYTES
        )
    )
    return Run(found, passes, searching, time.process_time() - before)


def symmetric(program: Program) -> Found:
    """Search by symmetry alone: one state of each orbit, every step a step."""
    return Search(program, _symmetry(program)).run(walks=False)


def _symmetry(program: Program) -> Reduction:
    return reduce(program, liveness=False, transactions=False, ample=False, symmetry=True)
