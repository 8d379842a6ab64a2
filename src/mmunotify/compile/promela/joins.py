"""Where the ways from a jump meet again: its nearest postdominator.

Invariant: whatever goes on from the jump, and does not fail, comes by its join.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.ir.ops import OPS, Op, Role
from mmunotify.ir.program import Instr

__all__ = ["joins"]

_ENDS = (Op.STEP, Op.END)


def joins(code: Sequence[Instr], entry: int) -> dict[int, int]:
    """Return the join of every jump that is reached from instruction `entry` and has one."""
    graph = _graph(code, entry)
    after = _postdominators(code, graph)
    found = {}
    for at, following in graph.items():
        others = after[at] & ~(1 << at)
        if len(following) > 1 and others:
            nearest = max(_members(others), key=lambda n: after[n].bit_count())
            found[at] = nearest
    return found


def _graph(code: Sequence[Instr], entry: int) -> dict[int, tuple[int, ...]]:
    """Return what may follow each instruction; nothing follows an end or a failure."""
    graph: dict[int, tuple[int, ...]] = {}
    waiting = [entry]
    while waiting:
        at = waiting.pop()
        if at not in graph:
            graph[at] = _following(at, code[at])
            waiting += graph[at]
    return graph


def _following(at: int, i: Instr) -> tuple[int, ...]:
    if i.op in (*_ENDS, Op.FAIL):
        return ()
    targets = tuple(
        field for role, field in zip(OPS[i.op].roles, i.fields, strict=False) if role is Role.TARGET
    )
    return targets if i.op is Op.JMP else (*targets, at + 1)


def _postdominators(code: Sequence[Instr], graph: dict[int, tuple[int, ...]]) -> dict[int, int]:
    """Return, as bits, what every way on from an instruction to an end comes by."""
    everything = sum(1 << at for at in graph)
    after = {at: 1 << at if code[at].op in _ENDS else everything for at in graph}
    changed = True
    while changed:
        changed = False
        for at in sorted(graph, reverse=True):
            common = everything
            for following in graph[at]:
                common &= after[following]
            found = common | 1 << at
            if graph[at] and found != after[at]:
                after[at], changed = found, True
    return after


def _members(bits: int) -> list[int]:
    return [n for n in range(bits.bit_length()) if bits >> n & 1]
