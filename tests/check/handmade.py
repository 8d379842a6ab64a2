"""Programs built by hand: an assembler, locks, and what searches them for a violation.

Source lines are invented; `kvm_like.py` exists nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from mmunotify.check.schedule import Schedule
from mmunotify.check.shorten import explore
from mmunotify.check.violation import Kind, Violation
from mmunotify.ir.ops import Op
from mmunotify.ir.program import (
    Cell,
    CellKind,
    Failure,
    Instr,
    Location,
    Predicate,
    PredicateKind,
    Program,
    Thread,
)

DRIVER = "drivers/kvm_like.py"
SPINLOCK = "mmunotify/lang/spinlock.py"
FRAMES = ("None", "frame A", "frame B")


def _instr(op: Op, fields: Sequence[int], location: int) -> Instr:
    a, b, c, d, e = (*fields, 0, 0, 0, 0, 0)[:5]
    return Instr(op, a, b, c, d, e, location)


@dataclass
class Assembler:
    """Collects cells, threads and instructions; slots of scratch come after all cells."""

    cells: list[Cell] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    code: list[Instr] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    predicates: list[Predicate] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)
    at: int = -1
    scratch: int = 120  # more than there will be cells

    def cell(self, name: str, low: int = 0, high: int = 9, initial: int = 0, **more: object) -> int:
        """Add a shared cell, or a local with `thread=`."""
        kind = CellKind.LOCAL if "thread" in more else CellKind.SHARED
        label = str(more.pop("label", ""))
        self.cells.append(Cell(name, low, high, initial, kind, **more))  # type: ignore[arg-type]
        self.labels.append(label)
        return len(self.cells) - 1

    def reference(self, name: str, initial: int = -1, **more: object) -> int:
        """Add a cell that holds a frame or None."""
        return self.cell(name, -1, 1, initial, names=FRAMES, label="Frame", **more)

    def place(self, file: str, line: int, function: str, text: str, parent: int = -1) -> int:
        """Add a location and make it the current one."""
        self.locations.append(Location(file, line, 1, 2, function, text, parent))
        self.at = len(self.locations) - 1
        return self.at

    def emit(self, op: Op, *fields: int) -> int:
        """Append an instruction at the current location."""
        self.code.append(_instr(op, fields, self.at))
        return len(self.code) - 1

    def jump(self, op: Op, *fields: int) -> int:
        """Append a jump whose target, the last field, comes later (`land`)."""
        return self.emit(op, *fields, 0)

    def land(self, jump: int) -> None:
        """Let `jump` go to the next instruction."""
        old = self.code[jump]
        roles = {Op.JMP: "a", Op.JZ: "b", Op.JNZ: "b", Op.JEQK: "c", Op.JNEK: "c", Op.JNE: "c"}
        fields = list(old.fields)
        fields["abcde".index(roles[old.op])] = len(self.code)
        self.code[jump] = _instr(old.op, fields, old.location)

    def step(self) -> None:
        """End the step; the next instruction begins another."""
        self.emit(Op.STEP, len(self.entries))
        self.entries.append(len(self.code))

    def begin(self) -> None:
        """Begin a thread."""
        self.entries = [len(self.code)]

    def finish(self, name: str, role: str = "", daemon: bool = False) -> None:
        """End the thread."""
        self.emit(Op.END)
        self.cells += [Cell(f"{name}.pc", 0, 127, 0, CellKind.PC, len(self.threads))] * 2
        self.labels += ["", ""]
        pc = len(self.cells) - 2
        self.threads.append(Thread(name, tuple(self.entries), pc, daemon, role))

    def fails(self, property: str, template: str, *slots: int) -> int:
        """Add a failure that shows `slots` as the cells' names do."""
        shown = [self.cells[slot] for slot in slots]
        lows, names = tuple(c.low for c in shown), tuple(c.names for c in shown)
        self.failures.append(Failure(property, template, slots, lows, names, self.at))
        return len(self.failures) - 1

    def must(self, name: str, kind: PredicateKind, cell: int, value: int, failure: int) -> None:
        """Add the predicate that `cell` has `value`."""
        entry = self.emit(Op.CONST, self.scratch, value)
        self.emit(Op.EQ, self.scratch, self.scratch, cell)
        self.emit(Op.END)
        self.predicates.append(Predicate(name, kind, entry, self.scratch, failure))

    def program(self) -> Program:
        """Return the program."""
        return Program(
            tuple(self.cells),
            128,
            tuple(self.code),
            tuple(self.threads),
            tuple(self.failures),
            tuple(self.predicates),
            locations=tuple(self.locations),
            labels=tuple(self.labels),
        )


