"""A counterexample under pdb: it stops at every step, and all of pdb works in between."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mmunotify.check.choice import chosen_scenarios
from mmunotify.check.job import Job
from mmunotify.check.options import Options
from mmunotify.check.python_debugger import PythonDebugger
from mmunotify.check.run import run
from mmunotify.check.schedule import Schedule, decode
from mmunotify.check.subject import load

ROOT = Path(__file__).parents[2]
BUGGY = ROOT / "examples" / "kvm_without_retry.py"


@pytest.fixture(scope="module")
def found() -> tuple[Job, Schedule]:
    """The counterexample of the KVM driver without its retry check."""
    options = Options(scenarios=("munmap",))
    subject = load(str(BUGGY))[0]
    result = run(subject, options)
    scenario = chosen_scenarios(subject, options)[0]
    return Job(subject, scenario, options), decode(result.replay)[1]


def answers(found: tuple[Job, Schedule], commands: str) -> str:
    """Return what these commands show."""
    job, schedule = found
    stdout = io.StringIO()
    world = job.build()
    PythonDebugger(
        world, job.program, schedule, [job.source], io.StringIO(commands), stdout
    ).run_schedule()
    return stdout.getvalue()


def steps(text: str) -> list[str]:
    """Return the headings of steps."""
    return [line for line in text.splitlines() if line.startswith("step ")]


def test_every_step(found: tuple[Job, Schedule]) -> None:
    """`c` goes from step to step, each with its thread, to the violation."""
    text = answers(found, "c\n" * 40)
    assert [int(line.split()[1]) for line in steps(text)] == list(range(1, len(steps(text)) + 1))
    assert any(" device0: frame = self.mm.get_user_page(page, write)" in s for s in steps(text))
    assert any(" munmap: self.mmu_invalidate_in_progress += 1" in s for s in steps(text))
    assert text.endswith(
        "end: no_stale_translation: a frame is freed while the driver's table still translates "
        "to it\n"
    )
    assert "kvm_without_retry.py(66)fault()\n-> frame = self.mm.get_user_page" in text


def commands_until(found: tuple[Job, Schedule], part: str) -> str:
    """Return the commands that lead to the step whose heading contains `part`."""
    headings = steps(answers(found, "c\n" * 40))
    at = next(n for n, heading in enumerate(headings) if part in heading)
    return "c\n" * at


def test_commands_of_pdb(found: tuple[Job, Schedule]) -> None:
    """`p`, `w`, `l`, `n` and `s` see the driver's own frames, and only those of bodies."""
    until = commands_until(found, "self.spte[page] = frame")
    text = answers(found, f"{until}p page, frame.name, frame.refcount.value\nw\nl\nq\n")
    text = text.split("self.spte[page] = frame", 1)[1]
    assert "(0, 'frame0', 1)" in text
    assert "device.py" in text
    assert "set_spte(page, frame, write)" in text
    for inner in ("plain.py", "contextlib.py", "threading.py", "bdb.py"):
        assert inner not in text
    assert "->" in text


def test_next_and_step(found: tuple[Job, Schedule]) -> None:
    """`n` goes to the next line, `s` into a call, without leaving the interleaving."""
    until = commands_until(found, "device0: frame = self.mm.get_user_page")
    text = answers(found, f"{until}n\nn\nq\n").split("device0: frame = ")[1]
    line, other = text.index("-> with self.mmu_lock:"), text.index("munmap: ")
    assert line < other  # the lock's step comes later: other threads are first
    until = commands_until(found, "self.mmu_invalidate_in_progress += 1")
    text = answers(found, f"{until}n\ns\nq\n")
    assert "-> if self.unmap_gfn_range(rng):" in text
    assert "unmap_gfn_range()" in text


def test_breakpoint(found: tuple[Job, Schedule]) -> None:
    """A breakpoint in the driver stops in between the steps."""
    line = next(
        n
        for n, text in enumerate(BUGGY.read_text().splitlines(), 1)
        if text.strip() == "self.set_spte(page, frame, write)"
    )
    text = answers(found, f"b {BUGGY}:{line}\n" + "c\n" * 40)
    assert f"Breakpoint 1 at {BUGGY}:{line}" in text
    assert f"kvm_without_retry.py({line})fault()" in text


def test_quit_leaves_nothing(found: tuple[Job, Schedule]) -> None:
    """`q` and the end of the input end the run; no Python thread is left."""
    for commands in ("q\n", "c\nc\nq\n", "c\nc\nn\nq\n", "", "s\ns\ns\n"):
        text = answers(found, commands)
        assert "end:" not in text
        assert threading.active_count() == 1
    assert sys.gettrace() is None or "pdb" not in repr(sys.gettrace())


def test_looking_changes_nothing(found: tuple[Job, Schedule]) -> None:
    """Evaluating cells between steps makes no steps."""
    look = "p self.mm.pte[0], self.mm.frames[0].refcount\np self.driver.spte[0]\n"
    plain = steps(answers(found, "c\n" * 40))
    assert steps(answers(found, f"{look}c\n" * 40)) == plain


def test_on_a_terminal() -> None:
    """The command line, with a person at it: prompts, answers, Ctrl-C, the end."""
    command = [sys.executable, "-m", "mmunotify", "check", str(BUGGY), "--scenario", "munmap"]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*command, "--pdb"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    shown = ""

    def read_until(text: str) -> None:
        nonlocal shown
        while text not in shown:
            shown += os.read(master, 4096).decode()

    read_until("(mmunotify) ")
    os.write(master, b"c\n")
    read_until("step 2 ")
    os.kill(process.pid, 2)
    read_until("(q quits)")
    os.write(master, b"p 6 * 7\n")
    read_until("42")
    os.write(master, b"q\n")
    assert process.wait(timeout=60) == 1
    os.close(master)
    assert "Traceback" not in shown
