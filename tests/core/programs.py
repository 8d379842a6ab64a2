"""Random programs: well-formed, small, and with something of everything the IR has.

Every write to a cell stays within its bounds, every cycle has a boundary or a bound, so each
program means something; what it means is up to chance.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import strategies as st
from tests.core.builder import Builder, ThreadBuilder

from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind, Program
from mmunotify.ir.reduction import Ample, Boundary, Reduction

__all__ = ["lock_rounds", "pending_programs", "programs", "reductions"]

_BINARY = (Op.ADD, Op.SUB, Op.MUL, Op.AND, Op.OR, Op.XOR, Op.EQ, Op.NE, Op.LT, Op.LE)
_JUMPS = (Op.JEQ, Op.JNE, Op.JLT, Op.JLE)


class _Maker:
    """One random program in the making."""

    def __init__(self, draw: st.DrawFn, pending: bool = False) -> None:
        self.draw = draw
        self.endless = pending  # rather round for ever than to an end
        self.b = Builder()
        self.b.failures = ["index", "range", "assertion", "division"]
        self.b.table = (1, -1, 0, 2)
        self.plain = [
            self._cell(f"g{n}", -1) for n in range(self.number(1, 3))
        ]  # shared, any thread writes them
        self.array = self.b.array("array", 2, -1, 1, 0)
        if self.chance(5):  # a wide state
            self.b.array("wide", self.number(1, 40), -128, 127, -3)
        self.locks = [self.b.cell(f"lock{n}", -1, 2, -1) for n in range(self.number(0, 2))]
        self.held: list[int] = []
        self.locals: list[int] = []
        self.snapshots: list[int] = []
        for number in range(self.number(2, 3)):
            self.thread(number)
        self.b.epochs = (tuple(self.snapshots),)
        if pending:
            self.pending()
        else:
            self.predicates()

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def chance(self, one_in: int) -> bool:
        return self.number(1, one_in) == one_in

    def pick(self, options: list[int]) -> int:
        return options[self.number(0, len(options) - 1)]

    def _cell(self, name: str, thread: int) -> int:
        low = self.number(-2, 0)
        high = self.number(max(low, 0), 2)
        return self.b.cell(name, low, high, self.number(low, high), thread=thread)

    # Threads ------------------------------------------------------------------------------------

    def thread(self, number: int) -> None:
        t = self.b.thread(f"t{number}", 8, daemon=self.chance(8))
        self.locals = [self._cell(f"l{number}{n}", number) for n in range(self.number(1, 2))]
        snapshot = self.b.cell(f"snapshot{number}", 0, 2, 0, thread=number)
        self.snapshots.append(snapshot)
        self.held = []
        count = self.number(2, 6)
        for boundary in range(count):
            t.boundary()
            for _ in range(self.number(1, 3)):
                self.statement(number, snapshot)
            if boundary + 1 < count:
                self.leave(boundary, count)
        while self.held:  # a lock may also be kept for ever
            lock = self.held.pop()
            if not self.chance(6):
                self.release(number, lock)
        if self.endless and not self.chance(3):
            self.b.emit(Op.STEP, self.number(0, count - 1))
        else:
            self.b.emit(Op.END)

    def leave(self, boundary: int, count: int) -> None:
        """End the step: usually at the next boundary, else at any other or by END."""
        b = self.b
        if not self.held and self.chance(3):
            on = b.label()
            b.emit(Op.JZ, self.source(), on)
            if self.chance(2):
                b.emit(Op.STEP, self.number(0, count - 1))
            else:
                b.emit(Op.END)
            b.label(on)
        b.emit(Op.STEP, boundary + 1)

    def statement(self, me: int, snapshot: int) -> None:
        kinds: list[Callable[[], None]] = [
            self.assign,
            self.assign,
            self.choose,
            self.indexed,
            self.branch,
            self.loop,
            lambda: self.check(me),
            lambda: self.epoch(snapshot),
            lambda: self.wait(),
            lambda: self.lock(me),
            lambda: self.cover(),
        ]
        kinds[self.number(0, len(kinds) - 1)]()

    # Statements ---------------------------------------------------------------------------------

    def source(self) -> int:
        return self.pick(self.plain + self.locals + self.locks + [self.array, self.array + 1])

    def target(self) -> int:
        return self.pick(self.plain + self.locals + [self.array, self.array + 1])

    def store(self, value: str) -> None:
        """Move a scratch slot to some cell, checked or made to fit."""
        b, to = self.b, self.target()
        cell = b.cells[to]
        if self.chance(10):
            b.emit(Op.RANGE, value, cell.low, cell.high, 1)
        else:
            below, above = b.label(), b.label()
            b.emit(Op.CONST, "low", cell.low)
            b.emit(Op.JLE, "low", value, below)
            b.emit(Op.MOV, value, "low")
            b.label(below)
            b.emit(Op.CONST, "high", cell.high)
            b.emit(Op.JLE, value, "high", above)
            b.emit(Op.MOV, value, "high")
            b.label(above)
        b.emit(Op.MOV, to, value)

    def assign(self) -> None:
        b, kind = self.b, self.number(0, 6)
        if kind == 0:
            b.emit(Op.CONST, "value", self.number(-1, 1))
        elif kind == 1:
            b.emit(Op.MOV, "value", self.source())
        elif kind == 2:
            b.emit(Op.ADDK, "value", self.source(), self.number(-2, 2))
        elif kind == 3:
            b.emit(Op.NOT, "value", self.source())
        elif kind == 4:
            divide = Op.DIV if self.chance(2) else Op.MOD
            by: int | str = self.source()
            if not self.chance(6):
                b.emit(Op.CONST, "by", 2 * self.number(-1, 0) + 1)
                b.emit(Op.ADD, "by", "by", "by")
                by = "by"
            b.emit(divide, "value", self.source(), by, 3)
        else:
            op = _BINARY[self.number(0, len(_BINARY) - 1)]
            b.emit(op, "value", self.source(), self.source())
        self.store("value")

    def choose(self) -> None:
        to = self.target()
        cell = self.b.cells[to]
        first = self.number(cell.low, cell.high)
        self.b.emit(Op.CHOOSE, to, first, self.number(1, cell.high - first + 1))

    def index(self) -> int | str:
        """Return where an index is: one that may be wrong, or more often one made right."""
        if self.chance(8):
            return self.source()
        self.b.emit(Op.CONST, "index", 1)
        self.b.emit(Op.AND, "index", self.source(), "index")
        return "index"

    def indexed(self) -> None:
        b, kind = self.b, self.number(0, 3)
        if kind == 0:
            b.emit(Op.LDX, "value", self.array, self.index(), 2, 0)
            self.store("value")
        elif kind == 1:
            b.emit(Op.CONST, "value", self.number(-1, 1))
            b.emit(Op.STX, self.array, self.index(), "value", 2, 0)
        elif kind == 2:
            b.emit(Op.LDT, "value", 1, self.index(), 3, 0)
            self.store("value")
        else:
            b.emit(Op.FILL, self.array, self.number(0, 2), self.number(-1, 1))

    def branch(self) -> None:
        b, on = self.b, self.b.label()
        kind = self.number(0, 2)
        if kind == 0:
            b.emit(Op.JNZ if self.chance(2) else Op.JZ, self.source(), on)
        elif kind == 1:
            op = Op.JEQK if self.chance(2) else Op.JNEK
            b.emit(op, self.source(), self.number(-1, 1), on)
        else:
            b.emit(_JUMPS[self.number(0, 3)], self.source(), self.source(), on)
        self.assign()
        if self.chance(4):
            other = b.label()
            b.emit(Op.JMP, other)
            b.label(on)
            self.assign()
            b.label(other)
        else:
            b.label(on)

    def loop(self) -> None:
        """Add a loop of a few rounds within one step."""
        b, again = self.b, self.b.label()
        b.emit(Op.CONST, "round", 0)
        b.label(again)
        self.choose() if self.chance(3) else self.assign()
        b.emit(Op.ADDK, "round", "round", 1)
        b.emit(Op.JNEK, "round", self.number(1, 3), again)

    def check(self, me: int) -> None:
        b = self.b
        if self.held and not self.chance(4):
            b.emit(Op.CONST, "me", me)
            b.emit(Op.EQ, "mine", self.pick(self.held), "me")
            b.emit(Op.ASSERT, "mine", 2)
        elif self.chance(8):
            b.emit(Op.ASSERT, self.source(), 2)
        elif self.chance(3):
            on = b.label()
            b.emit(Op.JNEK, self.source(), self.number(-1, 2), on)
            b.emit(Op.JEQK, self.source(), self.number(-1, 2), on)
            b.emit(Op.FAIL, 2)
            b.label(on)
        else:
            self.assign()

    def epoch(self, snapshot: int) -> None:
        if self.chance(2):
            self.b.emit(Op.BUMP, 0)
        else:
            self.b.emit(Op.CONST, snapshot, 1)

    def wait(self) -> None:
        b = self.b
        if not self.chance(4):
            b.emit(Op.CONST, "want", self.number(-1, 1))
            b.emit(Op.NE, "met", self.source(), "want")
            b.emit(Op.WAIT, "met", self.number(0, 1))
        else:
            b.emit(Op.WAIT, self.source(), self.number(0, 1))

    def lock(self, me: int) -> None:
        b = self.b
        free = [lock for lock in self.locks if lock not in self.held]
        if self.held and (not free or self.chance(2)):
            self.release(me, self.held.pop())
        elif free:
            lock = self.pick(free)
            b.emit(Op.CONST, "nobody", -1)
            b.emit(Op.EQ, "free", lock, "nobody")
            b.emit(Op.WAIT, "free", self.number(0, 1))
            b.emit(Op.CONST, lock, me)
            self.held.append(lock)

    def release(self, me: int, lock: int) -> None:
        b = self.b
        b.emit(Op.CONST, "me", me)
        b.emit(Op.EQ, "mine", lock, "me")
        b.emit(Op.ASSERT, "mine", 2)
        b.emit(Op.CONST, lock, -1)

    def cover(self) -> None:
        self.b.cover()

    # Predicates ---------------------------------------------------------------------------------

    def predicates(self) -> None:
        b = self.b
        self.locals = []
        for n in range(self.number(0, 2)):
            kind = PredicateKind.REACHABLE
            if self.chance(3):
                kind = list(PredicateKind)[self.number(0, 3)]
            b.predicate(kind, f"p{n}", "holds")
            b.emit(Op.CONST, "bound", self.number(-2, 2))
            op = (Op.NE, Op.LE, Op.LT, Op.EQ)[self.number(0, 3)]
            b.emit(op, "holds", self.source(), "bound")
            if self.chance(8):
                b.emit(Op.LDX, "holds", self.array, self.source(), 2, 0)
            b.emit(Op.END)

    def pending(self) -> None:
        """Add something to be pending: that a cell has some value, or a thread stands somewhere."""
        b = self.b
        for n in range(self.number(1, 2)):
            b.predicate(PredicateKind.PENDING, f"p{n}", "holds")
            if self.chance(2):
                b.emit(Op.CONST, "bound", self.number(-1, 1))
                b.emit(Op.NE, "holds", self.pick(self.plain + self.locks), "bound")
            else:
                thread = b.threads[self.number(0, len(b.threads) - 1)]
                b.emit(Op.CONST, "bound", self.number(0, len(thread.entries)))
                b.emit(Op.LE, "holds", thread.pc, "bound")
            b.emit(Op.END)


@st.composite
def pending_programs(draw: st.DrawFn) -> Program:
    """Return programs with something that may be pending, and threads that may go on for ever."""
    return _Maker(draw, pending=True).b.build()


@st.composite
def lock_rounds(draw: st.DrawFn) -> Program:
    """Return threads that go round for ever: they take locks, set a flag and wait for it."""
    b = Builder()
    locks = b.array("lock", 2, 0, 1, 0)
    flag = b.cell("flag", 0, 1, 0)
    for number in range(draw(st.integers(2, 3))):
        t = b.thread(f"t{number}", 16)
        rounds = draw(st.lists(st.sampled_from("llLsw"), min_size=1, max_size=3))
        for kind in rounds:
            _round(draw, b, t, kind, locks, flag)
        b.emit(Op.STEP, 0) if draw(st.integers(0, 5)) else b.emit(Op.END)
        b.code.pop(-2)  # the last round's own STEP
    waiting = draw(st.sampled_from(b.threads))
    first = draw(st.integers(0, len(waiting.entries) - 1))
    b.predicate(PredicateKind.PENDING, "p", "holds")
    b.emit(Op.CONST, "first", first)
    b.emit(Op.LE, "holds", "first", waiting.pc)
    b.emit(Op.END)
    return b.build()


def _round(draw: st.DrawFn, b: Builder, t: ThreadBuilder, kind: str, locks: int, flag: int) -> None:
    """Add a critical section ("l", "L" with something inside), a change of the flag or a wait."""
    lock = locks + draw(st.integers(0, 1))
    steps = {"l": "ar", "L": "a" + draw(st.sampled_from("sw")) + "r", "s": "s", "w": "w"}[kind]
    for step in steps:
        t.boundary()
        if step == "a":
            b.emit(Op.NOT, "free", lock)
            b.emit(Op.WAIT, "free", draw(st.integers(0, 1)))
            b.emit(Op.CONST, lock, 1)
        elif step == "r":
            b.emit(Op.CONST, lock, 0)
        elif step == "s":
            b.emit(Op.CONST, flag, draw(st.integers(0, 1)))
        else:
            b.emit(Op.NE if draw(st.booleans()) else Op.EQ, "met", flag, locks)
            b.emit(Op.WAIT, "met", draw(st.integers(0, 1)))
        b.emit(Op.STEP, len(t.entries))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Return programs of two or three threads and mostly fewer than a thousand states."""
    return _Maker(draw).b.build()


