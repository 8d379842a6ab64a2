"""The two windows of the domain: an invalidation section, and a stale translation.

Both are computed from function names and groups of cells; no driver is known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmunotify.check.accesses import Recording
from mmunotify.check.places import groups
from mmunotify.ir import interp
from mmunotify.ir.interp import State
from mmunotify.ir.program import CellKind, Program

__all__ = ["END", "START", "Section", "StaleSpan", "sections", "stale_spans"]

START = "invalidate_range_start"
END = "invalidate_range_end"
_SECONDARY = ("spte", "tlb")
_NONE = -1


@dataclass(frozen=True)
class Section:
    """`thread` is between range_start and range_end from step `first` to step `last`.

    `last` is the number of steps if the section is still open at the end.
    """

    thread: int
    first: int
    last: int


def sections(run: Recording, names: Sequence[Sequence[str]]) -> tuple[Section, ...]:
    """Return the invalidation sections; `names[step]` are the functions a step is in."""
    found: list[Section] = []
    for thread in range(len(run.program.threads)):
        own = [step for step, move in enumerate(run.schedule) if move.thread == thread]
        found += _of_thread(run, thread, own, names)
    return tuple(sorted(found, key=lambda section: (section.first, section.thread)))


def _of_thread(
    run: Recording, thread: int, own: Sequence[int], names: Sequence[Sequence[str]]
) -> Iterator[Section]:
    first, caller, before, ended = -1, "", -1, False
    for step in own:
        if first >= 0 and (
            (ended and END not in names[step]) or (caller and caller not in names[step])
        ):
            yield Section(thread, first, before)
            first = -1
        if first < 0 and START in names[step]:
            at = names[step].index(START)
            first, ended, caller = step, False, names[step][at - 1] if at else ""
        ended = ended or END in names[step]
        before = step
    if first >= 0:
        done = interp.pc(run.program, run.states[-1], thread) == run.program.threads[thread].done
        yield Section(thread, first, before if done else len(run.schedule))


@dataclass(frozen=True)
class StaleSpan:
    """From step `first` to `last` the secondary `cell` names `value`, which no pte maps there.

    `last` is the step that ends it, or the number of steps if none does.
    """

    cell: int
    value: int
    first: int
    last: int


def stale_spans(run: Recording) -> tuple[StaleSpan, ...]:
    """Return when secondary translations outlived the primary ones they were made from."""
    matches = _matches(run.program)
    found: list[StaleSpan] = []
    open_: dict[tuple[tuple[int, ...], int], tuple[int, int]] = {}  # -> (first step, cell)
    mapped: set[tuple[tuple[int, ...], int]] = set()
    for at, state in enumerate(run.states):
        mapped |= {(ptes, state[p]) for ptes in matches.values() for p in ptes}
        now = {
            (matches[cell], state[cell]): cell
            for cell in sorted(matches, reverse=True)
            if _is_stale(state, cell, matches[cell]) and (matches[cell], state[cell]) in mapped
        }
        for key in [key for key in open_ if key not in now]:
            first, cell = open_.pop(key)
            found.append(StaleSpan(cell, key[1], first, at - 1))
        for key, cell in now.items():
            open_.setdefault(key, (max(at - 1, 0), cell))
    found += [
        StaleSpan(cell, value, first, len(run.schedule))
        for (_, value), (first, cell) in open_.items()
    ]
    return tuple(sorted(found, key=lambda span: (span.first, span.cell)))


def _is_stale(state: State, cell: int, ptes: tuple[int, ...]) -> bool:
    return state[cell] != _NONE and all(state[p] != state[cell] for p in ptes)


def _matches(program: Program) -> dict[int, tuple[int, ...]]:
    """Return, for each cell of a secondary table or TLB, the ptes that may map what it names.

    Those of the same page where both arrays have as many cells, else all.
    """
    kinds = groups(program)
    frames = [
        slot
        for slot, cell in enumerate(program.cells)
        if cell.kind is CellKind.SHARED and cell.low == _NONE
    ]
    sizes: dict[str, int] = {}
    for slot in frames:
        sizes[program.cells[slot].array] = sizes.get(program.cells[slot].array, 0) + 1
    ptes = [slot for slot in frames if kinds[slot] == "pte"]
    found = {}
    for slot in frames:
        if kinds[slot] in _SECONDARY:
            alike = [p for p in ptes if _label(program, p) == _label(program, slot)]
            cell = program.cells[slot]
            if alike and cell.array and sizes[cell.array] == sizes[program.cells[alike[0]].array]:
                alike = [p for p in alike if program.cells[p].index == cell.index]
            if alike:
                found[slot] = tuple(alike)
    return found


def _label(program: Program, slot: int) -> str:
    return program.labels[slot] if slot < len(program.labels) else ""
