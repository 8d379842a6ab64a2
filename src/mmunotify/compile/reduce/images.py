"""The image of code under the exchange of two elements, instruction by instruction.

An exchange moves cells, values of labelled slots and threads. The image of an instruction of
thread `t` must be the instruction at the same place of the image of `t`. Values of a labelled slot
may be copied, compared for equality with the same label, and index arrays that move with them;
order or arithmetic on them is refused. A run of CONST to distinct cells is a set, and so is a run
of tests that all jump to one place (`any(... for ...)` over the elements): order does not matter.

Invariant: what is not understood is refused.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable

from mmunotify.compile.reduce.cfg import instructions
from mmunotify.ir.ops import OPS, Op, Role
from mmunotify.ir.program import Instr, Program, SymmetryKind

__all__ = ["Exchange", "Images", "Listing", "Refused"]

_EQUALITIES = frozenset({Op.EQ, Op.NE, Op.JEQ, Op.JNE})
_TRUTHS = frozenset({Op.NOT, Op.JZ, Op.JNZ, Op.WAIT, Op.ASSERT})
_CONSTANTS = frozenset({Op.CONST, Op.JEQK, Op.JNEK})
_NUMBERS = frozenset(
    {Op.ADD, Op.SUB, Op.MUL, Op.ADDK, Op.DIV, Op.MOD, Op.AND, Op.OR, Op.XOR}
    | {Op.LT, Op.LE, Op.JLT, Op.JLE}
)
_TESTS = frozenset({Op.JZ, Op.JNZ, Op.JEQK, Op.JNEK, Op.JEQ, Op.JNE})
_PLAIN = _EQUALITIES | _NUMBERS | {Op.MOV, Op.JMP, Op.FAIL, Op.COVER, Op.STEP, Op.END}
_SLOTS = {
    op: tuple(f for f, r in zip("abcde", row.roles, strict=False) if r in (Role.READ, Role.WRITE))
    for op, row in OPS.items()
}
_OTHERS = {
    op: tuple(
        (f, r)
        for f, r in zip("abcde", row.roles, strict=False)
        if r in (Role.FAILURE, Role.BOUNDARY, Role.LENGTH, Role.COUNT)
    )
    for op, row in OPS.items()
}
_TARGET = {
    op: f
    for op, row in OPS.items()
    for f, role in zip("abcde", row.roles, strict=False)
    if role is Role.TARGET
}
_BASED = frozenset(
    op for op, row in OPS.items() if {Role.READ_BASE, Role.WRITE_BASE, Role.EPOCH} & set(row.roles)
)


def _test(i: Instr) -> tuple[object, ...]:
    """A test without its target; the two sides of an equality have no order."""
    if i.op in (Op.JEQ, Op.JNE):
        return i.op, frozenset((i.a, i.b))
    return i.op, i.a, i.b if i.op in _CONSTANTS else 0


class Refused(Exception):
    """Something is not the image of what it would have to be."""

    def __init__(self, text: str, instruction: int = -1) -> None:
        super().__init__(text)
        self.text = text
        self.instruction = instruction


class Listing:
    """The code of a program, each thread's instructions in order, prepared once for all kinds."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.threads = [instructions(program.code, t.entries) for t in program.threads]
        # where control may come from elsewhere than the instruction before
        self.joins = {e for t in program.threads for e in t.entries} | {
            getattr(i, _TARGET[i.op]) for i in program.code if i.op in _TARGET
        }
        self.labels = program.labels or ("",) * program.slots
        # jump targets apart, so that like instructions are equal
        self.bare: dict[int, Instr] = {}
        self.distinct: list[dict[Instr, list[int]]] = []
        for order, _ in self.threads:
            found: dict[Instr, list[int]] = {}
            for at in order:
                found.setdefault(self.instruction(at), []).append(at)
            self.distinct.append(found)

    def instruction(self, at: int) -> Instr:
        """Return the instruction at `at` without its place and its target."""
        known = self.bare.get(at)
        if known is None:
            i = self.program.code[at]
            target = _TARGET.get(i.op)
            known = self.bare[at] = Instr(
                i.op, *(0 if f == target else getattr(i, f) for f in "abcde")
            )
        return known

    def touching(self, kind: SymmetryKind) -> list[list[tuple[Instr, list[int]]]]:
        """Return, a thread each, the distinct instructions that name anything `kind` moves."""
        moved = {label for label, _ in kind.values}
        cells = {c for column in kind.columns for c in column}
        hot = [label in moved or s in cells for s, label in enumerate(self.labels)]
        return [
            [
                (i, places)
                for i, places in found.items()
                if i.op in _BASED or any(hot[getattr(i, f)] for f in _SLOTS[i.op])
            ]
            for found in self.distinct
        ]


