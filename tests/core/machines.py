"""Small programs written by hand, each with one thing to look at."""

from __future__ import annotations

from tests.core.builder import Builder

from mmunotify.ir.ops import Op
from mmunotify.ir.program import Program

__all__ = ["endless_step", "odometer", "philosophers"]


def odometer(digits: int, *, base: int = 4, ballast: int = 0, threads: int = 1) -> Program:
    """Return threads that set any digit to any value, for ever: `base ** digits` states.

    `ballast` cells of eight bits lie between the digits and change with them.
    """
    b = Builder()
    cells = []
    for digit in range(digits):
        cells.append(b.cell(f"digit{digit}", 0, base - 1, 0))
        b.array(f"ballast{digit}", max(1, ballast // digits), -128, 127, 0)
    for number in range(threads):
        t = b.thread(f"t{number}", 1, daemon=True)
        t.boundary()
        out = [b.label() for _ in cells]
        b.emit(Op.CHOOSE, "which", 0, digits)
        for digit, cell in enumerate(cells):
            b.emit(Op.JNEK, "which", digit, out[digit])
            b.emit(Op.CHOOSE, cell, 0, base)
            b.emit(Op.MOV, cell + 1, cell)
            b.emit(Op.STEP, 0)
            b.label(out[digit])
        b.emit(Op.FAIL, 0)
    b.failure("no such digit")
    return b.build()


def philosophers(count: int, *, left_handed: bool = False) -> Program:
    """Return philosophers who take the left fork first; one may be `left_handed`."""
    b = Builder()
    forks = b.array("fork", count, 0, 1, 0)
    for number in range(count):
        t = b.thread(f"philosopher{number}", 4)
        first, second = forks + number, forks + (number + 1) % count
        if left_handed and number == 0:
            first, second = second, first
        for boundary, fork in enumerate((first, second)):
            t.boundary()
            b.emit(Op.NOT, "free", fork)
            b.emit(Op.WAIT, "free")
            b.emit(Op.CONST, fork, 1)
            b.emit(Op.STEP, boundary + 1)
        for boundary, fork in ((2, second), (3, first)):
            t.boundary()
            b.emit(Op.CONST, fork, 0)
            b.emit(Op.STEP, boundary + 1 if boundary < 3 else 0)
    return b.build()


def endless_step() -> Program:
    """Return a thread whose second step goes round for ever."""
    b = Builder()
    b.cell("x", 0, 1, 0)
    t = b.thread("spinner", 2)
    t.boundary()
    b.emit(Op.STEP, 1)
    t.boundary()
    again = b.label()
    b.label(again)
    b.emit(Op.JMP, again)
    return b.build()