@dataclass
class Lock:
    """A spinlock in the manner of `mmunotify.lang.spinlock`."""

    asm: Assembler
    owner: int
    recursion: int = -1

    def acquire(self, thread: int, caller: int) -> None:
        """Take the lock at the `with` statement `caller`."""
        asm, s = self.asm, self.asm.scratch
        enter = asm.place(SPINLOCK, 36, "SpinLock.__enter__", "self.acquire()", caller)
        asm.place(SPINLOCK, 27, "SpinLock.acquire", "wait_until(lambda: self.owner is None)", enter)
        asm.emit(Op.CONST, s, -1)
        asm.emit(Op.EQ, s, s, self.owner)
        asm.emit(Op.WAIT, s)
        asm.place(SPINLOCK, 28, "SpinLock.acquire", "self.owner = current()", enter)
        asm.emit(Op.CONST, self.owner, thread)
        asm.step()

    def release(self, caller: int) -> None:
        """Give the lock back at the `with` statement `caller`."""
        leave = self.asm.place(SPINLOCK, 39, "SpinLock.__exit__", "self.release()", caller)
        self.asm.place(SPINLOCK, 33, "SpinLock.release", "self.owner = None", leave)
        self.asm.emit(Op.CONST, self.owner, -1)
        self.asm.step()


def lock(asm: Assembler, name: str) -> Lock:
    """Add a lock that nobody holds."""
    owner = asm.cell(f"{name}.owner", -1, 3, -1, names=("None", "cpu0", "vcpu0", "dev", "cpu1"))
    return Lock(asm, owner)


def abba(first: Sequence[str] = ("a", "b"), second: Sequence[str] = ("b", "a")) -> Program:
    """Two threads that take two locks in these orders."""
    asm = Assembler()
    locks = {name: lock(asm, f"{name}_lock") for name in ("a", "b")}
    for number, order in enumerate((first, second)):
        asm.begin()
        function = ("invalidate", "fault")[number]
        guards = [
            asm.place(DRIVER, 10 + 10 * number + n, function, f"with self.{name}_lock:")
            for n, name in enumerate(order)
        ]
        for name, guard in zip(order, guards, strict=True):
            locks[name].acquire(number, guard)
        for name, guard in reversed(list(zip(order, guards, strict=True))):
            locks[name].release(guard)
        asm.finish(("cpu0", "vcpu0")[number])
    return asm.program()


def found(program: Program, kind: Kind, property: str) -> Schedule:
    """Return a shortest schedule to the first violation of `property` that can be found."""
    goals = []
    if kind is Kind.FAILURE:
        for at, i in enumerate(program.code):
            if i.op is Op.ASSERT and program.failures[i.b].property == property:
                goals.append(Violation(kind, property, (), i.b, -1, at))
    elif kind is Kind.PREDICATE:
        failures = [(n, p.failure) for n, p in enumerate(program.predicates)]
        goals = [Violation(kind, property, (), f, n) for n, f in failures]
    else:
        goals = [Violation(kind, property, ())]
    for goal, depth in product(goals, (60,)):
        schedule = explore(
            program, goal, range(len(program.threads)), depth, 500_000, 60.0
        ).schedule
        if schedule is not None:
            return schedule
    raise AssertionError(f"{property} cannot be violated")
