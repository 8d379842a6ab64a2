"""A small assembler: programs in the IR, written down by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

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

__all__ = ["Code", "Programs", "Scratch"]

FREE = -1


@dataclass(frozen=True)
class Scratch:
    """A scratch slot; its number is known when all cells are."""

    number: int


Slot = int | Scratch
Operand = int | Scratch | str


@dataclass
class Code:
    """The code of one thread, or of a predicate if `pc` is -1."""

    program: Programs
    name: str
    number: int
    pc: int
    role: str = ""
    daemon: bool = False
    lines: list[tuple[Op, tuple[Operand, ...]]] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    entries: list[int] = field(default_factory=lambda: [0])

    def emit(self, op: Op, *fields: Operand) -> None:
        """Append an instruction; a string is a label."""
        self.lines.append((op, fields))

    def step(self) -> int:
        """End the step here; return the number of the boundary."""
        self.lines.append((Op.STEP, (len(self.entries),)))
        self.entries.append(len(self.lines))
        return len(self.entries) - 1

    def back(self, boundary: int) -> None:
        """End the step at a boundary that is there already."""
        self.lines.append((Op.STEP, (boundary,)))

    def label(self, name: str) -> None:
        """Call this place `name`."""
        self.labels[name] = len(self.lines)

    def fresh(self, name: str = "l") -> str:
        """Return a label nobody has used."""
        self.program.labels_used += 1
        return f"{name}.{self.program.labels_used}"

    def acquire(self, lock: int, me: int) -> None:
        """Take `lock`, in a step of its own that begins here."""
        want, test = self.program.scratch("thread"), self.program.scratch()
        self.emit(Op.CONST, want, me)
        self.emit(Op.NE, test, lock, want)
        self.emit(Op.ASSERT, test, self.program.failure("recursion"))
        self.emit(Op.CONST, want, FREE)
        self.emit(Op.EQ, test, lock, want)
        self.emit(Op.WAIT, test)
        self.emit(Op.CONST, want, me)
        self.emit(Op.MOV, lock, want)

    def release(self, lock: int, me: int) -> None:
        """Give `lock` back, in a step of its own that begins here."""
        want, test = self.program.scratch("thread"), self.program.scratch()
        self.emit(Op.CONST, want, me)
        self.emit(Op.EQ, test, lock, want)
        self.emit(Op.ASSERT, test, self.program.failure("owner"))
        self.emit(Op.CONST, lock, FREE)


class Programs:
    """Collects cells, threads and predicates, and makes a `Program` of them."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []
        self.cell_labels: list[str] = []
        self.scratch_labels: list[str] = []
        self.by_label: dict[str, int] = {}
        self.threads: list[Code] = []
        self.predicates: list[tuple[Code, PredicateKind, Slot, int]] = []
        self.failures: list[Failure] = []
        self.epochs: list[list[Slot]] = []
        self.kinds: list[SymmetryKind] = []
        self.table: list[int] = []
        self.labels_used = 0

    def cell(
        self,
        name: str,
        low: int = 0,
        high: int = 3,
        initial: int = 0,
        label: str = "",
        thread: int | None = None,
    ) -> int:
        """Add a cell: shared, or local to `thread`."""
        kind = CellKind.SHARED if thread is None else CellKind.LOCAL
        owner = -1 if thread is None else thread
        self.cells.append(Cell(name, low, high, initial, kind, owner))
        self.cell_labels.append(label)
        return len(self.cells) - 1

    def array(
        self, name: str, length: int, low: int = 0, high: int = 3, initial: int = 0, label: str = ""
    ) -> int:
        """Add shared cells in a row; return the first."""
        first = len(self.cells)
        for n in range(length):
            c = self.cell(f"{name}[{n}]", low, high, initial, label)
            self.cells[c] = replace(self.cells[c], array=name, index=n)
        return first

    def lock(self, name: str, threads: int = 8) -> int:
        """Add a lock cell."""
        return self.cell(name, FREE, threads - 1, FREE, "thread")

    def scratch(self, label: str = "", name: str = "") -> Scratch:
        """Return a scratch slot; the same one for the same `name`."""
        key = f"{label}/{name}"
        number = self.by_label.get(key)
        if number is None:
            number = self.by_label[key] = len(self.scratch_labels)
            self.scratch_labels.append(label)
        return Scratch(number)

    def failure(self, property: str) -> int:
        """Return the number of a failure of `property`."""
        for n, known in enumerate(self.failures):
            if known.property == property:
                return n
        self.failures.append(Failure(property, property))
        return len(self.failures) - 1

    def thread(self, name: str, role: str = "", daemon: bool = False) -> Code:
        """Add a thread."""
        number = len(self.threads)
        pc = len(self.cells)
        for part in ("low", "high"):
            self.cells.append(Cell(f"{name}.pc.{part}", 0, 127, 0, CellKind.PC, number))
            self.cell_labels.append("")
        self.threads.append(Code(self, name, number, pc, role, daemon))
        return self.threads[-1]

    def predicate(self, name: str, kind: PredicateKind, result: Slot) -> Code:
        """Add a predicate; its code ends by itself."""
        code = Code(self, name, -1, -1)
        self.predicates.append((code, kind, result, self.failure(name)))
        return code

    def _slot(self, slot: Slot) -> int:
        return slot if isinstance(slot, int) else len(self.cells) + slot.number

    def _assemble(self, code: Code, start: int) -> list[Instr]:
        out = []
        for op, fields in code.lines:
            values = []
            assert len(fields) <= len(OPS[op].roles)  # those left out are 0
            for role, operand in zip(OPS[op].roles, fields, strict=False):
                if isinstance(operand, str):
                    assert role is Role.TARGET
                    values.append(start + code.labels[operand])
                else:
                    values.append(self._slot(operand))
            out.append(Instr(op, *values))
        return out

    def build(self) -> Program:
        """Return the program."""
        code: list[Instr] = []
        threads, predicates = [], []
        for t in self.threads:
            start = len(code)
            code += self._assemble(t, start)
            entries = tuple(start + e for e in t.entries)
            threads.append(Thread(t.name, entries, t.pc, t.daemon, t.role))
        for p, kind, result, failure in self.predicates:
            start = len(code)
            code += [*self._assemble(p, start), Instr(Op.END)]
            predicates.append(Predicate(p.name, kind, start, self._slot(result), failure))
        return Program(
            cells=tuple(self.cells),
            slots=len(self.cells) + len(self.scratch_labels),
            code=tuple(code),
            threads=tuple(threads),
            failures=tuple(self.failures),
            predicates=tuple(predicates),
            table=tuple(self.table),
            epochs=tuple(tuple(self._slot(s) for s in e) for e in self.epochs),
            labels=(*self.cell_labels, *self.scratch_labels),
            symmetry=tuple(self.kinds),
        )
