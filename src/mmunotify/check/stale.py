"""The missed step: a value that was read, overwritten by another thread, and used all the same.

Follows the values of the causal slice back through copies. The facts found here are in steps and
cells; `why` puts them into words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmunotify.check.slice import Graph, Slice
from mmunotify.ir.ops import Op

__all__ = ["Check", "Stale", "checks", "find_stale"]

_COPIES = {Op.MOV: 0, Op.LDX: 0, Op.STX: 1}  # operation -> which read is the value
_TRANSLATIONS = ("spte", "tlb")
_DATA = ("pte", "spte", "tlb", "frame", "lock")  # what is protected, and what serialises
_SEVERAL = 2  # how many checks are worth telling


@dataclass(frozen=True)
class Check:
    """A condition on `cell` that the thread met at `step`; `earlier` and `later` are steps in
    which others changed the cell after the value was read, before and after this check (-1: none).
    """

    cell: int
    step: int
    earlier: int
    later: int


@dataclass(frozen=True)
class Stale:
    """`cell` held `value` at step `read`, step `missed` overwrote it, step `used` used the value.

    Meanwhile the value lay in `held` since step `since`: in a local of the thread that used it, or
    in another shared cell. `into` is where step `used` put it, -1 if it computed with it. A
    `decision` is a stale value that only decided which way to go.
    """

    cell: int
    value: int
    read: int
    missed: int
    used: int
    held: int
    since: int
    into: int
    decision: bool
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class _Hop:
    """A value in a stored slot: put there in step `written` (-1: initially), taken at `read`."""

    slot: int
    written: int
    read: int


def find_stale(graph: Graph, found: Slice) -> Stale | None:
    """Return the stale use that tells most about the violation, if there is one.

    First what comes from the primary page table and ends in a secondary one, first what the
    violation itself is about.
    """
    best: tuple[tuple[bool, bool, bool, int], Stale] | None = None
    for depth, stale in enumerate(_candidates(graph, found)):
        places = {graph.groups[slot] for slot in (stale.held, stale.into) if slot >= 0}
        translates = not places.isdisjoint(_TRANSLATIONS)
        rank = (graph.groups[stale.cell] != "pte", stale.decision, not translates, depth)
        if best is None or rank < best[0]:
            best = rank, stale
    return best[1] if best else None


def _candidates(graph: Graph, found: Slice) -> Iterator[Stale]:
    siblings = _siblings(graph)
    for number in found.nodes:
        node = graph.nodes[number]
        for position in range(len(node.reads)):
            if position == _COPIES.get(graph.op(number)):
                continue
            hops, origin = _chain(graph, number, position)
            yield from _data(graph, hops, node.step)
            for slot, step in siblings.get(origin, ()):
                yield from _overwritten(graph, slot, step, hops, node.step)
        if Op.JZ <= graph.op(number) <= Op.JLE:
            yield from _decisions(graph, found, number)


def _chain(graph: Graph, number: int, position: int) -> tuple[list[_Hop], int]:
    """Return where a value came from by copies, last place first, and the node that made it."""
    hops: list[_Hop] = []
    while True:
        node = graph.nodes[number]
        slot, source = node.reads[position], node.sources[position]
        written = graph.nodes[source].step if source >= 0 else -1
        if slot < len(graph.run.program.cells):
            hops.append(_Hop(slot, written, node.step))
        if source < 0:
            return hops, -1
        if graph.op(source) not in _COPIES:
            return hops, source
        number, position = source, _COPIES[graph.op(source)]


def _siblings(graph: Graph) -> dict[int, list[tuple[int, int]]]:
    """Return, for each node that made a value, the shared cells it was put into, and when."""
    found: dict[int, list[tuple[int, int]]] = {}
    for number, node in enumerate(graph.nodes):
        if not node.access.writes or not graph.is_shared(node.access.writes[0]):
            continue
        origin = number
        if graph.op(number) in _COPIES:
            origin = _chain(graph, number, _COPIES[graph.op(number)])[1]
        if origin >= 0 and graph.op(origin) is not Op.CONST:
            found.setdefault(origin, []).append((node.access.writes[0], node.step))
    return found


def _data(graph: Graph, hops: list[_Hop], end: int) -> Iterator[Stale]:
    for hop in hops:
        if graph.is_shared(hop.slot):
            yield from _overwritten(graph, hop.slot, hop.read, hops, end)


def _overwritten(graph: Graph, cell: int, read: int, hops: list[_Hop], end: int) -> Iterator[Stale]:
    """Yield the stale use if another thread overwrote `cell` while the value lay elsewhere."""
    run = graph.run
    missed = _next_change(graph, cell, read)
    if missed is None or missed >= end or graph.groups[cell] == "lock":
        return
    if run.schedule[missed].thread == run.schedule[read].thread:
        return
    for at, hop in enumerate(hops):
        if hop.written <= missed < hop.read and hop.slot != cell:
            into = next((h.slot for h in reversed(hops[:at]) if h.written == hop.read), -1)
            value = run.states[missed][cell]
            used = hop.read
            met = () if graph.is_shared(hop.slot) else checks(graph, cell, read, used)
            yield Stale(cell, value, read, missed, used, hop.slot, hop.written, into, False, met)
            return


def _next_change(graph: Graph, cell: int, after: int) -> int | None:
    """Return the next step that writes another value to `cell`."""
    states = graph.run.states
    for number in graph.writes.get(cell, []):
        step = graph.nodes[number].step
        if step > after and step + 1 < len(states) and states[step][cell] != states[step + 1][cell]:
            return step
    return None


def _decisions(graph: Graph, found: Slice, jump: int) -> Iterator[Stale]:
    """Yield the stale use of a value that decided over a later step of the slice."""
    node, run = graph.nodes[jump], graph.run
    if node.thread < 0 or node.step >= len(run.schedule):
        return
    for slot, _ in graph.inputs(jump):
        if not graph.is_shared(slot) or graph.groups[slot] == "lock":
            continue
        missed = _next_change(graph, slot, node.step)
        if missed is None or run.schedule[missed].thread == node.thread:
            continue
        used = _first_decided(graph, found, jump, missed)
        if used is not None:
            value = run.states[missed][slot]
            met = checks(graph, slot, node.step, used)
            yield Stale(slot, value, node.step, missed, used, slot, -1, -1, True, met)


def _first_decided(graph: Graph, found: Slice, jump: int, after: int) -> int | None:
    thread = graph.nodes[jump].thread
    steps = {
        graph.nodes[n].step
        for n in found.nodes
        if graph.nodes[n].thread == thread and after < graph.nodes[n].step < len(graph.run.schedule)
    }  # what a thread would do next, in a deadlock, is no step
    return min((s for s in steps if _decided(graph, s, jump)), default=None)


def _decided(graph: Graph, step: int, jump: int) -> bool:
    """Tell whether anything in `step` was executed because of the way taken at `jump`."""
    for node in graph.nodes:
        if node.step == step:
            control = node.control
            while control >= 0:
                if control == jump:
                    return True
                control = graph.nodes[control].control
    return False


def checks(graph: Graph, cell: int, read: int, used: int) -> tuple[Check, ...]:
    """Return the conditions that the thread met after `read` and up to `used`.

    Only those on what a driver keeps to itself, such as counters and flags.
    """
    thread = graph.run.schedule[used].thread
    found: dict[int, Check] = {}
    for number, node in enumerate(graph.nodes):
        condition = Op.JZ <= graph.op(number) <= Op.JLE or graph.op(number) is Op.WAIT
        if node.thread != thread or not read < node.step <= used or not condition:
            continue
        for slot, step in _looked_at(graph, number):
            if slot >= len(graph.groups):  # a snapshot that only the thread itself has
                continue
            if slot != cell and step > read and graph.groups[slot] not in _DATA:
                found.setdefault(slot, _check(graph, slot, step, read))
    telling = [check for check in found.values() if max(check.earlier, check.later) >= 0]
    return tuple(telling[:_SEVERAL] or list(found.values())[:1])


def _looked_at(graph: Graph, number: int) -> Iterator[tuple[int, int]]:
    """Yield the shared cells that a condition was computed from, and when they were read.

    A snapshot of an epoch counts as shared: who bumps the epoch changes it.
    """
    snapshots = {slot for epoch in graph.run.program.epochs for slot in epoch}
    todo, seen = [number], {number}
    while todo:
        node = graph.nodes[todo.pop()]
        for slot, source in zip(node.reads, node.sources, strict=True):
            if graph.is_shared(slot) or slot in snapshots:
                yield slot, node.step
            elif source >= 0 and source not in seen:
                seen.add(source)
                todo.append(source)


def _check(graph: Graph, slot: int, step: int, read: int) -> Check:
    run = graph.run
    changes = [
        at
        for at in range(read + 1, len(run.states) - 1)
        if run.states[at][slot] != run.states[at + 1][slot]
        and run.schedule[at].thread != run.schedule[step].thread
    ]
    earlier = max((at for at in changes if at < step), default=-1)
    return Check(slot, step, earlier, min((at for at in changes if at > step), default=-1))
