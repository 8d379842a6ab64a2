"""`progress`, from a driver to the report: what waits for ever, and what does not."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from mmunotify import RETRY, Counter, Driver, Epoch, PageRange, SpinLock, Table
from mmunotify.check.choice import chosen_scenarios
from mmunotify.check.debugger import Debugger
from mmunotify.check.job import Answer, Job
from mmunotify.check.lasso import is_fair, pending_throughout
from mmunotify.check.options import Options
from mmunotify.check.progress import has_obligations
from mmunotify.check.python_debugger import PythonDebugger
from mmunotify.check.run import replayed, run
from mmunotify.check.scenario import Membership, Scenario
from mmunotify.check.schedule import Lasso, decode, replay
from mmunotify.check.search import Search, Verdict
from mmunotify.check.subject import subject_of
from mmunotify.check.violation import PROGRESS, Kind
from mmunotify.drivers.kvm import Kvm
from mmunotify.errors import DiagnosticError
from mmunotify.lang import FaultResult, wait_until
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.trace.record import Result

HOLDS = ""


class Right(Driver):
    """Counts sections and their ends, as KVM does."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.sections = Counter()
        self.seq = Epoch()

    def invalidate_range_start(self, rng: PageRange) -> None:
        with self.lock:
            self.sections += 1
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()

    def invalidate_range_end(self, rng: PageRange) -> None:
        with self.lock:
            self.seq.bump()
            self.sections -= 1

    def release(self) -> None:
        with self.lock:
            self.spte.fill(None)
            self.tlb.flush()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if self.sections == 0 and self.seq.read() == seq:
                self.spte[page] = frame
        frame.put()
        return None


class AlwaysRetry(Right):
    """A fault that never does anything."""

    def fault(self, page: int, write: bool) -> FaultResult:
        return RETRY


class ReadsOnce(Right):
    """Replays the fault inside, with the sequence that it read before the first try."""

    def fault(self, page: int, write: bool) -> FaultResult | None:
        seq = self.seq.read()
        while True:
            frame = self.mm.get_user_page(page, write)
            with self.lock:
                good = self.sections == 0 and self.seq.read() == seq
                if good:
                    self.spte[page] = frame
            frame.put()
            if good:
                return None


class ReadsAgain(Right):
    """The same, with the sequence read before every try."""

    def fault(self, page: int, write: bool) -> FaultResult | None:
        while True:
            seq = self.seq.read()
            frame = self.mm.get_user_page(page, write)
            with self.lock:
                good = self.sections == 0 and self.seq.read() == seq
                if good:
                    self.spte[page] = frame
            frame.put()
            if good:
                return None


class Odd(Right):
    """A section makes the sequence odd, and its end does not always make it even again."""

    forgets = True

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.odd = False

    def invalidate_range_start(self, rng: PageRange) -> None:
        super().invalidate_range_start(rng)
        self.odd = True

    def invalidate_range_end(self, rng: PageRange) -> None:
        super().invalidate_range_end(rng)
        if not self.forgets or self.sections > 0:
            self.odd = False

    def fault(self, page: int, write: bool) -> FaultResult | None:
        while self.odd:
            pass
        return super().fault(page, write)


class Even(Odd):
    """The end makes it even again."""

    forgets = False


def job(driver: type[Driver], scenario: Scenario, **options: object) -> Job:
    """Return the job for a scenario."""
    return Job(subject_of(driver), scenario, Options(**options))  # type: ignore[arg-type]


def answer(driver: type[Driver], scenario: Scenario | str) -> Answer:
    """Check a driver in one scenario, by its name if it has one."""
    if isinstance(scenario, str):
        [scenario] = chosen_scenarios(subject_of(driver), Options(scenarios=(scenario,)))
    return job(driver, scenario).answer()


def waits(driver: type[Driver], scenario: Scenario | str) -> str:
    """Return what waits for ever, or ""; nothing else may be wrong."""
    found = answer(driver, scenario)
    assert PROGRESS in found.properties
    if found.told is None:
        assert found.entry.verdict == "HOLDS"
        return HOLDS
    assert found.told.property == PROGRESS
    assert found.told.trace is not None
    assert found.told.trace.cycle > 0
    return found.told.message


