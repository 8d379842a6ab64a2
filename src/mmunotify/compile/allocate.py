"""Where registers live: a cell of the state if a step can end while they hold something, else
scratch.

Named registers keep their value until their scope ends, temporaries until their last use; then
they are reset, so that states differ only in what the program can still see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mmunotify.compile.emit import Item
from mmunotify.compile.flow import Flow, bits_of, writes
from mmunotify.compile.types import EnumType, IntType, Ref, Snapshot, Type, bounds, resting
from mmunotify.compile.values import Reg
from mmunotify.ir.ops import Op

__all__ = ["Allocation", "Slot", "allocate", "label_of"]


@dataclass
class Slot:
    """A place for registers that never hold something at the same time."""

    key: object
    kind: Type
    regs: list[Reg] = field(default_factory=list)
    low: int = 0
    high: int = 0
    bits: int = 0  # the registers in it

    @property
    def name(self) -> str:
        """The name of the first register that has one."""
        return next((r.name for r in self.regs if r.name), "")


@dataclass
class Allocation:
    """The result: items with resets put in, stored slots, scratch slots, and where each reg is."""

    items: list[Item]
    stored: list[Slot]
    scratch: list[Slot]
    place: dict[int, tuple[bool, int]]  # register -> (stored?, slot number)


def label_of(kind: Type) -> str:
    """Return the family of things that values of this type denote."""
    if isinstance(kind, Ref):
        return kind.family
    return kind.label if isinstance(kind, IntType) else ""


def _sharing(kind: Type) -> object:
    """Return what two registers must agree on to share a slot."""
    if isinstance(kind, Ref):
        return ("ref", kind.family)
    if isinstance(kind, EnumType):
        return ("enum", kind.cls)
    if isinstance(kind, Snapshot):
        return ("snapshot", kind.epoch)
    return ("int", label_of(kind), resting(kind))


def allocate(items: list[Item], regs: list[Reg]) -> Allocation:
    """Place the registers of one thread."""
    flow = Flow(items)
    steps = [n for n, item in enumerate(items) if item.op is Op.STEP]
    across = 0
    for n in steps:
        across |= flow.live[n]
    scopes = _in_scope(regs, across)
    may = {n: _may_hold(items[n], flow.live[n], across, scopes) for n in steps}
    defs = [bits_of(writes(item)) for item in items]
    assigned = _dirty(flow, may, defs)
    held = {n: mask & assigned[n] for n, mask in may.items()}
    conflicts = _conflicts(items, flow, held, len(regs))
    stored = _colour([r for r in regs if across >> r.number & 1], conflicts)
    used = 0
    for mask in defs:
        used |= mask
    scratch = _colour([r for r in regs if (used & ~across) >> r.number & 1], conflicts)
    place = {r.number: (True, n) for n, s in enumerate(stored) for r in s.regs}
    place |= {r.number: (False, n) for n, s in enumerate(scratch) for r in s.regs}
    return Allocation(_with_resets(items, flow, held, stored), stored, scratch, place)


def _in_scope(regs: list[Reg], across: int) -> dict[int, int]:
    """Return the stored named registers of each scope, as bits."""
    masks: dict[int, int] = {}
    for reg in regs:
        if reg.name and across >> reg.number & 1:
            masks[reg.scope] = masks.get(reg.scope, 0) | 1 << reg.number
    return masks


def _may_hold(step: Item, live: int, across: int, scopes: dict[int, int]) -> int:
    held = live & across
    for scope in step.scopes:
        held |= scopes.get(scope, 0)
    return held


def _bits(mask: int) -> list[int]:
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def _conflicts(items: list[Item], flow: Flow, held: dict[int, int], count: int) -> list[int]:
    conflicts = [0] * count
    for n, item in enumerate(items):
        for reg in writes(item):
            conflicts[reg.number] |= flow.after(n)
    for mask in set(held.values()):
        for number in _bits(mask):
            conflicts[number] |= mask
    for number in range(count):
        for other in _bits(conflicts[number]):
            conflicts[other] |= 1 << number
    return conflicts


def _colour(regs: list[Reg], conflicts: list[int]) -> list[Slot]:
    slots: list[Slot] = []
    for reg in regs:
        key = _sharing(reg.type)
        least, most = bounds(reg.type)
        for slot in slots:
            if slot.key == key and not slot.bits & conflicts[reg.number]:
                break
        else:
            slot = Slot(key, reg.type, low=least, high=most)
            slots.append(slot)
        slot.regs.append(reg)
        slot.bits |= 1 << reg.number
        slot.low, slot.high = min(slot.low, least), max(slot.high, most)
        if slot.high - slot.low > bounds(slot.kind)[1] - bounds(slot.kind)[0]:
            slot.kind = reg.type
    for slot in slots:
        slot.low = min(slot.low, min(resting(r.type) for r in slot.regs))
        slot.high = max(slot.high, max(resting(r.type) for r in slot.regs))
    return slots


def _with_resets(
    items: list[Item], flow: Flow, held: dict[int, int], stored: list[Slot]
) -> list[Item]:
    """Insert resets before each step of stored slots that hold nothing any more."""
    owner = {r.number: 1 << n for n, s in enumerate(stored) for r in s.regs}
    slot_held = {n: _slots(_bits(mask), owner) for n, mask in held.items()}
    defs = [_slots((r.number for r in writes(item)), owner) for item in items]
    dirty = _dirty(flow, slot_held, defs)
    result: list[Item] = []
    for n, item in enumerate(items):
        if item.op in (Op.STEP, Op.END):
            for number in _bits(dirty[n] & ~slot_held.get(n, 0)):
                reg = stored[number].regs[0]
                result.append(Item(Op.CONST, (reg, resting(reg.type)), item.location))
        result.append(item)
    return result


def _slots(regs: Iterable[int], owner: dict[int, int]) -> int:
    found = 0
    for reg in regs:
        found |= owner.get(reg, 0)
    return found


def _dirty(flow: Flow, held: dict[int, int], defs: list[int]) -> list[int]:
    """Return, before each item, the registers or slots that may hold something."""
    kept = [held.get(n, -1) for n in range(len(defs))]
    return flow.forward(kept, defs)
