"""From a schedule to the record that a reader sees: events, changes, windows and why.

Invariant: everything in the record was replayed in the reference interpreter just now.
"""

from __future__ import annotations

import linecache
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mmunotify.check.accesses import Recording, recording
from mmunotify.check.control import owners
from mmunotify.check.places import Places
from mmunotify.check.reorder import switches
from mmunotify.check.schedule import Move
from mmunotify.check.slice import Graph, Slice, causal_slice
from mmunotify.check.stale import find_stale
from mmunotify.check.story import Beat, Story, tell
from mmunotify.check.violation import Kind, message
from mmunotify.check.why import looked_at, thing, why
from mmunotify.check.windows import StaleSpan, stale_spans
from mmunotify.ir import interp
from mmunotify.ir.interp import Blocked
from mmunotify.ir.program import CellKind, Program
from mmunotify.trace.record import Change, Column, Event, Header, Lane, Line, Trace, Window

__all__ = ["Counterexample", "counterexample"]

_GROUPS = ("pte", "spte", "tlb", "frame", "lock", "driver", "")  # columns from left to right
_MMUS = ("primary", "secondary", "device")  # lanes from left to right


@dataclass(frozen=True)
class Counterexample:
    """What there is to tell of a schedule.

    `steps` are micro steps (the trace may have fewer events), `switches` changes of thread.
    `property`, `message` and `why` are empty if the schedule violates nothing.
    """

    trace: Trace
    property: str
    message: str
    why: str
    steps: int
    switches: int


def counterexample(
    program: Program,
    schedule: Sequence[Move],
    lanes: Sequence[Lane] = (),
    driver: Collection[str] = (),
    subject: str = "",
) -> Counterexample:
    """Replay `schedule` and tell it.

    `lanes[t]` describes thread `t` (default: all on the primary MMU). `driver` are the files whose
    lines are shown where there is a choice. Raise `ScheduleError` if the schedule does not fit.
    """
    run = recording(program, schedule)
    graph = Graph(run)
    found = causal_slice(graph)
    story = tell(run, found.steps, Places(program, driver))
    order = _lane_order(run, lanes)
    lane_of = {thread: at for at, (thread, _) in enumerate(order)}
    visible = _visible(graph, story.places)
    events = [_event(story, found, lane_of, visible, n) for n in range(len(story.beats))]
    trace = Trace(
        header=Header(
            subject=subject, lanes=[lane for _, lane in order], columns=_columns(run, visible)
        ),
        events=events,
        windows=_windows(story, lane_of, [lane for _, lane in order]),
        sources=_sources(events),
        cycle=story.numbers[run.loop] if run.loop >= 0 else 0,
    )
    violation = run.violation
    return Counterexample(
        trace,
        violation.property if violation else "",
        message(program, violation) if violation else "",
        why(graph, story, find_stale(graph, found)),
        len(run.schedule),
        switches(run.schedule),
    )


def _lane_order(run: Recording, lanes: Sequence[Lane]) -> list[tuple[int, Lane]]:
    """Return the threads to show with their lanes: primary, secondary, device."""
    program = run.program
    shown = {move.thread for move in run.schedule}
    if run.violation is not None and run.violation.kind is Kind.DEADLOCK:
        final = run.states[-1]
        threads = range(len(program.threads))
        shown |= {t for t in threads if interp.pc(program, final, t) != program.threads[t].done}
    pairs = [
        (t, lanes[t] if t < len(lanes) else Lane(name=thread.name, role=thread.role))
        for t, thread in enumerate(program.threads)
        if t in shown
    ]
    return sorted(pairs, key=lambda pair: _MMUS.index(pair[1].mmu))


def _visible(graph: Graph, places: Places) -> dict[int, str]:
    """Return the cells worth a column, with their groups.

    Shared cells that more than one thread's code touches, that the driver's own lines touch, or
    that the violation looks at. "driver" are those that the driver touches, if its files are known.
    """
    program = graph.run.program
    owned = {cell for cell, threads in owners(program).items() if len(threads) > 1}
    drivers = _of_driver(graph, places)
    looked = {slot for node in graph.criteria for slot, _ in looked_at(graph, node)}
    found = {}
    for slot, cell in enumerate(program.cells):
        if cell.kind is CellKind.SHARED and slot in owned | drivers | looked:
            group = graph.groups[slot]
            known = not places.driver or slot in drivers or group != "driver"
            found[slot] = group if known else ""
    return found


def _of_driver(graph: Graph, places: Places) -> set[int]:
    """Return the cells that a line of the driver itself touches in this schedule."""
    found: set[int] = set()
    for node in graph.nodes:
        chain = places.chain(graph.run.program.code[node.access.instruction].location)
        if chain and chain[-1].file in places.driver:
            found.update((*node.access.reads, *node.access.writes))
    return found


