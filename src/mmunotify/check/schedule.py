"""Schedules: an interleaving as the list of micro steps that make it.

Invariant: a schedule means the same in every process; it is replayed in the reference interpreter,
so what is shown of it does not depend on the engine that found it.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mmunotify.check.violation import Violation, cycle_violation, failed, violation_in
from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.ir import interp
from mmunotify.ir.interp import Blocked, Failed, State, Stepped
from mmunotify.ir.ops import Op
from mmunotify.ir.program import Instr, Program

__all__ = [
    "Lasso",
    "MacroMove",
    "Move",
    "Replay",
    "Schedule",
    "ScheduleError",
    "advance",
    "closed",
    "decode",
    "encode",
    "expand",
    "identity_of",
    "replay",
    "schedule_of",
]


@dataclass(frozen=True)
class Move:
    """One micro step: `thread` runs to its next boundary, taking `choices`.

    Trailing first alternatives (zeros) are left out, so equal moves are equal objects.
    """

    thread: int
    choices: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        kept = len(self.choices)
        while kept and self.choices[kept - 1] == 0:
            kept -= 1
        object.__setattr__(self, "choices", tuple(self.choices[:kept]))


Schedule = tuple[Move, ...]


class Lasso(tuple[Move, ...]):
    """A schedule whose moves from number `loop` on repeat for ever."""

    loop: int

    def __new__(cls, moves: Iterable[Move], loop: int) -> Lasso:
        """Return the schedule of the moves to the cycle and those once around it."""
        found = super().__new__(cls, moves)
        found.loop = loop
        return found


class MacroMove(Protocol):
    """A step of a reduced search: `thread` runs micro steps until its pc is `boundary`."""

    @property
    def thread(self) -> int:
        """The thread that moves."""

    @property
    def choices(self) -> Sequence[int]:
        """All choices of the micro steps, in order."""

    @property
    def boundary(self) -> int:
        """The boundary at which the step ends; without meaning if it runs into a failure."""


class ScheduleError(ValueError):
    """A schedule does not fit the program: a thread cannot make the move it says."""


@dataclass(frozen=True)
class Replay:
    """A replayed schedule: `states[k]` is the state before move `k`.

    The last state is the one after the last move, or before it if that move fails.
    """

    states: tuple[State, ...]
    violation: Violation | None


# -- replay ------------------------------------------------------------------------------------


def expand(program: Program, path: Iterable[MacroMove]) -> Schedule:
    """Return the micro steps of a path that a reduced search found.

    Raise `ScheduleError` if the path does not fit the program.
    """
    moves: list[Move] = []
    state: State | None = program.initial
    for number, macro in enumerate(path):
        if state is None:
            raise ScheduleError(f"macro step {number} fails, but others follow it")
        state = _expand_one(program, state, macro, moves)
    return tuple(moves)


def _expand_one(
    program: Program, state: State, macro: MacroMove, moves: list[Move]
) -> State | None:
    """Append the micro steps of `macro`; return the state after it, None if it fails."""
    left = tuple(macro.choices)
    while True:
        done = _step(program, state, macro.thread, left, len(moves))
        moves.append(Move(macro.thread, done.choices))
        left = left[len(done.choices) :]
        if not isinstance(done.result, Stepped):
            return None
        state = done.result.state
        if interp.pc(program, state, macro.thread) == macro.boundary and not left:
            return state


def _step(
    program: Program, state: State, thread: int, choices: tuple[int, ...], number: int
) -> interp.Step:
    """Make a step that is neither impossible nor blocked; raise `ScheduleError` otherwise."""
    if not 0 <= thread < len(program.threads):
        raise ScheduleError(f"step {number + 1}: there is no thread {thread}")
    try:
        done = interp.step(program, state, thread, choices)
    except ValueError as error:
        raise ScheduleError(f"step {number + 1}: {error}") from None
    if isinstance(done.result, Blocked):
        name = program.threads[thread].name
        raise ScheduleError(f"step {number + 1}: thread {name} has to wait")
    return done


def advance(program: Program, state: State, move: Move, number: int = 0) -> State | Failed:
    """Return the state after `move`, or the failure it runs into.

    Raise `ScheduleError`, which says step `number + 1`, if the thread cannot make the move.
    """
    done = _step(program, state, move.thread, move.choices, number)
    if len(move.choices) > len(done.choices):
        raise ScheduleError(f"step {number + 1}: {len(move.choices)} choices are too many")
    return done.result.state if isinstance(done.result, Stepped) else _failure(done)


def _failure(done: interp.Step) -> Failed:
    assert isinstance(done.result, Failed)
    return done.result


def replay(program: Program, schedule: Sequence[Move]) -> Replay:
    """Replay `schedule`; raise `ScheduleError` if it does not fit the program."""
    states = [program.initial]
    for number, move in enumerate(schedule):
        after = advance(program, states[-1], move, number)
        if isinstance(after, Failed):
            if number + 1 < len(schedule):
                raise ScheduleError(f"step {number + 1} fails, but {len(schedule)} are given")
            return Replay(tuple(states), failed(program, after))
        states.append(after)
    if isinstance(schedule, Lasso):
        return Replay(tuple(states), _around(program, schedule, states))
    return Replay(tuple(states), violation_in(program, states[-1]))


def closed(program: Program, moves: Sequence[Move], loop: int) -> Lasso:
    """Return the lasso of which `moves` go once around, from number `loop` on.

    Cells that are dead, and differ although a reduced search saw the same state again, come to rest
    after one round more. Raise `ScheduleError` if what the moves lead to is no cycle.
    """
    around = tuple(moves[loop:])
    state, stem = program.initial, tuple(moves[:loop])
    for number, move in enumerate(stem):
        state = _moved(program, state, move, number)
    while True:
        before = state
        for number, move in enumerate(around, len(stem)):
            state = _moved(program, state, move, number)
        if state == before:
            return Lasso((*stem, *around), len(stem))
        if len(stem) > loop:
            raise ScheduleError(f"steps {loop + 1} to {len(moves)} do not lead back")
        stem = (*stem, *around)


def _moved(program: Program, state: State, move: Move, number: int) -> State:
    after = advance(program, state, move, number)
    if isinstance(after, Failed):
        raise ScheduleError(f"step {number + 1} fails")
    return after


def _around(program: Program, lasso: Lasso, states: Sequence[State]) -> Violation | None:
    """Return what is wrong with a cycle that begins in state `lasso.loop`."""
    loop, moves = states[lasso.loop : -1], lasso[lasso.loop :]
    if not loop or states[-1] != loop[0]:
        return None
    return cycle_violation(program, loop, [move.thread for move in moves])


# -- replay strings ----------------------------------------------------------------------------
#
# IDENTITY "." RUN* ["." RUN*] "." CHECK; what stands in the brackets repeats for ever. A run is a
# thread (a letter, or -27- from number 26 on), a count if it makes more than one step, and the
# choices of its last step (capital letters, or _27_).

_RUN = re.compile(r"([a-z]|-\d+-)(\d*)((?:[A-Z]|_\d+_)*)")
_CHOICE = re.compile(r"[A-Z]|_\d+_")
_WHOLE = re.compile(r"([0-9a-f]{8})\.([-\w]*(?:\.[-\w]+)?)\.([0-9a-f]{4})", re.ASCII)
_AROUND = "."
_LETTERS = 26
_LONGEST = 1_000_000  # steps; a mistyped count must not fill the memory


def identity_of(program: Program, scenario: str) -> str:
    """Return 8 hexadecimal digits that change when the meaning of a replay string would.

    Source lines may move without a change.
    """
    digest = hashlib.sha256(scenario.encode())
    parts = (
        [(cell.name, cell.initial, str(cell.kind)) for cell in program.cells],
        [(int(i.op), *_meant(i)) for i in program.code],
        [(thread.name, thread.entries, thread.pc, thread.daemon) for thread in program.threads],
        [(str(p.kind), p.entry, p.result) for p in program.predicates],
        (program.table, program.epochs, program.slots),
    )
    digest.update(repr(parts).encode())
    return digest.hexdigest()[:8]


def _meant(i: Instr) -> tuple[int, ...]:
    """Return the fields that say what a step does; not how those who wait are queued."""
    return (i.a, 0, *i.fields[2:]) if i.op is Op.WAIT else i.fields


def encode(schedule: Sequence[Move], identity: str) -> str:
    """Return the replay string of `schedule` for the program with that `identity`."""
    parts = [schedule]
    if isinstance(schedule, Lasso):
        parts = [schedule[: schedule.loop], schedule[schedule.loop :]]
    body = _AROUND.join("".join(_run(*run) for run in _runs(part)) for part in parts)
    return f"{identity}.{body}.{_checksum(identity, body)}"


def _runs(schedule: Sequence[Move]) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Yield thread, number of steps and the choices of the last one, which end the run."""
    count = 0
    for at, move in enumerate(schedule):
        count += 1
        goes_on = at + 1 < len(schedule) and schedule[at + 1].thread == move.thread
        if move.choices or not goes_on:
            yield move.thread, count, move.choices
            count = 0


