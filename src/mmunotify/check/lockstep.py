"""`Lockstep`: where the threads of a plain run end their steps, so that they are a program's steps.

The compiled program decides what a step is: an access that it folded, or that no other thread can
see, is none. A thread of a plain run goes on until it is about to make the access at which the
thread of the program has its next boundary: the same calls, at the same statements.

Invariant: after `n` moves of a schedule each plain thread stands where the program's thread does,
or a loop head further on, which does nothing that others see.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import FrameType

from mmunotify.check.schedule import Move, ScheduleError
from mmunotify.ir import interp
from mmunotify.ir.interp import Stepped
from mmunotify.ir.ops import Op
from mmunotify.ir.program import Location, Program

__all__ = ["Lockstep", "body_frames", "is_machinery"]

_SKIPPED = (  # what the compiler knows itself, and what runs the bodies
    "mmunotify.check",
    "mmunotify.lang.counter",
    "mmunotify.lang.intrinsics",
    "mmunotify.lang.pages",
    "mmunotify.lang.runtime",
    "mmunotify.lang.table",
    "contextlib",
    "threading",
)
_INNER = ("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")

Chain = tuple[tuple[str, str, int], ...]
"""File, function and line of a place and of the calls that led there, innermost first."""


class Lockstep:
    """The boundaries that each thread of `program` comes to in `schedule`, and its choices.

    Raise `ScheduleError` if the schedule does not fit the program.
    """

    def __init__(self, program: Program, schedule: Sequence[Move]) -> None:
        self.program = program
        threads = range(len(program.threads))
        self._stops: list[list[int]] = [[] for _ in threads]  # boundaries, from the first on
        self._tapes: list[list[int]] = [[] for _ in threads]  # choices, those of 0 included
        self._at = [-1 for _ in threads]  # the stop at which a plain thread stands
        self._moves = [0 for _ in threads]  # made so far
        state: interp.State = program.initial
        for thread in threads:
            self._stops[thread].append(interp.pc(program, state, thread))
        for number, move in enumerate(schedule):
            step = self._step(state, move, number)
            self._tapes[move.thread] += step.choices
            if isinstance(step.result, Stepped):
                state = step.result.state
                self._stops[move.thread].append(interp.pc(program, state, move.thread))
        for thread in threads:
            if self._stops[thread][0] == 0:
                self._at[thread] = 0  # at the beginning, before any access

    def _step(self, state: interp.State, move: Move, number: int) -> interp.Step:
        try:
            step = interp.step(self.program, state, move.thread, move.choices)
        except (ValueError, IndexError) as error:
            raise ScheduleError(f"step {number + 1}: {error}") from None
        if isinstance(step.result, interp.Blocked):
            raise ScheduleError(f"step {number + 1}: thread {move.thread} has to wait")
        return step

    def starts_inside(self, thread: int) -> bool:
        """Tell whether `thread` begins at an access: what comes before it belongs to set-up."""
        return self._at[thread] < 0 and len(self._stops[thread]) > 1

    def arrives(self, thread: int, frame: FrameType) -> bool:
        """Tell whether the access that `frame` is about to make begins the thread's next step."""
        stops = self._stops[thread]
        here: Chain | None = None
        for at in range(self._at[thread] + 1, len(stops)):
            if stops[at] == self.program.threads[thread].done:
                return False
            here = here or _chain_of(frame)
            if _same(here, self._chain(thread, stops[at])):
                self._at[thread] = at
                return True
            if not self._is_loop_head(thread, stops[at]):
                return False
        return False

    def finishes(self, thread: int) -> bool:
        """Tell whether the program's thread, too, is done after its last step."""
        return self._stops[thread][-1] == self.program.threads[thread].done

    def moves(self, thread: int) -> bool:
        """Count a move of `thread`; tell whether the plain thread has not made it already."""
        self._moves[thread] += 1
        return self._at[thread] < self._moves[thread]

    def choice(self, thread: int) -> int:
        """Return the next choice of `thread`; the first alternative after the last one."""
        return self._tapes[thread].pop(0) if self._tapes[thread] else 0

    def expected(self, thread: int) -> str:
        """Say where the next step of `thread` should begin."""
        for stop in self._stops[thread][self._at[thread] + 1 :][:1]:
            chain = self._chain(thread, stop)
            return f"{chain[0][0]}:{chain[0][2]}" if chain else "its end"
        return "nowhere"

    def _location(self, thread: int, boundary: int) -> int:
        entry = self.program.threads[thread].entries[boundary]
        before = self.program.code[entry - 1] if boundary else None
        if before is not None and before.op is Op.STEP:
            return before.location
        return self.program.code[entry].location

    def _chain(self, thread: int, boundary: int) -> Chain:
        if boundary == self.program.threads[thread].done:
            return ()
        return tuple(
            (place.file, place.function.rpartition(".")[2], _statement(place.file, place.line))
            for place in self._places(self._location(thread, boundary))
        )

    def _places(self, location: int) -> Iterator[Location]:
        while location >= 0:
            yield self.program.locations[location]
            location = self.program.locations[location].parent

    def _is_loop_head(self, thread: int, boundary: int) -> bool:
        location = self._location(thread, boundary)
        return location >= 0 and self.program.locations[location].text.lstrip().startswith("for ")


def is_machinery(frame: FrameType) -> bool:
    """Tell whether a frame belongs to what runs the bodies."""
    name = str(frame.f_globals.get("__name__", ""))
    return name.startswith(_SKIPPED) and not name.startswith("mmunotify.lang.runtime_")


def body_frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of bodies from `frame` outwards."""
    while frame is not None:
        if not is_machinery(frame):
            yield frame
        frame = frame.f_back


def _chain_of(frame: FrameType) -> Chain:
    found = []
    for one in body_frames(frame):
        if one.f_code.co_name in _INNER:
            continue
        file = one.f_code.co_filename
        found.append((file, one.f_code.co_name, _statement(file, one.f_lineno)))
    return tuple(found)


def _same(here: Chain, there: Chain) -> bool:
    """Compare two chains; where a `with` is left, its last line and its first are the same."""
    if len(here) != len(there):
        return False
    leaves = False
    for (file, function, line), (its_file, its_function, its_line) in zip(here, there, strict=True):
        named = function in (its_function, "<lambda>")  # a lambda has the name of where it stands
        if file != its_file or not named or (line != its_line and not leaves):
            return False
        leaves = function == "__exit__"
    return True


def _statement(file: str, line: int) -> int:
    """Return the first line of the statement that `line` belongs to."""
    return _statements(file).get(line, line)


@cache
def _statements(file: str) -> dict[int, int]:
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    found: dict[int, int] = {}
    for node in ast.walk(tree):  # outer statements first
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            for line in range(node.lineno, max(last, node.lineno) + 1):
                found[line] = node.lineno
    return found
