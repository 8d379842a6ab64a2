"""Why a thread must not sleep where it does: what put it into atomic context, and when.

Invariant: what is named is what raised the thread's `preempt_count` and did not lower it again.
"""

from __future__ import annotations

from mmunotify.check.places import is_primitive
from mmunotify.check.slice import Graph
from mmunotify.check.story import Chain, Story
from mmunotify.ir.ops import Op

__all__ = ["asleep"]

_COUNT = "preempt_count"
_LOWERED = "-="


def asleep(graph: Graph, story: Story, looked_at: list[tuple[int, int]]) -> str:
    """Return why the last step violates `context`; `looked_at` is what its condition read."""
    cells, last = graph.run.program.cells, len(graph.run.schedule) - 1
    who = graph.run.program.threads[graph.run.schedule[last].thread].name
    slots = [slot for slot, _ in looked_at if slot < len(cells) and _COUNT in cells[slot].name]
    if not slots:
        chain = _last_of_driver(graph, story) or story.chains[last]
        return (
            f"{_step(story, last, chain)} gives up, and the section of {who} may block: EAGAIN is "
            "an answer for a range that is not blockable only."
        )
    causes = [_cause(graph, story, node) for node in _raised(graph, story, slots[0])]
    if not causes:
        return ""
    does, since = _step(story, last, story.chains[last]), " and ".join(dict.fromkeys(causes))
    return f"{does} may sleep, and {who} must not, in atomic context {since}."


def _step(story: Story, step: int, chain: Chain) -> str:
    function = story.places.function(chain)
    return f"Step {story.numbers[step]} (`{story.places.text(chain)}` in {function}())"


def _last_of_driver(graph: Graph, story: Story) -> Chain:
    """Return where the driver was last in the failing step; empty if it was not."""
    code = graph.run.program.code
    for access in reversed(graph.run.steps[-1]):
        instruction = code[access.instruction]
        marked = graph.run.program.covers[instruction.a] if instruction.op is Op.COVER else ()
        chain = story.places.chain(marked[-1] if marked else instruction.location)
        if any(place.file in story.places.driver for place in chain):
            return chain
    return ()


def _raised(graph: Graph, story: Story, slot: int) -> list[int]:
    """Return the nodes that raised the count and whose effect lasts."""
    raised: list[int] = []
    for node in graph.writes.get(slot, []):
        chain = _chain(graph, story, node)
        if chain and _LOWERED in chain[-1].text:
            raised = raised[:-1]
        else:
            raised.append(node)
    return raised


def _cause(graph: Graph, story: Story, node: int) -> str:
    chain, number = _chain(graph, story, node), story.numbers[graph.nodes[node].step]
    if not chain:
        return ""
    if is_primitive(chain[-1].file):
        return f"since `{story.places.text(chain)}` at step {number}"
    return f"since it began, at step {number}, to call hooks for a range that is not blockable"


def _chain(graph: Graph, story: Story, node: int) -> Chain:
    code = graph.run.program.code
    return story.places.chain(code[graph.nodes[node].access.instruction].location)
