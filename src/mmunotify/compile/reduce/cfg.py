"""Control flow and accesses: what every reduction pass reads instead of the code itself.

A thread's code becomes blocks, and blocks become micro steps: what runs from one boundary to the
next. Sets of slots are ints used as bit sets; bit `slots + e` stands for epoch `e`.

Invariant: nothing here knows what an operation does beyond the roles in `ops.OPS` and, for jumps,
whether it can fall through; a new operation needs no change in any pass but `locks` and
`symmetry`, which refuse what they do not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmunotify.ir.ops import OPS, Op, Role
from mmunotify.ir.program import CellKind, Instr, PredicateKind, Program

__all__ = [
    "Accesses",
    "Block",
    "Flow",
    "Graph",
    "bits",
    "build",
    "feedback",
    "instructions",
    "span",
]

_ENDS = frozenset({Op.JMP, Op.FAIL, Op.STEP, Op.END})  # never fall through
_FIELDS = "abcde"
_SHAPES = {op: tuple(zip(_FIELDS, row.roles, strict=False)) for op, row in OPS.items()}
_TARGETS = {op: f for op, shape in _SHAPES.items() for f, role in shape if role is Role.TARGET}


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits set in `mask`, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def span(base: int, length: int) -> int:
    """Return the mask of `length` bits from `base` on."""
    return ((1 << length) - 1) << base


@dataclass(frozen=True)
class Accesses:
    """What each instruction of a program touches, by instruction number.

    `kills` are the slots certainly overwritten, a part of `writes`; `shown` are the slots that a
    failure message reads. An epoch is written by `BUMP` and read by whatever reads a snapshot of
    it or takes one (writes anything but the constants 0 and 2, which no `BUMP` changes).
    """

    reads: list[int]
    writes: list[int]
    kills: list[int]
    shown: list[int]


@dataclass(frozen=True, slots=True)
class Block:
    """Straight-line code `start .. stop-1`; `boundary` is where its final STEP or END leads."""

    start: int
    stop: int
    successors: tuple[int, ...]
    boundary: int | None


@dataclass(frozen=True)
class Graph:
    """One thread: its blocks, and its micro steps by the boundary they start from.

    `regions[k]` are the blocks of the micro step from boundary `k`, each after its predecessors
    unless they lie on a cycle; `exits[k]` the boundaries it may reach (`done` included).
    `reads`, `writes`: what it may touch. `waits`: whether it has a WAIT.
    """

    thread: int
    done: int
    blocks: tuple[Block, ...]
    entry: tuple[int, ...]
    regions: tuple[tuple[int, ...], ...]
    exits: tuple[tuple[int, ...], ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    waits: tuple[bool, ...]


@dataclass(frozen=True)
class Flow:
    """All that the passes share about one program.

    `read_by[t]`, `written_by[t]`: what the code of thread `t` may touch. `observed`: what
    ALWAYS, NEVER and REACHABLE predicates read, in every state; `final`: what FINAL ones read.
    `shown_by[t]`: what the failure messages of thread `t` read. `watched`: threads whose pc is
    read by anything but their own steps.
    """

    program: Program
    accesses: Accesses
    graphs: tuple[Graph, ...]
    read_by: tuple[int, ...]
    written_by: tuple[int, ...]
    shown_by: tuple[int, ...]
    observed: int
    final: int
    watched: frozenset[int]

    def visible(self, thread: int) -> int:
        """Return the cells whose writes by `thread` a predicate may see at once.

        A FINAL predicate sees the end of every thread that must finish, but an unfinished daemon
        between any two of its steps.
        """
        daemon = self.program.threads[thread].daemon
        return self.observed | (self.final if daemon else 0)


def _field(instr: Instr, name: str) -> int:
    return int(getattr(instr, name))


class _Reader:
    """Turns instructions into access masks."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.epochs = [
            (sum(1 << s for s in set(e)), 1 << (program.slots + n))
            for n, e in enumerate(program.epochs)
        ]

    def read(self, i: Instr) -> tuple[int, int, int, int]:
        """Return the reads, writes, kills and shown slots of one instruction."""
        reads = writes = kills = shown = 0
        for name, role in _SHAPES[i.op]:
            if role is Role.READ:
                reads |= 1 << _field(i, name)
            elif role is Role.WRITE:
                kills |= 1 << _field(i, name)
            elif role is Role.READ_BASE:
                reads |= span(_field(i, name), i.d)
            elif role is Role.WRITE_BASE:
                count = i.b if i.op is Op.FILL else i.d
                mask = span(_field(i, name), count)
                writes |= mask
                kills |= mask if i.op is Op.FILL else 0
            elif role is Role.EPOCH:
                writes |= 1 << (self.program.slots + _field(i, name))
            elif role is Role.FAILURE:
                for slot in self.program.failures[_field(i, name)].slots:
                    shown |= 1 << slot
        writes |= kills
        if self.epochs:
            reads |= self._epochs(i, reads, writes)
        return reads, writes, kills, shown

    def _epochs(self, i: Instr, reads: int, writes: int) -> int:
        constant = i.b if i.op is Op.CONST else i.c if i.op is Op.FILL else 1
        takes = writes if constant not in (0, 2) else 0
        return sum(bit for slots, bit in self.epochs if (reads | takes) & slots)