def _run(thread: int, count: int, choices: tuple[int, ...]) -> str:
    text = chr(ord("a") + thread) if thread < _LETTERS else f"-{thread}-"
    text += str(count) if count > 1 else ""
    return text + "".join(chr(ord("A") + c) if c < _LETTERS else f"_{c}_" for c in choices)


def _checksum(identity: str, body: str) -> str:
    return f"{binascii.crc_hqx(f'{identity}.{body}'.encode(), 0):04x}"  # sees any one wrong letter


def decode(text: str) -> tuple[str, Schedule]:
    """Return the identity and the schedule in a replay string.

    Raise `DiagnosticError` E504 if it is none, or not all of it.
    """
    whole = _WHOLE.fullmatch(text.strip())
    if whole is None or whole[3] != _checksum(whole[1], whole[2]):
        raise _unreadable(text)
    stem, around, loop = whole[2].partition(_AROUND)
    moves = _moves(stem, text)
    if around:
        moves = Lasso((*moves, *_moves(loop, text)), len(moves))
    if len(moves) > _LONGEST or encode(moves, whole[1]) != text.strip():
        raise _unreadable(text)
    return whole[1], moves


def _moves(runs: str, text: str) -> Schedule:
    """Return the moves of a part of the replay string `text`."""
    moves: list[Move] = []
    at = 0
    while at < len(runs):
        run = _RUN.match(runs, at)
        if run is None or len(moves) + int(run[2] or 1) > _LONGEST:
            raise _unreadable(text)
        thread = int(run[1].strip("-")) if run[1][0] == "-" else ord(run[1]) - ord("a")
        choices = tuple(_choice(found) for found in _CHOICE.findall(run[3]))
        moves += [Move(thread)] * (int(run[2] or 1) - 1)
        moves.append(Move(thread, choices))
        at = run.end()
    return tuple(moves)


def _choice(text: str) -> int:
    return int(text.strip("_")) if text[0] == "_" else ord(text) - ord("A")


def schedule_of(text: str, identity: str) -> Schedule:
    """Return the schedule in a replay string made for the program with that `identity`.

    Raise `DiagnosticError` E504 if it cannot be read, E503 if it is of another program.
    """
    found, schedule = decode(text)
    if found != identity:
        raise DiagnosticError(
            Diagnostic(
                "E503",
                None,
                f"this replay string is of another program: {found}, not {identity}",
                "it says which thread takes each step, which means something only for the "
                "driver, scenario and bounds it was found with",
                "leave --replay out: the check finds the bug again if it is still there",
            )
        )
    return schedule


def _unreadable(text: str) -> DiagnosticError:
    shown = text if len(text) <= 40 else f"{text[:37]}..."
    return DiagnosticError(
        Diagnostic(
            "E504",
            None,
            f"{shown!r} is no replay string",
            "its form or its checksum is wrong; probably a part was lost when it was copied",
            "copy all of the string from the line `run` of the report",
        )
    )
