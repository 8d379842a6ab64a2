"""The paths through a micro step, as far as candidates for lock cells are concerned.

A forward evaluation over a small domain: a slot is a known constant, a copy of a candidate, or
the outcome of comparing one with a constant; a candidate has a known value or none. Branches are
followed with what they establish, joins keep what both sides agree on. So it does not matter
which MOV, CONST, EQ, NE, NOT or jumps a compiler chose.

Invariant: whatever the evaluation does not follow is noted in `Uses` as a look at the cell.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mmunotify.compile.reduce.cfg import Flow, Graph, bits
from mmunotify.compile.reduce.liveness import Liveness
from mmunotify.ir.ops import Op
from mmunotify.ir.program import Instr

__all__ = ["FREE", "Evaluator", "StepLocks", "Uses"]

FREE = -1

# What is known of a slot: an int is a constant, `Copy` of a cell, `Test` the outcome of a test.


@dataclass(frozen=True, slots=True)
class _Copy:
    cell: int


@dataclass(frozen=True, slots=True)
class _Test:
    """`(cell == value) == sense`, as 0 or 1."""

    cell: int
    value: int
    sense: bool


@dataclass(frozen=True, slots=True)
class _Old:
    """What it was about has been written since: using it now is not followed."""

    value: _Copy | _Test


_Value = int | _Copy | _Test


@dataclass(slots=True)
class _Path:
    """What holds on every path to a point of a micro step.

    `known`: candidates with their value. `written`, `asked`: candidates that some path wrote, or
    found free in a WAIT. `needs`: those certainly found free in a WAIT.
    """

    slots: dict[int, _Value | _Old]
    known: dict[int, int]
    written: int = 0
    asked: int = 0
    needs: int = 0

    def copy(self) -> _Path:
        return _Path(dict(self.slots), dict(self.known), self.written, self.asked, self.needs)


@dataclass
class Uses:
    """What one micro step does with the candidates.

    `writes`: cell, value, and what the cell was known to be before. `tests`: cell and value it
    was compared with, but for a WAIT until it is free; `checks`: those of them in an ASSERT.
    `looked`: cells whose value went elsewhere; `spoilt`: cells that received an unknown value.
    `needs`: cells found free in a WAIT wherever the step may end or fail, `checks` apart.
    """

    writes: set[tuple[int, int, int | None]] = field(default_factory=set)
    tests: set[tuple[int, int]] = field(default_factory=set)
    checks: set[tuple[int, int]] = field(default_factory=set)
    looked: int = 0
    spoilt: int = 0
    needs: int = -1


@dataclass(slots=True)
class StepLocks:
    """What one micro step does to candidates.

    `exits`: by boundary that a path reaches, the values known there, and the candidates perhaps
    written and asked for. `inside`: by instruction, the values known before it, where any are.
    """

    exits: dict[int, tuple[dict[int, int], int, int]]
    inside: dict[int, dict[int, int]]
    uses: Uses

    def leave(self, boundary: int, path: _Path) -> None:
        """Note that `path` reaches `boundary`."""
        self.uses.needs &= path.needs
        known, written, asked = self.exits.get(boundary, (path.known, 0, 0))
        self.exits[boundary] = (
            _common(known, path.known),
            written | path.written,
            asked | path.asked,
        )


class Evaluator:
    """Evaluates the micro steps of one thread."""

    def __init__(self, flow: Flow, graph: Graph, life: Liveness, candidates: int) -> None:
        self.flow, self.graph, self.life = flow, graph, life
        self.candidates = candidates
        self.stored = len(flow.program.cells)
        self.uses = Uses()
        self.touched = [
            (graph.reads[k] | graph.writes[k]) & candidates for k in range(len(graph.entry))
        ]

    def step(self, k: int) -> StepLocks | None:
        """Return what the step from boundary `k` does to candidates, or None for nothing."""
        if not self.touched[k]:
            return None
        region = self.graph.regions[k]
        before: dict[int, _Path] = {region[0]: _Path({}, {})}
        rank = {b: n for n, b in enumerate(region)}
        again = True
        while again:  # once, unless the step has a loop
            again = False
            self.uses = Uses()
            found = StepLocks({}, {}, self.uses)
            for b in region:
                if b not in before:
                    continue
                out = before[b].copy()
                ways = self._block(b, out, found.inside)
                if ways is None:
                    continue
                for successor, path in ways:
                    changed = self._join(before, successor, path)
                    again |= changed and rank[successor] <= rank[b]
                boundary = self.graph.blocks[b].boundary
                if boundary is not None:
                    found.leave(boundary, out)
        return found

    def _join(self, before: dict[int, _Path], block: int, out: _Path) -> bool:
        old = before.get(block)
        if old is None:
            before[block] = out.copy()
            return True
        live = self.life.block[block]
        slots: dict[int, _Value | _Old] = {}
        for mine, theirs in ((old.slots, out.slots), (out.slots, old.slots)):
            for slot, value in mine.items():
                if theirs.get(slot) == value:
                    slots[slot] = value
                elif live >> slot & 1:
                    self._look(value)  # whatever is done with it from here on is not followed
        merged = _Path(
            slots,
            _common(old.known, out.known),
            old.written | out.written,
            old.asked | out.asked,
            old.needs & out.needs,
        )
        before[block] = merged
        return merged != old

    def _block(
        self, b: int, path: _Path, inside: dict[int, dict[int, int]]
    ) -> list[tuple[int, _Path]] | None:
        """Run block `b` on `path`; return the paths out of it within the step.

        None if no path leaves the block, not even to a boundary.
        """
        block = self.graph.blocks[b]
        code = self.flow.program.code
        for at in range(block.start, block.stop):
            if path.known:
                inside[at] = dict(path.known)
            i = code[at]
            if at == block.stop - 1 and len(block.successors) == 2:
                return self._branch(i, block.successors, path)
            if not self._run(i, at, path):
                return None
        return [(n, path) for n in block.successors]

    def _value(self, slot: int, path: _Path) -> _Value | None:
        if slot < self.stored and self.candidates >> slot & 1:
            known = path.known.get(slot)
            return _Copy(slot) if known is None else known
        value = path.slots.get(slot)
        if isinstance(value, _Old):
            self._look(value)
            return None
        return value

    def _look(self, value: _Value | _Old | None) -> None:
        """Note a use that is not followed any further."""
        if isinstance(value, _Old):
            value = value.value
        if isinstance(value, _Copy):
            self.uses.looked |= 1 << value.cell
        elif isinstance(value, _Test):
            self.uses.tests.add((value.cell, value.value))

    def _compare(self, x: int, y: int, equal: bool, path: _Path) -> _Value | None:
        left, right = self._value(x, path), self._value(y, path)
        if isinstance(left, int):
            left, right = right, left
        if isinstance(right, int):
            if isinstance(left, int):
                return int((left == right) == equal)
            if isinstance(left, _Copy):
                return _Test(left.cell, right, equal)
            if isinstance(left, _Test) and right in (0, 1):
                return _Test(left.cell, left.value, left.sense == ((right == 1) == equal))
        self._look(left)
        self._look(right)
        return None

    def _assign(self, slot: int, value: _Value | None, path: _Path) -> None:
        if slot < self.stored and self.candidates >> slot & 1:
            self._write(slot, value, path)
            return
        if slot < self.stored and not isinstance(value, int):
            self._look(value)  # it may be read in a later step
            value = None
        if value is None:
            path.slots.pop(slot, None)
        else:
            path.slots[slot] = value

    def _write(self, cell: int, value: _Value | None, path: _Path) -> None:
        path.written |= 1 << cell
        for slot, held in path.slots.items():
            if isinstance(held, _Copy | _Test) and held.cell == cell:
                path.slots[slot] = _Old(held)
        if isinstance(value, int):
            self.uses.writes.add((cell, value, path.known.get(cell)))
            path.known[cell] = value
        else:
            self._look(value)
            self.uses.spoilt |= 1 << cell
            path.known.pop(cell, None)

    def _require(self, value: _Value | None, truth: bool, path: _Path) -> bool:
        """Go on with `value` being true or false; return whether that is possible."""
        if isinstance(value, int):
            return (value != 0) == truth
        if isinstance(value, _Test) and value.sense == truth:
            path.known[value.cell] = value.value
        return True

    def _run(self, i: Instr, at: int, path: _Path) -> bool:
        """Run one instruction that is no branch; return whether the path goes on."""
        op = i.op
        if op is Op.CONST:
            self._assign(i.a, i.b, path)
        elif op is Op.MOV:
            self._assign(i.a, self._value(i.b, path), path)
        elif op in (Op.EQ, Op.NE):
            self._assign(i.a, self._compare(i.b, i.c, op is Op.EQ, path), path)
        elif op is Op.NOT:
            value = self._value(i.b, path)
            if isinstance(value, _Test):
                self._assign(i.a, _Test(value.cell, value.value, not value.sense), path)
            else:
                self._look(value)
                self._assign(i.a, int(value == 0) if isinstance(value, int) else None, path)
        elif op is Op.WAIT:
            return self._wait(self._value(i.a, path), path)
        elif op is Op.ASSERT:
            return self._assert(self._value(i.a, path), path)
        elif op not in (Op.JMP, Op.COVER, Op.STEP, Op.END, Op.BUMP):
            self._other(i, at, path)
            return op is not Op.FAIL
        return True

    def _wait(self, value: _Value | None, path: _Path) -> bool:
        if isinstance(value, _Test) and value.value == FREE and value.sense:
            path.asked |= 1 << value.cell
            path.needs |= 1 << value.cell
        else:
            self._look(value)
        return self._require(value, True, path)

    def _assert(self, value: _Value | None, path: _Path) -> bool:
        self._look(value)
        if isinstance(value, _Test):
            self.uses.checks.add((value.cell, value.value))
        elif value is None or isinstance(value, _Copy) or value == 0:
            self.uses.needs &= path.needs
        return self._require(value, True, path)

    def _other(self, i: Instr, at: int, path: _Path) -> None:
        """Run an instruction whose result is not followed."""
        reads, writes = self.flow.accesses.reads[at], self.flow.accesses.writes[at]
        for slot in bits(reads & self.candidates):
            self._look(self._value(slot, path))
        for slot, value in path.slots.items():
            if reads >> slot & 1:
                self._look(value)
        for slot in [slot for slot in path.slots if writes >> slot & 1]:
            del path.slots[slot]
        for cell in bits(writes & self.candidates):
            self._write(cell, None, path)
        if i.op in (Op.RANGE, Op.DIV, Op.MOD, Op.LDX, Op.STX, Op.LDT, Op.FAIL):
            self.uses.needs &= path.needs

    def _branch(
        self, i: Instr, successors: tuple[int, ...], path: _Path
    ) -> list[tuple[int, _Path]]:
        fall, jump = successors
        value: _Value | None
        truth = True  # of `value` when the jump is taken
        if i.op in (Op.JZ, Op.JNZ):
            value, truth = self._value(i.a, path), i.op is Op.JNZ
        elif i.op in (Op.JEQK, Op.JNEK):
            left = self._value(i.a, path)
            value = self._against(left, i.b)
            truth = i.op is Op.JEQK
        elif i.op in (Op.JEQ, Op.JNE):
            value = self._compare(i.a, i.b, True, path)
            truth = i.op is Op.JEQ
        else:
            for slot in (i.a, i.b):
                self._look(self._value(slot, path))
            value = None
        self._look(value)
        taken, other = path, path.copy()
        ways = []
        if self._require(value, not truth, other):
            ways.append((fall, other))
        if self._require(value, truth, taken):
            ways.append((jump, taken))
        return ways

    def _against(self, left: _Value | None, constant: int) -> _Value | None:
        if isinstance(left, int):
            return int(left == constant)
        if isinstance(left, _Copy):
            return _Test(left.cell, constant, True)
        if isinstance(left, _Test) and constant in (0, 1):
            return _Test(left.cell, left.value, left.sense == (constant == 1))
        self._look(left)
        return None


def _common(x: dict[int, int], y: dict[int, int]) -> dict[int, int]:
    return {cell: value for cell, value in x.items() if y.get(cell) == value}
