"""Random programs for the reduction passes: lock discipline, and near misses of it.

`make` draws everything from one function `pick(n)`, 0..n-1, so that the same generator serves
hypothesis (which shrinks towards 0) and a plain random number generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hypothesis import strategies as st
from tests.reduce.builder import FREE, Code, Programs, Slot

from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind, Program, SymmetryKind

__all__ = ["make", "programs"]

Pick = Callable[[int], int]
ITEMS = 2


@dataclass
class _Body:
    """Draws the code of one thread."""

    b: Programs
    pick: Pick
    cells: list[int]
    locks: list[int]
    items: int
    marks: int
    code: Code
    mine: list[int]  # locals: two numbers, an item, a snapshot
    others: list[list[int]] = field(default_factory=list)
    atomic: bool = False
    size: int = 0

    def step(self) -> None:
        if not self.atomic:
            self.code.step()

    def one(self, slots: list[int]) -> int:
        return slots[self.pick(len(slots))]

    def number(self) -> int:
        return self.one(self.mine[:2])

    def test(self, cell: Slot, value: int, op: Op = Op.EQ, label: str = "") -> Slot:
        want, out = self.b.scratch(label, "want"), self.b.scratch(name="out")
        self.code.emit(Op.CONST, want, value)
        self.code.emit(op, out, cell, want)
        return out

    def block(self, depth: int, most: int) -> None:
        for _ in range(1 + self.pick(most)):
            self.statement(depth)

    def statement(self, depth: int) -> None:
        self.size += 1
        simple = [
            self.set_cell,
            self.add_cell,
            self.add_cell,
            self.load,
            self.store,
            self.local,
            self.choice,
            self.item,
            self.snapshot,
            self.wait,
            self.check,
            self.odd,
        ]
        if depth and self.size < 12:
            with_blocks = [
                self.locked,
                self.locked,
                self.locked,
                self.nested,
                self.branch,
                self.loop,
                self.together,
            ]
            which = self.pick(len(simple) + len(with_blocks))
            if which >= len(simple):
                with_blocks[which - len(simple)](depth - 1)
                return
        else:
            which = self.pick(len(simple))
        simple[which]()

    def set_cell(self) -> None:
        self.step()
        self.code.emit(Op.CONST, self.one(self.cells), self.pick(3))

    def add_cell(self) -> None:
        cell, count = self.one(self.cells), self.number()
        self.step()
        self.code.emit(Op.ADDK, count, cell, 1)
        skip = self.code.fresh()
        self.code.emit(Op.JNEK, count, 3, skip)
        self.code.emit(Op.CONST, count, 0)
        self.code.label(skip)
        if self.pick(2):
            self.step()
        self.code.emit(Op.MOV, cell, count)

    def load(self) -> None:
        self.step()
        self.code.emit(Op.MOV, self.number(), self.one(self.cells))

    def store(self) -> None:
        self.step()
        self.code.emit(Op.MOV, self.one(self.cells), self.number())

    def local(self) -> None:
        if self.pick(2):
            self.step()
        self.code.emit(Op.CONST, self.number(), self.pick(3))

    def choice(self) -> None:
        if self.pick(2):
            self.step()
        self.code.emit(Op.CHOOSE, self.number(), 0, 2)

    def item(self) -> None:
        """Do something with an element of the array of items."""
        z, bad = self.mine[2], self.b.failure("index")
        self.step()
        what = self.pick(8)
        if what < 3:
            self.code.emit(Op.CHOOSE, z, 0, ITEMS)
        elif what < 5:
            self.code.emit(Op.LDX, self.number(), self.items, z, ITEMS, bad)
        elif what < 7:
            self.code.emit(Op.STX, self.items, z, self.number(), ITEMS, bad)
        else:
            [
                lambda: self.code.emit(Op.CONST, z, self.pick(ITEMS)),
                lambda: self.code.emit(Op.CONST, self.items + self.pick(ITEMS), 1),
                lambda: self.code.emit(Op.FILL, self.items, ITEMS, self.pick(2)),
                lambda: self.code.emit(Op.ADDK, self.number(), z, 0),
            ][self.pick(4)]()

    def snapshot(self) -> None:
        self.step()
        mark = self.mine[3]
        what = self.pick(4)
        if what == 0:
            self.code.emit(Op.BUMP, self.marks)
        elif what == 1:
            self.code.emit(Op.CONST, mark, 1)
        elif what == 2:
            self.code.emit(Op.CONST, mark, 0)
        else:
            self.code.emit(Op.ASSERT, self.test(mark, 2, Op.NE), self.b.failure("stale"))

    def wait(self) -> None:
        self.step()
        slot = self.one(self.cells + self.mine[:2])
        self.code.emit(Op.WAIT, self.test(slot, self.pick(3), Op.NE if self.pick(2) else Op.EQ))

    def check(self) -> None:
        self.step()
        slot = self.one(self.cells + self.mine[:2])
        op = Op.EQ if self.pick(4) == 3 else Op.NE
        self.code.emit(Op.ASSERT, self.test(slot, self.pick(3), op), self.b.failure("check"))

    def locked(self, depth: int) -> None:
        if self.atomic:
            return
        lock = self.one(self.locks)
        self.step()
        self.code.acquire(lock, self.code.number)
        self.block(depth, 3)
        if self.pick(12) < 11:
            self.step()
            self.code.release(lock, self.code.number)

    def nested(self, depth: int) -> None:
        """Take two locks, in either order."""
        if self.atomic:
            return
        first = self.pick(len(self.locks))
        pair = (self.locks[first], self.locks[(first + 1) % len(self.locks)])
        for lock in pair:
            self.step()
            self.code.acquire(lock, self.code.number)
        self.block(depth, 2)
        for lock in pair:
            self.step()
            self.code.release(lock, self.code.number)

    def branch(self, depth: int) -> None:
        other, end = self.code.fresh(), self.code.fresh()
        slot = self.one(self.cells + self.mine[:2])
        self.step()
        self.code.emit(Op.JEQK, slot, self.pick(2), other)
        self.block(depth, 2)
        self.code.emit(Op.JMP, end)
        self.code.label(other)
        if self.pick(2):
            self.block(depth, 2)
        self.code.label(end)

    def loop(self, depth: int) -> None:
        if self.atomic:
            return
        start, end = self.code.fresh(), self.code.fresh()
        slot = self.one(self.cells + self.mine[:2])
        self.code.label(start)
        self.step()
        if self.pick(4):
            self.code.emit(Op.JEQK, slot, self.pick(2), end)
        self.block(depth, 2)
        self.code.emit(Op.JMP, start)
        self.code.label(end)

    def together(self, depth: int) -> None:
        """Several things in one step."""
        if self.atomic:
            return
        self.step()
        self.atomic = True
        self.block(0, 3)
        if self.pick(4) == 3:
            self.odd()
        self.atomic = False

    def odd(self) -> None:
        """Do what is nearly lock discipline, or looks at what is private elsewhere."""
        self.step()
        lock, me = self.one(self.locks), self.code.number
        c, fail = self.code, self.b.failure("odd")
        skip = c.fresh()
        what = self.pick(12)
        if what == 0:  # an owner check
            c.emit(Op.ASSERT, self.test(lock, me, Op.NE, "thread"), fail)
        elif what == 1:  # trylock
            c.emit(Op.JNEK, lock, FREE, skip)
            c.emit(Op.CONST, lock, me)
        elif what == 2:  # is it locked?
            c.emit(Op.MOV, self.number(), self.test(lock, FREE, Op.NE, "thread"))
        elif what == 3:  # wait until it is free, and do not take it
            c.emit(Op.WAIT, self.test(lock, FREE, Op.EQ, "thread"))
        elif what == 4:  # take it without waiting
            c.emit(Op.CONST, lock, me)
        elif what == 5:  # give it back without asking
            c.emit(Op.CONST, lock, FREE)
        elif what == 6:  # if it is mine, give it back
            c.emit(Op.JNEK, lock, me, skip)
            c.emit(Op.CONST, lock, FREE)
        elif what == 7 and self.others:  # look at, or change, what is local elsewhere
            there = self.one(self.one_of(self.others)[:2])
            pair = (there, self.number()) if self.pick(2) else (self.number(), there)
            c.emit(Op.MOV, *pair)
        elif what == 8:  # fail before waiting
            c.emit(Op.ASSERT, self.test(self.one(self.cells), 2, Op.NE), fail)
            c.emit(Op.WAIT, self.test(lock, FREE, Op.EQ, "thread"))
            c.emit(Op.CONST, lock, me)
        elif what == 9:  # compare with somebody else
            other = (me + 1) % len(self.b.threads)
            c.emit(Op.MOV, self.number(), self.test(lock, other, Op.EQ, "thread"))
        elif what == 10:  # wait for another thread's pc
            other_pc = self.b.threads[(me + 1) % len(self.b.threads)].pc
            c.emit(Op.WAIT, self.test(other_pc, self.pick(3), Op.NE))
        else:  # wait without taking it on one path
            c.emit(Op.WAIT, self.test(lock, FREE, Op.EQ, "thread"))
            c.emit(Op.JEQK, self.number(), 0, skip)
            c.emit(Op.CONST, lock, me)
        c.label(skip)

    def one_of(self, rows: list[list[int]]) -> list[int]:
        return rows[self.pick(len(rows))]


def _predicates(b: Programs, pick: Pick, cells: list[int]) -> None:
    for n in range(pick(3)):
        kind = list(PredicateKind)[pick(4)]
        want, out, too = b.scratch(), b.scratch(name="out"), b.scratch(name="too")
        p = b.predicate(f"{kind}{n}", kind, out)
        loose = kind is PredicateKind.NEVER or kind is PredicateKind.REACHABLE
        value = 2 - pick(3)
        p.emit(Op.CONST, want, value)
        p.emit(Op.EQ if loose else Op.NE, out, cells[pick(len(cells))], want)
        if pick(2):
            p.emit(Op.CONST, want, 2 - pick(3))
            p.emit(Op.EQ if loose else Op.NE, too, cells[pick(len(cells))], want)
            p.emit(Op.AND if loose else Op.OR, out, out, too)


def make(pick: Pick) -> Program:
    """Return a program drawn with `pick`."""
    b = Programs()
    number = 2 + pick(2)
    alike = pick(3) == 0
    cells = [b.cell(name, 0, 3) for name in ("p", "q")]
    items = b.array("item", ITEMS, 0, 3)
    locks = [b.lock(name) for name in ("L", "M")]
    b.epochs.append([])
    threads = [b.thread(f"t{n}", daemon=pick(8) == 7) for n in range(1 if alike else number)]
    if alike:
        threads += [b.thread(f"t{n}", daemon=threads[0].daemon) for n in range(1, number)]
    rows = []
    for t in threads:
        row = [b.cell(f"{t.name}.{v}", 0, 3, 0, "", t.number) for v in ("x", "y")]
        row.append(b.cell(f"{t.name}.z", FREE, ITEMS - 1, FREE, "item", t.number))
        row.append(b.cell(f"{t.name}.s", 0, 2, 0, "", t.number))
        b.epochs[0].append(row[3])
        rows.append(row)
    tape: list[int] = []
    again: Iterator[int] = iter(())

    def draw(n: int) -> int:
        """Draw for the first thread, and the same once more for those like it."""
        drawn = next(again, None)
        if drawn is None:
            drawn = pick(n)
            tape.append(drawn)
        return drawn

    for n, t in enumerate(threads):
        if alike:
            again = iter(list(tape))
        others = [] if alike else [row for m, row in enumerate(rows) if m != n]
        body = _Body(b, draw, cells, locks, items, 0, t, rows[n], others)
        t.emit(Op.CHOOSE, rows[n][2], 0, ITEMS)
        body.block(2, 4)
        t.emit(Op.END)
    _predicates(b, pick, [*cells, items, *locks, rows[0][0], rows[-1][3]])
    if alike:
        columns = tuple((t.pc, t.pc + 1, *row) for t, row in zip(threads, rows, strict=True))
        everyone = tuple(range(number))
        b.kinds.append(SymmetryKind("t", number, columns, (("thread", everyone),), everyone))
    things = tuple((items + i,) for i in range(ITEMS))
    b.kinds.append(SymmetryKind("item", ITEMS, things, (("item", tuple(range(ITEMS))),)))
    return b.build()


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Return a strategy for programs."""
    return make(lambda n: draw(st.integers(0, n - 1)))
