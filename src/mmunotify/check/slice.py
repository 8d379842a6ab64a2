"""The causal slice: which steps matter for the violation, and whose values each of them uses.

Backwards from the violation, instruction by instruction: to the last writer of every slot that
was read, to the conditions a thread's way depended on, and to what made it possible to go on where
it had to wait. That two critical sections exclude each other is no cause: who held a lock before
matters in a deadlock only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mmunotify.check.accesses import Access, Accesses, Recording, record, recorder
from mmunotify.check.control import conditions
from mmunotify.check.lasso import obligation_cells
from mmunotify.check.places import groups
from mmunotify.check.violation import Kind, Violation
from mmunotify.ir import interp
from mmunotify.ir.interp import Blocked, Failed, State
from mmunotify.ir.ops import Op
from mmunotify.ir.program import CellKind, Predicate, PredicateKind, Program

__all__ = ["Graph", "Node", "Slice", "causal_slice", "culprits"]


_NEAR = 8  # how far from its value a cell is tried


@dataclass(frozen=True)
class Node:
    """One executed instruction.

    `sources[r]` is the node that wrote what read `r` got, -1 if it is the initial value. `control`
    is the conditional jump that decided to come here, or -1. A `step` beyond the schedule is the
    evaluation of a predicate (`thread` -1) or an attempt of a thread that has to wait.
    """

    step: int
    thread: int
    access: Access
    sources: tuple[int, ...]
    control: int

    @property
    def reads(self) -> tuple[int, ...]:
        """The slots read."""
        return self.access.reads


class Graph:
    """All instructions of a recorded schedule and how they depend on each other."""

    def __init__(self, run: Recording) -> None:
        self.run = run
        self.nodes: list[Node] = []
        self.writes: dict[int, list[int]] = {}  # stored slot -> the nodes that wrote it
        self.groups = groups(run.program)
        self._conditions: dict[int, dict[int, frozenset[int]]] = {}
        self._jumps: dict[tuple[int, int], int] = {}  # (thread, instruction) -> latest node
        for step, accesses in enumerate(run.steps):
            self._add(step, run.schedule[step].thread, accesses)
        self.criteria = list(_criteria(self, run))

    def _add(self, step: int, thread: int, accesses: Accesses) -> None:
        stored = len(self.run.program.cells)
        scratch: dict[int, int] = {}
        for access in accesses:
            number = len(self.nodes)
            sources = tuple(self._source(slot, scratch) for slot in access.reads)
            self.nodes.append(Node(step, thread, access, sources, self._control(thread, access)))
            for slot in access.writes:
                if slot < stored:
                    self.writes.setdefault(slot, []).append(number)
                else:
                    scratch[slot] = number
            if Op.JZ <= self.op(number) <= Op.JLE:
                self._jumps[thread, access.instruction] = number

    def attempt(self, thread: int, accesses: Accesses) -> int:
        """Add what happens after the last step; return the number of its last node."""
        self._add(len(self.run.schedule), thread, accesses)
        return len(self.nodes) - 1

    def _source(self, slot: int, scratch: dict[int, int]) -> int:
        if slot >= len(self.run.program.cells):
            return scratch.get(slot, -1)
        return self.writes.get(slot, [-1])[-1]

    def _control(self, thread: int, access: Access) -> int:
        if thread < 0:
            return -1
        if thread not in self._conditions:
            self._conditions[thread] = conditions(self.run.program, thread)
        deciding = self._conditions[thread].get(access.instruction, frozenset())
        return max((self._jumps.get((thread, jump), -1) for jump in deciding), default=-1)

    def op(self, node: int) -> Op:
        """Return the operation of a node."""
        return self.run.program.code[self.nodes[node].access.instruction].op

    def is_shared(self, slot: int) -> bool:
        """Tell whether a slot is a cell that every thread sees."""
        cells = self.run.program.cells
        return slot < len(cells) and cells[slot].kind is CellKind.SHARED

    @property
    def waiting(self) -> int | None:
        """The thread that waits for ever: the one that began what is pending on the cycle."""
        violation = self.run.violation
        if violation is None or violation.kind is not Kind.CYCLE:
            return None
        of = [c for c, n in obligation_cells(self.run.program).items() if n == violation.predicate]
        begun = [node for cell in of for node in self.writes.get(cell, [])]
        return self.nodes[max(begun)].thread if begun else None

    def has_finished(self, thread: int) -> bool:
        """Tell whether a thread is at its end in the last state."""
        program = self.run.program
        return interp.pc(program, self.run.states[-1], thread) == program.threads[thread].done

    def inputs(self, node: int) -> list[tuple[int, int]]:
        """Return the stored slots that a node's operands come from in its step, and their writers.

        A pair (slot, node): what was in `slot` before the step, written by `node` or -1.
        """
        step, found, todo, seen = self.nodes[node].step, [], [node], {node}
        while todo:
            at = self.nodes[todo.pop()]
            for slot, source in zip(at.reads, at.sources, strict=True):
                if source >= 0 and self.nodes[source].step == step:
                    if source not in seen:
                        seen.add(source)
                        todo.append(source)
                elif slot < len(self.run.program.cells):
                    found.append((slot, source))
        return found


def _criteria(graph: Graph, run: Recording) -> Iterator[int]:
    """Yield the nodes that the violation consists of."""
    violation, program = run.violation, run.program
    if violation is None:
        return
    if violation.kind is Kind.FAILURE:
        yield len(graph.nodes) - 1
    elif violation.kind is Kind.DEADLOCK:
        for thread in range(len(program.threads)):
            for step in interp.steps(program, run.states[-1], thread):
                accesses = record(program, run.states[-1], thread, step.choices)
                yield graph.attempt(thread, accesses)
    elif violation.kind is Kind.CYCLE:
        yield from _round(graph, run)
    else:
        for cell in culprits(program, violation, run.states[-1]):
            yield from graph.writes.get(cell, [])[-1:]


def _round(graph: Graph, run: Recording) -> Iterator[int]:
    """Yield what keeps the waiting thread where it is: what it looks at on the cycle, its wait."""
    thread = graph.waiting
    if thread is None:
        return
    if any(move.thread == thread for move in run.schedule[run.loop :]):
        for number, node in enumerate(graph.nodes):
            looks = Op.JZ <= graph.op(number) <= Op.WAIT
            if looks and node.thread == thread and node.step >= run.loop:
                yield number
        return
    for step in interp.steps(run.program, run.states[-1], thread):
        yield graph.attempt(thread, record(run.program, run.states[-1], thread, step.choices))


def culprits(program: Program, violation: Violation, state: State) -> dict[int, list[int]]:
    """Return the cells because of which a predicate does not hold, with the values that would do.

    If there is no cell of which another value alone would do: all that the predicate reads.
    """
    predicate = program.predicates[violation.predicate]
    found: list[Access] = []
    interp.evaluate(program, state, predicate.entry, predicate.result, recorder(program, found))
    reads = dict.fromkeys(s for access in found for s in access.reads if s < len(state))
    good = {slot: _good_values(program, predicate, state, slot) for slot in reads}
    return {slot: values for slot, values in good.items() if values} or good


def _good_values(program: Program, predicate: Predicate, state: State, slot: int) -> list[int]:
    """Return the other values of a cell, not far from its own, that alone would do."""
    cell, value = program.cells[slot], state[slot]
    near = range(max(cell.low, value - _NEAR), min(cell.high, value + _NEAR) + 1)
    return [v for v in near if v != value and _holds(program, predicate, state, slot, v)]


def _holds(program: Program, predicate: Predicate, state: State, slot: int, value: int) -> bool:
    """Tell whether the predicate would be content if `slot` had this value."""
    now = (*state[:slot], value, *state[slot + 1 :])
    answer = interp.evaluate(program, now, predicate.entry, predicate.result)
    return not isinstance(answer, Failed) and bool(answer) is not (
        predicate.kind is PredicateKind.NEVER
    )


@dataclass
class Slice:
    """The nodes that matter, in the order they were found; the steps; whose values they use."""

    nodes: list[int] = field(default_factory=list)
    steps: set[int] = field(default_factory=set)
    uses: dict[int, set[int]] = field(default_factory=dict)


def causal_slice(graph: Graph) -> Slice:
    """Return the causal slice of the violation that the schedule ends in."""
    found = Slice()
    waits = [n for n in range(len(graph.nodes)) if graph.op(n) is Op.WAIT]
    enabling = {n: _enabling(graph, n) for n in waits}
    todo = list(dict.fromkeys(graph.criteria))
    seen = set(todo)
    for number in todo:  # grows while it is walked
        node = graph.nodes[number]
        found.nodes.append(number)
        _note(graph, found, node, enabling.get(number))
        before = [*_sources(graph, number, enabling), node.control]
        before += [w for w in waits if _precedes(graph, w, node) and enabling[w]]
        for source in before:
            if source >= 0 and source not in seen:
                seen.add(source)
                todo.append(source)
    return found


def _precedes(graph: Graph, wait: int, node: Node) -> bool:
    first = graph.nodes[wait]
    return first.thread == node.thread and first.step <= node.step


def _sources(graph: Graph, number: int, enabling: dict[int, list[int]]) -> list[int]:
    """Return the writers that count: for a wait that was passed, only what made it possible."""
    if number in enabling and number not in graph.criteria:
        return enabling[number]
    return [source for source in graph.nodes[number].sources if source >= 0]


def _note(graph: Graph, found: Slice, node: Node, enabled: list[int] | None) -> None:
    if node.step >= len(graph.run.schedule):
        return
    found.steps.add(node.step)
    used = found.uses.setdefault(node.step, set())
    for source in node.sources if enabled is None else enabled:
        if source >= 0 and graph.nodes[source].step != node.step:
            used.add(graph.nodes[source].step)


def _enabling(graph: Graph, wait: int) -> list[int]:
    """Return the writes of other threads without which a passed wait would have had to wait."""
    node, run = graph.nodes[wait], graph.run
    if node.step >= len(run.states) or node.step >= len(run.schedule):
        return []
    found = []
    for slot, source in graph.inputs(wait):
        if source < 0 or graph.nodes[source].thread == node.thread:
            continue
        writer = graph.nodes[source].step
        state = run.states[node.step]
        without = (*state[:slot], run.states[writer][slot], *state[slot + 1 :])
        if graph.groups[slot] != "lock" and _blocks(run, without, node.step):
            found.append(source)
    return found


def _blocks(run: Recording, state: State, step: int) -> bool:
    move = run.schedule[step]
    try:
        done = interp.step(run.program, state, move.thread, move.choices)
    except ValueError:
        return False
    return isinstance(done.result, Blocked)
