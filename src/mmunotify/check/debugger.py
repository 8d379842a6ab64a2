"""A debugger for a schedule: forward and back, in the reference interpreter.

Invariant: nothing but the schedule decides what happens; looking changes nothing.
"""

from __future__ import annotations

import cmd
import linecache
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import IO

from mmunotify.check.accesses import recording
from mmunotify.check.places import Places
from mmunotify.check.schedule import Move
from mmunotify.check.slice import Graph, causal_slice
from mmunotify.check.story import Story, tell
from mmunotify.check.violation import message
from mmunotify.ir import interp
from mmunotify.ir.program import CellKind, Location, Program

__all__ = ["Debugger"]

_AROUND = 5  # lines before and after the one that `list` marks


class Debugger(cmd.Cmd):
    """Steps through `schedule`; `driver` are the files whose lines are shown first.

    Steps are micro steps; the number of the event in the report stands in brackets.
    """

    prompt = "(mmunotify) "
    use_rawinput = False

    def __init__(
        self,
        program: Program,
        schedule: Sequence[Move],
        driver: Collection[str] = (),
        stdin: IO[str] | None = None,
        stdout: IO[str] | None = None,
    ) -> None:
        super().__init__(stdin=stdin, stdout=stdout)
        self.use_rawinput = stdin is None and stdout is None
        self.program = program
        run = recording(program, schedule)
        self.story: Story = tell(run, causal_slice(Graph(run)).steps, Places(program, driver))
        self.at = 0  # steps made

    def preloop(self) -> None:
        """Say where it starts."""
        self._show()

    def emptyline(self) -> bool:
        """Repeat nothing."""
        return False

    def default(self, line: str) -> None:
        """Name the commands; end of input quits."""
        self._say(f"no command {line.split()[0]!r}; there are s, b, w, p CELL, l, q")

    # -- commands -------------------------------------------------------------------------------

    def do_s(self, arg: str) -> None:
        """s [N]: make the next step, or the next N."""
        self._go(_count(arg))

    def do_b(self, arg: str) -> None:
        """b [N]: take the last step back, or the last N."""
        self._go(-_count(arg))

    def do_w(self, _arg: str) -> None:
        """w: where the next step is, and where every thread stands."""
        if self.at < len(self.story.chains):
            for depth, place in enumerate(self.story.chains[self.at]):
                self._say(f"{'  ' * depth}{_line(place)}  {place.text.strip()}")
        state = self._state()
        for number, thread in enumerate(self.program.threads):
            self._say(f"{thread.name}: {self._standing(state, number)}")

    def do_p(self, arg: str) -> None:
        """p CELL: the value of a cell; * and ? stand for other characters; alone: all shared."""
        state, found = self._state(), False
        for cell, value in zip(self.program.cells, state, strict=True):
            wanted = fnmatchcase(cell.name, _pattern(arg)) if arg else cell.kind is CellKind.SHARED
            if wanted and cell.kind is not CellKind.PC:
                found = True
                self._say(f"{cell.name} = {cell.show(value)}")
        if not found:
            self._say(f"no cell {arg!r}; p alone shows the shared ones")

    def do_l(self, _arg: str) -> None:
        """l: the source around the next step."""
        at = min(self.at, len(self.story.chains) - 1)
        chain = self.story.chains[at] if at >= 0 else ()
        if not chain:
            self._say("no source")
            return
        place = chain[self.story.places.told(chain)]
        self._say(f"{place.file}, in {place.function}")
        for number in range(max(place.line - _AROUND, 1), place.line + _AROUND + 1):
            text = linecache.getline(place.file, number).rstrip("\n")
            if text or number == place.line:
                mark = "->" if number == place.line else "  "
                self._say(f"{mark}{number:>5}  {text or place.text}")

    def do_q(self, _arg: str) -> bool:
        """q: quit."""
        return True

    def do_EOF(self, _arg: str) -> bool:  # noqa: N802  the name cmd gives to end of input
        """Quit."""
        return True

    # -- showing --------------------------------------------------------------------------------

    def _go(self, count: int) -> None:
        """Make or take back steps, showing what each one changed."""
        if count > 0 and self.at == len(self.story.chains) and self.story.run.loop >= 0:
            self.at = self.story.run.loop
        target = min(max(self.at + count, 0), len(self.story.chains))
        while self.at < target:
            self.at += 1
            self._show_step(self.at - 1)
        self.at = target
        self._show()

    def _state(self) -> interp.State:
        states = self.story.run.states
        return states[min(self.at, len(states) - 1)]

    def _show_step(self, step: int) -> None:
        run, cells = self.story.run, self.program.cells
        for cell in run.changed(step):
            before, after = run.states[step][cell], run.states[step + 1][cell]
            self._say(
                f"    {cells[cell].name}: {cells[cell].show(before)} -> {cells[cell].show(after)}"
            )

    def _show(self) -> None:
        """Show the next step, or how it ends."""
        chains, run = self.story.chains, self.story.run
        if self.at < len(chains):
            chain = chains[self.at]
            name = self.program.threads[run.schedule[self.at].thread].name
            where = _line(chain[self.story.places.told(chain)]) if chain else ""
            number = self.story.numbers[self.at]
            text = f"{self.at + 1} [{number}] {name}: {self.story.places.text(chain)}"
            self._say(f"{text}  {where}".rstrip())
        elif run.violation is None:
            self._say("end: nothing is violated")
        else:
            self._say(f"end: {run.violation.property}: {message(self.program, run.violation)}")
            if run.loop >= 0:
                self._say(f"from step {run.loop + 1} on all repeats for ever; s goes round again")

    def _standing(self, state: interp.State, thread: int) -> str:
        """Return whether a thread has finished, can move or has to wait."""
        steps = list(interp.steps(self.program, state, thread))
        if not steps:
            return "finished"
        blocked = all(isinstance(step.result, interp.Blocked) for step in steps)
        entry = self.program.threads[thread].entries[interp.pc(self.program, state, thread)]
        chain = self.story.places.chain(self.program.code[entry].location)
        where = f" at {_line(chain[self.story.places.told(chain)])}" if chain else ""
        return f"{'waits' if blocked else 'can move'}{where}"

    def _say(self, text: str) -> None:
        self.stdout.write(f"{text}\n")


def _count(arg: str) -> int:
    return int(arg) if arg.isdecimal() else 1


def _line(place: Location) -> str:
    return f"{place.file}:{place.line}"


def _pattern(arg: str) -> str:
    """Return the pattern of a cell's name, in which brackets stand for themselves."""
    return arg.replace("[", "[[]")
