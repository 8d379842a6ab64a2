"""Plain runs in step with the compiled program: the same steps, the same values, the same end."""

from __future__ import annotations

import random
import threading

import pytest
from tests.api.drivers import Forgetful, OwnNever, Right
from tests.check.shapes import Shapes

from mmunotify.check.choice import chosen_scenarios
from mmunotify.check.job import Job
from mmunotify.check.options import Options
from mmunotify.check.plain import Ending, PlainRun
from mmunotify.check.run import run
from mmunotify.check.schedule import Move, Schedule, ScheduleError, decode, replay
from mmunotify.check.subject import Subject, subject_of
from mmunotify.check.violation import Kind
from mmunotify.check.world import World
from mmunotify.drivers.kvm import Kvm
from mmunotify.ir import interp
from mmunotify.ir.interp import Blocked, Stepped
from mmunotify.ir.program import Program
from mmunotify.lang.driver import Driver

SCENARIOS = ("munmap", "reclaim", "cow", "exit", "fork+cpu_write", "munmap/2 devices")
MEMBERSHIP = ("munmap/register", "punch_hole/unregister", "munmap/2 drivers")


_jobs: dict[tuple[type[Driver], str], Job] = {}


def job_of(driver: type[Driver], name: str) -> Job:
    """Return a scenario, compiled once."""
    found = _jobs.get((driver, name))
    if found is None:
        found = _jobs[driver, name] = _new_job(driver, name)
    return found


def _new_job(driver: type[Driver], name: str) -> Job:
    options = Options(scenarios=(name,))
    scenario = next(s for s in chosen_scenarios(subject_of(driver), options) if s.name == name)
    return Job(Subject(driver, "driver.py"), scenario, options)


def random_schedule(program: Program, seed: int, length: int = 150) -> Schedule:
    """Return a random execution, up to a step that fails."""
    dice = random.Random(seed)
    stay = dice.choice((0.0, 0.5, 0.9))
    state, moves, last = program.initial, [], -1
    for _ in range(length):
        ways = {
            thread: found
            for thread in range(len(program.threads))
            if (
                found := [
                    step
                    for step in interp.steps(program, state, thread)
                    if not isinstance(step.result, Blocked)
                ]
            )
        }
        if not ways:
            break
        last = last if last in ways and dice.random() < stay else dice.choice(list(ways))
        step = dice.choice(ways[last])
        moves.append(Move(last, step.choices))
        if not isinstance(step.result, Stepped):
            break
        state = step.result.state
    return tuple(moves)


def tables(world: World) -> dict[str, str]:
    """Return what the page tables of a world hold, as reports name and show it."""
    found = {}
    named = [("pte", world.mm.pte)]
    named += [("spte", driver.spte) for driver in world.drivers[:1] if hasattr(driver, "spte")]
    for name, table in named:
        for page in table.keys:
            frame = table.values[page]
            found[f"{name}[0x{(page + 1) * 0x1000:x}]"] = frame.name if frame else "none"
    for frame in world.mm.frames:
        found[f"{frame.name}.refcount"] = str(frame.refcount.__dict__["value"])
    return found


def require_same_end(job: Job, schedule: Schedule) -> None:
    """Replay `schedule` in plain Python; require the same violation, or the same state."""
    world, values = job.build(), {}
    # Asked at the end, before the threads are unwound.
    world.always["looked at"] = lambda: values.update(tables(world)) is None
    outcome = PlainRun(world, program=job.program).run(schedule)
    found = outcome.violation.property if outcome.violation else ""
    replayed = replay(job.program, schedule)
    expected = replayed.violation
    if expected is not None and expected.kind is not Kind.DEADLOCK:
        assert found == expected.property
        return
    assert found == ""
    state = replayed.states[-1]
    cells = {
        cell.name: cell.show(value) for cell, value in zip(job.program.cells, state, strict=True)
    }
    assert {n: cells[n] for n in values if n in cells} == {
        n: values[n] for n in values if n in cells
    }


@pytest.mark.parametrize("name", [*SCENARIOS, *MEMBERSHIP])
def test_random_schedules(name: str) -> None:
    """Executions of the program are executions of the bodies, step by step."""
    job = job_of(Kvm, name)
    for seed in range(2):
        require_same_end(job, random_schedule(job.program, seed))


@pytest.mark.parametrize("seed", range(3))
def test_shapes(seed: int) -> None:
    """Folded conditions, private cells, long loops, nested locks and choices of one."""
    job = job_of(Shapes, "munmap")
    require_same_end(job, random_schedule(job.program, seed, 250))


@pytest.mark.long
@pytest.mark.parametrize("driver", [Kvm, Right, Forgetful, Shapes])
def test_every_scenario(driver: type[Driver]) -> None:
    """All standard scenarios, more schedules."""
    for scenario in chosen_scenarios(subject_of(driver), Options()):
        job = job_of(driver, scenario.name)
        for seed in range(5):
            require_same_end(job, random_schedule(job.program, seed))


@pytest.mark.parametrize(("driver", "expected"), [(Forgetful, "no_stale_translation")])
def test_counterexample(driver: type[Driver], expected: str) -> None:
    """A counterexample violates the same property in the driver's real code."""
    subject = subject_of(driver)
    result = run(subject, Options(scenarios=("munmap",)))
    schedule = decode(result.replay)[1]
    job = job_of(driver, "munmap")
    seen: list[tuple[int, int]] = []
    outcome = PlainRun(
        job.build(),
        program=job.program,
        on_step=lambda thread, move, _: seen.append((thread, move)),
    ).run(schedule)
    assert outcome.ending is Ending.VIOLATION
    assert outcome.violation is not None
    assert outcome.violation.property == expected
    assert outcome.violation.args[0].endswith(result.message)
    assert [move for _, move in seen] == list(range(1, len(schedule) + 1))
    assert [thread for thread, _ in seen] == [move.thread for move in schedule]


def test_own_predicate() -> None:
    """A predicate that the last state violates is violated at the end of a plain run, too."""
    result = run(subject_of(OwnNever), Options(scenarios=("munmap",)))
    job = job_of(OwnNever, "munmap")
    outcome = PlainRun(job.build(), program=job.program).run(decode(result.replay)[1])
    assert outcome.violation is not None
    assert outcome.violation.property == "translates"


def test_schedule_of_another_world() -> None:
    """A schedule that the program cannot follow is refused, and no Python thread is left."""
    job = job_of(Right, "munmap")
    for wrong in ([Move(0)] * 500, [Move(7)], [Move(0, (9,))]):
        with pytest.raises(ScheduleError):
            PlainRun(job.build(), program=job.program).run(wrong)
    assert threading.active_count() == 1
