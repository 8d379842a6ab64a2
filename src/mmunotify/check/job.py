"""`Job`: one scenario of one driver, from the world that set-up builds to an `Answer`."""

from __future__ import annotations

import inspect
import sysconfig
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import msgspec

from mmunotify.check.counterexample import counterexample
from mmunotify.check.form import require_walk
from mmunotify.check.options import Options
from mmunotify.check.predicates import predicate_message
from mmunotify.check.progress import (
    MOST_STATES,
    has_obligations,
    moves_of,
    shortened,
    turned,
    without_obligations,
)
from mmunotify.check.scenario import Scenario
from mmunotify.check.schedule import Lasso, Move, Schedule, encode, identity_of
from mmunotify.check.search import Found, Progress, Reason, Search, Verdict, free_memory
from mmunotify.check.shorten import core_finder, shorten
from mmunotify.check.subject import Subject
from mmunotify.check.violation import PROGRESS
from mmunotify.check.world import World
from mmunotify.compile import compile_world
from mmunotify.compile.reduce import progress_reduction, reduce
from mmunotify.errors import Diagnostic, DiagnosticError, Place
from mmunotify.ir.program import PredicateKind, Program
from mmunotify.ir.reduction import Reduction
from mmunotify.primary.access import translated
from mmunotify.terms import PROPERTIES
from mmunotify.trace.record import Bounds, Lane, Result, ScenarioResult, Statistics

__all__ = ["INTERRUPTED", "Answer", "Job", "Report"]

Report = Callable[[Progress], bool | None]
"""Told how far a search is; False interrupts it."""

INTERRUPTED = "interrupted"
_SHORTEST_STATES = 2_000_000
_SHORTEST_SECONDS = 1.0
_QUANTIFIED = (PredicateKind.ALWAYS, PredicateKind.NEVER)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What deciding one scenario has shown; it travels between processes.

    `executed` are (file, line) of the driver (one of mmunotify's own stands for a device that
    reached memory), `properties` the names of what was checked, `told` is
    the counterexample of a violation.
    """

    entry: ScenarioResult
    executed: list[tuple[str, int]] = []
    properties: list[str] = []
    told: Result | None = None


@dataclass(frozen=True)
class Job:
    """One scenario to decide."""

    subject: Subject
    scenario: Scenario
    options: Options

    @cached_property
    def sized(self) -> Scenario:
        """The scenario with what the options override."""
        sized = replace(self.scenario, **self.options.overrides)  # type: ignore[arg-type]
        return sized.serving(self.subject.driver)

    def build(self) -> World:
        """Run set-up; raise `DiagnosticError` E209 at the user's line if it raises."""
        try:
            world = self.sized.build(self.subject.driver)
        except DiagnosticError:
            raise
        except Exception as error:
            raise _failed_set_up(error, self.source) from error
        for driver in world.drivers:
            require_walk(driver)
        if self.wants_progress:
            world.watch_obligations()
        if self.options.properties:
            _keep_only(world, self.options.properties)
        return world

    @property
    def wants_progress(self) -> bool:
        """Whether `progress` is among what is checked."""
        return not self.options.properties or PROGRESS in self.options.properties

    @cached_property
    def world(self) -> World:
        """What set-up builds."""
        return self.build()

    @property
    def source(self) -> str:
        """The file the driver's lines are in."""
        return inspect.getsourcefile(self.subject.driver) or ""

    @cached_property
    def program(self) -> Program:
        """The world compiled; raises `DiagnosticError`."""
        chosen = frozenset(self.options.properties)
        if chosen:
            return compile_world(self.world, [self.source], chosen, [translated])
        return compile_world(self.world, [self.source], cover_functions=[translated])

    @property
    def identity(self) -> str:
        """What a replay string of this job is made for."""
        return identity_of(self.program, self.scenario.name)

    @property
    def lanes(self) -> list[Lane]:
        """How the threads are shown."""
        return [Lane(name=t.name, role=t.role, mmu=t.mmu) for t in self.world.threads]

    def _command(self, replay: str) -> str:
        """What shows one interleaving again: for a scenario made in Python, a call."""
        if self.scenario.name in [one.name for one in self.subject.given]:
            return f"check({self.subject.name}, scenario=..., replay={replay!r})"
        return self.options.command(self.subject.spec, self.scenario.name, replay)

    # -- deciding -------------------------------------------------------------------------------

    def answer(self, report: Report | None = None, workers: int = 1) -> Answer:
        """Decide the scenario with `workers` threads and tell what came out."""
        found = self.search(report, workers)
        undecided = ""
        if found.verdict is Verdict.HOLDS and has_obligations(self.program):
            found, undecided = self._with_cycles(found, self.search_cycles(report, workers))
        told = None
        if found.verdict is Verdict.VIOLATED:
            told = self.told(moves_of(self.program, found))
        return Answer(
            entry=self._entry(found, told, undecided),
            executed=sorted(self._executed(found)),
            properties=[p for p in self._properties() if p != PROGRESS or not undecided],
            told=told,
        )

    def _with_cycles(self, found: Found, cycles: Found) -> tuple[Found, str]:
        """Return what both searches say together, and why `progress` is undecided if it is."""
        if cycles.verdict is Verdict.HOLDS:
            return replace(found, seconds=found.seconds + cycles.seconds), ""
        stopped = cycles.verdict is Verdict.INCOMPLETE and cycles.reason is not Reason.INTERRUPTED
        if stopped and PROGRESS not in self.options.properties:
            return found, _reason(cycles)
        return cycles, ""

    def search(self, report: Report | None = None, workers: int = 1) -> Found:
        """Search the program for everything that a single state or step can show."""
        program = without_obligations(self.program)
        reduction = reduce(program) if self.options.reduced else Reduction()
        return self._run(Search(program, reduction), report, workers)

    def search_cycles(self, report: Report | None = None, workers: int = 1) -> Found:
        """Search it again, for what waits for ever; give up where that takes too much, unasked."""
        reduction = progress_reduction(self.program) if self.options.reduced else Reduction()
        most = None if PROGRESS in self.options.properties else MOST_STATES
        return self._run(Search(self.program, reduction), report, workers, most, walks=False)

    def _run(
        self,
        search: Search,
        report: Report | None,
        workers: int,
        most: int | None = None,
        walks: bool = True,
    ) -> Found:
        return search.run(
            max_states=most,
            walks=walks,
            max_bytes=(self.options.memory or free_memory()) // self.options.share,
            max_seconds=self.options.seconds,
            workers=workers,
            seed=self.options.seed,
            progress=report,
        )

    def _properties(self) -> list[str]:
        """The names of what could have been violated, those of the driver's own last."""
        possible = {"no_deadlock", *(f.property for f in self.program.failures)}
        own = [p.name for p in self.program.predicates if p.kind in _QUANTIFIED]
        return [*(name for name in PROPERTIES if name in possible), *own]

    def _executed(self, found: Found) -> set[tuple[str, int]]:
        """Return the (file, line) of the driver that the search executed."""
        locations = self.program.locations
        return {
            (locations[at].file, locations[at].line)
            for cover in (*found.covered, *self.program.started)
            for at in self.program.covers[cover]
        }

    def _entry(self, found: Found, told: Result | None, undecided: str = "") -> ScenarioResult:
        predicates = enumerate(self.program.predicates)
        return ScenarioResult(
            name=self.scenario.name,
            verdict=found.verdict.name,
            bounds=self.bounds,
            statistics=Statistics(
                states=found.states,
                transitions=found.transitions,
                depth=found.depth,
                seconds=found.seconds,
                bytes=found.bytes,
                reduction=found.reduction,
            ),
            reason=_reason(found),
            undecided=undecided,
            property=told.property if told else "",
            message=told.message if told else "",
            unreached=[
                p.name
                for number, p in predicates
                if p.kind is PredicateKind.REACHABLE and number not in found.reached
            ],
        )

    @property
    def bounds(self) -> Bounds:
        """What the search is bounded by."""
        return Bounds(
            pages=self.sized.pages,
            frames=self.sized.frames,
            devices=self.sized.devices,
            operations=self.sized.operation_names,
            protocol=self.sized.protocol_name,
        )

    # -- telling --------------------------------------------------------------------------------

    def told(self, schedule: Schedule) -> Result:
        """Shorten a schedule that violates something and tell it."""
        if isinstance(schedule, Lasso):
            lasso = shortened(self.program, schedule, _SHORTEST_STATES, _SHORTEST_SECONDS)
            return self.record(turned(self.program, lasso))
        short = shorten(
            self.program,
            schedule,
            states=_SHORTEST_STATES,
            seconds=_SHORTEST_SECONDS,
            finder=core_finder(self.program),
        )
        return self.record(short.schedule, short.shortest)

    def record(self, schedule: Sequence[Move], shortest: bool = False) -> Result:
        """Replay a schedule in the reference interpreter and tell what it shows."""
        told = counterexample(
            self.program,
            schedule,
            self.lanes,
            driver=[self.source],
            subject=self.subject.name,
        )
        replay = encode(schedule, self.identity)
        return Result(
            property=told.property,
            message=predicate_message(self.program, schedule) or told.message,
            why=told.why,
            scenario=self.scenario.name,
            replay=replay,
            command=self._command(replay),
            shortest=shortest,
            trace=told.trace,
        )


