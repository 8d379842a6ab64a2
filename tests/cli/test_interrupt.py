"""Runs that end early: Ctrl-C, limits of memory and time, a worker that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.command import COMMAND, RIGHT, ROOT, mmunotify

KVM = ROOT / "src" / "mmunotify" / "drivers" / "kvm.py"
ENDLESS = ["--no-reduction", "--pages", "3", "--frames", "4", "--devices", "2"]
ONE = ["check", str(KVM), "--scenario", "munmap", *ENDLESS]
SMALL = [word for name in ("munmap+munmap", "clear_refs") for word in ("--scenario", name)]
LARGE = [
    word
    for name in ("cow+cow", "reclaim/2 drivers", "migrate+cow", "reclaim+cow")
    for word in ("--scenario", name)
]
SIZES = ["--pages", "1", "--frames", "3", "--devices", "2"]
MANY = ["check", str(KVM), "--no-reduction", "--workers", "2", *SIZES, *SMALL, *LARGE]


def children(pid: int) -> list[int]:
    """Return the processes that `pid` has started and that are still there."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for `condition`; fail if it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_there(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def busy(pid: int, seconds: float) -> bool:
    """Tell whether a process has used so much processor time."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") > seconds


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start command lines; kill what is left of them."""
    running: list[subprocess.Popen[str]] = []

    def start(words: list[str]) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        running.append(subprocess.Popen([*COMMAND, *words], stdout=pipe, stderr=pipe, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_ctrl_c(started: Callable[..., subprocess.Popen[str]]) -> None:
    """What was covered is printed, and the exit code is 130."""
    run = started(ONE)
    wait_until(lambda: busy(run.pid, 2.0))
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    assert out.startswith("INCOMPLETE  kvm.py: 1 of 1 scenario not finished; no violation in ")
    assert "munmap after" in out
    assert "interrupted" in out
    assert "Traceback" not in err


def test_ctrl_c_with_workers(started: Callable[..., subprocess.Popen[str]]) -> None:
    """The searches of all workers are told, and no process is left."""
    run = started(MANY)
    wait_until(lambda: len(children(run.pid)) == 2)
    workers = children(run.pid)
    wait_until(lambda: all(busy(worker, 1.5) for worker in workers))
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130, (out, err)
    assert out.startswith("INCOMPLETE")
    assert "interrupted" in out
    assert "more scenarios were not begun" in " ".join(out.split())
    assert "Traceback" not in err
    wait_until(lambda: not any(is_there(worker) for worker in workers), 10)


def test_workers_end_with_their_parent(started: Callable[..., subprocess.Popen[str]]) -> None:
    """Even if it is killed and can say nothing."""
    run = started(MANY)
    wait_until(lambda: len(children(run.pid)) == 2)
    workers = children(run.pid)
    run.kill()
    run.communicate()
    wait_until(lambda: not any(is_there(worker) for worker in workers), 10)


def test_worker_is_killed(started: Callable[..., subprocess.Popen[str]]) -> None:
    """One line, and the other worker ends, too."""
    run = started(MANY)
    wait_until(lambda: len(children(run.pid)) == 2)
    workers = children(run.pid)
    wait_until(lambda: busy(workers[0], 1.0))
    os.kill(workers[0], signal.SIGKILL)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (2, "")
    assert "was ended by signal 9" in err
    assert "Traceback" not in err
    assert not any(is_there(worker) for worker in workers)


def test_memory() -> None:
    """A limit of memory is kept, and the report says how far the search got."""
    run = mmunotify(*ONE, "--memory", "20M", "--json", "-")
    assert run.returncode == 3
    result = json.loads(run.stdout)
    assert result["verdict"] == "INCOMPLETE"
    (entry,) = result["scenarios"]
    assert entry["reason"] == "its limit of memory is reached"
    assert entry["statistics"]["bytes"] < 22 * 2**20
    assert entry["statistics"]["states"] > 100_000


def test_memory_as_text() -> None:
    """The same for people."""
    run = mmunotify(*ONE, "--memory", "2M")
    assert run.returncode == 3
    text = " ".join(run.stdout.split())
    assert "its limit of memory is reached" in text
    assert "no proof (mmunotify explain W203)" in text


def test_time() -> None:
    """A limit of time: exit code 3."""
    run = mmunotify(*ONE, "--time", "0.3")
    assert run.returncode == 3
    assert "its limit of time is reached" in " ".join(run.stdout.split())


def test_limits_go_on() -> None:
    """A scenario that is not finished does not end the check; one that holds is no excuse."""
    words = ["--scenario", "munmap", "--scenario", "clear_refs", "--time", "0.2", "--no-reduction"]
    run = mmunotify("check", RIGHT, *words, "--pages", "3", "--frames", "4", "--devices", "2")
    assert run.returncode == 3
    assert "2 of 2 scenarios not finished" in " ".join(run.stdout.split())
