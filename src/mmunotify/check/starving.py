"""Why something waits for ever, in one or two sentences made from facts.

Invariant: as in `why`: names are the program's, numbers those of events.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmunotify.check.lasso import able
from mmunotify.check.slice import Graph
from mmunotify.check.story import Story
from mmunotify.ir.ops import Op

__all__ = ["starving"]

_FEW = 2
_GROUPS = ("driver", "", "spte", "pte", "tlb", "frame")  # what tells most comes first


def starving(graph: Graph, story: Story) -> str:
    """Return who waits for what, and what the others do meanwhile; "" if nobody is known."""
    thread = graph.waiting
    if thread is None:
        return ""
    moves = thread in {move.thread for move in graph.run.schedule[graph.run.loop :]}
    facts = _looks(graph, story, thread) if moves else _waits(graph, story)
    name = _name(graph, thread)
    if moves:
        text = f"{name} makes {_steps(story, thread)} again and again"
    else:
        text = f"{name} waits{_place(graph, story)}"
    text = f"{text}: {' and '.join(facts)}" if facts else text
    if not moves and _could_go_on(graph, thread):
        text = f"{text}; whenever it could go on, it does not come in time"
    return f"{text}. {_others(graph, story, thread)}"


def _could_go_on(graph: Graph, thread: int) -> bool:
    run = graph.run
    return any(able(run.program, state, thread) for state in run.states[run.loop : -1])


def _looks(graph: Graph, story: Story, thread: int) -> list[str]:
    """Return what the thread finds each time round, and who left it so."""
    found: dict[int, tuple[tuple[bool, int], str]] = {}
    for number in graph.criteria:
        node = graph.nodes[number]
        for slot, writer in graph.inputs(number):
            group = graph.groups[slot]
            if not graph.is_shared(slot) or group not in _GROUPS or slot in found:
                continue
            other = writer >= 0 and graph.nodes[writer].thread != thread
            if other:
                again = graph.nodes[writer].step >= graph.run.loop
                rank = not again, _GROUPS.index(group)
                found[slot] = rank, _finds(graph, story, node.step, slot, writer)
    told = sorted(found.values())
    return [text for rank, text in told if rank == told[0][0]][:_FEW]


def _finds(graph: Graph, story: Story, step: int, slot: int, writer: int) -> str:
    cell, run = graph.run.program.cells[slot], graph.run
    by = graph.nodes[writer].step
    shown = cell.show(run.states[by + 1][slot])
    who = f"{_name(graph, run.schedule[by].thread)}, {story.function(by)}()"
    since = f"since step {story.numbers[by]} ({who})"
    return f"step {story.numbers[step]} finds {cell.name} {shown}, {since}"


def _waits(graph: Graph, story: Story) -> list[str]:
    """Return what the thread waits for, in a wait that is never met when it looks."""
    facts = []
    for number in graph.criteria:
        if graph.op(number) is not Op.WAIT:
            continue
        for slot, writer in _decided_by(graph, number):
            if not graph.is_shared(slot):
                continue
            cell = graph.run.program.cells[slot]
            text = f"{cell.name} is {cell.show(graph.run.states[-1][slot])}"
            if writer < 0:
                facts.append(f"{text} from the start")
                continue
            step = graph.nodes[writer].step
            who = f"{_name(graph, graph.run.schedule[step].thread)}, {story.function(step)}()"
            facts.append(f"{text} since step {story.numbers[step]} ({who})")
    return list(dict.fromkeys(facts))[:_FEW]


def _decided_by(graph: Graph, wait: int) -> list[tuple[int, int]]:
    """Return what a wait looks at; where jumps decided that it waits, what those look at."""
    found, node = graph.inputs(wait), graph.nodes[wait]
    while not found and node.control >= 0 and graph.nodes[node.control].step == node.step:
        found, node = graph.inputs(node.control), graph.nodes[node.control]
    return found


def _place(graph: Graph, story: Story) -> str:
    for number in graph.criteria:
        location = graph.run.program.code[graph.nodes[number].access.instruction].location
        chain = story.places.chain(location)
        if graph.op(number) is Op.WAIT and chain:
            return f" in {story.places.function(chain)}() at `{story.places.text(chain)}`"
    return ""


def _others(graph: Graph, story: Story, thread: int) -> str:
    """Say what everybody else does on the cycle."""
    program, run = graph.run.program, graph.run
    moving = list(dict.fromkeys(move.thread for move in run.schedule[run.loop :]))
    others = [other for other in moving if other != thread]
    if not others:
        return f"Nobody else can make a difference{_finished(graph, thread)}."
    parts = [f"{program.threads[other].name} makes {_steps(story, other)}" for other in others]
    return f"Meanwhile {' and '.join(parts)}, round after round."


def _finished(graph: Graph, thread: int) -> str:
    program = graph.run.program
    left = [t for t in range(len(program.threads)) if t != thread and not graph.has_finished(t)]
    if not left:
        return ": the other threads have finished"
    names = " and ".join(program.threads[t].name for t in left)
    return f": {names} cannot go on"


def _steps(story: Story, thread: int) -> str:
    """Return the numbers of a thread's steps on the cycle: `step 12`, `steps 12-14`."""
    run = story.run
    numbers = [
        story.numbers[step]
        for step in range(run.loop, len(run.schedule))
        if run.schedule[step].thread == thread
    ]
    numbers = list(dict.fromkeys(numbers))
    if len(numbers) == 1:
        return f"step {numbers[0]}"
    return f"steps {', '.join(_runs(numbers))}"


def _runs(numbers: list[int]) -> Iterator[str]:
    first = before = numbers[0]
    for number in [*numbers[1:], -1]:
        if number != before + 1:
            yield str(first) if first == before else f"{first}-{before}"
            first = number
        before = number


def _name(graph: Graph, thread: int) -> str:
    return graph.run.program.threads[thread].name
