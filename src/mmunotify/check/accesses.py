"""What each step of a schedule reads and writes, instruction by instruction.

Invariant: what a step does to the state is what the interpreter does; this only watches it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from mmunotify.check.lasso import obligation_cells
from mmunotify.check.schedule import Lasso, Move, Schedule, replay
from mmunotify.check.violation import Kind, Violation
from mmunotify.ir import interp
from mmunotify.ir.interp import Observer, State
from mmunotify.ir.ops import OPS, Op, Role
from mmunotify.ir.program import CellKind, Instr, Program

__all__ = [
    "Access",
    "Accesses",
    "Footprint",
    "Recording",
    "footprint",
    "record",
    "recorder",
    "recording",
]


@dataclass(frozen=True)
class Access:
    """One executed instruction with the slots it read and wrote.

    `touched` are slots it might have written in another state (the snapshots of an epoch).
    """

    instruction: int
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    touched: tuple[int, ...] = ()


Accesses = tuple[Access, ...]


@dataclass(frozen=True)
class Footprint:
    """The stored cells that one step read and wrote; pcs are left out."""

    reads: frozenset[int]
    writes: frozenset[int]

    def conflicts(self, other: Footprint) -> bool:
        """Tell whether the order of the two steps can matter."""
        return not (
            self.writes.isdisjoint(other.writes)
            and self.writes.isdisjoint(other.reads)
            and self.reads.isdisjoint(other.writes)
        )


def _access(program: Program, at: int, i: Instr, slots: Sequence[int]) -> Access:
    if i.op is Op.BUMP:
        epoch = program.epochs[i.a]
        return Access(at, (), tuple(s for s in epoch if slots[s] == 1), epoch)
    if i.op is Op.FILL:
        return Access(at, (), tuple(range(i.a, i.a + i.b)))
    reads: list[int] = []
    writes: list[int] = []
    for role, field in zip(OPS[i.op].roles, i.fields, strict=False):
        if role is Role.READ:
            reads.append(field)
        elif role is Role.WRITE:
            writes.append(field)
        elif role is Role.READ_BASE and 0 <= slots[i.c] < i.d:
            reads.append(field + slots[i.c])
        elif role is Role.WRITE_BASE and 0 <= slots[i.b] < i.d:
            writes.append(field + slots[i.b])
    return Access(at, tuple(reads), tuple(writes))


def recorder(program: Program, into: list[Access]) -> Observer:
    """Return an observer for the interpreter that appends every instruction's accesses."""

    def observe(at: int, slots: list[int]) -> None:
        into.append(_access(program, at, program.code[at], slots))

    return observe


def record(program: Program, state: State, thread: int, choices: Sequence[int]) -> Accesses:
    """Return what a step of `thread` does in `state`, up to where it fails or blocks."""
    found: list[Access] = []
    interp.step(program, state, thread, choices, recorder(program, found))
    return tuple(found)


@dataclass(frozen=True)
class Recording:
    """A replayed schedule with the accesses of every step."""

    program: Program
    schedule: Schedule
    states: tuple[State, ...]
    steps: tuple[Accesses, ...]
    violation: Violation | None

    @cached_property
    def ghosts(self) -> frozenset[int]:
        """The cells that say what is pending: no step reads them, so they are not told of."""
        return frozenset(obligation_cells(self.program))

    @property
    def loop(self) -> int:
        """The step from which on all repeats for ever, or -1."""
        cyclic = self.violation is not None and self.violation.kind is Kind.CYCLE
        return self.schedule.loop if cyclic and isinstance(self.schedule, Lasso) else -1

    def changed(self, step: int) -> tuple[int, ...]:
        """Return the stored cells that a step changed, pcs left out."""
        if step + 1 >= len(self.states):
            return ()
        before, after, cells = self.states[step], self.states[step + 1], self.program.cells
        return tuple(
            cell
            for cell in range(len(cells))
            if before[cell] != after[cell] and cells[cell].kind is not CellKind.PC
        )


def recording(program: Program, schedule: Sequence[Move]) -> Recording:
    """Replay `schedule` and watch it; raise `ScheduleError` if it does not fit the program."""
    replayed = replay(program, schedule)
    steps = tuple(
        record(program, state, move.thread, move.choices)
        for state, move in zip(replayed.states, schedule, strict=False)
    )
    moves = schedule if isinstance(schedule, tuple) else tuple(schedule)
    return Recording(program, moves, replayed.states, steps, replayed.violation)


def footprint(program: Program, accesses: Iterable[Access]) -> Footprint:
    """Return the cells that these accesses, made in one step, read and wrote."""
    stored, found = len(program.cells), tuple(accesses)
    reads = {slot for access in found for slot in access.reads if slot < stored}
    writes = {s for access in found for s in (*access.writes, *access.touched) if s < stored}
    return Footprint(frozenset(reads), frozenset(writes))
