"""A small assembler: programs for the tests of the core, written by hand.

Labels are strings; a jump may name one before it is placed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mmunotify.ir.ops import OPS, Op, Role
from mmunotify.ir.program import (
    Cell,
    CellKind,
    Failure,
    Instr,
    Predicate,
    PredicateKind,
    Program,
    SymmetryKind,
    Thread,
)

__all__ = ["Builder", "ThreadBuilder"]

Operand = int | str


@dataclass
class ThreadBuilder:
    """The code of one thread, boundary by boundary."""

    program: Builder
    name: str
    pc: int
    daemon: bool = False
    entries: list[int] = field(default_factory=list)

    def boundary(self) -> int:
        """Begin the code of the next boundary; return its number."""
        self.entries.append(len(self.program.code))
        return len(self.entries) - 1

    def local(self, name: str, low: int, high: int, initial: int, label: str = "") -> int:
        """Add a cell that only this thread uses."""
        number = len(self.program.threads) - 1
        return self.program.cell(f"{self.name}.{name}", low, high, initial, label, number)


@dataclass
class Builder:
    """A program under construction: cells first, then code; scratch slots are named."""

    cells: list[Cell] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    code: list[tuple[Op, tuple[Operand, ...]]] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    scratch: list[str] = field(default_factory=list)
    threads: list[ThreadBuilder] = field(default_factory=list)
    predicates: list[tuple[PredicateKind, str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    table: tuple[int, ...] = ()
    epochs: tuple[tuple[int, ...], ...] = ()
    covers: int = 0
    symmetry: list[SymmetryKind] = field(default_factory=list)
    fresh: int = 0

    def cell(
        self, name: str, low: int, high: int, initial: int, label: str = "", thread: int = -1
    ) -> int:
        """Add a cell; return its slot."""
        kind = CellKind.SHARED if thread < 0 else CellKind.LOCAL
        self.cells.append(Cell(name, low, high, initial, kind, thread))
        self.labels.append(label)
        return len(self.cells) - 1

    def array(
        self, name: str, size: int, low: int, high: int, initial: int, label: str = ""
    ) -> int:
        """Add `size` cells; return the slot of the first."""
        first = len(self.cells)
        for number in range(size):
            self.cell(f"{name}[{number}]", low, high, initial, label)
        return first

    def thread(self, name: str, boundaries: int = 127, *, daemon: bool = False) -> ThreadBuilder:
        """Add a thread of at most `boundaries` boundaries, with its pc cells."""
        number = len(self.threads)
        high = boundaries // 128
        self.cells.append(Cell(f"{name}.pc", 0, min(boundaries, 127), 0, CellKind.PC, number))
        self.cells.append(Cell(f"{name}.pc.high", 0, high, 0, CellKind.PC, number))
        self.labels += ["", ""]
        made = ThreadBuilder(self, name, len(self.cells) - 2, daemon)
        self.threads.append(made)
        return made

    def failure(self, text: str) -> int:
        """Add a failure; return its number."""
        self.failures.append(text)
        return len(self.failures) - 1

    def cover(self) -> int:
        """Add a cover and the instruction that notes it; return its number."""
        self.covers += 1
        self.emit(Op.COVER, self.covers - 1)
        return self.covers - 1

    def emit(self, op: Op, *operands: Operand) -> None:
        """Append an instruction; a string is a label where a target belongs, else scratch."""
        for name in operands:
            if isinstance(name, str) and not self._is_label(op, operands.index(name)):
                if name not in self.scratch:
                    self.scratch.append(name)
        self.code.append((op, operands))

    def label(self, name: str | None = None) -> str:
        """Place a label here, or make a new one to be placed later."""
        if name is None:
            self.fresh += 1
            return f"@{self.fresh}"
        self.places[name] = len(self.code)
        return name

    def predicate(self, kind: PredicateKind, name: str, result: str) -> None:
        """Let the code that follows, up to `END`, be a predicate with its value in `result`."""
        self.predicates.append((kind, self.label(f"predicate {name}"), result))
        if result not in self.scratch:
            self.scratch.append(result)

    @staticmethod
    def _is_label(op: Op, position: int) -> bool:
        roles = OPS[op].roles
        return position < len(roles) and roles[position] is Role.TARGET

    def _operand(self, op: Op, position: int, value: Operand) -> int:
        if isinstance(value, int):
            return value
        if self._is_label(op, position):
            return self.places[value]
        return len(self.cells) + self.scratch.index(value)

    def build(self) -> Program:
        """Return the finished program."""
        code = tuple(
            Instr(op, *(self._operand(op, n, value) for n, value in enumerate(operands)))
            for op, operands in self.code
        )
        slots = len(self.cells) + len(self.scratch)
        predicates = tuple(
            Predicate(
                place, kind, self.places[place], len(self.cells) + self.scratch.index(result), 0
            )
            for kind, place, result in self.predicates
        )
        return Program(
            cells=tuple(self.cells),
            slots=slots,
            code=code,
            threads=tuple(Thread(t.name, tuple(t.entries), t.pc, t.daemon) for t in self.threads),
            failures=tuple(Failure(text, text) for text in self.failures),
            predicates=predicates,
            table=self.table,
            epochs=self.epochs,
            covers=((),) * self.covers,
            labels=tuple(self.labels) + ("",) * len(self.scratch),
            symmetry=tuple(self.symmetry),
        )

    def slot(self, name: str) -> int:
        """Return the number that scratch slot `name` will have."""
        return len(self.cells) + self.scratch.index(name)

    def cells_of(self, label: str) -> Sequence[int]:
        """Return the cells with that label."""
        return [cell for cell, its in enumerate(self.labels) if its == label]
