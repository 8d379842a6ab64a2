"""The state of lowering one thread: frames of inlined calls, ways out of blocks, and refusals."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mmunotify.compile.emit import Emitter, Label
from mmunotify.compile.names import Names, names_of
from mmunotify.compile.objects import Objects
from mmunotify.compile.source import Function
from mmunotify.compile.storage import Storages
from mmunotify.compile.types import BOTTOM, Type
from mmunotify.compile.values import Const, Value
from mmunotify.errors import Diagnostic, Place
from mmunotify.ir.program import Location

__all__ = [
    "MANY",
    "CallExit",
    "Cleanup",
    "Frame",
    "Handler",
    "Loop",
    "Lowering",
    "Refused",
    "Session",
    "VariableFact",
    "suggestion",
]


class Refused(Exception):
    """Lowering met something that is not in the subset."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic


class _Many:
    """More than one constant."""


MANY = _Many()


@dataclass
class VariableFact:
    """What is known of one variable of one inlined call over all its assignments."""

    kind: Type = BOTTOM
    only: Const | _Many | None = None
    width: int | None = None  # number of items, for a structure
    cls: type | None = None
    fields: tuple[str, ...] = ()
    growth: int = 0


@dataclass(eq=False)
class Frame:
    """One inlined call."""

    function: Function
    names: Names
    scope: int
    env: dict[str, Value] = field(default_factory=dict)
    variables: dict[str, Value] = field(default_factory=dict)
    outer: Frame | None = None  # of a lambda: where it was written
    call: int = -1  # location of the call
    path: tuple[Any, ...] = ()  # where it was called, which names its variables
    round: int = -1  # scope of the loop round being unrolled, which ends the life of its aliases
    receiver: int = 0  # identity of the object it is called on


@dataclass(eq=False)
class Loop:
    """Where `break` and `continue` go."""

    on_break: Label
    on_continue: Label
    atomic: int


@dataclass(eq=False)
class Cleanup:
    """What must run on every way out (`with`, `finally`)."""

    run: Callable[[], None]
    atomic: int
    frame: Frame


@dataclass(eq=False)
class Handler:
    """`except` clauses in force: failure class and where its handler begins."""

    clauses: list[tuple[type[BaseException], Label]]
    atomic: int
    frame: Frame


@dataclass(eq=False)
class CallExit:
    """Where `return` goes."""

    end: Label
    atomic: int
    style: str  # "none", "value" (one return, at the end) or "merge"
    key: tuple[Any, ...] = ()
    result: Value | None = None


Control = Loop | Cleanup | Handler | CallExit


class Session:
    """What the repeated lowerings of all threads share."""

    def __init__(
        self,
        objects: Objects,
        cover_files: frozenset[str],
        properties: Collection[str] | None = None,
    ) -> None:
        self.objects = objects
        self.storages = Storages(objects)
        self.facts: dict[tuple[Any, ...], VariableFact] = {}
        self.cover_files = cover_files
        self.properties = properties
        self.diagnostics: dict[tuple[str, Place | None], Diagnostic] = {}
        self.locations: list[Location] = []
        self._location_numbers: dict[Location, int] = {}
        self.covers: list[list[int]] = []
        self.changed = False
        self.adopted = False  # an object was found that only a body names: start anew

    def location(self, location: Location) -> int:
        """Return the number of `location`, new if need be."""
        number = self._location_numbers.get(location)
        if number is None:
            number = self._location_numbers[location] = len(self.locations)
            self.locations.append(location)
        return number

    def fact(self, key: tuple[Any, ...]) -> VariableFact:
        """Return what is known of a variable."""
        return self.facts.setdefault(key, VariableFact())

    def begin_pass(self) -> None:
        """Forget what one lowering made; keep what it learnt."""
        self.changed = self.storages.changed = False
        self.locations.clear()
        self._location_numbers.clear()
        self.covers.clear()
        self.diagnostics.clear()