class Exchange:
    """The exchange of elements `i` and `j` of a kind, as it acts on slots and threads."""

    def __init__(self, listing: Listing, kind: SymmetryKind, i: int, j: int) -> None:
        self.program = listing.program
        self.labels = listing.labels
        first, second = kind.columns[i], kind.columns[j]
        if len(first) != len(second):
            raise Refused("columns of different length")
        self.cells = dict(zip((*first, *second), (*second, *first), strict=True))
        if len(self.cells) < 2 * len(first):
            raise Refused("a cell is in two columns")
        moved: dict[str, dict[int, int]] = {}
        for label, values in kind.values:
            x, y = values[i], values[j]
            moved.setdefault(label, {}).update({x: y, y: x})
        self.moves = [moved.get(label) for label in self.labels]
        self.threads: dict[int, int] = {}
        if kind.threads:
            x, y = kind.threads[i], kind.threads[j]
            self.threads = {x: y, y: x}

    def value(self, slot: int, value: int) -> int:
        """Return the image of `value` as a value of `slot`."""
        moved = self.moves[slot]
        return value if moved is None else moved.get(value, value)

    def partial(self, slot: int, low: int, high: int) -> bool:
        """Tell whether `low..high` has one of the two exchanged values of `slot` only."""
        inside = [low <= v <= high for v in self.moves[slot] or ()]
        return any(inside) and not all(inside)


