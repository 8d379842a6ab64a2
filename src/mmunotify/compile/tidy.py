"""Small clean-ups of one thread's items: needless steps, jumps and copies go away.

None of them changes which steps there are, except that accesses nobody else can see cost none.
"""

from __future__ import annotations

from collections import Counter as Tally

from mmunotify.compile.emit import Item, Label
from mmunotify.compile.flow import Flow, reads, targets, with_args, writes
from mmunotify.compile.values import Address, Reg
from mmunotify.ir.ops import OPS, Op, Role

__all__ = ["tidy", "without_private_steps"]


def without_private_steps(items: list[Item], shared: set[int]) -> list[Item]:
    """Drop the step marks of accesses to storages that are not in `shared`."""
    return [i for i in items if i.op is not Op.STEP or i.kept or i.touched & shared]


def tidy(items: list[Item]) -> list[Item]:
    """Return the items without unreachable code, empty jumps and copies used once."""
    items = _threaded(_reachable(items))
    while True:
        fewer = _merge_copies(_without_empty_jumps(items))
        if len(fewer) == len(items):
            return fewer
        items = fewer


def _reachable(items: list[Item]) -> list[Item]:
    seen = Flow(items).reachable()
    return [i for n, i in enumerate(items) if n in seen or i.label is not None]


def _threaded(items: list[Item]) -> list[Item]:
    """Let jumps to a jump go where that one goes."""
    ends: dict[int, Label] = {}
    for number, item in enumerate(items):
        if item.label is not None:
            following = next((i for i in items[number:] if i.label is None), None)
            if following is not None and following.op is Op.JMP:
                target = following.args[0]
                if isinstance(target, Label) and target.number != item.label.number:
                    ends[item.label.number] = target
    return [_retargeted(item, ends) for item in items]


def _retargeted(item: Item, ends: dict[int, Label]) -> Item:
    if item.op is None or not any(t in ends for t in targets(item)):
        return item
    args = list(item.args)
    for number, arg in enumerate(args):
        seen: set[int] = set()
        while isinstance(arg, Label) and arg.number in ends and arg.number not in seen:
            seen.add(arg.number)
            arg = ends[arg.number]
        args[number] = arg
    return with_args(item, tuple(args))


def _without_empty_jumps(items: list[Item]) -> list[Item]:
    used = {t for item in items for t in targets(item)}
    kept = [i for i in items if i.label is None or i.label.number in used]
    result: list[Item] = []
    for number, item in enumerate(kept):
        if item.op is Op.JMP and _falls_to(kept, number + 1, next(targets(item))):
            continue
        result.append(item)
    return result


def _falls_to(items: list[Item], number: int, target: int) -> bool:
    while number < len(items):
        label = items[number].label
        if label is None:
            return False
        if label.number == target:
            return True
        number += 1
    return False


def _merge_copies(items: list[Item]) -> list[Item]:
    uses: Tally[Reg] = Tally(r for item in items for r in reads(item))
    defs: Tally[Reg] = Tally(r for item in items for r in writes(item))

    def once(arg: object) -> bool:
        return isinstance(arg, Reg) and not arg.name and uses[arg] == 1 and defs[arg] == 1

    result: list[Item] = []
    for item in items:
        before = result[-1] if result else None
        merged = None
        if before is not None and before.op is not None and item.op is not None:
            merged = _forward(before, item, once) or _backward(before, item, once)
        if merged is not None:
            result[-1] = merged
        else:
            result.append(item)
    return result


def _forward(before: Item, item: Item, once: object) -> Item | None:
    """`MOV t, s; op ..t..` becomes `op ..s..`."""
    if before.op is not Op.MOV or not once(before.args[0]):  # type: ignore[operator]
        return None
    temporary, source = before.args
    roles = OPS[item.op].roles  # type: ignore[index]
    places = [n for n, (r, a) in enumerate(zip(roles, item.args, strict=False))
              if r is Role.READ and a is temporary]  # fmt: skip
    if len(places) != 1 or (item.op is Op.STEP):
        return None
    args = list(item.args)
    args[places[0]] = source
    return with_args(item, tuple(args))


def _backward(before: Item, item: Item, once: object) -> Item | None:
    """`op t, ..; MOV d, t` becomes `op d, ..`."""
    if item.op is not Op.MOV or not once(item.args[1]):  # type: ignore[operator]
        return None
    target, temporary = item.args
    roles = OPS[before.op].roles  # type: ignore[index]
    if not roles or roles[0] is not Role.WRITE or before.args[0] is not temporary:
        return None
    if not isinstance(target, Reg | Address):
        return None
    return with_args(before, (target, *before.args[1:]))
