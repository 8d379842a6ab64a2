"""The intermediate representation and its executable meaning."""

from mmunotify.ir.ops import OPS, Op
from mmunotify.ir.program import Cell, CellKind, Failure, Instr, Location, Program, Thread

__all__ = [
    "OPS",
    "Cell",
    "CellKind",
    "Failure",
    "Instr",
    "Location",
    "Op",
    "Program",
    "Thread",
]