class Images:
    """Compares code with the image of code; finds out where its scratch slots go."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.program = exchange.program
        self.stored = len(exchange.program.cells)
        self.scratch: dict[int, int] = {}
        self.back: dict[int, int] = {}
        self.bumped: list[tuple[frozenset[int], frozenset[int]]] = []
        self.arrays: set[tuple[int, int, int, str, str]] = set()
        self.at = -1

    def fixed(self, listing: Listing, rows: list[tuple[Instr, list[int]]]) -> None:
        """Require that the code of a thread, given by `rows`, is its own image."""
        for i, places in rows:
            self.at = places[0]
            try:
                self._instruction(i, i)
            except Refused:
                if not all(self._same_set(listing, at, 0) for at in places):
                    raise

    def moved(self, listing: Listing, t: int, shift: int) -> None:
        """Require that the image of thread `t` is the code `shift` further on."""
        self.compare(listing, listing.threads[t][0], shift, t)
        for here, there in self.bumped:
            if any((s in here) != (d in there) for s, d in self.scratch.items()):
                raise self._refuse("a snapshot is of one element's epoch only")

    def compare(self, listing: Listing, order: Iterable[int], shift: int, t: int = -1) -> None:
        """Require that the instructions in `order` go to those `shift` further on."""
        code = self.program.code
        known: set[tuple[Instr, Instr]] = set()
        for at in order:
            self.at = at
            if not 0 <= at + shift < len(code):
                raise Refused("the codes of two elements differ in length", at)
            i, j = listing.instruction(at), listing.instruction(at + shift)
            target = _TARGET.get(i.op)
            if target is not None and i.op is j.op:
                x, y = getattr(code[at], target), getattr(code[at + shift], target)
                if y - x != shift:
                    raise self._refuse("the codes of two elements jump to different places")
            if (i, j) in known:
                continue
            try:
                self._instruction(i, j)
            except Refused:
                if t < 0 or not self._same_set(listing, at, shift):
                    raise
            else:
                known.add((i, j))

    def result(self, slot: int, image: int) -> None:
        """Require that the result `slot` goes to `image` and can tell true from false."""
        self._slot(slot, image)
        if self.exchange.value(slot, 0) != 0:
            raise self._refuse(f"{self._name(slot)} is used as a truth value")

    def _same_set(self, listing: Listing, at: int, shift: int) -> bool:
        """Tell whether `at` is in a run whose order does not matter and that goes to its image."""
        op = self.program.code[at].op
        if op is Op.CONST:
            return self._constants(listing, at, shift)
        return op in _TESTS and self._tests(listing, at, shift)

    def _run(
        self, listing: Listing, at: int, shift: int, belongs: Callable[[int], bool]
    ) -> tuple[tuple[Instr, ...], tuple[Instr, ...]]:
        """Return the longest run around `at` of what `belongs`, and what stands `shift` on."""
        leaders = listing.joins
        code = self.program.code

        def both(n: int) -> bool:
            inside = 0 <= n < len(code) and 0 <= n + shift < len(code)
            return inside and belongs(n) and belongs(n + shift)

        first = last = at
        while first not in leaders and both(first - 1):
            first -= 1
        while last + 1 not in leaders and both(last + 1):
            last += 1
        return code[first : last + 1], code[first + shift : last + 1 + shift]

    def _tests(self, listing: Listing, at: int, shift: int) -> bool:
        """A run of tests reads only, and all of it that is true leads to one place."""
        code = self.program.code
        goal = getattr(code[at], _TARGET[code[at].op])
        goals = (goal, goal + shift)

        def belongs(n: int) -> bool:
            return code[n].op in _TESTS and getattr(code[n], _TARGET[code[n].op]) in goals

        run, there = self._run(listing, at, shift, belongs)
        for i in run:
            self._labels(i)
            if i.op in _TRUTHS and self.exchange.value(i.a, 0) != 0:
                return False
        return Tally(map(self._moved_test, run)) == Tally(map(_test, there))

    def _moved_test(self, i: Instr) -> tuple[object, ...]:
        """The image of a test, as `_test` gives tests."""
        if i.op in (Op.JEQ, Op.JNE):
            return i.op, frozenset((self._image(i.a), self._image(i.b)))
        return i.op, self._image(i.a), self.exchange.value(i.a, i.b) if i.op in _CONSTANTS else 0

    def _image(self, slot: int) -> int:
        if slot < self.stored:
            return self.exchange.cells.get(slot, slot)
        image = self.scratch.setdefault(slot, slot)
        if self.back.setdefault(image, slot) != slot:
            raise self._refuse(f"{self._name(slot)} is used where its image is not")
        return image

    def _constants(self, listing: Listing, at: int, shift: int) -> bool:
        """A run of CONST to distinct cells."""
        code = self.program.code
        run, there = self._run(listing, at, shift, lambda n: code[n].op is Op.CONST)
        if any(i.a >= self.stored for i in (*run, *there)) or len({i.a for i in run}) < len(run):
            return False
        move = self.exchange
        return {move.cells.get(i.a, i.a): move.value(i.a, i.b) for i in run} == {
            j.a: j.b for j in there
        }

    def _refuse(self, text: str) -> Refused:
        return Refused(text, self.at)

    def _name(self, slot: int) -> str:
        return self.program.cells[slot].name if slot < self.stored else "a value"

    def _slot(self, slot: int, image: int) -> None:
        """Require that `slot` goes to `image`."""
        if slot < self.stored:
            good = self.exchange.cells.get(slot, slot) == image
        else:
            good = (
                image >= self.stored
                and self.scratch.setdefault(slot, image) == image
                and self.back.setdefault(image, slot) == slot
                and self.exchange.moves[slot] == self.exchange.moves[image]
            )
        if not good:
            raise self._refuse(f"{self._name(slot)} is used where its image is not")

    def _instruction(self, i: Instr, j: Instr) -> None:
        if i.op is not j.op:
            raise self._refuse("the codes of two elements differ")
        for f in _SLOTS[i.op]:
            self._slot(getattr(i, f), getattr(j, f))
        for f, role in _OTHERS[i.op]:
            x, y = getattr(i, f), getattr(j, f)
            if role is Role.FAILURE:
                failures = self.program.failures
                if x != y and failures[x].property != failures[y].property:
                    raise self._refuse("the codes of two elements differ in what they require")
            elif x != y:
                raise self._refuse("the codes of two elements differ")
        self._labels(i)
        self._meaning(i, j)

    def _labels(self, i: Instr) -> None:
        """Require that labelled values meet only their like, and no arithmetic."""
        moves = self.exchange.moves
        if i.op in _NUMBERS:
            for f in _SLOTS[i.op]:
                if moves[getattr(i, f)] is not None:
                    raise self._refuse(f"{self._name(getattr(i, f))} is used as a number")
        elif i.op is Op.MOV:
            self._alike(i.a, i.b)
        elif i.op in (Op.EQ, Op.NE):
            self._alike(i.b, i.c)
        elif i.op in (Op.JEQ, Op.JNE):
            self._alike(i.a, i.b)
        if i.op in (Op.EQ, Op.NE, Op.NOT) and moves[i.a] is not None:
            raise self._refuse(f"{self._name(i.a)} receives a truth value")

    def _alike(self, x: int, y: int) -> None:
        if self.exchange.moves[x] != self.exchange.moves[y]:
            raise self._refuse(f"{self._name(x)} meets {self._name(y)}, which is of another kind")

    def _meaning(self, i: Instr, j: Instr) -> None:
        """Require what the roles of the fields do not tell."""
        op, value = i.op, self.exchange.value
        if op in _TRUTHS:
            slot = i.b if op is Op.NOT else i.a
            if value(slot, 0) != 0:
                raise self._refuse(f"{self._name(slot)} is used as a truth value")
        elif op in _CONSTANTS:
            if value(i.a, i.b) != j.b:
                raise self._refuse(f"{self._name(i.a)} meets one of its kind by name")
        elif op is Op.ADDK:
            if i.c != j.c:
                raise self._refuse("the codes of two elements differ in a constant")
        elif op is Op.RANGE:
            self._interval(i.a, (i.b, i.c), (j.b, j.c))
        elif op is Op.CHOOSE:
            self._interval(i.a, (i.b, i.b + i.c - 1), (j.b, j.b + j.c - 1))
        elif op is Op.LDX:
            self._array(i.b, j.b, i.d, i.c, i.a)
        elif op is Op.STX:
            self._array(i.a, j.a, i.d, i.b, i.c)
        elif op is Op.LDT:
            self._table(i, j)
        elif op is Op.FILL:
            self._fill(i, j)
        elif op is Op.BUMP:
            self._bump(i, j)
        elif op not in _PLAIN:
            raise self._refuse(f"{op.name} is not understood")

    def _interval(self, slot: int, here: tuple[int, int], there: tuple[int, int]) -> None:
        if here != there or self.exchange.partial(slot, *here):
            raise self._refuse(f"{self._name(slot)} ranges over a part of its kind only")

    def _array(self, base: int, there: int, length: int, index: int, value: int) -> None:
        """Require that elements move as the values of `index` do, and hold what `value` does."""
        labels = self.exchange.labels
        key = (base, there, length, labels[index], labels[value])
        if key in self.arrays:
            return
        for x in range(length):
            y = self.exchange.value(index, x)
            if not 0 <= y < length:
                raise self._refuse(f"{self._name(index)} is an index of an array not of its kind")
            self._slot(base + x, there + y)
            self._alike(base + x, value)
        self.arrays.add(key)

    def _table(self, i: Instr, j: Instr) -> None:
        table, value = self.program.table, self.exchange.value
        for x in range(i.d):
            y = value(i.c, x)
            if not 0 <= y < i.d or value(i.a, table[i.b + x]) != table[j.b + y]:
                raise self._refuse(f"a table indexed by {self._name(i.c)} tells elements apart")

    def _fill(self, i: Instr, j: Instr) -> None:
        here, there = range(i.a, i.a + i.b), range(j.a, j.a + i.b)
        if i.a >= self.stored or j.a >= self.stored:
            for x, y in zip(here, there, strict=True):
                self._slot(x, y)
        elif {self.exchange.cells.get(c, c) for c in here} != set(there):
            raise self._refuse("a part only of the elements is filled")
        if any(self.exchange.value(c, i.c) != j.c for c in here):
            raise self._refuse(f"{self._name(i.a)} is filled with one of its kind")

    def _bump(self, i: Instr, j: Instr) -> None:
        epochs = self.program.epochs
        here = {self.exchange.cells.get(s, s) for s in epochs[i.a] if s < self.stored}
        if here != {s for s in epochs[j.a] if s < self.stored}:
            raise self._refuse("a snapshot is of one element's epoch only")
        self.bumped.append((frozenset(epochs[i.a]), frozenset(epochs[j.a])))