class Lowering:
    """Lowers the body of one thread."""

    def __init__(self, session: Session, emitter: Emitter, thread: Any) -> None:
        self.session = session
        self.emitter = emitter
        self.thread = thread
        self.frame: Frame = None  # type: ignore[assignment]  # set by the first call
        self.stack: list[Frame] = []
        self.controls: list[Control] = []
        self.path: list[Any] = [emitter.thread]
        self.handling: list[type[BaseException]] = []
        self.scopes = 0
        self.covered_at = -1

    @property
    def objects(self) -> Objects:
        """The objects that set-up built."""
        return self.session.objects

    @property
    def storages(self) -> Storages:
        """Where state lives."""
        return self.session.storages

    def place(self, node: ast.AST) -> Place:
        """Return the place of `node` in the file of the current function."""
        file = self.frame.function.file
        line, end_line = node.lineno, node.end_lineno  # type: ignore[attr-defined]
        text = file.lines[line - 1] if line <= len(file.lines) else ""
        end = node.end_col_offset if end_line == line else None  # type: ignore[attr-defined]
        return Place.from_offsets(file.path, line, text, node.col_offset, end)  # type: ignore[attr-defined]

    def refuse(self, code: str, node: ast.AST, what: str, why: str = "", fix: str = "") -> Refused:
        """Return the exception that refuses `node`."""
        return Refused(Diagnostic(code, self.place(node), what, why, fix, self._called_from()))

    def _called_from(self) -> tuple[str, ...]:
        calls = [f for f in self.stack[1:] if f.call >= 0][-1:]
        place = [self.session.locations[f.call] for f in calls]
        here = self.frame.function.file.path
        if here in self.session.cover_files:  # the user's own line needs no explanation
            return ()
        return tuple(f"called from {p.file}:{p.line}" for p in place if p.file != here)

    def note(self, refused: Refused) -> None:
        """Remember an error and go on."""
        diagnostic = refused.diagnostic
        self.session.diagnostics.setdefault((diagnostic.code, diagnostic.place), diagnostic)

    def at(self, node: ast.stmt | ast.expr) -> None:
        """Make `node` the location of the instructions that follow."""
        function = self.frame.function
        place = self.place(node)
        self.emitter.location = self.session.location(
            Location(
                place.file,
                place.line,
                place.column,
                place.end_column,
                function.node.name,
                function.file.text(place.line),
                self.frame.call,
            )
        )

    @contextmanager
    def within(self, step: Any) -> Iterator[None]:
        """Name variables created inside by one more element of the path."""
        self.path.append(step)
        try:
            yield
        finally:
            self.path.pop()

    @contextmanager
    def control(self, control: Control) -> Iterator[None]:
        """Keep `control` in force while the block lasts."""
        self.controls.append(control)
        try:
            yield
        finally:
            self.controls.pop()

    def unwind(self, target: int) -> None:
        """Emit the clean-ups of all controls above number `target`, innermost first."""
        saved, frame, depth = self.controls, self.frame, self.emitter.atomic
        for number in range(len(saved) - 1, target, -1):
            control = saved[number]
            if isinstance(control, Cleanup):
                self.controls, self.frame = saved[:number], control.frame
                self.emitter.atomic = control.atomic
                control.run()
        self.controls, self.frame, self.emitter.atomic = saved, frame, depth

    def new_frame(self, function: Function, outer: Frame | None = None) -> Frame:
        """Return a frame for a call that is about to be inlined."""
        self.scopes += 1
        return Frame(
            function, names_of(function.node), self.scopes, outer=outer, call=self.emitter.location
        )

    def key(self, name: str) -> tuple[Any, ...]:
        """Return the key of the facts of a variable of the current frame."""
        return (*self.frame.path, name)


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return "did you mean ...?" for a misspelt name, or ""."""
    close = difflib.get_close_matches(wrong, sorted(set(known)), 1)
    return f"did you mean {close[0]}?" if close else ""