@pytest.mark.parametrize("name", ["madvise_dontneed", "mprotect", "punch_hole"])
def test_sections_without_end_starve_a_fault(name: str) -> None:
    """KVM has no fairness: an endless scenario is there to see it, a plain one does not."""
    assert waits(Kvm, name) == HOLDS
    assert waits(Kvm, f"{name}/endless") == "the fault of device0 never ends"


def test_any_scenario_can_be_endless() -> None:
    """By its name; but an address space exits once."""
    kvm = subject_of(Kvm)
    names = ("punch_hole+cow/endless", "munmap/2 devices/endless")
    found = chosen_scenarios(kvm, Options(scenarios=names))
    assert [(s.name, s.endless) for s in found] == [(name, True) for name in names]
    with pytest.raises(DiagnosticError) as caught:
        chosen_scenarios(kvm, Options(scenarios=("exit/endless",)))
    assert [d.code for d in caught.value.diagnostics] == ["E304"]
    with pytest.raises(DiagnosticError):
        chosen_scenarios(kvm, Options(scenarios=("munmp/endless",)))


def test_a_fault_that_always_retries() -> None:
    assert waits(AlwaysRetry, "munmap") == "the fault of device0 never ends"
    assert waits(Right, "munmap") == HOLDS


def test_a_replay_that_does_not_read_its_sequence_again() -> None:
    assert waits(ReadsOnce, "munmap") == "the fault of device0 never ends"
    assert waits(ReadsAgain, "munmap") == HOLDS


def test_a_sequence_that_stays_odd() -> None:
    assert waits(Odd, "munmap") == "the fault of device0 never ends"
    assert waits(Even, "munmap") == HOLDS


class Patient(Even):
    """Sleeps while the sequence is odd; who sleeps for ever moves no more."""

    def fault(self, page: int, write: bool) -> FaultResult | None:
        wait_until(lambda: not self.odd)
        return Right.fault(self, page, write)


class Asleep(Patient):
    """The same, where the end forgets."""

    forgets = True


def test_a_sleeper_while_another_thread_goes_on() -> None:
    """It can never move again, and it is no deadlock: the sections go on."""
    assert waits(Asleep, "punch_hole/endless") == "the fault of device0 never ends"
    assert waits(Patient, "punch_hole") == HOLDS
    told = answer(Asleep, "punch_hole").told
    assert told is not None
    assert told.property == "no_deadlock"  # nothing goes on there


def test_registration_and_removal_get_their_locks() -> None:
    """The locks of the mm are served in turn, however many sections there are."""
    registers = Membership(registers=True)
    endless = Scenario("r", ("punch_hole",), membership=registers, pages=1, frames=2, endless=True)
    found = answer(Right, endless)
    assert found.told is not None
    assert found.told.message == "the fault of device0 never ends"
    program = job(Right, endless).program
    names = [predicate.name for predicate in program.predicates if predicate.kind == "pending"]
    assert names == ["fault of device0", "registration of device0"]
    only = replace(
        program, predicates=tuple(p for p in program.predicates if p.name != "fault of device0")
    )
    assert has_obligations(only)
    assert Search(only).run(walks=False).verdict is Verdict.HOLDS


def test_who_waits_is_told_with_what_it_waits_for() -> None:
    told = answer(Asleep, "punch_hole/endless").told
    assert told is not None
    assert "device0 waits in fault() at `wait_until(lambda: not self.odd)`" in told.why
    assert "odd is yes since step" in told.why
    assert "in time" not in told.why  # it never could
    told = answer(Patient, "punch_hole/endless").told
    assert told is not None
    assert "round after round" in told.why


# -- what is shown ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def starved() -> tuple[Job, Result]:
    """KVM's fault under endless sections."""
    options = Options(scenarios=("madvise_dontneed/endless",))
    subject = subject_of(Kvm)
    result = run(subject, options)
    [scenario] = chosen_scenarios(subject_of(Kvm), options)
    return Job(subject, scenario, options), result


def test_the_cycle_is_one(starved: tuple[Job, Result]) -> None:
    """It leads back to the very same state, is fair, and something is pending all along."""
    job, result = starved
    lasso = decode(result.replay)[1]
    assert isinstance(lasso, Lasso)
    states = replay(job.program, lasso).states
    assert states[-1] == states[lasso.loop]
    loop = states[lasso.loop : -1]
    moved = [move.thread for move in lasso[lasso.loop :]]
    assert pending_throughout(job.program, loop) is not None
    assert is_fair(job.program, loop, moved)
    assert set(moved) == {0, 1}
    assert not is_fair(job.program, loop, [0])
    violation = replay(job.program, lasso).violation
    assert violation is not None
    assert violation.kind is Kind.CYCLE
    assert replay(job.program, Lasso(lasso[:-1], lasso.loop)).violation is None


