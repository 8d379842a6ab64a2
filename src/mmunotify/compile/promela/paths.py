"""All ways through one step, each with what it takes in the state in which the step begins.

A step may turn out to be impossible after it has had effects: a WAIT can be anywhere. So every
path from a boundary to the next is followed symbolically; its guard speaks of the state at the
start.

Invariant: in every state exactly one path of a step is open for each tape of choices, or none
where a WAIT on the way is not met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmunotify.compile.promela.expression import (
    Comparison,
    Expression,
    Unexportable,
    binary,
    constant,
    plus,
    select,
    truth_of,
)
from mmunotify.compile.promela.facts import Facts
from mmunotify.compile.promela.names import Names
from mmunotify.ir.ops import Op
from mmunotify.ir.program import Instr, Program

__all__ = ["Path", "paths"]

_MOST_PATHS = 20_000  # of one step
_MOST_INSTRUCTIONS = 20_000  # on one path


@dataclass(frozen=True)
class _Statement:
    """One assignment. `target` is the scratch slot that it sets, -1 if it is kept in any case."""

    text: str
    target: int
    reads: Sequence[int]


@dataclass
class Path:
    """A way through a step, up to instruction `at`.

    In the end either `boundary` (-1: END) or `failure` is set.
    """

    at: int
    facts: Facts = field(default_factory=Facts)
    values: dict[int, Expression] = field(default_factory=dict)
    body: list[_Statement] = field(default_factory=list)
    length: int = 0
    boundary: int | None = None
    failure: int | None = None

    def fork(self) -> Path:
        """Return a copy that goes its own way from here."""
        return Path(self.at, self.facts.fork(), dict(self.values), list(self.body), self.length)

    def statements(self) -> list[str]:
        """Return the assignments that matter: no scratch slot is set that nobody reads."""
        needed: set[int] = set()
        kept: list[str] = []
        for statement in reversed(self.body):
            if statement.target < 0 or statement.target in needed:
                needed.discard(statement.target)
                needed.update(statement.reads)
                kept.append(statement.text)
        return kept[::-1]


def paths(
    program: Program, names: Names, entry: int, joins: Mapping[int, int] | None = None
) -> list[Path]:
    """Return the paths from instruction `entry` to the end of the step, in order of the choices.

    `joins`: where the ways from a jump meet again. There they are made one, which leaves their
    statements behind: it is for code whose value alone counts.
    Raise `Unexportable` where there are too many paths.
    """
    walker = _Walker(program, names, joins or {})
    ways = [Path(entry)]
    while ways:
        ways += reversed(walker.advance(ways.pop()))
        if len(ways) + len(walker.finished) > _MOST_PATHS:
            raise Unexportable(f"a step of more than {_MOST_PATHS} paths")
    return walker.finished


class _Walker:
    """Follows paths; `finished` are those at their end, but for those that a WAIT has closed."""

    def __init__(self, program: Program, names: Names, joins: Mapping[int, int]) -> None:
        self.program = program
        self.names = names
        self.joins = joins
        self.finished: list[Path] = []

    def advance(self, path: Path) -> list[Path]:
        """Run a path up to its end or to where it splits; return the parts that go on."""
        ways = [path]
        while len(ways) == 1:
            ways = self.instruction(ways[0])
        return ways

    def instruction(self, path: Path) -> list[Path]:
        """Execute one instruction; return the paths that go on."""
        i = self.program.code[path.at]
        path.length += 1
        if path.length > _MOST_INSTRUCTIONS:
            raise Unexportable(f"a step of more than {_MOST_INSTRUCTIONS} instructions")
        if i.op in (Op.STEP, Op.END):
            path.boundary = i.a if i.op is Op.STEP else -1
            self.finished.append(path)
            return []
        if i.op is Op.FAIL:
            return self.fail(path, i.a)
        if i.op is Op.WAIT:
            open_, _ = self.split(path, self.read(path, i.a).truth())
            return self.on(open_)
        if i.op is Op.CHOOSE:
            return self.choose(path, i)
        if Op.JMP <= i.op <= Op.JLE:
            return self.jump(path, i)
        return self.on(self.checked(path, i))

    def on(self, path: Path | None) -> list[Path]:
        """Go on to the next instruction."""
        if path is None:
            return []
        path.at += 1
        return [path]

    def fail(self, path: Path, failure: int) -> list[Path]:
        """End a path in a failure."""
        path.failure = failure
        self.finished.append(path)
        return []

    def split(self, path: Path, test: Comparison) -> tuple[Path | None, Path | None]:
        """Return the path on which the test holds and the one on which it does not."""
        decided = path.facts.decide(test)
        if decided is not None:
            return (path, None) if decided else (None, path)
        other = path.fork()
        path.facts.assume(test)
        other.facts.assume(test.negated())
        return path, other

    def choose(self, path: Path, i: Instr) -> list[Path]:
        """Split into one path an alternative."""
        ways = [path, *(path.fork() for _ in range(i.c - 1))]
        for alternative, way in enumerate(ways):
            self.write(way, i.a, constant(i.b + alternative))
            way.at += 1
        return ways

    def jump(self, path: Path, i: Instr) -> list[Path]:
        """Follow a jump, both ways where it depends."""
        if i.op is Op.JMP:
            path.at = i.a
            return [path]
        first = self.read(path, i.a)
        if i.op in (Op.JZ, Op.JNZ):
            truth = first.truth()
            test, target = (truth.negated() if i.op is Op.JZ else truth), i.b
        elif i.op in (Op.JEQK, Op.JNEK):
            operator = "==" if i.op is Op.JEQK else "!="
            test, target = Comparison(operator, first, constant(i.b)), i.c
        else:
            test, target = Comparison(_JUMPS[i.op], first, self.read(path, i.b)), i.c
        join, before = self.joins.get(path.at), path.facts.fork()
        taken, not_taken = self.split(path, test)
        if taken is not None:
            taken.at = target
        ways = [*([taken] if taken is not None else []), *self.on(not_taken)]
        return self.merge(ways, test, before, join) if join is not None and ways[1:] else ways

    def merge(self, ways: list[Path], test: Comparison, before: Facts, join: int) -> list[Path]:
        """Run the ways from a test on to `join`; make one of them, if each has not split."""
        there = [self.run_to(way, join) for way in ways]
        arrived = [path for paths in there for path in paths]
        clauses = [(*before.clauses, t.text) for t in (test, test.negated())]
        if [path.facts.clauses for path in arrived] != clauses:
            return arrived
        yes, no = arrived
        merged = Path(join, before, length=max(yes.length, no.length))
        for slot in {**yes.values, **no.values}:
            merged.values[slot] = select(test, self.read(yes, slot), self.read(no, slot))
        return [merged]

    def run_to(self, path: Path, join: int) -> list[Path]:
        """Return the paths that arrive at `join`."""
        ways, arrived = [path], []
        while ways:
            way = ways.pop()
            if way.at == join:
                arrived.append(way)
            else:
                ways += reversed(self.instruction(way))
        return arrived

    def require(self, path: Path, tests: Sequence[Comparison], failure: int) -> Path | None:
        """Return the path on which all tests hold; where one does not, it fails."""
        held: Path | None = path
        for test in tests:
            if held is not None:
                held, broken = self.split(held, test)
                if broken is not None:
                    self.fail(broken, failure)
        return held

    def checked(self, path: Path, i: Instr) -> Path | None:
        """Execute an operation that may fail; return the path on which it does not."""
        tests, failure = self.conditions(path, i)
        held = self.require(path, tests, failure)
        if held is not None:
            self.data(held, i)
        return held

    def conditions(self, path: Path, i: Instr) -> tuple[list[Comparison], int]:
        """Return what must hold for an operation not to fail, and its failure."""
        if i.op in (Op.DIV, Op.MOD):
            return [Comparison("!=", self.read(path, i.c), constant(0))], i.d
        if i.op in (Op.LDX, Op.LDT, Op.STX):
            index = self.read(path, i.b if i.op is Op.STX else i.c)
            return [
                Comparison(">=", index, constant(0)),
                Comparison("<", index, constant(i.d)),
            ], i.e
        if i.op is Op.RANGE:
            value = self.read(path, i.a)
            return [
                Comparison(">=", value, constant(i.b)),
                Comparison("<=", value, constant(i.c)),
            ], i.d
        if i.op is Op.ASSERT:
            return [self.read(path, i.a).truth()], i.b
        return [], -1

    # Data ---------------------------------------------------------------------------------------

    def data(self, path: Path, i: Instr) -> None:
        """Carry out an operation that has been found not to fail."""
        op = i.op
        if op in _BINARY:
            self.compute(path, i)
        elif op is Op.CONST:
            self.write(path, i.a, constant(i.b))
        elif op is Op.MOV:
            self.copy(path, i.a, i.b)
        elif op is Op.ADDK:
            here = plus(self.here(path, i.b), i.c)
            self.write(path, i.a, plus(self.read(path, i.b), i.c), here, [i.b])
        elif op is Op.NOT:
            value = self.known(path, self.read(path, i.b).truth().negated())
            here = truth_of(self.here(path, i.b).truth().negated())
            self.write(path, i.a, value, here, [i.b])
        elif op is Op.LDX:
            self.load(path, i)
        elif op is Op.STX:
            self.store(path, i)
        elif op is Op.LDT:
            self.look_up(path, i)
        elif op is Op.FILL:
            for slot in range(i.a, i.a + i.b):
                self.write(path, slot, constant(i.c))
        elif op is Op.BUMP:
            self.bump(path, i.a)
        elif op not in (Op.COVER, Op.RANGE, Op.ASSERT):
            raise Unexportable(f"the operation {op.name}")

    def read(self, path: Path, slot: int) -> Expression:
        """Return the value of a slot, in terms of the state at the start."""
        value = path.values.get(slot)
        return self.names.at_start(slot) if value is None else value

    def here(self, path: Path, slot: int) -> Expression:
        """Return the value of a slot in terms of the state in the middle of the step."""
        value = self.read(path, slot)
        if value.value is not None:
            return value
        return self.names.now(slot, value.low, value.high)

    def write(
        self,
        path: Path,
        slot: int,
        value: Expression,
        here: Expression | None = None,
        reads: Sequence[int] = (),
        array: Sequence[int] = (),
    ) -> None:
        """Set a slot to `value`; in the middle of the step, `here` computes it.

        `here` reads the slots `reads` where they are not known, and all of `array`.
        """
        if value.value is not None or here is None:
            statement = self.names.write(slot, value)
            needed: Sequence[int] = ()
        else:
            statement = self.names.write(slot, here)
            needed = [*self.unknown(path, reads), *array]
        path.values[slot] = value
        target = slot if self.names.is_scratch(slot) else -1
        path.body.append(_Statement(statement, target, needed))

    def unknown(self, path: Path, slots: Sequence[int]) -> list[int]:
        """Return those slots that `here` does not replace by their value."""
        return [slot for slot in slots if self.read(path, slot).value is None]

    def known(self, path: Path, test: Comparison) -> Expression:
        """Return the truth of a test, as a constant where it is decided."""
        decided = path.facts.decide(test)
        return truth_of(test) if decided is None else constant(int(decided))

    def copy(self, path: Path, to: int, source: int) -> None:
        """Set a slot to the value of another."""
        self.write(path, to, self.read(path, source), self.here(path, source), [source])

    def compute(self, path: Path, i: Instr) -> None:
        """Carry out a binary operation."""
        value = binary(i.op, self.read(path, i.b), self.read(path, i.c))
        if value.test is not None:
            value = self.known(path, value.test)
        here = binary(i.op, self.here(path, i.b), self.here(path, i.c))
        self.write(path, i.a, value, here, [i.b, i.c])

    def load(self, path: Path, i: Instr) -> None:
        """Read an array."""
        index, elements = self.read(path, i.c), range(i.b, i.b + i.d)
        if index.value is not None:
            self.copy(path, i.a, i.b + index.value)
            return
        self.begin(path, elements)
        if any(slot in path.values for slot in elements):
            value = self.read(path, elements[-1])
            for n in reversed(range(i.d - 1)):
                value = select(
                    Comparison("==", index, constant(n)), self.read(path, i.b + n), value
                )
        else:
            value = self.names.element_at_start(i.b, index, i.d)
        here = self.names.element(i.b, self.here(path, i.c), i.d)
        self.write(path, i.a, value, here, [i.c], elements)

    def store(self, path: Path, i: Instr) -> None:
        """Write to an array."""
        index, value = self.read(path, i.b), self.read(path, i.c)
        if index.value is not None:
            self.copy(path, i.a + index.value, i.c)
            return
        self.begin(path, range(i.a, i.a + i.d))
        text = self.names.write_element(i.a, self.here(path, i.b), i.d, self.here(path, i.c))
        path.body.append(_Statement(text, -1, self.unknown(path, [i.b, i.c])))
        for n in range(i.d):
            test = Comparison("==", index, constant(n))
            path.values[i.a + n] = select(test, value, self.read(path, i.a + n))

    def begin(self, path: Path, array: Sequence[int]) -> None:
        """Set what nobody has set yet of a scratch array, before it is accessed at an index."""
        for slot in array:
            if self.names.is_scratch(slot) and slot not in path.values:
                self.write(path, slot, constant(0))

    def look_up(self, path: Path, i: Instr) -> None:
        """Read the table of constants."""
        index, here = self.read(path, i.c), self.here(path, i.c)
        entries = [constant(entry) for entry in self.program.table[i.b : i.b + i.d]]
        if index.value is not None:
            self.write(path, i.a, entries[index.value])
            return
        value = now = entries[-1]
        for n in reversed(range(i.d - 1)):
            value = select(Comparison("==", index, constant(n)), entries[n], value)
            now = select(Comparison("==", here, constant(n)), entries[n], now)
        self.write(path, i.a, value, now, [i.c])

    def bump(self, path: Path, epoch: int) -> None:
        """Make every fresh snapshot of an epoch stale."""
        for slot in self.program.epochs[epoch]:
            value, here = self.read(path, slot), self.here(path, slot)
            if value.value is None:
                stale = select(Comparison("==", value, constant(1)), constant(2), value)
                now = select(Comparison("==", here, constant(1)), constant(2), here)
                self.write(path, slot, stale, now, [slot])
            elif value.value == 1:
                self.write(path, slot, constant(2))


_JUMPS = {Op.JEQ: "==", Op.JNE: "!=", Op.JLT: "<", Op.JLE: "<="}
_BINARY = frozenset(
    {Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MOD, Op.AND, Op.OR, Op.XOR} | {Op.EQ, Op.NE, Op.LT, Op.LE}
)
