"""`Job`: one scenario of one driver, from the world that set-up builds to the engine's verdict."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from mmunotify.check.options import Options
from mmunotify.check.scenario import Scenario
from mmunotify.check.schedule import Move, Schedule, identity_of
from mmunotify.check.search import Found, Progress, Search, Verdict
from mmunotify.check.subject import Subject
from mmunotify.check.world import World
from mmunotify.compile import compile_world
from mmunotify.compile.reduce import reduce
from mmunotify.ir.program import Program
from mmunotify.ir.reduction import Reduction
from mmunotify.trace.record import Bounds, Lane, ScenarioResult, Statistics

__all__ = ["Job"]

Report = Callable[[Progress], bool | None]


@dataclass(frozen=True)
class Job:
    """One scenario to decide."""

    subject: Subject
    scenario: Scenario
    options: Options

    @cached_property
    def sized(self) -> Scenario:
        """The scenario with what the options override."""
        return replace(self.scenario, **self.options.overrides)  # type: ignore[arg-type]

    @cached_property
    def world(self) -> World:
        """What set-up builds."""
        return self.sized.build(self.subject.driver)

    @property
    def source(self) -> str:
        """The file the driver's lines are in."""
        return inspect.getsourcefile(self.subject.driver) or ""

    @cached_property
    def program(self) -> Program:
        """The world compiled; raises `DiagnosticError`."""
        chosen = frozenset(self.options.properties)
        if chosen:
            return compile_world(self.world, [self.source], properties=chosen)
        return compile_world(self.world, [self.source])

    @property
    def identity(self) -> str:
        """What a replay string of this job is made for."""
        return identity_of(self.program, self.scenario.name)

    @property
    def lanes(self) -> list[Lane]:
        """How the threads are shown."""
        return [Lane(name=t.name, role=t.role, mmu=t.mmu) for t in self.world.threads]

    def search(self, report: Report | None = None) -> Found:
        """Decide the scenario."""
        reduction = reduce(self.program) if self.options.reduced else Reduction()
        return Search(self.program, reduction).run(
            max_bytes=self.options.memory,
            max_seconds=self.options.seconds,
            workers=self.options.workers,
            seed=self.options.seed,
            progress=report,
        )

    def shortest(self, states: int, seconds: float) -> Schedule | None:
        """Return the first violation of an unreduced breadth-first search, within limits."""
        found = Search(self.program).run(max_states=states, max_seconds=seconds, walks=False)
        if found.verdict is not Verdict.VIOLATED:
            return None
        return tuple(Move(step.thread, tuple(step.choices)) for step in found.schedule)

    def executed(self, found: Found) -> set[tuple[str, int]]:
        """Return the (file, line) of the driver that the search executed."""
        locations = self.program.locations
        return {
            (locations[at].file, locations[at].line)
            for cover in found.covered
            for at in self.program.covers[cover]
        }

    def result(self, found: Found) -> ScenarioResult:
        """Return the record of what the search found."""
        scenario = self.sized
        reached = {p for p in found.reached}
        return ScenarioResult(
            name=scenario.name,
            verdict=found.verdict.name,
            bounds=Bounds(
                pages=scenario.pages,
                frames=scenario.frames,
                devices=scenario.devices,
                operations=list(scenario.operations),
                protocol=scenario.protocol,
            ),
            statistics=Statistics(
                states=found.states,
                transitions=found.transitions,
                depth=found.depth,
                seconds=found.seconds,
                bytes=found.bytes,
                reduction=found.reduction,
            ),
            reason=found.detail or (found.reason.value if found.reason else ""),
            unreached=[
                p.name
                for number, p in enumerate(self.program.predicates)
                if p.kind == "reachable" and number not in reached
            ],
        )