def _accesses(program: Program) -> Accesses:
    reader = _Reader(program)
    known: dict[tuple[Op, int, int, int, int, int], tuple[int, int, int, int]] = {}
    rows = []
    for i in program.code:
        key = (i.op, i.a, i.b, i.c, i.d, i.e)
        row = known.get(key)
        if row is None:
            row = known[key] = reader.read(i)
        rows.append(row)
    return Accesses(*([row[n] for row in rows] for n in range(4)))


def _next(code: tuple[Instr, ...], at: int) -> tuple[int, ...]:
    """Return where control may go from instruction `at` within its micro step."""
    i = code[at]
    target = _TARGETS.get(i.op)
    if target is None:
        return () if i.op in _ENDS else (at + 1,)
    there = _field(i, target)
    return (there,) if i.op in _ENDS else (at + 1, there)


def instructions(code: tuple[Instr, ...], starts: tuple[int, ...]) -> tuple[list[int], set[int]]:
    """Return the instructions reachable from `starts`, in order, and where blocks start."""
    leaders = set(starts)
    seen: set[int] = set()
    todo = list(starts)
    while todo:
        at = todo.pop()
        while at not in seen:
            seen.add(at)
            i = code[at]
            if i.op not in _TARGETS:
                if i.op in _ENDS:
                    break
                at += 1
                continue
            after = _next(code, at)
            leaders.update(after)
            todo.extend(after[1:])
            at = after[0]
    return sorted(seen), leaders


def _blocks(
    code: tuple[Instr, ...], starts: tuple[int, ...], done: int
) -> tuple[list[Block], dict[int, int]]:
    order, leaders = instructions(code, starts)
    firsts = [at for at in order if at in leaders]
    number = {at: n for n, at in enumerate(firsts)}
    last: dict[int, int] = {}
    current = -1
    for at in order:
        current = number.get(at, current)
        last[current] = at
    blocks = []
    for n, first in enumerate(firsts):
        end = code[last[n]]
        boundary = end.a if end.op is Op.STEP else done if end.op is Op.END else None
        after = tuple(number[at] for at in _next(code, last[n]))
        blocks.append(Block(first, last[n] + 1, after, boundary))
    return blocks, number


def _region(blocks: list[Block], start: int) -> tuple[int, ...]:
    """Return the blocks reachable from `start` without a boundary, in reverse postorder."""
    if not blocks[start].successors:
        return (start,)
    post: list[int] = []
    seen = {start}
    stack = [(start, iter(blocks[start].successors))]
    while stack:
        block, after = stack[-1]
        for n in after:
            if n not in seen:
                seen.add(n)
                stack.append((n, iter(blocks[n].successors)))
                break
        else:
            post.append(block)
            stack.pop()
    return tuple(reversed(post))


