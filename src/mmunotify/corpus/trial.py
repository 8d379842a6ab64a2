"""`Trial`: a bug's two models decided: the buggy one must be found, the fixed one must hold.

Invariant: a trial stands only if the buggy model violates the property that the bug names, and the
fixed one was searched to the end.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from mmunotify.check.options import Options
from mmunotify.check.run import run
from mmunotify.check.subject import Subject
from mmunotify.corpus.bug import Bug, Case
from mmunotify.corpus.registry import module_of, wanted
from mmunotify.trace.record import Result

__all__ = ["Trial", "subject", "tried", "try_bug"]


@dataclass(frozen=True)
class Trial:
    """What checking the bug `id` has shown; `seconds` is both checks, compilation included."""

    id: str
    buggy: Result
    fixed: Result
    seconds: float

    @property
    def found(self) -> bool:
        """Whether the buggy model violates the property that the bug names."""
        [bug] = wanted([self.id])
        return self.buggy.verdict == "VIOLATED" and self.buggy.property == bug.property

    @property
    def holds(self) -> bool:
        """Whether the fixed model violates nothing in any state."""
        return self.fixed.verdict == "HOLDS"

    @property
    def steps(self) -> int:
        """How long the interleaving is that shows the bug."""
        return len(self.buggy.trace.events) if self.buggy.trace is not None else 0

    @property
    def states(self) -> tuple[int, int]:
        """How many states were stored for the buggy model, and for the fixed one."""
        buggy, fixed = (r.scenarios[0].statistics.states for r in (self.buggy, self.fixed))
        return buggy, fixed


def subject(bug: Bug, case: Case) -> Subject:
    """Return what `mmunotify check FILE:Class` would check."""
    module = module_of(bug.id)
    path = Path(inspect.getsourcefile(module) or "")
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return Subject(case.driver, str(path), scenarios=tuple(module.SCENARIOS))


def try_bug(bug: Bug) -> Trial:
    """Decide both models of a bug: whether one violates its property, the other violates any."""
    started = time.monotonic()
    options = Options(scenarios=(bug.buggy.scenario.name,), properties=(bug.property,))
    buggy = run(subject(bug, bug.buggy), options)
    fixed = run(subject(bug, bug.fixed), Options(scenarios=(bug.fixed.scenario.name,)))
    return Trial(bug.id, buggy, fixed, time.monotonic() - started)


def tried(ids: Iterable[str], workers: int = 1) -> Iterator[Trial]:
    """Yield the trials of the bugs with these ids, in that order; `workers` processes at most."""
    chosen = list(ids)
    count = min(workers, len(chosen))
    if count < 2:
        yield from map(_try_id, chosen)
        return
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_try_id, chosen)


def _try_id(one: str) -> Trial:
    [bug] = wanted([one])
    return try_bug(bug)
