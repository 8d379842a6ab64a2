"""`PlainRun`: the bodies of a world as plain Python, one thread at a time.

Each thread of the world is a Python thread; exactly one runs, and it hands over before every access
to a cell, or before those that begin a step of a given program.
Invariant: a run is determined by its schedule, and leaves no Python thread behind.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import FrameType
from typing import Any

from mmunotify.check.cells import Instrumented, IsCell, assigned_cells
from mmunotify.check.lockstep import Lockstep, body_frames
from mmunotify.check.schedule import Move, ScheduleError
from mmunotify.compile import World
from mmunotify.ir.program import Program
from mmunotify.lang.intrinsics import Failure, Violation
from mmunotify.lang.pages import Pages
from mmunotify.lang.runtime import installed
from mmunotify.lang.thread import Thread

__all__ = ["Ending", "OnStep", "Outcome", "PlainRun"]

OnStep = Callable[[int, int, FrameType | None], None]
"""Told of a step: thread, number of the move from 1, and the frame that is about to make it.

The frame is None where the thread has not entered its body yet.
"""


class Ending(StrEnum):
    """How a run ended."""

    DONE = "done"  # all threads are done, and every final predicate holds
    VIOLATION = "violation"
    DEADLOCK = "deadlock"
    LIMIT = "limit"  # the schedule, or the number of steps allowed, was used up


@dataclass(frozen=True)
class Outcome:
    """What a run came to, and the schedule it took."""

    ending: Ending
    schedule: tuple[Move, ...]
    violation: Violation | None = None


class _Stop(BaseException):
    """Ends a worker whose run is over."""


_MOST_ACCESSES = 20_000  # between two steps of a program


class _Worker:
    """One thread of the world: a Python thread and the runtime of its bodies."""

    def __init__(self, run: PlainRun, number: int, thread: Thread) -> None:
        self.run = run
        self.number = number
        self.thread = thread
        self.go = threading.Semaphore(0)
        self.done = False
        self.waiting: Callable[[], bool] | None = None
        self.depth = 0  # of atomic blocks
        self.accesses = 0  # since it was in step with the program
        self.choices: list[int] = []  # of the current step
        self.last: Sequence[Any] = ()  # the alternatives of its last choice
        self.python = threading.Thread(target=self._main, daemon=True)

    # -- the runtime of bodies ------------------------------------------------------------------

    def access(self) -> None:
        """Begin a step, unless inside one already."""
        if self.depth == 0 and not self.run.quiet and self.run.is_step(self):
            self.run.hand_over(self)

    def enter_atomic(self) -> None:
        """Begin a step that lasts until `exit_atomic`."""
        self.access()
        self.depth += 1

    def exit_atomic(self) -> None:
        """End such a step."""
        self.depth -= 1

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Go on when `condition()` holds; inside `atomic` another choice may make it hold."""
        if self.depth and (self.run.holds(self, condition) or self._choose_again(condition)):
            return
        if self.run.lockstep is not None and (self.depth or not self.run.is_step(self)):
            if not self.run.holds(self, condition):
                raise ScheduleError(f"{self.thread.name} has to wait in the middle of a step")
            return
        self.waiting = condition
        self.run.hand_over(self)
        self.waiting = None

    def choose(self, alternatives: Sequence[Any]) -> Any:
        """Take the alternative that the schedule says."""
        self.last = alternatives
        if len(alternatives) == 1 and not isinstance(alternatives, range | Pages):
            return alternatives[0]  # the compiler makes no choice of it
        picked = self.run.choose(self.number, len(self.choices), len(alternatives))
        self.choices.append(picked)
        return alternatives[picked]

    def current(self) -> Thread:
        """The thread of the world that runs, or whose condition is looked at."""
        return (self.run.asking or self).thread

    def _choose_again(self, condition: Callable[[], bool]) -> bool:
        """Move the choice that `condition` is about to where the condition holds.

        A checker drops the alternatives that have to wait; here the variable is changed through
        the closure of the lambda.
        """
        if not self.choices or not self.run.free_choice:
            return False
        for cell in condition.__closure__ or ():
            if cell.cell_contents is not self.last[self.choices[-1]]:
                continue
            for n in self.run.order(len(self.last)):
                cell.cell_contents = self.last[n]
                if self.run.holds(self, condition):
                    self.choices[-1] = n
                    return True
        return False

    # -- the Python thread ----------------------------------------------------------------------

    def _main(self) -> None:
        self.go.acquire()
        with installed(self):
            try:
                self.run.begin(self)
                self.thread.body(*self.thread.args)
                self.run.end(self)
            except _Stop:
                return
            except Violation as violation:
                self.run.finish(Ending.VIOLATION, violation)
                return
            except Failure as failure:
                text = f"{type(failure).__name__} is raised and nobody catches it"
                self.run.finish(Ending.VIOLATION, Violation("failure", text))
                return
            except BaseException as error:
                self.run.finish_with(error)
                return
            self.run.leave(self)


