"""Control and data flow of one thread's items: successors, reads and writes, liveness."""

from __future__ import annotations

from collections.abc import Iterator

from mmunotify.compile.emit import Arg, Item, Message
from mmunotify.compile.values import Reg
from mmunotify.ir.ops import OPS, Op, Role

__all__ = ["Flow", "reads", "targets", "with_args", "writes"]

_READS = {Role.READ}
_WRITES = {Role.WRITE}


def reads(item: Item) -> Iterator[Reg]:
    """Yield the registers an item reads, those a failure would show included."""
    if item.op is None:
        return
    for role, arg in zip(OPS[item.op].roles, item.args, strict=False):
        if role in _READS and isinstance(arg, Reg):
            yield arg
        elif isinstance(arg, Message):
            yield from (o for o in arg.operands if isinstance(o, Reg))


def writes(item: Item) -> Iterator[Reg]:
    """Yield the registers an item writes."""
    if item.op is None:
        return
    for role, arg in zip(OPS[item.op].roles, item.args, strict=False):
        if role in _WRITES and isinstance(arg, Reg):
            yield arg


def targets(item: Item) -> Iterator[int]:
    """Yield the numbers of the labels an item may jump to."""
    if item.op is None:
        return
    for role, arg in zip(OPS[item.op].roles, item.args, strict=False):
        if role is Role.TARGET:
            yield arg.number  # type: ignore[union-attr]


def with_args(item: Item, args: tuple[Arg, ...]) -> Item:
    """Return a copy of `item` with other arguments."""
    return Item(item.op, args, item.location, item.label, item.touched, item.kept, item.scopes)


class Flow:
    """Successors of each item, and which registers are live before it."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.places = {i.label.number: n for n, i in enumerate(items) if i.label is not None}
        self.successors = [self._successors(n, item) for n, item in enumerate(items)]
        self.live = self._liveness()

    def _successors(self, number: int, item: Item) -> tuple[int, ...]:
        jumps = tuple(self.places[t] for t in targets(item))
        if item.op in (Op.JMP, Op.FAIL, Op.END):
            return jumps
        following = (number + 1,) if number + 1 < len(self.items) else ()
        return (*jumps, *following)

    def _liveness(self) -> list[int]:
        gen, keep = [], []
        for item in self.items:
            gen.append(sum({1 << r.number for r in reads(item)}))
            keep.append(~sum({1 << r.number for r in writes(item)}))
        live = [0] * len(self.items)
        changed = True
        while changed:
            changed = False
            for n in range(len(self.items) - 1, -1, -1):
                after = 0
                for successor in self.successors[n]:
                    after |= live[successor]
                before = gen[n] | (after & keep[n])
                if before != live[n]:
                    live[n] = before
                    changed = True
        return live

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

    def stepless(self, head: int) -> bool:
        """Tell whether item `head` can be reached from itself without a step."""
        seen: set[int] = set()
        todo = list(self.successors[head])
        while todo:
            n = todo.pop()
            if n == head:
                return True
            if n not in seen and self.items[n].op is not Op.STEP:
                seen.add(n)
                todo.extend(self.successors[n])
        return False
