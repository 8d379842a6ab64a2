"""The debugger: commands typed in, and what it answers."""

from __future__ import annotations

import io
from pathlib import Path

from tests.check.handmade import DRIVER, Assembler, abba, found
from tests.check.handmade_kvm import Kvm

from mmunotify.check.debugger import Debugger
from mmunotify.check.schedule import Move, Schedule
from mmunotify.check.violation import Kind


def answers_to(debugger_input: str, program: str = "abba") -> str:
    """Return what the debugger answers to these lines."""
    out = io.StringIO()
    if program == "abba":
        built = abba()
        schedule: Schedule = (Move(0), Move(1))
    else:
        built = Kvm().build()
        schedule = found(built, Kind.FAILURE, "no_stale_translation")
    Debugger(built, schedule, (DRIVER,), io.StringIO(debugger_input), out).cmdloop()
    return out.getvalue().replace("(mmunotify) ", "")


def test_steps_forward_and_back() -> None:
    """Each step says what it changed; going back shows the step again."""
    assert answers_to("s\nb\ns 2\nq\n").splitlines() == [
        "1 [1] cpu0: a_lock.acquire  drivers/kvm_like.py:10",
        "    a_lock.owner: None -> cpu0",
        "2 [2] vcpu0: b_lock.acquire  drivers/kvm_like.py:20",
        "1 [1] cpu0: a_lock.acquire  drivers/kvm_like.py:10",
        "    a_lock.owner: None -> cpu0",
        "    b_lock.owner: None -> vcpu0",
        "end: no_deadlock: no thread can move, but not all have finished",
    ]


def test_where_tells_every_thread() -> None:
    """The chain of the next step, and who can move."""
    assert answers_to("s\ns\nw\n").splitlines()[-2:] == [
        "cpu0: waits at drivers/kvm_like.py:11",
        "vcpu0: waits at drivers/kvm_like.py:21",
    ]
    assert answers_to("w\nq\n").splitlines()[1:4] == [
        "drivers/kvm_like.py:10  with self.a_lock:",
        "  mmunotify/lang/spinlock.py:36  self.acquire()",
        "    mmunotify/lang/spinlock.py:28  self.owner = current()",
    ]


def test_prints_cells_by_name() -> None:
    """One, by pattern, all shared ones, none."""
    answers = answers_to("p mm.pte[0]\np frame*refcount\np\np nothing\nq\n", "kvm").splitlines()[1:]
    assert answers[0] == "mm.pte[0] = frame A"
    assert answers[1:3] == ["frame A.refcount = 1", "frame B.refcount = 0"]
    assert "seq = 0" in answers
    assert answers[-1] == "no cell 'nothing'; p alone shows the shared ones"


def test_it_ends_where_the_schedule_ends() -> None:
    """No step beyond the failure; end of input quits."""
    answers = answers_to("s 100\ns\n", "kvm").splitlines()
    assert answers[-1] == "end: no_stale_translation: the device accesses frame A, which is free"
    assert answers[-1] == answers[-2]


def test_lists_source(tmp_path: Path) -> None:
    """Lines around the next step, with an arrow; without the file, the one line there is."""
    file = tmp_path / "drv.py"
    file.write_text("".join(f"line {n}\n" for n in range(1, 21)))
    asm = Assembler()
    asm.begin()
    asm.place(str(file), 10, "D.f", "line 10")
    asm.step()
    asm.finish("t")
    out = io.StringIO()
    Debugger(asm.program(), (Move(0),), (), io.StringIO("l\nq\n"), out).cmdloop()
    shown = out.getvalue().replace("(mmunotify) ", "").splitlines()[1:]
    assert shown[0] == f"{file}, in D.f"
    assert (shown[1], shown[6], shown[-1]) == (
        "      5  line 5",
        "->   10  line 10",
        "     15  line 15",
    )
    assert answers_to("l\nq\n").splitlines()[-1] == "->   10  with self.a_lock:"


def test_unknown_commands_name_the_known() -> None:
    """A hint, and an empty line does nothing."""
    assert answers_to("x\n\nq\n").splitlines()[1:] == [
        "no command 'x'; there are s, b, w, p CELL, l, q"
    ]