class PlainRun:
    """One run of `world`, which it uses up: build another world for another run.

    `is_cell(object, attribute)` tells which attributes are shared cells (for a `Table`: the
    attribute ""); an access to one begins a step. By default: everything that bodies assign.
    With `program`, the world's own, a replay has the steps of the program. `on_step` is called in
    the Python thread that is about to make the step, so that a debugger can stop there.
    """

    def __init__(
        self,
        world: World,
        is_cell: IsCell | None = None,
        on_step: OnStep | None = None,
        program: Program | None = None,
    ) -> None:
        self.world = world
        self.on_step = on_step
        self.program = program
        self.lockstep: Lockstep | None = None
        self.quiet = False
        self.asking: _Worker | None = None
        self._cells = Instrumented(world, is_cell or assigned_cells(world))
        self._workers = [_Worker(self, n, t) for n, t in enumerate(world.threads)]
        self._main = threading.Semaphore(0)
        self._moves: list[tuple[int, list[int]]] = []
        self._outcome: tuple[Ending, Violation | None] | None = None
        self._error: BaseException | None = None
        self._stopping = False
        self._starting = False
        self._schedule: Sequence[Move] | None = None
        self._limit = 0
        self._stay = 0.0
        self._random = random.Random(0)

    def run(self, schedule: Sequence[Move]) -> Outcome:
        """Replay `schedule`: in each move a thread makes one step with the given choices.

        Raise `ScheduleError` if the bodies cannot be made to follow it.
        """
        self._schedule = tuple(schedule)
        if self.program is not None:
            self.lockstep = Lockstep(self.program, self._schedule)
        return self._go()

    def random_run(self, seed: int, limit: int = 10_000) -> Outcome:
        """Make up to `limit` steps at random; the outcome says which."""
        self._random = random.Random(seed)
        self._stay = self._random.choice((0.0, 0.5, 0.9))
        self._limit = limit
        return self._go()

    # -- called by the workers ------------------------------------------------------------------

    def begin(self, worker: _Worker) -> None:
        """The body of `worker` is about to be entered."""
        self.check_stop()
        if self.on_step is not None and not self._starting:
            self.on_step(worker.number, len(self._moves), None)

    def is_step(self, worker: _Worker) -> bool:
        """Tell whether the access that `worker` is about to make begins a step."""
        if self.lockstep is None:
            return True
        worker.accesses += 1
        if self.lockstep.arrives(worker.number, sys._getframe(2)):
            worker.accesses = 0
            return True
        if worker.accesses > _MOST_ACCESSES:  # an endless body that has lost its way
            raise ScheduleError(
                f"{worker.thread.name} does not come to {self.lockstep.expected(worker.number)}"
            )
        return False

    def hand_over(self, worker: _Worker) -> None:
        """End the step of `worker` and return when its next one is due."""
        self.check_stop()
        if self._starting:
            self._main.release()
            worker.go.acquire()
        else:
            chosen = self._pick()
            if chosen is not worker:
                if chosen is not None:
                    chosen.go.release()
                worker.go.acquire()
        self.check_stop()
        if self.on_step is not None:
            frame = next(body_frames(sys._getframe()), None)
            self.on_step(worker.number, len(self._moves), frame)

    def end(self, worker: _Worker) -> None:
        """The body of `worker` has returned."""
        if self.lockstep is not None and not self.lockstep.finishes(worker.number):
            raise ScheduleError(
                f"{worker.thread.name} ends without coming to "
                f"{self.lockstep.expected(worker.number)}"
            )

    def leave(self, worker: _Worker) -> None:
        """The calling worker is done: let another one go on."""
        worker.done = True
        if self._starting:
            self._main.release()
            return
        chosen = self._pick()
        if chosen is not None:
            chosen.go.release()

    @property
    def free_choice(self) -> bool:
        """Whether choices are made at random."""
        return self._schedule is None

    def choose(self, thread: int, made: int, count: int) -> int:
        """Return which of `count` alternatives to take, after `made` choices in this step."""
        if self.lockstep is not None:
            return self.lockstep.choice(thread)
        if self._schedule is None:
            return self._random.randrange(count)
        given = self._schedule[len(self._moves) - 1].choices if self._moves else ()
        return given[made] if made < len(given) else 0

    def order(self, count: int) -> list[int]:
        """Return the numbers of `count` alternatives in random order."""
        return self._random.sample(range(count), count)

    def holds(self, worker: _Worker, condition: Callable[[], bool]) -> bool:
        """Evaluate a condition of `worker` without making steps."""
        before, self.quiet, self.asking = (self.quiet, self.asking), True, worker
        try:
            return bool(condition())
        finally:
            self.quiet, self.asking = before

    def check_stop(self) -> None:
        """End the calling worker if the run is over."""
        if self._stopping:
            raise _Stop

    def finish(self, ending: Ending, violation: Violation | None = None) -> None:
        """The run is over; what the threads do while they are unwound does not count."""
        if not self._stopping:
            self._outcome = (ending, violation)
            self._main.release()

    def finish_with(self, error: BaseException) -> None:
        """The run is over because of an error in the bodies or the schedule."""
        if not self._stopping:
            self._error = error
            self._main.release()

    # -- the scheduler --------------------------------------------------------------------------

    def _pick(self) -> _Worker | None:
        """Choose who makes the next step; None ends the run."""
        enabled = [
            w.number
            for w in self._workers
            if not w.done and (w.waiting is None or self.holds(w, w.waiting))
        ]
        if not enabled:
            over = all(w.done or w.thread.daemon for w in self._workers)
            self.finish(Ending.DONE if over else Ending.DEADLOCK)
            return None
        try:
            while True:
                number = self._following(enabled)
                if number is None:
                    self.finish(Ending.LIMIT)
                    return None
                chosen = self._workers[number]
                chosen.choices = []
                self._moves.append((number, chosen.choices))
                if self.lockstep is None or self.lockstep.moves(number):
                    return chosen
        except ScheduleError as error:
            self.finish_with(error)
            return None

    def _following(self, enabled: list[int]) -> int | None:
        """Return the thread of the next step, None if there is none; raise `ScheduleError`."""
        at = len(self._moves)
        if self._schedule is None:
            if at >= self._limit:
                return None
            last = self._moves[-1][0] if self._moves else -1
            stays = last in enabled and self._random.random() < self._stay
            return last if stays else self._random.choice(enabled)
        if at >= len(self._schedule):
            return None
        if self._schedule[at].thread not in enabled:
            name = self._workers[self._schedule[at].thread].thread.name
            raise ScheduleError(f"step {at + 1}: thread {name} cannot move")
        return self._schedule[at].thread

    def _go(self) -> Outcome:
        self._cells.install()
        try:
            for worker in self._workers:
                worker.python.start()
            self._bring_to_first_steps()
            first = self._pick()
            if first is not None:
                first.go.release()
            self._main.acquire()
            return self._ended()
        finally:
            self._stop()
            self._cells.remove()

    def _ended(self) -> Outcome:
        """Return what the run came to, before its threads are unwound; raise what went wrong."""
        if self._error is not None:
            raise self._error
        assert self._outcome is not None
        ending, violation = self._outcome
        if violation is None:
            violation = self._own_violation()
        if violation is None and ending is Ending.DONE:
            violation = self._final_violation()
        ending = Ending.VIOLATION if violation else ending
        schedule = tuple(Move(thread, tuple(choices)) for thread, choices in self._moves)
        return Outcome(ending, schedule, violation)

    def _bring_to_first_steps(self) -> None:
        """Let threads run to their first step where what is before it belongs to set-up."""
        if self.lockstep is None:
            return
        self._starting = True
        for worker in self._workers:
            if self.lockstep.starts_inside(worker.number):
                worker.go.release()
                self._main.acquire()
        self._starting = False

    def _stop(self) -> None:
        self._stopping = True
        for worker in self._workers:
            worker.go.release()
        for worker in self._workers:
            if worker.python.is_alive():
                worker.python.join()

    def _own_violation(self) -> Violation | None:
        """Return the user's predicate that the state at the end violates, if any."""
        for name, predicate in self.world.always.items():
            if not predicate():
                return Violation(name, "it is false in this state")
        for name, predicate in self.world.never.items():
            if predicate():
                return Violation(name, "it is true in this state")
        return None

    def _final_violation(self) -> Violation | None:
        for name, predicate in self.world.finals:
            if not predicate():
                where = getattr(predicate, "__qualname__", "a final predicate")
                return Violation(name, f"{where} is false when all threads are done")
        return None
