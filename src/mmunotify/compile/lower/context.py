"""The state of lowering one thread: frames of inlined calls, ways out of blocks, and refusals."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from types import CodeType
from typing import Any

from mmunotify.compile import types
from mmunotify.compile.emit import Emitter, Label
from mmunotify.compile.names import Names, names_of
from mmunotify.compile.objects import Objects
from mmunotify.compile.shape import Returns
from mmunotify.compile.source import Function, is_library
from mmunotify.compile.storage import Storages
from mmunotify.compile.values import Const, Value
from mmunotify.errors import Diagnostic, Place
from mmunotify.ir.program import Location

__all__ = [
    "MANY",
    "CallExit",
    "Clause",
    "Cleanup",
    "Errors",
    "Frame",
    "Handler",
    "Loop",
    "Lowering",
    "Path",
    "Refused",
    "Session",
    "Standing",
    "Variable",
    "VariableFact",
    "suggestion",
]

Errors = dict[object, Diagnostic]
"""Errors by what they are about: the same thing is said once."""


class Refused(Exception):
    """Lowering met something that is not in the subset."""

    def __init__(self, diagnostic: Diagnostic, about: object) -> None:
        self.diagnostic = diagnostic
        self.about = about


class _Many:
    """More than one constant."""


MANY = _Many()


@dataclass(eq=False)
class VariableFact:
    """What is known of one variable of one inlined call over all its assignments."""

    type: types.Type = types.BOTTOM
    only: Const | _Many | None = None
    width: int | None = None  # number of items, for a structure
    cls: Any = None  # its class, for a structure
    growth: int = 0
    grown_in: int = -1
    relied_in: int = -1  # the lowering whose code relies on it


class Path:
    """Where in the tree of inlined calls something is; the same in every lowering of a thread."""

    __slots__ = ("children", "facts")

    def __init__(self) -> None:
        self.children: dict[object, Path] = {}
        self.facts: dict[object, VariableFact] = {}

    def child(self, step: object) -> Path:
        """Return the path that is one step longer."""
        found = self.children.get(step)
        if found is None:
            found = self.children[step] = Path()
        return found

    def fact(self, name: object) -> VariableFact:
        """Return what is known of a variable."""
        found = self.facts.get(name)
        if found is None:
            found = self.facts[name] = VariableFact()
        return found


@dataclass(eq=False)
class Variable:
    """A variable of one inlined call and where its value is; `number` is for notes."""

    number: int
    value: Value | None = None


@dataclass(eq=False)
class Frame:
    """One inlined call, lambda or comprehension."""

    function: Function
    names: Names
    scope: int
    path: Path
    env: dict[str, Value] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    outer: Frame | None = None  # of a lambda or comprehension: where it was written
    call: int = -1  # location of the call
    round: int = -1  # scope of the loop round being unrolled, which ends the life of its aliases
    receiver: int = 0  # identity of the object it is called on
    is_comprehension: bool = False


@dataclass(frozen=True, eq=False)
class Standing:
    """Where lowering stands: what a way out goes back to."""

    frame: Frame
    path: Path
    atomic: int
    calls: int  # how many inlined calls it is inside of
    scopes: int


@dataclass(eq=False)
class Loop:
    """Where `break` and `continue` go."""

    on_break: Label
    on_continue: Label


@dataclass(eq=False)
class Cleanup:
    """What must run on every way out (`with`, `finally`).

    `run` gets the failure that is on its way out, or None.
    """

    run: Callable[[type[BaseException] | None], None]
    standing: Standing


Clause = tuple[tuple[type[BaseException], ...], Callable[[type[BaseException]], Label]]


@dataclass(eq=False)
class Handler:
    """`except` clauses in force: which failures each takes, and where such a failure goes."""

    clauses: list[Clause]


@dataclass(eq=False)
class CallExit:
    """Where `return` goes."""

    end: Label
    returns: Returns
    path: Path
    result: Value | None = None


Control = Loop | Cleanup | Handler | CallExit


@dataclass(frozen=True)
class Covered:
    """The files and single functions whose executed lines are noted."""

    files: frozenset[str]
    functions: frozenset[CodeType]

    def has(self, function: Function) -> bool:
        """Tell whether lines of `function` are noted."""
        return function.file.path in self.files or function.code in self.functions


class Session:
    """What the repeated lowerings of all threads share."""

    def __init__(
        self, objects: Objects, covered: Covered, properties: frozenset[str] | None
    ) -> None:
        self.objects = objects
        self.storages = Storages(objects)
        self.covered = covered
        self.properties = properties
        self.locations: list[Location] = []
        self.adopted = False  # an object was found that only a body names: start anew
        self.raised: dict[type[BaseException], BaseException] = {}  # stand for what is caught
        self._numbers: dict[Location, int] = {}
        self._located: dict[tuple[ast.AST, int], int] = {}

    def location(self, location: Location) -> int:
        """Return the number of `location`, new if need be."""
        number = self._numbers.get(location)
        if number is None:
            number = self._numbers[location] = len(self.locations)
            self.locations.append(location)
        return number

    def located(self, node: ast.AST, frame: Frame) -> int:
        """Return the number of the location of `node`, a statement or expression of a file."""
        number = self._located.get((node, frame.call))
        if number is None:
            function = frame.function
            place = place_of(node, function)
            number = self._located[node, frame.call] = self.location(
                Location(
                    place.file,
                    place.line,
                    place.column,
                    place.end_column,
                    function.node.name,
                    function.file.text(place.line),
                    frame.call,
                )
            )
        return number


def place_of(node: ast.AST, function: Function) -> Place:
    """Return the place of a node of a function."""
    file = function.file
    line, end_line = node.lineno, node.end_lineno  # type: ignore[attr-defined]
    text = file.lines[line - 1] if line <= len(file.lines) else ""
    end = node.end_col_offset if end_line == line else None  # type: ignore[attr-defined]
    return Place.from_offsets(file.path, line, text, node.col_offset, end)  # type: ignore[attr-defined]


class Lowering:
    """Lowers the body of one thread or predicate once."""

    def __init__(self, session: Session, emitter: Emitter, thread: Any, root: Path) -> None:
        self.session = session
        self.emitter = emitter
        self.thread = thread
        self.objects = session.objects
        self.storages = session.storages
        self.frame: Frame = None  # type: ignore[assignment]  # set by the first call
        self.stack: list[Frame] = []
        self.controls: list[Control] = []
        self.path = root
        self.handling: list[type[BaseException]] = []
        self.errors: Errors = {}
        self.covers: list[list[int]] = []
        self.covered_at = -1
        self.scopes = 0
        self.variables = 0
        self.poisoned = False  # code was emitted for something that was refused

    # -- errors -------------------------------------------------------------------------------

    def refuse(
        self,
        code: str,
        node: ast.AST,
        what: str,
        why: str = "",
        fix: str = "",
        about: object = None,
    ) -> Refused:
        """Return the exception that refuses `node`; `about`: what is said only once."""
        place, notes = self._shown(node)
        diagnostic = Diagnostic(code, place, what, why, fix, notes)
        return Refused(diagnostic, (code, (place or notes) if about is None else about))

    def _shown(self, node: ast.AST) -> tuple[Place | None, tuple[str, ...]]:
        """Return the place to show for `node`: the innermost one in the user's own code, if any."""
        own = place_of(node, self.frame.function)
        calls = [self.session.locations[f.call] for f in reversed(self.stack) if f.call >= 0]
        if not is_library(own.file):
            if calls and calls[0].file != own.file and not is_library(calls[0].file):
                return own, (f"called from {calls[0].file}:{calls[0].line}",)
            return own, ()
        note = f"{self.frame.function.node.name} of mmunotify, {_short(own.file)}:{own.line}"
        for call in calls:
            if not is_library(call.file):
                place = Place(call.file, call.line, call.column, call.end_column)
                return place, (f"found in {note}",)
        return None, (f"found in {note}",)

    def later(self, refuse: Callable[[], Refused]) -> Callable[[], Diagnostic]:
        """Return what makes the diagnostic of a refusal here, once lowering is over.

        Few of them are ever needed, and each has to find out where it is.
        """
        frame, stack = self.frame, list(self.stack)

        def made() -> Diagnostic:
            self.frame, self.stack = frame, stack
            return refuse().diagnostic

        return made

    def note(self, refused: Refused) -> None:
        """Remember an error and go on."""
        self.errors.setdefault(refused.about, refused.diagnostic)

    # -- places -------------------------------------------------------------------------------

    def at(self, node: ast.stmt | ast.expr) -> None:
        """Make `node` the location of the instructions that follow."""
        self.emitter.location = self.session.located(node, self.frame)

    @contextmanager
    def within(self, step: object) -> Iterator[None]:
        """Name variables created inside by one more element of the path."""
        before, self.path = self.path, self.path.child(step)
        try:
            yield
        finally:
            self.path = before

    # -- ways out -----------------------------------------------------------------------------

    @contextmanager
    def control(self, control: Control) -> Iterator[None]:
        """Keep `control` in force while the block lasts."""
        self.controls.append(control)
        try:
            yield
        finally:
            self.controls.pop()

    def unwind(self, target: int, failure: type[BaseException] | None = None) -> None:
        """Emit the clean-ups of all controls above number `target`, innermost first."""
        saved, location = self.controls, self.emitter.location
        for number in range(len(saved) - 1, target, -1):
            control = saved[number]
            if isinstance(control, Cleanup):
                self.controls = saved[:number]
                with self._back_at(control.standing):
                    control.run(failure)
        self.controls, self.emitter.location = saved, location

    def standing(self) -> Standing:
        """Return where lowering stands now."""
        emitter = self.emitter
        return Standing(self.frame, self.path, emitter.atomic, len(self.stack), len(emitter.scopes))

    @contextmanager
    def _back_at(self, standing: Standing) -> Iterator[None]:
        """Lower as if still at `standing` while the block lasts."""
        emitter = self.emitter
        frame, path, atomic = self.frame, self.path, emitter.atomic
        stack, scopes = self.stack, emitter.scopes
        self.frame, self.path, emitter.atomic = standing.frame, standing.path, standing.atomic
        self.stack, emitter.scopes = stack[: standing.calls], scopes[: standing.scopes]
        try:
            yield
        finally:
            self.frame, self.path, emitter.atomic = frame, path, atomic
            self.stack, emitter.scopes = stack, scopes

    # -- frames -------------------------------------------------------------------------------

    def new_frame(self, function: Function, path: Path) -> Frame:
        """Return a frame for a call that is about to be inlined."""
        self.scopes += 1
        names = names_of(function.node)
        return Frame(function, names, self.scopes, path, call=self.emitter.location)

    def inner_frame(self, node: ast.Lambda | ast.GeneratorExp, outer: Frame, path: Path) -> Frame:
        """Return a frame for a lambda or comprehension written in `outer`."""
        self.scopes += 1
        return Frame(
            outer.function,
            names_of(node),
            self.scopes,
            path,
            outer=outer,
            call=outer.call,
            is_comprehension=isinstance(node, ast.GeneratorExp),
        )

    @contextmanager
    def inside(self, frame: Frame) -> Iterator[None]:
        """Lower in another frame while the block lasts."""
        before, self.frame = self.frame, frame
        self.emitter.scopes.append(frame.scope)
        try:
            yield
        finally:
            self.emitter.scopes.pop()
            self.frame = before

    def variable(self) -> Variable:
        """Return a new variable."""
        self.variables += 1
        return Variable(self.variables)

    def changed(self) -> None:
        """Note that more is known of a variable: this thread is to be lowered again."""
        self.storages.stale.add(self.emitter.thread)


def _short(file: str) -> str:
    """Return the end of a path: the folder and the file."""
    return "/".join(FilePath(file).parts[-2:])


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return "did you mean ...?" for a misspelt name, or ""."""
    close = difflib.get_close_matches(wrong, sorted(set(known)), 1)
    return f"did you mean {close[0]}?" if close else ""