@st.composite
def reductions(draw: st.DrawFn, program: Program, *, ample: bool = True) -> Reduction:
    """Return any licences that keep a stored state in every cycle, sound or not.

    What a core makes of an unsound licence is as well defined as what it makes of a sound one.
    """
    modes = tuple(
        tuple(_mode(draw, program, number, boundary) for boundary in range(thread.done))
        for number, thread in enumerate(program.threads)
    )
    clears = tuple(
        tuple(_cleared(draw, program, number) for _ in range(thread.done + 1))
        for number, thread in enumerate(program.threads)
    )
    sets = _ample(draw, program) if ample and draw(st.booleans()) else None
    return Reduction("random", modes, clears, sets)


def _mode(draw: st.DrawFn, program: Program, thread: int, boundary: int) -> Boundary:
    if boundary in _gone_back_to(program, thread):
        return Boundary.HARD
    mode: Boundary = draw(st.sampled_from(Boundary))
    return mode


def _gone_back_to(program: Program, thread: int) -> set[int]:
    """Return the boundaries that end a step which began at the same or a later one."""
    entries = [*program.threads[thread].entries]
    after = [entry for t in program.threads for entry in t.entries if entry > entries[-1]]
    entries.append(min(after, default=len(program.code)))
    return {
        i.a
        for start, (begin, end) in enumerate(pairwise(entries))
        for i in program.code[begin:end]
        if i.op is Op.STEP and i.a <= start
    }


def _cleared(draw: st.DrawFn, program: Program, thread: int) -> tuple[int, ...]:
    local = [n for n, cell in enumerate(program.cells) if cell.thread == thread]
    local = [n for n in local if ".pc" not in program.cells[n].name]
    return tuple(cell for cell in local if draw(st.integers(0, 3)) == 0)


def _ample(draw: st.DrawFn, program: Program) -> Ample:
    width = draw(st.sampled_from((3, 70)))  # one mask word, or two

    def masks(one_in: int) -> tuple[tuple[int, ...], ...]:
        return tuple(
            tuple(
                (1 << draw(st.integers(0, width - 1))) if draw(st.integers(1, one_in)) == 1 else 0
                for _ in range(thread.done)
            )
            for thread in program.threads
        )

    held = tuple(
        tuple(draw(st.integers(-1, 1)) for _ in range(thread.done)) for thread in program.threads
    )
    return Ample(masks(1), masks(2), held, (masks(2), masks(1)), (masks(2), masks(3)))