def _graph(program: Program, accesses: Accesses, thread: int) -> Graph:
    owner = program.threads[thread]
    blocks, number = _blocks(program.code, owner.entries, owner.done)
    touch = []
    for block in blocks:
        reads = writes = 0
        waits = False
        for at in range(block.start, block.stop):
            reads |= accesses.reads[at]
            writes |= accesses.writes[at]
            waits |= program.code[at].op is Op.WAIT
        touch.append((reads, writes, waits))
    entry = tuple(number[start] for start in owner.entries)
    regions = tuple(_region(blocks, block) for block in entry)
    exits, sums = [], []
    for region in regions:
        ends = (blocks[b].boundary for b in region)
        # dict: each boundary once, in the order of the code, so that like threads look alike
        exits.append(tuple(dict.fromkeys(end for end in ends if end is not None)))
        reads = writes = 0
        waits = False
        for b in region:
            r, w, wait = touch[b]
            reads, writes, waits = reads | r, writes | w, waits or wait
        sums.append((reads, writes, waits))
    return Graph(
        thread=thread,
        done=owner.done,
        blocks=tuple(blocks),
        entry=entry,
        regions=regions,
        exits=tuple(exits),
        reads=tuple(reads for reads, _, _ in sums),
        writes=tuple(writes for _, writes, _ in sums),
        waits=tuple(waits for _, _, waits in sums),
    )


def _predicates(program: Program, accesses: Accesses) -> tuple[int, int]:
    observed = final = 0
    for predicate in program.predicates:
        order, _ = instructions(program.code, (predicate.entry,))
        mask = 1 << predicate.result
        for at in order:
            mask |= accesses.reads[at]
        if predicate.kind is PredicateKind.FINAL:
            final |= mask
        else:
            observed |= mask
    return observed, final


def _watched(program: Program, read: int) -> frozenset[int]:
    return frozenset(n for n, t in enumerate(program.threads) if read & span(t.pc, 2))


def build(program: Program) -> Flow:
    """Return the control flow and the accesses of `program`."""
    accesses = _accesses(program)
    graphs = tuple(_graph(program, accesses, n) for n in range(len(program.threads)))
    read_by, written_by, shown_by = [], [], []
    stored = span(0, len(program.cells)) | span(program.slots, len(program.epochs))
    for graph in graphs:
        reads = writes = shown = 0
        for block in graph.blocks:
            for at in range(block.start, block.stop):
                reads |= accesses.reads[at]
                writes |= accesses.writes[at]
                shown |= accesses.shown[at]
        read_by.append(reads & stored)
        written_by.append(writes & stored)
        shown_by.append(shown & stored)
    observed, final = _predicates(program, accesses)
    for n, cell in enumerate(program.cells):
        if cell.kind is CellKind.PC and any(w >> n & 1 for w in written_by):
            raise ValueError(f"cell {cell.name} is part of a pc and written by an instruction")
    everything = observed | final
    for mask in read_by:
        everything |= mask
    return Flow(
        program,
        accesses,
        graphs,
        tuple(read_by),
        tuple(written_by),
        tuple(shown_by),
        observed & stored,
        final & stored,
        _watched(program, everything),
    )


def feedback(successors: list[list[int]], roots: list[int]) -> list[int]:
    """Return targets of back edges of a depth-first search: every cycle contains one of them."""
    colour = [0] * len(successors)
    found: dict[int, None] = {}
    for root in roots:
        if colour[root]:
            continue
        colour[root] = 1
        stack = [(root, iter(successors[root]))]
        while stack:
            node, after = stack[-1]
            for n in after:
                if colour[n] == 1:
                    found[n] = None
                elif colour[n] == 0:
                    colour[n] = 1
                    stack.append((n, iter(successors[n])))
                    break
            else:
                colour[node] = 2
                stack.pop()
    return list(found)