def test_the_record(starved: tuple[Job, Result]) -> None:
    _, result = starved
    assert result.trace is not None
    last = result.trace.events[-1].n
    [bar] = [window for window in result.trace.windows if window.kind == "cycle"]
    assert (bar.first, bar.last) == (result.trace.cycle, last)
    assert "device0 makes steps" in result.why
    assert "finds mmu_invalidate_in_progress 1" in result.why
    assert "Meanwhile madvise_dontneed makes steps" in result.why
    assert not result.shortest
    assert not any("begun" in column.name for column in result.trace.header.columns)
    assert not any("faulting" in event.text for event in result.trace.events)


def test_the_replay_string(starved: tuple[Job, Result]) -> None:
    """It says where the cycle begins; shown again it is the same."""
    job, result = starved
    assert result.replay.count(".") == 3
    _, schedule, again = replayed(job.subject, job.options, result.replay)
    assert isinstance(schedule, Lasso)
    assert (again.property, again.message, again.why) == (PROGRESS, result.message, result.why)
    assert again.trace == result.trace


def test_step_goes_round(starved: tuple[Job, Result]) -> None:
    job, result = starved
    schedule = decode(result.replay)[1]
    out = io.StringIO()
    commands = io.StringIO(f"s {len(schedule)}\ns\nq\n")
    Debugger(job.program, schedule, [job.source], commands, out).cmdloop()
    text = out.getvalue()
    assert "end: progress: the fault of device0 never ends" in text
    assert isinstance(schedule, Lasso)
    assert f"from step {schedule.loop + 1} on all repeats for ever" in text
    assert f"{schedule.loop + 2} [" in text.splitlines()[-2]


def test_pdb_runs_it(starved: tuple[Job, Result]) -> None:
    job, result = starved
    schedule = decode(result.replay)[1]
    out = io.StringIO()
    commands = io.StringIO("c\n" * (len(schedule) + 2))
    world = job.build()
    PythonDebugger(world, job.program, schedule, [job.source], commands, out).run_schedule()
    assert "end: progress: the fault of device0 never ends" in out.getvalue()


# -- when it is searched ------------------------------------------------------------------------


def test_only_on_request_or_with_everything() -> None:
    [munmap] = chosen_scenarios(subject_of(Right), Options(scenarios=("munmap",)))
    assert PROGRESS not in job(Right, munmap, properties=("paired",)).answer().properties
    assert PROGRESS in job(Right, munmap, properties=("progress",)).answer().properties


def test_a_search_that_gives_up_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unasked, `progress` is left open, and said to be; asked for, the check is not finished."""
    monkeypatch.setattr("mmunotify.check.job.MOST_STATES", 100)
    result = run(subject_of(Right), Options(scenarios=("munmap",)))
    assert result.verdict == "HOLDS"
    assert PROGRESS not in result.properties
    assert result.scenarios[0].undecided == "its limit of states is reached"
    [munmap] = chosen_scenarios(subject_of(Right), Options(scenarios=("munmap",)))
    asked = job(Right, munmap, properties=("progress",), seconds=1e-9).answer()
    assert asked.entry.verdict == "INCOMPLETE"


def test_without_reduction_the_answer_is_the_same() -> None:
    for driver, verdict in ((Right, "HOLDS"), (ReadsOnce, "VIOLATED")):
        [munmap] = chosen_scenarios(subject_of(driver), Options(scenarios=("munmap",)))
        found = [job(driver, munmap, reduced=reduced).answer() for reduced in (True, False)]
        assert {one.entry.verdict for one in found} == {verdict}


def test_obligations_cost_the_other_properties_nothing() -> None:
    """Where nobody asks for progress, what is pending tells no states apart."""
    [munmap] = chosen_scenarios(subject_of(Kvm), Options(scenarios=("munmap",)))
    plain = job(Kvm, munmap, properties=("no_stale_translation", "quiescent")).search()
    asked = job(Kvm, munmap, properties=("no_stale_translation", "quiescent", "progress")).search()
    assert plain.states == asked.states
