"""The check of a driver: its scenarios one after another, and what came out as one record."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator

import msgspec

from mmunotify.check.counterexample import counterexample
from mmunotify.check.job import Job, Report
from mmunotify.check.options import Options
from mmunotify.check.places import driver_files
from mmunotify.check.scenario import Scenario, standard
from mmunotify.check.schedule import Move, Schedule, encode, schedule_of
from mmunotify.check.search import Found, Progress, Verdict
from mmunotify.check.shorten import shorten
from mmunotify.check.subject import Subject
from mmunotify.check.unused import unused_lines
from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.lang.driver import Driver
from mmunotify.protocols import PROTOCOLS
from mmunotify.terms import PROPERTIES, VERSION, nearest
from mmunotify.trace.record import Result, ScenarioResult

__all__ = ["Watcher", "chosen_scenarios", "replayed", "run"]

Watcher = Callable[[str, Progress], bool | None]
"""Told about a running search: the scenario's name and how far it is; False interrupts."""

_SHORTEST_STATES = 2_000_000
_SHORTEST_SECONDS = 1.0


def run(subject: Subject, options: Options | None = None, watch: Watcher | None = None) -> Result:
    """Check `subject` in its scenarios; raise `DiagnosticError` for a driver that cannot be."""
    options = options or Options()
    started = time.monotonic()
    outcome = _Outcome(subject, options)
    for scenario in chosen_scenarios(subject.driver, options):
        job = Job(subject, scenario, options)
        found = job.search(_reporter(watch, scenario.name))
        outcome.add(job, found)
        interrupted = found.reason is not None and found.reason.value == "interrupted"
        if interrupted or (found.verdict is Verdict.VIOLATED and not options.keep_going):
            break
    return outcome.result(time.monotonic() - started)


def _reporter(watch: Watcher | None, name: str) -> Report | None:
    return None if watch is None else lambda progress: watch(name, progress)


def chosen_scenarios(driver: type[Driver], options: Options) -> list[Scenario]:
    """Return the scenarios that the options ask for; raise `DiagnosticError` E304."""
    _require_known("protocol", [options.protocol] if options.protocol else [], list(PROTOCOLS))
    _require_known("property", list(options.properties), list(PROPERTIES))
    every = standard(driver, protocol=options.protocol or "srcu")
    if not options.scenarios:
        return every
    named = {s.name: s for s in every}
    found: list[Scenario] = []
    for wanted in options.scenarios:
        group = [s for s in every if s.name == wanted or s.name.startswith(f"{wanted}/")]
        if wanted in named:
            found.append(named[wanted])
        elif group:
            found += group
        else:
            _require_known("scenario", [wanted], list(named))
    return found


def _require_known(kind: str, wanted: list[str], known: list[str]) -> None:
    for name in wanted:
        if name not in known:
            close = nearest(name, known)
            raise DiagnosticError(
                Diagnostic(
                    "E304",
                    None,
                    f"there is no {kind} {name}",
                    f"known are: {', '.join(known)}",
                    f"did you mean {close}?" if close else "",
                )
            )


class _Outcome:
    """What the scenarios of one check have shown so far."""

    def __init__(self, subject: Subject, options: Options) -> None:
        self.subject = subject
        self.options = options
        self.scenarios: list[ScenarioResult] = []
        self.executed: set[tuple[str, int]] = set()
        self.checked: set[str] = {"no_deadlock"}
        self.violation: Result | None = None

    def add(self, job: Job, found: Found) -> None:
        self.executed |= job.executed(found)
        self.checked |= {f.property for f in job.program.failures if f.property in PROPERTIES}
        entry = job.result(found)
        if found.verdict is Verdict.VIOLATED:
            schedule = tuple(Move(s.thread, tuple(s.choices)) for s in found.schedule)
            told = _told(job, schedule)
            entry = _with_violation(entry, told)
            self.violation = self.violation or told
        self.scenarios.append(entry)

    def result(self, seconds: float) -> Result:
        verdicts = {s.verdict for s in self.scenarios}
        base = self.violation or Result()
        return _replace(
            base,
            version=VERSION,
            driver=self.subject.name,
            file=self.subject.file,
            verdict=next((v for v in ("VIOLATED", "INCOMPLETE") if v in verdicts), "HOLDS"),
            properties=[p for p in PROPERTIES if p in self.checked],
            scenarios=self.scenarios,
            unused=list(self._unused()),
            seconds=seconds,
        )

    def _unused(self) -> Iterator[object]:
        source = inspect.getsourcefile(self.subject.driver)
        if self.violation is None and source is not None:
            lines = {line for file, line in self.executed if file == source}
            yield from unused_lines(self.subject.driver, self.subject.file, lines)


def _replace(result: Result, **changes: object) -> Result:
    return msgspec.structs.replace(result, **changes)


def _with_violation(entry: ScenarioResult, told: Result) -> ScenarioResult:
    return msgspec.structs.replace(entry, property=told.property, message=told.message)


def _told(job: Job, schedule: Schedule) -> Result:
    """Shorten a schedule, replay it in the reference interpreter and tell it."""
    short = shorten(
        job.program,
        schedule,
        states=_SHORTEST_STATES,
        seconds=_SHORTEST_SECONDS,
        finder=job.shortest,
    )
    return _record(job, short.schedule, short.shortest)


def _record(job: Job, schedule: Schedule, shortest: bool) -> Result:
    told = counterexample(
        job.program,
        schedule,
        job.lanes,
        driver=driver_files(job.subject.driver),
        subject=job.subject.name,
    )
    replay = encode(schedule, job.identity)
    spec = f"{job.subject.file}:{job.subject.name}"
    return Result(
        property=told.property,
        message=told.message,
        why=told.why,
        scenario=job.scenario.name,
        replay=replay,
        command=job.options.command(spec, job.scenario.name, replay),
        shortest=shortest,
        trace=told.trace,
    )


def replayed(subject: Subject, options: Options, text: str) -> tuple[Job, Schedule, Result]:
    """Return the job that a replay string belongs to, its schedule, and what it shows.

    Raise `DiagnosticError` E503 or E504 if it belongs to none of the chosen scenarios.
    """
    error: DiagnosticError | None = None
    for scenario in chosen_scenarios(subject.driver, options):
        job = Job(subject, scenario, options)
        try:
            schedule = schedule_of(text, job.identity)
        except DiagnosticError as refused:
            if refused.diagnostics[0].code == "E504":
                raise
            error = refused
            continue
        return job, schedule, _shown(job, schedule)
    raise error or DiagnosticError(Diagnostic("E503", None, "there is no scenario to replay"))


def _shown(job: Job, schedule: Schedule) -> Result:
    told = _record(job, schedule, shortest=False)
    verdict = "VIOLATED" if told.property else "HOLDS"
    return _replace(
        told,
        version=VERSION,
        driver=job.subject.name,
        file=job.subject.file,
        verdict=verdict,
    )


