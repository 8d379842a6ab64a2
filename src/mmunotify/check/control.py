"""What the code of a thread can do: which conditions decide over what, which cells it touches.

Static. Control dependence is by post-dominance (Ferrante, Ottenstein and Warren, 1987).
"""

from __future__ import annotations

from collections.abc import Iterator

from mmunotify.ir.ops import OPS, Op, Role
from mmunotify.ir.program import Instr, Program

__all__ = ["conditions", "owners"]

_EXIT = -1


def conditions(program: Program, thread: int) -> dict[int, frozenset[int]]:
    """Return, for each instruction of `thread`, the conditional jumps that decide over it."""
    graph = _graph(program, thread)
    order = _exit_first(graph)
    above = _postdominators(graph, order)
    found: dict[int, set[int]] = {at: set() for at in graph}
    for at, after in graph.items():
        if not Op.JZ <= program.code[at].op <= Op.JLE or at not in above:
            continue
        for next_ in after:
            walk = next_
            while walk in above and walk not in (above[at], _EXIT):
                found[walk].add(at)
                walk = above[walk]
    return {at: frozenset(deciding) for at, deciding in found.items()}


def owners(program: Program) -> dict[int, set[int]]:
    """Return the threads whose code can touch each stored cell."""
    found: dict[int, set[int]] = {}
    for thread in range(len(program.threads)):
        for at in _graph(program, thread):
            for slot in _touched(program, program.code[at]):
                found.setdefault(slot, set()).add(thread)
    return {slot: found[slot] for slot in sorted(found) if slot < len(program.cells)}


def _touched(program: Program, i: Instr) -> Iterator[int]:
    if i.op is Op.BUMP:
        yield from program.epochs[i.a]
    for role, field in zip(OPS[i.op].roles, i.fields, strict=False):
        if role in (Role.READ, Role.WRITE):
            yield field
        elif role in (Role.READ_BASE, Role.WRITE_BASE):
            yield from range(field, field + (i.b if i.op is Op.FILL else i.d))


def _graph(program: Program, thread: int) -> dict[int, tuple[int, ...]]:
    """Return the successors of every reachable instruction; what never ends gets an exit."""
    entries = program.threads[thread].entries
    graph: dict[int, tuple[int, ...]] = {}
    todo = [entries[0]]
    while todo:
        at = todo.pop()
        if at in graph or at == _EXIT:
            continue
        graph[at] = _successors(program, entries, at)
        todo += graph[at]
    ends = _exit_first(graph)
    for at in graph:
        if program.code[at].op is Op.STEP and at not in ends:
            graph[at] = (*graph[at], _EXIT)
    return graph


def _successors(program: Program, entries: tuple[int, ...], at: int) -> tuple[int, ...]:
    i = program.code[at]
    if i.op in (Op.END, Op.FAIL):
        return (_EXIT,)
    if i.op is Op.STEP:
        return (entries[i.a] if i.a < len(entries) else _EXIT,)
    for role, field in zip(OPS[i.op].roles, i.fields, strict=False):
        if role is Role.TARGET:
            return (field,) if i.op is Op.JMP else tuple(dict.fromkeys((field, at + 1)))
    return (at + 1,)


def _exit_first(graph: dict[int, tuple[int, ...]]) -> dict[int, int]:
    """Return everything from which the exit is reached, numbered in reverse postorder from it."""
    before: dict[int, list[int]] = {}
    for at, after in graph.items():
        for next_ in after:
            before.setdefault(next_, []).append(at)
    postorder: list[int] = []
    seen = {_EXIT}
    stack = [(_EXIT, iter(before.get(_EXIT, ())))]
    while stack:
        at, rest = stack[-1]
        for further in rest:
            if further not in seen:
                seen.add(further)
                stack.append((further, iter(before.get(further, ()))))
                break
        else:
            postorder.append(at)
            stack.pop()
    return {at: number for number, at in enumerate(reversed(postorder))}


def _postdominators(graph: dict[int, tuple[int, ...]], order: dict[int, int]) -> dict[int, int]:
    """Return the immediate post-dominator of every instruction (Cooper, Harvey, Kennedy, 2001)."""
    above = {_EXIT: _EXIT}
    changed = True
    while changed:
        changed = False
        for at in sorted(graph.keys() & order.keys(), key=order.__getitem__):
            known = [n for n in graph[at] if n in above]
            if not known:
                continue
            meet = known[0]
            for other in known[1:]:
                meet = _meet(above, order, meet, other)
            if above.get(at) != meet:
                above[at] = meet
                changed = True
    return above


def _meet(above: dict[int, int], order: dict[int, int], one: int, two: int) -> int:
    while one != two:
        while order[one] > order[two]:
            one = above[one]
        while order[two] > order[one]:
            two = above[two]
    return one
