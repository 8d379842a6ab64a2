"""Small clean-ups of one thread's items: needless steps, jumps and copies go away.

None of them changes which steps there are, except that accesses nobody else can see cost none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mmunotify.compile.emit import Arg, Item, Label, Message
from mmunotify.compile.flow import Flow, reads, targets, with_args, writes
from mmunotify.compile.values import Address, Reg
from mmunotify.ir.ops import OPS, Op, Role

__all__ = ["tidy", "without_private_steps"]

# What has no effect but the register it writes.
_PURE = {Op.CONST, Op.MOV, Op.ADD, Op.SUB, Op.MUL, Op.ADDK, Op.AND, Op.OR, Op.XOR, Op.NOT}
_PURE |= {Op.EQ, Op.NE, Op.LT, Op.LE}


def without_private_steps(items: list[Item], shared: set[int]) -> list[Item]:
    """Drop the step marks of accesses to storages that are not in `shared`.

    They stay in loops that would have no step without them: a step must end.
    """
    private = {
        n for n, i in enumerate(items) if i.op is Op.STEP and not i.kept and not i.touched & shared
    }
    if not private:
        return items
    unmarked = [Item(None) if n in private else item for n, item in enumerate(items)]
    for cycle in Flow(unmarked).stepless():
        private -= cycle
    return [item for n, item in enumerate(items) if n not in private]


def tidy(items: list[Item], result: Reg | None = None) -> list[Item]:
    """Return the items without notes, unreachable code, empty jumps and needless copies.

    `result` is a register that is read at the end.
    """
    items = _reachable(_threaded([i for i in items if i.note is None]))
    while True:
        fewer = _without_unread(_merge_copies(_propagated(_without_empty_jumps(items))), result)
        if len(fewer) == len(items):
            return fewer
        items = fewer


# -- jumps ----------------------------------------------------------------------------------------


def _reachable(items: list[Item]) -> list[Item]:
    seen = Flow(items).reachable()
    return [i for n, i in enumerate(items) if n in seen or i.label is not None]


def _threaded(items: list[Item]) -> list[Item]:
    """Let jumps to a jump go where that one goes."""
    ends: dict[int, Label] = {}
    following: Item | None = None  # the next item that is no label
    for item in reversed(items):
        if item.label is None:
            following = item
        elif following is not None and following.op is Op.JMP:
            target = following.args[0]
            if isinstance(target, Label) and target.number != item.label.number:
                ends[item.label.number] = target
    return [_retargeted(item, ends) for item in items] if ends else items


def _retargeted(item: Item, ends: dict[int, Label]) -> Item:
    if not any(t in ends for t in targets(item)):
        return item
    args = list(item.args)
    for number, arg in enumerate(args):
        seen: set[int] = set()
        while isinstance(arg, Label) and arg.number in ends and arg.number not in seen:
            seen.add(arg.number)
            arg = ends[arg.number]
        args[number] = arg
    return with_args(item, tuple(args))


_OPPOSITE = {
    Op.JZ: Op.JNZ,
    Op.JNZ: Op.JZ,
    Op.JEQK: Op.JNEK,
    Op.JNEK: Op.JEQK,
    Op.JEQ: Op.JNE,
    Op.JNE: Op.JEQ,
}


def _turned(items: list[Item]) -> list[Item]:
    """`if c go to A; go to B; A:` becomes `if not c go to B; A:`."""
    result: list[Item] = []
    for number, item in enumerate(items):
        before = result[-1] if result else None
        if (
            before is not None
            and before.op in _OPPOSITE
            and item.op is Op.JMP
            and _falls_to(items, number + 1, targets(before)[0])
        ):
            args = (*before.args[:-1], item.args[0])
            result[-1] = Item(_OPPOSITE[before.op], args, before.location)
        else:
            result.append(item)
    return result


def _without_empty_jumps(items: list[Item]) -> list[Item]:
    used = {t for item in items for t in targets(item)}
    kept = [i for i in items if i.label is None or i.label.number in used]
    result: list[Item] = []
    for number, item in enumerate(kept):
        if item.op is Op.JMP and _falls_to(kept, number + 1, targets(item)[0]):
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


# -- copies ---------------------------------------------------------------------------------------


def _propagated(items: list[Item]) -> list[Item]:
    """Read the source of a copy in place of the copy, wherever the source is still the same."""
    defs = _tally(items, writes)
    copies: dict[Reg, tuple[int, Reg]] = {}  # a copy: its number and its source
    for item in items:
        if item.op is not Op.MOV:
            continue
        target, source = item.args
        once = isinstance(target, Reg) and not target.name and defs[target] == 1
        if once and isinstance(source, Reg) and target is not source:
            copies[target] = len(copies), source  # type: ignore[index]
    if not copies:
        return items
    different = _different(items, copies)
    result: list[Item] = []
    for item, unlike in zip(items, different, strict=True):
        same = {
            reg: copies[reg][1]
            for reg in reads(item)
            if reg in copies and not unlike >> copies[reg][0] & 1
        }
        if same:
            item = with_args(item, tuple(_renamed(arg, same) for arg in item.args))
        result.append(item)
    return result


def _different(items: list[Item], copies: dict[Reg, tuple[int, Reg]]) -> list[int]:
    """Return, before each item, the copies (by number) that may differ from their source."""
    of_source: dict[Reg, int] = {}
    for number, source in copies.values():
        of_source[source] = of_source.get(source, 0) | 1 << number
    kept, added = [-1] * len(items), [0] * len(items)
    for n, item in enumerate(items):
        for reg in writes(item):
            added[n] |= of_source.get(reg, 0)
            if reg in copies:
                kept[n] &= ~(1 << copies[reg][0])
    return Flow(items).forward(kept, added, entry=-1)


def _renamed(arg: Arg, sources: dict[Reg, Reg]) -> Arg:
    if isinstance(arg, Reg):
        return sources.get(arg, arg)
    if isinstance(arg, Message):
        shown = tuple(sources.get(o, o) if isinstance(o, Reg) else o for o in arg.operands)
        return replace(arg, operands=shown)
    return arg


def _without_unread(items: list[Item], result: Reg | None) -> list[Item]:
    read = {reg for item in items for reg in reads(item)}
    if result is not None:
        read.add(result)
    return [
        item
        for item in items
        if item.op not in _PURE or not isinstance(item.args[0], Reg) or item.args[0] in read
    ]


def _tally(items: list[Item], regs: Callable[[Item], tuple[Reg, ...]]) -> dict[Reg, int]:
    """Count how often each register is among those that `regs` gives for an item."""
    found: dict[Reg, int] = {}
    for item in items:
        for reg in regs(item):
            found[reg] = found.get(reg, 0) + 1
    return found


def _merge_copies(items: list[Item]) -> list[Item]:
    """Join a copy with the one instruction before or after it."""
    uses, defs = _tally(items, reads), _tally(items, writes)

    def once(arg: Arg) -> bool:
        return isinstance(arg, Reg) and not arg.name and uses.get(arg) == 1 and defs.get(arg) == 1

    result: list[Item] = []
    for item in items:
        before = result[-1] if result else None
        merged = None
        if before is not None and (before.op is Op.MOV or item.op is Op.MOV):
            merged = _forward(before, item, once) or _backward(before, item, once)
        if merged is not None:
            result[-1] = merged
        else:
            result.append(item)
    return result


def _forward(before: Item, item: Item, once: Callable[[Arg], bool]) -> Item | None:
    """`MOV t, s; op ..t..` becomes `op ..s..`."""
    if before.op is not Op.MOV or item.op is None or not once(before.args[0]):
        return None
    temporary, source = before.args
    roles = OPS[item.op].roles
    places = [
        n
        for n, (role, arg) in enumerate(zip(roles, item.args, strict=False))
        if role is Role.READ and arg is temporary
    ]
    if len(places) != 1:
        return None
    args = list(item.args)
    args[places[0]] = source
    return with_args(item, tuple(args))


def _backward(before: Item, item: Item, once: Callable[[Arg], bool]) -> Item | None:
    """`op t, ..; MOV d, t` becomes `op d, ..`."""
    if item.op is not Op.MOV or before.op is None or not once(item.args[1]):
        return None
    target, temporary = item.args
    roles = OPS[before.op].roles
    if not roles or roles[0] is not Role.WRITE or before.args[0] is not temporary:
        return None
    if not isinstance(target, Reg | Address):
        return None
    return with_args(before, (target, *before.args[1:]))
