"""Why a schedule violates the property, in one or two sentences made from facts.

Invariant: every name in a sentence is one of the program's: a function, a cell, a value, a thread.
Numbers are those of events.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.check.asleep import asleep
from mmunotify.check.slice import Graph, culprits
from mmunotify.check.stale import Check, Stale, checks
from mmunotify.check.starving import starving
from mmunotify.check.story import Story
from mmunotify.check.violation import Kind
from mmunotify.ir import interp
from mmunotify.ir.ops import Op
from mmunotify.ir.program import Program

__all__ = ["looked_at", "thing", "why"]

_VERBS = {"spte": "installs", "tlb": "loads"}
_FEW = 2


def thing(program: Program, cell: int, value: int) -> str:
    """Return a value of a cell as a noun: `frame A`, `page 0`, `value 3`."""
    shown = program.cells[cell].show(value)
    label = program.labels[cell].lower() if cell < len(program.labels) else ""
    if shown.lower().startswith(label) and label:
        return shown
    return f"{label or 'value'} {shown}"


def why(graph: Graph, story: Story, stale: Stale | None) -> str:
    """Return why the violation comes about; empty if no fact says more than the steps do."""
    violation = graph.run.violation
    if violation is None:
        return ""
    if violation.kind is Kind.DEADLOCK:
        return _deadlock(graph, story)
    if violation.kind is Kind.CYCLE:
        return starving(graph, story)
    if violation.kind is Kind.PREDICATE:
        return _left(graph, story)
    if violation.property == "context":
        return asleep(graph, story, looked_at(graph, graph.criteria[0]))
    if stale is None:
        return _found(graph, story)
    if stale.decision:
        return _decided(graph, story, stale)
    if graph.is_shared(stale.held):
        return _kept(graph, story, stale)
    return _used(graph, story, stale)


# -- a stale use -------------------------------------------------------------------------------


def _used(graph: Graph, story: Story, stale: Stale) -> str:
    program = graph.run.program
    what = f"{thing(program, stale.cell, stale.value)}, read at step {story.numbers[stale.read]}"
    if stale.into < 0:
        first = f"Step {story.numbers[stale.used]} uses {what}."
    else:
        verb = _VERBS.get(graph.groups[stale.into], "stores")
        into = program.cells[stale.into].name
        first = f"Step {story.numbers[stale.used]} {verb} {what}, in {into}."
    return f"{first} {_in_between(graph, story, stale)}{_unchecked(graph, story, stale)}"


def _in_between(graph: Graph, story: Story, stale: Stale) -> str:
    """Say which steps took the value away: a whole section if it lies in between, or one step."""
    thread = graph.run.schedule[stale.missed].thread
    for section in story.sections:
        inside = section.first <= stale.missed <= section.last
        between = stale.read < section.first and section.last < stale.used
        if section.thread == thread and inside and between:
            first, last = story.numbers[section.first], story.numbers[section.last]
            what = "that page" if graph.groups[stale.cell] == "pte" else "it"
            return f"Steps {first}-{last} ({_name(graph, thread)}) invalidated {what} in between"
    cell = graph.run.program.cells[stale.cell]
    after = cell.show(graph.run.states[stale.missed + 1][stale.cell])
    number = story.numbers[stale.missed]
    return f"Step {number} ({_name(graph, thread)}) set {cell.name} to {after} in between"


def _unchecked(graph: Graph, story: Story, stale: Stale) -> str:
    function = f"{story.function(stale.used)}()"
    if not stale.checks:
        again = "check it again" if stale.decision else "check for it"
        return f", and {function} does not {again}."
    return f"; {_met(graph, story, function, stale.checks)}."


def _met(graph: Graph, story: Story, function: str, met: Sequence[Check]) -> str:
    return f"{function} {', and '.join(_check(graph, story, check) for check in met)}"


def _check(graph: Graph, story: Story, check: Check) -> str:
    cell = graph.run.program.cells[check.cell].name
    text = f"checks {cell} at step {story.numbers[check.step]}"
    if check.earlier >= 0:
        return f"{text} and goes on although step {story.numbers[check.earlier]} changed it"
    if check.later >= 0:
        return f"{text}, but only step {story.numbers[check.later]} changes it"
    return f"{text}, but no step has changed that"


def _kept(graph: Graph, story: Story, stale: Stale) -> str:
    program = graph.run.program
    held, source = program.cells[stale.held].name, program.cells[stale.cell].name
    since = f"since step {story.numbers[stale.since]}" if stale.since >= 0 else "from the start"
    who = _name(graph, graph.run.schedule[stale.missed].thread)
    return (
        f"{held} holds {thing(program, stale.cell, stale.value)} {since}"
        f"{_admitted(graph, story, stale)}. "
        f"Step {story.numbers[stale.missed]} ({who}) took it out of {source}, and no step took it "
        f"out of {held} before step {story.numbers[stale.used]}."
    )


def _admitted(graph: Graph, story: Story, stale: Stale) -> str:
    """Say that the driver put it there inside the very section that was to keep it out."""
    run = graph.run
    if graph.groups[stale.held] == "tlb":
        return ""  # a device loads what it finds
    for section in story.sections:
        if section.thread != run.schedule[stale.missed].thread:
            continue
        if section.first < stale.since < section.last and stale.missed >= section.first:
            function = f"{story.function(stale.since)}()"
            text = f", inside the section that {_name(graph, section.thread)} began at step "
            text += f"{story.numbers[section.first]}"
            met = checks(graph, stale.cell, section.first, stale.since)
            if met:
                return f"{text}; {_met(graph, story, function, met)}"
            return f"{text}, which {function} does not check for"
    return ""


def _decided(graph: Graph, story: Story, stale: Stale) -> str:
    cell = graph.run.program.cells[stale.cell]
    number, read = story.numbers[stale.used], story.numbers[stale.read]
    shown = cell.show(stale.value)
    first = f"Step {number} relies on {cell.name} being {shown}, read at step {read}."
    return f"{first} {_in_between(graph, story, stale)}{_unchecked(graph, story, stale)}"


# -- other violations --------------------------------------------------------------------------


def _found(graph: Graph, story: Story) -> str:
    """Say who left the values that the failing step looks at."""
    last = len(graph.run.schedule) - 1
    facts = []
    for slot, writer in looked_at(graph, graph.criteria[0]):
        if writer >= 0 and graph.nodes[writer].step != last and graph.is_shared(slot):
            facts.append(f"{_is_since(graph, story, slot, graph.nodes[writer].step)}")
    if not facts:
        return ""
    return f"At step {story.numbers[last]}, {' and '.join(dict.fromkeys(facts[:_FEW]))}."


def looked_at(graph: Graph, node: int) -> list[tuple[int, int]]:
    """Return what the failing condition was computed from, in the failing step itself.

    The conditions that led there count if there is nothing else (`any` is a chain of jumps).
    """
    found, todo, seen = graph.inputs(node), [node], {node}
    while todo and not found:
        at = graph.nodes[todo.pop()]
        for source in (*at.sources, at.control):
            if source >= 0 and source not in seen and graph.nodes[source].step == at.step:
                seen.add(source)
                todo.append(source)
                found += graph.inputs(source)
    return found


def _is_since(graph: Graph, story: Story, slot: int, step: int) -> str:
    cell = graph.run.program.cells[slot]
    shown = cell.show(graph.run.states[-1][slot])
    who = _name(graph, graph.run.schedule[step].thread)
    where = f"{who}, {story.function(step)}()"
    return f"{cell.name} is {shown} since step {story.numbers[step]} ({where})"


def _left(graph: Graph, story: Story) -> str:
    """Say which cells are not as they should be in the last state, and who is to blame."""
    run = graph.run
    assert run.violation is not None
    facts = []
    for slot, good in _worst(graph, culprits(run.program, run.violation, run.states[-1])):
        cell, value = run.program.cells[slot], run.states[-1][slot]
        text = f"{cell.name} is {cell.show(value)} in the end"
        if cell.initial in good or len(good) == 1:
            text += f", not {cell.show(cell.initial if cell.initial in good else good[0])}"
        above = bool(good) and value > max(good)
        below = bool(good) and value < min(good)
        step = _blamed(graph, slot, above - below)
        facts.append(f"{text}{_by(graph, story, slot, step, above or below)}.")
    return " ".join(facts)


def _worst(graph: Graph, cells: dict[int, list[int]]) -> list[tuple[int, list[int]]]:
    """Return the cells worth telling: those that moved before others, counters before others."""

    def rank(slot: int) -> tuple[bool, bool]:
        moved = any(state[slot] != graph.run.states[0][slot] for state in graph.run.states)
        return not moved, bool(graph.run.program.cells[slot].names)

    first = min(map(rank, cells), default=None)
    return [(slot, good) for slot, good in cells.items() if rank(slot) == first][:_FEW]


def _by(graph: Graph, story: Story, slot: int, step: int | None, kept: bool) -> str:
    if step is None:
        return ""
    run, cell = graph.run, graph.run.program.cells[slot]
    who, function = _name(graph, run.schedule[step].thread), story.function(step)
    before, after = run.states[step][slot], run.states[step + 1][slot]
    text = f"; step {story.numbers[step]} ({who}, {function}()) took it from "
    text += f"{cell.show(before)} to {cell.show(after)}"
    return f"{text}, and {who} does not take that back" if kept and not cell.names else text


def _blamed(graph: Graph, slot: int, sign: int) -> int | None:
    """Return the last step that took a cell the wrong way, of the thread that did so most.

    `sign` is the wrong way, 0 if there is none: then the last change. A thread that took it
    there and back is not to blame.
    """
    run = graph.run
    moved: dict[int, list[tuple[int, int]]] = {}
    for step in range(len(run.states) - 1):
        change = run.states[step + 1][slot] - run.states[step][slot]
        if change:
            moved.setdefault(run.schedule[step].thread, []).append((step, change))
    if not moved:
        return None
    net = {thread: sign * sum(change for _, change in own) for thread, own in moved.items()}
    worst = max(net, key=lambda thread: net[thread])
    if not sign or net[worst] <= 0:
        return max(step for own in moved.values() for step, _ in own)
    return max(step for step, change in moved[worst] if change * sign > 0)


def _deadlock(graph: Graph, story: Story) -> str:
    """Say who waits for what, and who has it."""
    facts = []
    for criterion in dict.fromkeys(graph.criteria):
        node = graph.nodes[criterion]
        if graph.op(criterion) is not Op.WAIT:
            continue
        awaited = [(slot, by) for slot, by in looked_at(graph, criterion) if graph.is_shared(slot)]
        facts.append(_waiting(graph, story, node.thread, _place(graph, story, criterion), awaited))
    text = "; ".join(dict.fromkeys(facts))
    return f"{text}." if text else ""


def _place(graph: Graph, story: Story, criterion: int) -> str:
    program = graph.run.program
    chain = story.places.chain(program.code[graph.nodes[criterion].access.instruction].location)
    if not chain:
        return ""
    function = story.places.function(chain)
    return f" in {function}() at `{story.places.text(chain)}`"


def _waiting(
    graph: Graph, story: Story, thread: int, place: str, awaited: Sequence[tuple[int, int]]
) -> str:
    run, name = graph.run, _name(graph, thread)
    text = f"{name} waits{place}"
    for slot, writer in awaited[:_FEW]:
        cell = run.program.cells[slot]
        if writer < 0:
            text += f"; {cell.name} is {cell.show(run.states[-1][slot])} from the start"
            continue
        step = graph.nodes[writer].step
        owner = run.schedule[step].thread
        who = "itself" if owner == thread else _name(graph, owner)
        if graph.groups[slot] == "lock":
            lock = cell.name.rpartition(".")[0] or cell.name
            text += f" for {lock}, which {who} took at step {story.numbers[step]}"
        else:
            shown = cell.show(run.states[-1][slot])
            text += f" while {cell.name} is {shown}, set by {who} at step {story.numbers[step]}"
        if owner != thread and _has_finished(graph, owner):
            text += f" ({who} has finished)"
    return text


def _has_finished(graph: Graph, thread: int) -> bool:
    program = graph.run.program
    return interp.pc(program, graph.run.states[-1], thread) == program.threads[thread].done


def _name(graph: Graph, thread: int) -> str:
    return graph.run.program.threads[thread].name
