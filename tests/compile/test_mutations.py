"""Random mutations of drivers end in a verdict or in an error at a line, and in nothing else."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.compile.mutations import mutated

from mmunotify.check.choice import chosen_scenarios
from mmunotify.check.job import Job
from mmunotify.check.options import Options
from mmunotify.check.subject import load
from mmunotify.errors import DiagnosticError

ROOT = Path(__file__).parents[2]
DRIVERS = [
    ROOT / "examples" / "minimal.py",
    ROOT / "src" / "mmunotify" / "drivers" / "kvm.py",
    *sorted((ROOT / "tests" / "golden" / "drivers").glob("*.py")),
]
SCENARIOS = ("munmap", "exit", "oom_reaper")


def answers(seeds: range, folder: Path) -> Iterator[str]:
    """Check a mutated driver for each seed; yield the verdict or the code of the first error."""
    for seed in seeds:
        source = DRIVERS[seed % len(DRIVERS)].read_text()
        path = folder / f"mutated{seed}.py"
        path.write_text(mutated(source, seed))
        linecache.clearcache()
        options = Options(scenarios=(SCENARIOS[seed % 3],), seconds=2.0, memory=50_000_000)
        try:
            subject = load(str(path))[0]
            [scenario] = chosen_scenarios(subject, options)[:1]
            yield Job(subject, scenario, options).answer().entry.verdict
        except DiagnosticError as error:
            yield error.diagnostics[0].code


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("first", range(0, 60, 20))
def test_mutated(first: int, tmp_path: Path) -> None:
    """There is an answer to each, and not the same one."""
    assert len(set(answers(range(first, first + 20), tmp_path))) > 2


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("first", range(1000, 4000, 100))
def test_many_mutated(first: int, tmp_path: Path) -> None:
    """The same with more of them."""
    assert len(set(answers(range(first, first + 100), tmp_path))) > 2
