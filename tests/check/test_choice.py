"""Scenarios of a file's own: listed, composed by name, in worker processes, and replayed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.api.drivers import Forgetful, Right

from mmunotify import DiagnosticError, Membership, Scenario, check
from mmunotify.check.choice import chosen_scenarios
from mmunotify.check.options import Options
from mmunotify.check.pool import Pool
from mmunotify.check.run import run
from mmunotify.check.subject import Subject, imported, load, load_one, origin_of, subject_of
from mmunotify.primary.munmap import Munmap
from mmunotify.protocols import SrcuNotifiers

DRIVER = """
from mmunotify import Driver, Event, PageRange, Scenario, SpinLock, Table
from mmunotify.primary import Operation
from mmunotify.primary.gather import MmuGather

class Naive(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)

    def invalidate_range_start(self, rng):
        with self.lock:
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()

    def fault(self, page, write):
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            self.spte[page] = frame
        frame.put()
"""
DISCARD = """
class Discard(Operation):
    name = "discard"

    def __init__(self, mm, page=None):
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)

    def run(self):
        rng = PageRange(self.pick(), event=Event.CLEAR)
        with self.mm.mmap_lock.read:
            self.mm.notifiers.invalidate_range_start(rng)
            self.tlb.zap(rng)
            self.mm.notifiers.invalidate_range_end(rng)
            self.tlb.finish(rng)
"""


def subject_in(folder: Path, text: str) -> Subject:
    """Return the only driver of a file with this text."""
    path = folder / "own.py"
    path.write_text(text)
    return load_one(str(path))


def names(subject: Subject, *wanted: str) -> list[str]:
    """Return the names of the scenarios that are chosen."""
    return [s.name for s in chosen_scenarios(subject, Options(scenarios=wanted))]


def refused(folder: Path, scenarios: str) -> list[tuple[str, int, str]]:
    """Return what is said about a file with these SCENARIOS: code, line of the end, what."""
    text = f"{DRIVER}{DISCARD}\nSCENARIOS = {scenarios}\n"
    with pytest.raises(DiagnosticError) as caught:
        subject_in(folder, text)
    last = text.count("\n")
    return [
        (d.code, d.place.line - last if d.place else 99, d.what) for d in caught.value.diagnostics
    ]


def test_operations_of_a_file_are_scenarios(tmp_path: Path) -> None:
    """They come first, and run with others by a name that joins theirs."""
    subject = subject_in(tmp_path, DRIVER + DISCARD)
    assert names(subject)[:2] == ["discard", "munmap"]
    assert names(subject, "discard+munmap+cow") == ["discard+munmap+cow"]
    [scenario] = chosen_scenarios(subject, Options(scenarios=("discard+cow",)))
    assert scenario.operation_names == ["discard", "cow"]
    assert (scenario.pages, scenario.frames) == (1, 2)


def test_combinations_that_linux_does_not_have(tmp_path: Path) -> None:
    """A thread of the process keeps it from exiting."""
    subject = subject_in(tmp_path, DRIVER)
    assert names(subject, "punch_hole+exit+migrate") == ["punch_hole+exit+migrate"]
    for wanted in ("munmap+exit", "nope", "munmap+nope"):
        with pytest.raises(DiagnosticError) as caught:
            names(subject, wanted)
        assert [d.code for d in caught.value.diagnostics] == ["E304"]


def test_scenarios_of_a_file(tmp_path: Path) -> None:
    """They stand in for its operations and replace standard ones of the same name."""
    own = 'SCENARIOS = [Scenario("slow", (Discard, "cow")), Scenario("munmap", (Discard,))]\n'
    subject = subject_in(tmp_path, DRIVER + DISCARD + own)
    assert names(subject)[:3] == ["slow", "munmap", "mmap_fixed"]
    [munmap] = chosen_scenarios(subject, Options(scenarios=("munmap",)))
    assert munmap.operation_names == ["discard"]


@pytest.mark.parametrize(
    ("scenarios", "what"),
    [
        ("[1]", "SCENARIOS holds 1, which is no Scenario"),
        ('Scenario("a"), Scenario("a")', "SCENARIOS has two scenarios a"),
        ('[Scenario("a", "cow")]', "scenario a: operations is a text, 'cow'"),
        ('[Scenario("a", (7,))]', "scenario a: 7 is neither a name nor a class of Operation"),
        ('[Scenario("a", pages=99)]', "scenario a has 99 pages"),
        ('[Scenario("a", populated=(2,))]', "scenario a populates a page that is not there"),
        (
            '[Scenario("a", frames=1, populated=(0, 1))]',
            "scenario a populates more pages than it has frames",
        ),
        ('[Scenario("")]', "a scenario has no name"),
    ],
)
def test_wrong_scenarios(tmp_path: Path, scenarios: str, what: str) -> None:
    """Said at the line of SCENARIOS, or where the scenario is made."""
    assert refused(tmp_path, scenarios) == [("E311", 0, what)]


def test_unknown_names_in_a_scenario() -> None:
    """A name is looked up when the scenario is built."""
    for scenario in (Scenario("a", ("nope",)), Scenario("a", protocol="nope")):
        with pytest.raises(DiagnosticError) as caught:
            run(Subject(Right, "right.py", given=(scenario,)), Options(scenarios=("a",)))
        assert [d.code for d in caught.value.diagnostics] == ["E304"]


def test_the_same_in_a_worker_process(tmp_path: Path) -> None:
    """A worker finds the file's operations and scenarios by itself."""
    own = 'SCENARIOS = [Scenario("one", (Discard,), pages=1, frames=2), Scenario("two", ("cow",))]'
    subject = subject_in(tmp_path, DRIVER + DISCARD + own)
    options = Options(scenarios=("one", "two", "discard+cow"), workers=2, keep_going=True)
    scenarios = chosen_scenarios(subject, options)
    origin = origin_of(subject)
    assert origin is not None
    assert imported(origin, subject.file).scenarios[0].name == "one"
    with Pool(origin, subject.file, options, scenarios) as pool:
        found = [answer for answer in pool.answers() if answer is not None]
    assert [(a.entry.name, a.entry.verdict) for a in found] == [
        ("one", "VIOLATED"),
        ("two", "HOLDS"),
        ("discard+cow", "VIOLATED"),
    ]
    assert found[0].entry.bounds.operations == ["discard"]


