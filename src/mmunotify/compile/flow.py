"""Control and data flow of one thread's items: successors, reads and writes, liveness.

Sets of registers are ints, one bit a register. Invariant: liveness is worked out for whole blocks
of straight code and then, where it is asked for, item by item.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from mmunotify.compile.emit import Arg, Item, Message, Note, Noted
from mmunotify.compile.values import Reg
from mmunotify.ir.ops import OPS, Op, Role

__all__ = ["Flow", "bits_of", "reads", "targets", "with_args", "writes"]

_LAST = (Op.JMP, Op.FAIL, Op.END)  # nothing falls through them


def _fields(role: Role) -> list[tuple[int, ...]]:
    """Return, for each operation by number, the operand fields that have `role`."""
    return [
        tuple(n for n, r in enumerate(OPS[op].roles) if r is role) for op in sorted(OPS, key=int)
    ]


_READS, _WRITES, _TARGETS = _fields(Role.READ), _fields(Role.WRITE), _fields(Role.TARGET)
_FAILURES = _fields(Role.FAILURE)


def reads(item: Item) -> tuple[Reg, ...]:
    """Return the registers an item reads, those a failure would show included."""
    found = item.reads
    if found is None:
        found = item.reads = _shown(item, _at(item, _READS)) if item.op is not None else ()
    return found


def writes(item: Item) -> tuple[Reg, ...]:
    """Return the registers an item writes."""
    found = item.writes
    if found is None:
        found = item.writes = _at(item, _WRITES) if item.op is not None else ()
    return found


def _at(item: Item, fields: list[tuple[int, ...]]) -> tuple[Reg, ...]:
    args = item.args
    return tuple([arg for n in fields[item.op] if isinstance(arg := args[n], Reg)])  # type: ignore[index]


def _shown(item: Item, regs: tuple[Reg, ...]) -> tuple[Reg, ...]:
    """Return `regs` and those that the item's failure shows."""
    for n in _FAILURES[item.op]:  # type: ignore[index]
        message = item.args[n]
        if isinstance(message, Message) and message.operands:
            regs = (*regs, *(o for o in message.operands if isinstance(o, Reg)))
    return regs


def targets(item: Item) -> list[int]:
    """Return the numbers of the labels an item may jump to."""
    if item.op is None:
        return []
    return [item.args[n].number for n in _TARGETS[item.op]]  # type: ignore[union-attr]


def bits_of(regs: Iterable[Reg]) -> int:
    """Return a set of registers."""
    found = 0
    for reg in regs:
        found |= 1 << reg.number
    return found


def with_args(item: Item, args: tuple[Arg, ...]) -> Item:
    """Return a copy of `item` with other arguments."""
    return Item(item.op, args, item.location, item.label, item.touched, item.kept, item.scopes)