def _columns(run: Recording, visible: dict[int, str]) -> list[Column]:
    """Return the visible cells that ever change, those of a group side by side."""
    cells = run.program.cells
    moved = [s for s in visible if any(state[s] != cells[s].initial for state in run.states)]
    moved.sort(key=lambda slot: _GROUPS.index(visible[slot]))
    return [
        Column(name=cells[s].name, initial=cells[s].show(cells[s].initial), group=visible[s])
        for s in moved
    ]


# -- events ------------------------------------------------------------------------------------


def _event(
    story: Story, found: Slice, lane_of: dict[int, int], visible: Collection[int], at: int
) -> Event:
    beat, run = story.beats[at], story.run
    used = {story.numbers[source] for step in beat.steps for source in found.uses.get(step, ())}
    return Event(
        n=at + 1,
        lane=lane_of[beat.thread],
        text=story.places.text(beat.chain),
        where=[
            Line(file=p.file, line=p.line, function=p.function, text=p.text.strip())
            for p in beat.chain
        ],
        changes=_changes(run, beat, visible),
        uses=sorted(used - {at + 1}),
        slice=not found.steps.isdisjoint(beat.steps),
        choices=[choice for step in beat.steps for choice in run.schedule[step].choices],
        alternatives=_alternatives(run, beat, lane_of),
    )


def _changes(run: Recording, beat: Beat, visible: Collection[int]) -> list[Change]:
    before = run.states[beat.steps[0]]
    after = run.states[min(beat.steps[-1] + 1, len(run.states) - 1)]
    return [
        Change(column=cell.name, before=cell.show(before[slot]), after=cell.show(after[slot]))
        for slot, cell in enumerate(run.program.cells)
        if slot in visible and before[slot] != after[slot]
    ]


def _alternatives(run: Recording, beat: Beat, lane_of: dict[int, int]) -> list[int]:
    """Return the other lanes that could have moved instead."""
    state = run.states[beat.steps[0]]
    return sorted(
        lane
        for thread, lane in lane_of.items()
        if thread != beat.thread
        and any(
            not isinstance(step.result, Blocked)
            for step in interp.steps(run.program, state, thread)
        )
    )


def _sources(events: Sequence[Event]) -> dict[str, str]:
    """Return the text of every file that an event shows a line of, as far as it can be read."""
    files = dict.fromkeys(line.file for event in events for line in event.where)
    texts = {file: "".join(linecache.getlines(file)) for file in files}
    return {file: text for file, text in texts.items() if text}


# -- windows -----------------------------------------------------------------------------------


def _windows(story: Story, lane_of: dict[int, int], lanes: Sequence[Lane]) -> list[Window]:
    numbers, total = story.numbers, len(story.run.schedule)
    found = [
        Window(
            kind="invalidation",
            lane=lane_of[section.thread],
            first=numbers[section.first],
            last=numbers[section.last] if section.last < total else 0,
            text=_call(story, section.first),
        )
        for section in story.sections
    ]
    for span in stale_spans(story.run):
        thread = _installer(story.run, span)
        secondary = (at for at, lane in enumerate(lanes) if lane.mmu != "primary")
        found.append(
            Window(
                kind="stale",
                lane=lane_of[thread] if thread is not None else next(secondary, 0),
                first=numbers[span.first],
                last=numbers[span.last] if span.last < total else 0,
                text=f"{story.run.program.cells[span.cell].name} still names "
                f"{thing(story.run.program, span.cell, span.value)}",
            )
        )
    if story.run.loop >= 0:
        found.append(_cycle(story, lane_of))
    return sorted(found, key=lambda window: (window.first, window.lane))


def _cycle(story: Story, lane_of: dict[int, int]) -> Window:
    """Return the bar along what repeats for ever, in the lane that moves first in it."""
    run = story.run
    first, last = story.numbers[run.loop], story.numbers[len(run.schedule) - 1]
    lane = lane_of[run.schedule[run.loop].thread]
    return Window(kind="cycle", lane=lane, first=first, last=last, text="repeats for ever")


def _call(story: Story, step: int) -> str:
    """Return the statement that began an invalidation section."""
    chain = story.chains[step]
    for caller, called in pairwise(chain):
        if called.function.endswith("invalidate_range_start"):
            return caller.text.strip()
    return ""


def _installer(run: Recording, span: StaleSpan) -> int | None:
    """Return the thread that put the value there."""
    for step in range(min(span.first, len(run.states) - 2), -1, -1):
        before, after = run.states[step][span.cell], run.states[step + 1][span.cell]
        if before != after and after == span.value:
            return run.schedule[step].thread
    return None