def _keep_only(world: World, properties: Collection[str]) -> None:
    """Take the predicates of other properties out of a world."""
    world.finals = [(name, predicate) for name, predicate in world.finals if name in properties]
    for group in (world.always, world.never):
        for name in [name for name in group if name.partition(" of ")[0] not in properties]:
            del group[name]


def _reason(found: Found) -> str:
    """Return why a search is not complete, as a report says it."""
    if found.reason is None:
        return ""
    if found.reason is Reason.INTERRUPTED:
        return INTERRUPTED
    if found.reason in (Reason.MEMORY, Reason.TIME, Reason.STATES):
        return f"its limit of {found.reason} is reached"
    return found.detail or str(found.reason)


def _is_ours(file: str) -> bool:
    """Tell whether a file is one of mmunotify's own, or of Python's library."""
    package = str(Path(__file__).parents[1])
    return file.startswith((package, sysconfig.get_path("stdlib"), "<"))


def _failed_set_up(error: Exception, source: str) -> Exception:
    """Return E209 at the last line of the user's that the error passed, or the error itself."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == source or not _is_ours(frame.filename)]
    if not own:
        return error
    last = own[-1]
    start, end = (last.colno or 0) + 1, (last.end_colno or 0) + 1
    if last.end_lineno != last.lineno:
        end = start + 1
    return DiagnosticError(
        Diagnostic(
            "E209",
            Place(last.filename, last.lineno or 1, start, max(end, start + 1)),
            f"set-up raised {type(error).__name__}: {error}",
            f"{last.name}() is run as plain Python to build the initial state",
        )
    )
