"""Worker processes: answers in order, errors as from one process, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api import drivers
from tests.api.drivers import Forgetful, Right

from mmunotify.check.choice import chosen_scenarios
from mmunotify.check.job import Answer
from mmunotify.check.options import Options
from mmunotify.check.pool import Pool, WorkerError
from mmunotify.check.subject import Origin, load, origin_of, subject_of
from mmunotify.drivers.kvm import Kvm
from mmunotify.errors import DiagnosticError

NAMES = ("clear_refs", "munmap+munmap", "oom_reaper")
BAD = """
from mmunotify import Driver, Table

class Bad(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.spte = Table(mm.pages)

    def fault(self, page, write):
        self.spte[page] = "text"
"""


def pool_of(
    driver: type[Right], names: tuple[str, ...] = NAMES, workers: int = 2, **more: bool
) -> Pool:
    """Return a pool for some scenarios of a driver."""
    options = Options(scenarios=names, workers=workers, **more)  # type: ignore[arg-type]
    subject = subject_of(driver)
    origin = origin_of(subject)
    assert origin is not None
    return Pool(origin, subject.file, options, chosen_scenarios(subject, options))


def answers(pool: Pool) -> list[Answer]:
    """Return all answers of a pool, and close it."""
    with pool:
        return [answer for answer in pool.answers() if answer is not None]


def test_answers_in_order() -> None:
    """In the order of the scenarios, whoever was first."""
    found = answers(pool_of(Right))
    assert [a.entry.name for a in found] == list(NAMES)
    assert {a.entry.verdict for a in found} == {"HOLDS"}
    assert all(a.executed and a.properties for a in found)


def test_ends_at_a_violation() -> None:
    """Scenarios after the first violated one are not waited for."""
    names = ("munmap+munmap", "munmap", "cow", "fork", "migrate")
    found = answers(pool_of(Forgetful, names, workers=1))
    assert [a.entry.name for a in found] == ["munmap+munmap"]
    assert found[0].told is not None
    assert found[0].told.trace is not None
    going = answers(pool_of(Forgetful, names[:2], workers=2, keep_going=True))
    assert [a.entry.verdict for a in going] == ["VIOLATED", "VIOLATED"]


def test_diagnostics_come_through(tmp_path: Path) -> None:
    """An error in the driver is the same as from one process."""
    path = tmp_path / "bad.py"
    path.write_text(BAD)
    subject = load(str(path))[0]
    origin = origin_of(subject)
    assert origin == Origin("", str(path), "Bad")
    options = Options(scenarios=("munmap", "cow"), workers=2)
    pool = Pool(origin, str(path), options, chosen_scenarios(subject, options))
    with pytest.raises(DiagnosticError) as caught:
        answers(pool)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E104"
    assert diagnostic.place is not None
    assert diagnostic.place.line == 10


def test_other_exceptions_come_through() -> None:
    """An exception that is a bug of mmunotify keeps its text and its traceback."""
    pool = pool_of(Right)
    pool.scenarios = [replace(pool.scenarios[0], name="no_such_scenario")]
    pool.end = 1
    with pytest.raises(WorkerError, match="KeyError: 'no_such_scenario'") as caught:
        answers(pool)
    assert "Traceback" in caught.value.text


def test_death_of_a_worker() -> None:
    """A worker that dies is an error, not an endless wait."""
    pool = pool_of(Right)
    with pool:
        for process in pool.processes:
            os.kill(process.python.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"was ended by signal 9|no worker process is left"):
            list(pool.answers())


def test_close_ends_everything() -> None:
    """No process is left, whatever it was at."""
    pool = pool_of(Right)
    running: list[subprocess.Popen[bytes]] = [process.python for process in pool.processes]
    with pool:
        next(pool.answers())
    assert all(process.poll() is not None for process in running)
    pool.close()


def test_interrupted() -> None:
    """Those who search say how far they are."""
    pool = pool_of(Right)
    with pool:
        for _ in pool.answers():
            if all(process.progress is not None for process in pool.processes):
                break
            if not pool.running:
                break
        covered = pool.interrupted()
    assert all(isinstance(answer, Answer) for answer in covered)


def test_who_can_be_imported() -> None:
    """A class of a module; none of a function, and none that its module hides."""

    class Local(Right):
        pass

    assert origin_of(subject_of(Kvm)) == Origin(
        "mmunotify.drivers.kvm", str(Path(Kvm.__init__.__code__.co_filename)), "Kvm"
    )
    assert origin_of(subject_of(Right)) == Origin(
        "tests.api.drivers", str(drivers.__file__), "Right"
    )
    assert origin_of(subject_of(Local)) is None