def test_replay(tmp_path: Path) -> None:
    """The command that a report shows leads to the same interleaving."""
    subject = subject_in(tmp_path, DRIVER + DISCARD)
    found = run(subject, Options(scenarios=("discard+munmap",)))
    assert found.verdict == "VIOLATED"
    words = found.command.split()
    assert words[-4:] == ["--scenario", "discard+munmap", "--replay", found.replay]
    again = check(str(subject.file), scenario="discard+munmap", replay=found.replay)
    assert (again.property, again.message) == (found.property, found.message)


class Quiet(SrcuNotifiers):
    """Tells nobody anything."""

    def invalidate_range_start(self, rng: object) -> None:
        """Leave everybody in the dark."""

    def invalidate_range_end(self, rng: object) -> None:
        """Leave everybody in the dark."""


def test_scenarios_as_objects() -> None:
    """Classes of operations and of a protocol, in Python; other processes cannot know them."""
    scenario = Scenario("quiet", (Munmap,), pages=1, frames=2, protocol=Quiet)
    result = check(Right, scenario=scenario, workers=4)
    assert result.verdict == "VIOLATED"
    assert result.scenarios[0].bounds.protocol == "Quiet"
    assert result.command == f"check(Right, scenario=..., replay={result.replay!r})"
    again = check(Right, scenario=scenario, replay=result.replay)
    assert again.property == result.property == "no_stale_translation"
    assert origin_of(Subject(Right, "right.py", given=(scenario,))) is None
    assert origin_of(subject_of(Right)) is not None


def test_drivers_beside_stay_subscribed() -> None:
    """Membership is that of the drivers under check."""
    scenario = Scenario(
        "late", ("munmap",), membership=Membership(registers=True), beside=(Forgetful,)
    )
    world = scenario.build(Right)
    late, beside = world.drivers
    assert not world.mm.notifiers.subscribed(late)
    assert world.mm.notifiers.subscribed(beside)
    assert [t.name for t in world.threads] == ["munmap", "device0", "device1"]


def test_pages_are_populated() -> None:
    """As many as a scenario says."""
    world = Scenario("both", populated=(0, 1)).build(Right)
    assert all(world.mm.pte[page] is not None for page in world.mm.pages)


def test_every_file_lists_its_own(tmp_path: Path) -> None:
    """Two drivers of a file have the same scenarios."""
    path = tmp_path / "two.py"
    path.write_text(f"{DRIVER}{DISCARD}\nclass Other(Driver):\n    spte = None\n")
    assert [names(subject)[0] for subject in load(str(path))] == ["discard", "discard"]
