"""`PythonDebugger`: a schedule as the driver's real code, one Python thread a thread, under pdb.

It stops at every step of the interleaving; in between all of pdb works: `p`, `w`, `l`, `n`, `s`,
breakpoints. `c` goes on to the next step, `q` quits.
Invariant: the schedule decides which thread moves, whatever is looked at.
"""

from __future__ import annotations

import bdb
import pdb  # noqa: T100  no forgotten breakpoint
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import IO

from mmunotify.check.accesses import recording
from mmunotify.check.lockstep import body_frames, is_machinery
from mmunotify.check.places import Places, is_primitive
from mmunotify.check.plain import Ending, Outcome, PlainRun
from mmunotify.check.schedule import Move, ScheduleError
from mmunotify.check.slice import Graph, causal_slice
from mmunotify.check.story import Story, tell
from mmunotify.check.violation import message
from mmunotify.check.world import World
from mmunotify.ir.program import Program

__all__ = ["PythonDebugger"]

# Where pdb does not stop by itself: what runs the bodies, and pdb.
_SKIPPED = (
    "mmunotify.check.*",
    "mmunotify.lang.intrinsics",
    "mmunotify.lang.runtime",
    "bdb",
    "cmd",
    "contextlib",
    "pdb",
    "threading",
)


class PythonDebugger(pdb.Pdb):
    """Steps through `schedule` of `world`, whose program is `program`.

    `driver` are the files whose lines are stopped at where there is a choice. Steps have the
    numbers of the report.
    """

    def __init__(
        self,
        world: World,
        program: Program,
        schedule: Sequence[Move],
        driver: Collection[str] = (),
        stdin: IO[str] | None = None,
        stdout: IO[str] | None = None,
    ) -> None:
        super().__init__(stdin=stdin, stdout=stdout, nosigint=True, readrc=False, skip=_SKIPPED)
        self.prompt = "(mmunotify) "
        self.reset()
        self.world = world
        self.program = program
        self.schedule = tuple(schedule)
        self.driver = frozenset(driver)
        run = recording(program, schedule)
        self.story: Story = tell(run, causal_slice(Graph(run)).steps, Places(program, driver))
        self.shown = 0  # the event that was told last
        self.entering = False  # the body of a thread

    def run_schedule(self) -> None:
        """Run it to its end, or until the user quits."""
        run = PlainRun(self.world, on_step=self._stop, program=self.program)
        self._say(f"{len(self.story.beats)} steps; c goes on to the next one, q quits, h helps")
        try:
            with self._deaf():
                outcome = run.run(self.schedule)
        except bdb.BdbQuit:
            pass
        except ScheduleError as error:
            self._say(f"end: the Python code does not follow the interleaving: {error}")
        except Exception as error:
            self._say(f"end: {type(error).__name__}: {error}")
            self._say(self._expected())
        else:
            self._say(f"end: {self._ended(outcome)}")

    @contextmanager
    def _deaf(self) -> Iterator[None]:
        """Let Ctrl-C change nothing: it cannot reach the prompt, which another thread reads."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, lambda _, __: self._say("\n(q quits)"))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    # -- stopping -------------------------------------------------------------------------------

    def _stop(self, thread: int, move: int, frame: FrameType | None) -> None:
        """Let the user look, if the move begins a step of the report."""
        event = self.story.numbers[move - 1]
        if event == self.shown:
            return
        self.shown = event
        chain = self.story.beats[event - 1].chain
        name = self.program.threads[thread].name
        self._say(f"\nstep {event} {name}: {self.story.places.text(chain)}")
        if frame is None:
            self._stop_at_first_line()
        else:
            self._interact(self._told(frame))

    def _told(self, frame: FrameType) -> FrameType:
        """Return the frame to stop at: that of the driver, else that which called a primitive."""
        frames = [one for one in body_frames(frame) if "<" not in one.f_code.co_name]
        for one in frames:
            if one.f_code.co_filename in self.driver:
                return one
        outside = (one for one in frames if not is_primitive(one.f_code.co_filename))
        return next(outside, frame)

    def _interact(self, frame: FrameType) -> None:
        """Let the user look at `frame`; afterwards trace what was asked for."""
        self._begin_at(frame)
        self.interaction(frame, None)
        if self.quitting:
            raise bdb.BdbQuit
        goes_on = self.stoplineno == -1 and not self.breaks
        sys.settrace(None if goes_on else self.trace_dispatch)

    def _stop_at_first_line(self) -> None:
        """Stop where the body of a thread begins, which it has not entered yet."""
        self._begin_at(sys._getframe())
        self.set_step()
        self.entering = True
        sys.settrace(self.trace_dispatch)

    def _begin_at(self, frame: FrameType | None) -> None:
        """Do what `set_trace` does for the frames that there are."""
        sys.settrace(None)
        self.reset()
        while frame is not None:
            frame.f_trace = self.trace_dispatch
            self.botframe = frame
            frame = frame.f_back

    # -- pdb ------------------------------------------------------------------------------------

    def user_call(self, frame: FrameType, argument_list: None) -> None:
        """Stop at the first line of a thread's body, not at its head."""
        if self.entering:
            self.entering = False
            return
        super().user_call(frame, argument_list)

    def get_stack(
        self, f: FrameType | None, t: TracebackType | None
    ) -> tuple[list[tuple[FrameType, int]], int]:
        """Return the stack without the frames that only run the bodies."""
        stack, at = super().get_stack(f, t)
        shown = [(frame, line) for frame, line in stack if not is_machinery(frame)]
        return (shown, len(shown) - 1) if shown else (stack, at)

    def _say(self, text: str) -> None:
        print(text, file=self.stdout)

    # -- the end --------------------------------------------------------------------------------

    def _ended(self, outcome: Outcome) -> str:
        if outcome.violation is not None:
            return str(outcome.violation)
        if outcome.ending is Ending.DONE:
            return "all threads are done, and nothing is violated"
        return self._expected()

    def _expected(self) -> str:
        violation = self.story.run.violation
        if violation is None:
            return "the interleaving goes no further; nothing is violated"
        return f"{violation.property}: {message(self.program, violation)}"
