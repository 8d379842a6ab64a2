"""Litmus tests on a real guest."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from mmunotify.errors import CannotError
from mmunotify.litmus.case import Case, load, shipped
from mmunotify.litmus.machine import Observed, observe
from mmunotify.litmus.model import allowed

CASES = shipped()


def observed(case: Case, *, rounds: int = 128, seconds: float = 20.0) -> Observed:
    """Run a case, or skip."""
    try:
        return observe(case, rounds=rounds, seconds=seconds)
    except CannotError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", [n for n in CASES if not n.startswith(("ksm", "aging"))])
def test_the_model_allows_what_is_seen(name: str) -> None:
    """Some rounds of every case; ksmd's, which take long, are left to the command."""
    slow = name.startswith("fork")
    found = observed(CASES[name], rounds=16 if slow else 128)
    assert found.rounds >= (16 if slow else 128)
    assert set(found.outcomes) <= allowed(CASES[name]).outcomes


def test_races_are_seen() -> None:
    """A case whose flag comes too early shows what the others never show."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two processors")
    case = CASES["dontneed-read-detuned"]
    deadline = time.monotonic() + 120
    while True:
        found = observed(case, rounds=2000, seconds=5.0)
        if any(case.satisfied(outcome) for outcome in found.outcomes):
            return
        assert time.monotonic() < deadline


def kept() -> tuple[int, int, set[int], list[str]]:
    """Descriptors, threads, processors and children of this process."""
    return (
        len(list(Path("/proc/self/fd").iterdir())),
        threading.active_count(),
        os.sched_getaffinity(0),
        Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(),
    )


def test_nothing_is_left() -> None:
    """No descriptor, thread, child or binding to a processor stays."""
    before = kept()
    observed(CASES["two-hosts"], rounds=64)
    observed(CASES["cow-read"], rounds=64)
    assert kept() == before


@pytest.mark.parametrize(
    ("host", "backing", "what"),
    [
        ("r1 = age x", "anonymous", "age"),
        ("reclaim x", "anonymous", "reclaim"),
        ("punch_hole x", "anonymous", "must be shared"),
    ],
)
def test_what_the_machine_cannot(tmp_path: Path, host: str, backing: str, what: str) -> None:
    """A case that no process can bring about says so."""
    text = f'init = "x = 1"\nhost = ["{host}"]\nguest = ["r0 = x"]\nexists = "r0 = 1"\n'
    (tmp_path / "case.toml").write_text(text + f'backing = "{backing}"\n')
    with pytest.raises(CannotError, match=what):
        observe(load(tmp_path / "case.toml"))
