"""The check of a driver: its scenarios one after another, and what came out as one record.

Invariant: scenarios count in their order. The first one that is violated is reported, whatever was
decided at the same time by other processes, so the report does not depend on their number.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from mmunotify.check.choice import chosen_scenarios
from mmunotify.check.job import INTERRUPTED, Answer, Job, Report
from mmunotify.check.options import Options
from mmunotify.check.pool import Pool
from mmunotify.check.scenario import Scenario
from mmunotify.check.schedule import Schedule, ScheduleError, decode, schedule_of
from mmunotify.check.search import Progress
from mmunotify.check.subject import Subject, origin_of
from mmunotify.check.unused import unused_lines
from mmunotify.check.violation import PROGRESS
from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.primary.access import translated
from mmunotify.terms import PROPERTIES, VERSION
from mmunotify.trace.record import Caveat, Result, ScenarioResult, Statistics, Unused

__all__ = ["Watcher", "interrupted", "replayed", "run"]

Watcher = Callable[[str, Progress], bool | None]
"""Told about a running search: which scenario, of how many, and how far; False interrupts."""

_ALONE = 2  # scenarios decided before other processes are started: most bugs show in them
_FEW = 4  # scenarios that are not worth other processes


def run(subject: Subject, options: Options | None = None, watch: Watcher | None = None) -> Result:
    """Check `subject` in its scenarios; raise `DiagnosticError` for a driver that cannot be.

    Ctrl-C ends the check: the result says what was covered, and `interrupted(result)` is true.
    """
    options = options or Options()
    started = time.monotonic()
    scenarios = chosen_scenarios(subject, options)
    outcome = _Outcome(subject, scenarios)
    try:
        for answer in _answers(subject, scenarios, options, watch or (lambda _, __: None)):
            outcome.add(answer)
            if outcome.interrupted or (outcome.violation is not None and not options.keep_going):
                break
    except KeyboardInterrupt:
        outcome.interrupt(options)
    return outcome.result(time.monotonic() - started)


def interrupted(result: Result) -> bool:
    """Tell whether the check was interrupted before it had an answer."""
    return any(scenario.reason.startswith(INTERRUPTED) for scenario in result.scenarios)


# -- deciding them -----------------------------------------------------------------------------


def _answers(
    subject: Subject, scenarios: Sequence[Scenario], options: Options, watch: Watcher
) -> Iterator[Answer]:
    """Yield the answers in the order of the scenarios; pass on Ctrl-C."""
    origin = origin_of(subject) if options.workers > 1 and len(scenarios) > _FEW else None
    alone = len(scenarios) if origin is None else _ALONE
    threads = options.workers if len(scenarios) == 1 else 1
    for number, scenario in enumerate(scenarios[:alone], 1):
        report = _reporter(watch, scenario.name, number, len(scenarios))
        if report(_NOTHING) is False:
            raise KeyboardInterrupt
        yield Job(subject, scenario, options).answer(report, threads)
    if origin is not None:
        with Pool(origin, subject.file, options, scenarios[alone:]) as pool:
            try:
                yield from _pooled(pool, alone, watch)
            except KeyboardInterrupt:
                yield from pool.interrupted()
                raise


def _reporter(watch: Watcher, name: str, number: int, total: int) -> Report:
    text = name if total == 1 else f"{number}/{total} {name}"
    return lambda progress: watch(text, progress)


def _pooled(pool: Pool, done: int, watch: Watcher) -> Iterator[Answer]:
    """Yield the answers of a pool, `done` scenarios having been decided before."""
    total = done + len(pool.scenarios)
    for answer in pool.answers():
        if answer is not None:
            done += 1
            yield answer
        elif watch(f"{done + 1}/{total} {', '.join(pool.running)}", pool.progress) is False:
            raise KeyboardInterrupt


_NOTHING = Progress(states=0, transitions=0, depth=0, frontier=0, bytes=0, seconds=0.0)


# -- the record --------------------------------------------------------------------------------


class _Outcome:
    """What the scenarios of one check have shown so far."""

    def __init__(self, subject: Subject, scenarios: Sequence[Scenario]) -> None:
        self.subject = subject
        self.wanted = scenarios
        self.scenarios: list[ScenarioResult] = []
        self.executed: set[tuple[str, int]] = set()
        self.checked: dict[str, None] = {}
        self.violation: Result | None = None
        self.interrupted = False

    def add(self, answer: Answer) -> None:
        self.scenarios.append(answer.entry)
        self.executed |= set(answer.executed)
        self.checked |= dict.fromkeys(answer.properties)
        self.violation = self.violation or answer.told
        self.interrupted |= answer.entry.reason == INTERRUPTED

    def interrupt(self, options: Options) -> None:
        """Note that the check was interrupted, in the middle of a scenario if none says so."""
        known = {entry.name for entry in self.scenarios}
        left = [scenario for scenario in self.wanted if scenario.name not in known]
        if self.interrupted or not left:
            return
        bounds = Job(self.subject, left[0], options).bounds
        entry = ScenarioResult(
            name=left[0].name,
            verdict="INCOMPLETE",
            bounds=bounds,
            statistics=Statistics(),
            reason=INTERRUPTED,
        )
        self.add(Answer(entry=entry))

    def result(self, seconds: float) -> Result:
        verdicts = {s.verdict for s in self.scenarios}
        undecided = any(scenario.undecided for scenario in self.scenarios)
        left = {PROGRESS} if undecided else set()
        known = [p for p in PROPERTIES if p in self.checked.keys() - left]
        return msgspec.structs.replace(
            self.violation or Result(),
            version=VERSION,
            driver=self.subject.name,
            file=self.subject.file,
            verdict=next((v for v in ("VIOLATED", "INCOMPLETE") if v in verdicts), "HOLDS"),
            properties=[*known, *(p for p in self.checked if p not in PROPERTIES)],
            scenarios=list(self._told_scenarios()),
            unused=self._unused(),
            caveats=list(self._caveats()),
            seconds=seconds,
        )

    def _told_scenarios(self) -> Iterator[ScenarioResult]:
        """Yield the scenarios; a goal is missed if none of them has reached it."""
        missed = [set(s.unreached) for s in self.scenarios]
        never = set.intersection(*missed) if missed else set()
        left = len(self.wanted) - len(self.scenarios)
        for scenario in self.scenarios:
            reason = scenario.reason
            if reason == INTERRUPTED and left:
                reason += f"; {left} more scenarios were not begun"
            goals = [name for name in scenario.unreached if name in never]
            yield msgspec.structs.replace(scenario, reason=reason, unreached=goals)

    def _caveats(self) -> Iterator[Caveat]:
        """Yield what makes a complete check say less than it seems to."""
        if any(s.verdict != "HOLDS" for s in self.scenarios):
            return
        if all(file != translated.__code__.co_filename for file, _ in self.executed):
            yield Caveat(code="W204", text="no device ever used a translation in any state")

    def _unused(self) -> list[Unused]:
        source = inspect.getsourcefile(self.subject.driver)
        if self.violation is not None or source is None:
            return []
        lines = {line for file, line in self.executed if file == source}
        return unused_lines(self.subject.driver, self.subject.file, lines)


# -- one interleaving again --------------------------------------------------------------------


def replayed(subject: Subject, options: Options, text: str) -> tuple[Job, Schedule, Result]:
    """Return the job that a replay string belongs to, its schedule, and what it shows.

    Raise `DiagnosticError` E503 or E504 if it belongs to none of the chosen scenarios.
    """
    identity, schedule = decode(text)
    jobs = (Job(subject, s, options) for s in chosen_scenarios(subject, options))
    job = None
    for job in jobs:
        if job.identity == identity:
            return job, schedule, _shown(job, schedule)
    assert job is not None
    schedule_of(text, job.identity)  # says what is wrong
    raise AssertionError(text)


def _shown(job: Job, schedule: Schedule) -> Result:
    try:
        told = job.record(schedule)
    except ScheduleError as error:
        what = f"the replay string does not fit its program: {error}"
        raise DiagnosticError(Diagnostic("E503", None, what)) from None
    return msgspec.structs.replace(
        told,
        version=VERSION,
        driver=job.subject.name,
        file=job.subject.file,
        verdict="VIOLATED" if told.property else "HOLDS",
    )