class Flow:
    """Successors of each item, and which registers are live before it."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.places = {i.label.number: n for n, i in enumerate(items) if i.label is not None}

    @cached_property
    def successors(self) -> list[tuple[int, ...]]:
        """Where control may go from each item."""
        places = self.places
        found: list[tuple[int, ...]] = []
        for number, item in enumerate(self.items, 1):
            jumps = [places[t] for t in targets(item) if t in places]
            if item.op not in _LAST:
                jumps.append(number)
            found.append(tuple(jumps))
        if found and found[-1][-1:] == (len(found),):
            found[-1] = found[-1][:-1]  # nothing follows the last
        return found

    @cached_property
    def blocks(self) -> list[tuple[int, int]]:
        """The blocks of straight code as (first item, item after the last)."""
        starts = [
            n
            for n, item in enumerate(self.items)
            if n == 0 or item.label is not None or self.successors[n - 1] != (n,)
        ]
        return list(zip(starts, [*starts[1:], len(self.items)], strict=True))

    @cached_property
    def live(self) -> list[int]:
        """The registers that are live before each item."""
        read = [bits_of(reads(item)) for item in self.items]
        kept = [~bits_of(writes(item)) for item in self.items]
        gen, keep = {}, {}
        for first, end in self.blocks:
            g, k = 0, -1
            for n in range(end - 1, first - 1, -1):
                g, k = read[n] | (g & kept[n]), k & kept[n]
            gen[first], keep[first] = g, k
        before = self._live_blocks(gen, keep)
        live = [0] * len(self.items)
        for first, end in self.blocks:
            after = self._joined(before, end - 1)
            for n in range(end - 1, first - 1, -1):
                after = live[n] = read[n] | (after & kept[n])
        return live

    def _joined(self, before: dict[int, int], number: int) -> int:
        after = 0
        for successor in self.successors[number]:
            after |= before[successor]
        return after

    def _live_blocks(self, gen: dict[int, int], keep: dict[int, int]) -> dict[int, int]:
        """Return what is live before each block, by its first item."""
        before = dict.fromkeys(gen, 0)
        changed = True
        while changed:
            changed = False
            for first, end in reversed(self.blocks):
                now = gen[first] | (self._joined(before, end - 1) & keep[first])
                if now != before[first]:
                    before[first] = now
                    changed = True
        return before

    def forward(self, kept: list[int], added: list[int], entry: int = 0) -> list[int]:
        """Return the least sets before each item of which `(set & kept) | added` flow on."""
        before = {first: 0 for first, _ in self.blocks}
        whole: dict[int, tuple[int, int]] = {}
        for first, end in self.blocks:
            k, a = -1, 0
            for n in range(first, end):
                k, a = k & kept[n], (a & kept[n]) | added[n]
            whole[first] = k, a
        ends, seen, todo = dict(self.blocks), set(), [0]
        before[0] = entry
        while todo:
            first = todo.pop()
            seen.add(first)
            k, a = whole[first]
            after = (before[first] & k) | a
            for successor in self.successors[ends[first] - 1]:
                if after & ~before[successor] or successor not in seen:
                    before[successor] |= after
                    todo.append(successor)
        found = [0] * len(self.items)
        for first, end in self.blocks:
            now = before[first]
            for n in range(first, end):
                found[n] = now
                now = (now & kept[n]) | added[n]
        return found

    def after(self, number: int) -> int:
        """Return the registers live after item `number`, as bits."""
        live = 0
        for successor in self.successors[number]:
            live |= self.live[successor]
        return live

    def reachable(self) -> set[int]:
        """Return the numbers of the items that can be executed."""
        seen, todo = {0}, [0]
        while todo:
            for successor in self.successors[todo.pop()]:
                if successor not in seen:
                    seen.add(successor)
                    todo.append(successor)
        return seen

    def stepless(self) -> list[set[int]]:
        """Return the cycles of control that contain no step: each as the set of its items."""
        return [c for c in self._components() if len(c) > 1 or self._is_own_successor(c)]

    def _is_own_successor(self, component: set[int]) -> bool:
        (only,) = component
        return only in self.successors[only]

    def _components(self) -> list[set[int]]:
        """Strongly connected components of the items that are no steps (Tarjan, no recursion)."""
        index: dict[int, int] = {}
        low: dict[int, int] = {}
        stack: list[int] = []
        on_stack: set[int] = set()
        found: list[set[int]] = []
        for root in self._between_jumps_back():
            if root in index or self.items[root].op is Op.STEP:
                continue
            work = [(root, iter(self._going_on(root)))]
            index[root] = low[root] = len(index)
            stack.append(root)
            on_stack.add(root)
            while work:
                number, following = work[-1]
                for successor in following:
                    if successor not in index:
                        index[successor] = low[successor] = len(index)
                        stack.append(successor)
                        on_stack.add(successor)
                        work.append((successor, iter(self._going_on(successor))))
                        break
                    if successor in on_stack:
                        low[number] = min(low[number], index[successor])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[number])
                    if low[number] == index[number]:
                        at = stack.index(number)
                        found.append(set(stack[at:]))
                        on_stack.difference_update(stack[at:])
                        del stack[at:]
        return found

    def _between_jumps_back(self) -> range:
        """Return the numbers of items among which all cycles are."""
        back = [
            (min(ways), number)
            for number, ways in enumerate(self.successors)
            if ways and min(ways) <= number
        ]
        return range(min(to for to, _ in back), back[-1][1] + 1) if back else range(0)

    def _going_on(self, number: int) -> list[int]:
        return [s for s in self.successors[number] if self.items[s].op is not Op.STEP]

    def unbound(self) -> list[Note]:
        """Return the uses of variables that some way reaches before the variable is bound."""
        notes = [item.note for item in self.items]
        if all(note is None or note.noted is not Noted.USED for note in notes):
            return []
        kept, added = [-1] * len(notes), [0] * len(notes)
        for number, note in enumerate(notes):
            if note is not None and note.noted is Noted.BOUND:
                kept[number] = ~(1 << note.variable)
            elif note is not None and note.noted is Noted.UNBOUND:
                added[number] = 1 << note.variable
        before = self.forward(kept, added, entry=-1)
        return [
            note
            for note, unbound in zip(notes, before, strict=True)
            if note is not None and note.noted is Noted.USED and unbound >> note.variable & 1
        ]
