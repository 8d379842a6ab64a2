"""Steps that are remembered: more of them than there is room for, and none too many.

That remembered steps are the right ones is the business of `test_against_interp`: programs there
are too small to fill the memory.
"""

from __future__ import annotations

import pytest
from tests.core.builder import Builder

from mmunotify.check.search import Reason, Search, Verdict
from mmunotify.ir.ops import Op
from mmunotify.ir.program import Program


def clock(faces: tuple[int, ...], *, ballast: int = 0) -> Program:
    """Return hands that go round, one a thread, and a bell that depends on the first two.

    It has `2 * product of faces` states and each has one step a thread. `ballast` cells that
    nobody uses lie between the hands.
    """
    b = Builder()
    hands = []
    for number, face in enumerate(faces):
        hands.append(b.cell(f"hand{number}", 0, face - 1, 0))
        if ballast:
            b.array(f"ballast{number}", ballast, -128, 127, number)
    bell = b.cell("bell", 0, 1, 0)
    for number, (hand, face) in enumerate(zip(hands, faces, strict=True)):
        t = b.thread(f"t{number}", 1, daemon=True)
        t.boundary()
        b.emit(Op.JEQK, hand, face - 1, f"round{number}")
        b.emit(Op.ADDK, hand, hand, 1)
        b.emit(Op.STEP, 0)
        b.label(f"round{number}")
        b.emit(Op.CONST, hand, 0)
        b.emit(Op.STEP, 0)
    t = b.thread("bell", 1, daemon=True)
    t.boundary()
    b.emit(Op.LT, bell, hands[0], hands[1])
    b.emit(Op.STEP, 0)
    return b.build()


@pytest.mark.parametrize("ballast", [0, 8, 40])
@pytest.mark.parametrize("faces", [(120, 120), (120, 110, 7)])
def test_more_steps_than_room(faces: tuple[int, ...], ballast: int) -> None:
    """The bell's step is another one in every state of the first two hands.

    With two hands it is asked for twice each, and not worth remembering; with three, it is.
    """
    states = 2
    for face in faces:
        states *= face
    found = Search(clock(faces, ballast=ballast)).run(walks=False)
    assert found.verdict is Verdict.HOLDS
    assert found.states == states
    assert found.transitions == states * (len(faces) + 1)


def test_fault_among_alternatives() -> None:
    """The third alternative leaves the bounds of a cell: the first two count, it is reported."""
    b = Builder()
    x = b.cell("x", 0, 3, 0)
    t = b.thread("t", 1, daemon=True)
    t.boundary()
    b.emit(Op.CHOOSE, "some", 2, 3)
    b.emit(Op.MOV, x, "some")
    b.emit(Op.STEP, 0)
    found = Search(b.build()).run(walks=False)
    assert found.verdict is Verdict.INCOMPLETE
    assert found.reason is Reason.RANGE
    assert found.transitions == 2


def test_what_only_some_ways_write() -> None:
    """A cell that a step may leave alone keeps what it was in each state, not in the first."""
    b = Builder()
    switch, x, seen = (b.cell(name, 0, 1, 0) for name in ("switch", "x", "seen"))
    b.failure("x was 1 and is 0")
    t = b.thread("flip", 1, daemon=True)
    t.boundary()
    b.emit(Op.NOT, switch, switch)
    b.emit(Op.STEP, 0)
    t = b.thread("set", 1, daemon=True)
    t.boundary()
    b.emit(Op.JZ, switch, "off")
    b.emit(Op.CONST, x, 1)
    b.label("off")
    b.emit(Op.STEP, 0)
    t = b.thread("see", 1, daemon=True)
    t.boundary()
    b.emit(Op.JNZ, x, "set")
    b.emit(Op.NOT, "never", seen)
    b.emit(Op.ASSERT, "never", 0)
    b.emit(Op.STEP, 0)
    b.label("set")
    b.emit(Op.CONST, seen, 1)
    b.emit(Op.STEP, 0)
    found = Search(b.build()).run(walks=False)
    assert found.verdict is Verdict.HOLDS
    assert (found.states, found.transitions) == (6, 18)
