"""The story of a schedule: which line each step is at, and which steps make one event.

Invariant: every micro step belongs to exactly one event, and an event's steps follow each other
without another thread in between.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from mmunotify.check.accesses import Access, Recording
from mmunotify.check.places import Places, function_name
from mmunotify.check.violation import Kind
from mmunotify.check.windows import Section, sections
from mmunotify.ir.program import CellKind, Location

__all__ = ["Beat", "Story", "tell"]

Chain = tuple[Location, ...]


@dataclass
class Beat:
    """One event: its micro steps, one after another, and the chain of calls it is told by."""

    thread: int
    steps: list[int]
    chain: Chain


@dataclass(frozen=True)
class Story:
    """A recorded schedule, divided into events; `chains[step]` is where a micro step is."""

    run: Recording
    places: Places
    chains: tuple[Chain, ...]
    sections: tuple[Section, ...]
    beats: tuple[Beat, ...]
    numbers: dict[int, int] = field(default_factory=dict)  # micro step -> event, from 1

    def function(self, step: int) -> str:
        """Return the name of the function that a step is told by."""
        return self.places.function(self.chains[step])


def tell(run: Recording, slice_: Collection[int], places: Places) -> Story:
    """Divide `run` into events; steps in `slice_` are never hidden behind another statement."""
    chains = tuple(places.chain(_location(run, step)) for step in range(len(run.schedule)))
    names = [[function_name(place) for place in chain] for chain in chains]
    found = sections(run, names)
    edges = {section.first for section in found} | {section.last + 1 for section in found}
    edges |= {run.loop} if run.loop >= 0 else set()
    beats: list[Beat] = []
    for step, move in enumerate(run.schedule):
        last = beats[-1] if beats else None
        if last is None or last.thread != move.thread or step in edges:
            beats.append(Beat(move.thread, [step], chains[step]))
        elif _belongs(places, last, chains[step]) or _is_silent(run, step, slice_):
            last.steps.append(step)
        elif all(_is_silent(run, before, slice_) for before in last.steps):
            last.steps.append(step)
            last.chain = chains[step]
        else:
            beats.append(Beat(move.thread, [step], chains[step]))
    numbers = {step: n for n, beat in enumerate(beats, 1) for step in beat.steps}
    return Story(run, places, chains, found, tuple(beats), numbers)


def _belongs(places: Places, beat: Beat, chain: Chain) -> bool:
    """Tell whether a step is at the same statement as `beat`, and in the same primitive."""
    return _statement(places, beat.chain) == _statement(places, chain)


def _statement(places: Places, chain: Chain) -> tuple[Chain, str]:
    return (chain[: places.told(chain) + 1] if chain else ()), places.text(chain)


def _is_silent(run: Recording, step: int, slice_: Collection[int]) -> bool:
    """Tell whether a step writes nothing anybody else sees and does not matter."""
    cells = run.program.cells
    written = [slot for access in run.steps[step] for slot in access.writes if slot < len(cells)]
    told = [slot for slot in written if slot not in run.ghosts]
    tells = any(cells[slot].kind is CellKind.SHARED for slot in told)
    tells = tells or any(access.touched for access in run.steps[step])
    return not tells and step not in slice_ and step + 1 < len(run.schedule)


def _location(run: Recording, step: int) -> int:
    """Return the location that tells best what a step does.

    Where it fails; else its first change of shared state, its first access, anything.
    """
    code, accesses = run.program.code, run.steps[step]
    violation = run.violation
    fails = violation is not None and violation.kind is Kind.FAILURE
    if violation is not None and fails and step + 1 == len(run.schedule):
        met = code[violation.instruction].location
        if met >= 0:
            return met
    changed = set(run.changed(step))
    best = min(accesses, key=lambda access: _weight(run, access, changed))
    return code[best.instruction].location


def _weight(run: Recording, access: Access, changed: Collection[int]) -> tuple[bool, int]:
    """Return how little an instruction tells (small: it tells much)."""
    cells = run.program.cells
    shared = [
        slot
        for slot in (*access.writes, *access.reads)
        if slot < len(cells) and cells[slot].kind is CellKind.SHARED and slot not in run.ghosts
    ]
    nowhere = run.program.code[access.instruction].location < 0
    if any(slot in changed and slot in access.writes for slot in shared):
        return nowhere, 0
    return nowhere, 1 if shared else 2
