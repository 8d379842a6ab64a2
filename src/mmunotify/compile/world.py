"""Compile a world: from threads and predicates built by set-up to a `Program`."""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from mmunotify.compile.assemble import Judge, Lowered, assemble
from mmunotify.compile.emit import Emitter, Message, literally
from mmunotify.compile.flow import Flow
from mmunotify.compile.lower import calls, conditions, operands
from mmunotify.compile.lower.context import Covered, Errors, Lowering, Path, Refused, Session
from mmunotify.compile.objects import Objects
from mmunotify.compile.types import Bool
from mmunotify.compile.values import Address, Const, Value
from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind, Program
from mmunotify.lang.pages import Pages
from mmunotify.lang.thread import Thread

__all__ = ["World", "compile_world"]

_FRAMES = 20_000  # of Python's stack: bodies nest, and so does lowering them


class World(Protocol):
    """What a compilation needs: the threads and the predicates by name."""

    threads: list[Thread]
    finals: list[tuple[str, Callable[[], bool]]]
    always: dict[str, Callable[[], bool]]
    never: dict[str, Callable[[], bool]]
    reachable: dict[str, Callable[[], bool]]
    pending: dict[str, Callable[[], bool]]


def compile_world(
    world: World,
    cover_files: Iterable[str] = (),
    properties: Collection[str] | None = None,
    cover_functions: Iterable[Callable[..., Any]] = (),
) -> Program:
    """Return the program of `world`; raise `DiagnosticError` with all errors found.

    `cover_files`: source files whose executed lines the search shall report; `cover_functions`:
    single functions of other files, for which it shall do so, too. `properties`: only
    what `require` and `assert` say of these is compiled; None is all. What no program can go on
    after (bounds, null_dereference, uncaught) always is.
    """
    units = [*_threads(world), *_predicates(world)]
    objects = Objects(_roots(world))
    covered = Covered(frozenset(cover_files), frozenset(f.__code__ for f in cover_functions))
    chosen = None if properties is None else frozenset(properties)
    with _uncollected(), _deep():
        while True:
            session = Session(objects, covered, chosen)
            done = _lowered(session, units)
            if not session.adopted:
                break
        _report(done)
        lowered = [d.result for d in done if isinstance(d.result, Lowered)]
        judges = [d.result for d in done if isinstance(d.result, Judge) and _matters(d.result)]
        return assemble(session, lowered, judges, _pages(objects))


def _matters(judge: Judge) -> bool:
    """Tell whether a predicate can be violated: what a thread never begins is never pending."""
    varies = any(isinstance(arg, Address) for item in judge.emitter.items for arg in item.args)
    return judge.kind is not PredicateKind.PENDING or varies


# -- units ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Unit:
    """A thread or a predicate: what is lowered by itself."""

    thread: Thread | None
    body: Callable[..., Any]
    name: str = ""
    kind: PredicateKind = PredicateKind.FINAL


@dataclass(frozen=True)
class _Done:
    """A unit as it was lowered last."""

    result: Lowered | Judge
    errors: Errors
    poisoned: bool

    def check(self) -> None:
        """Add what is wrong with the finished code."""
        emitter = self.result.emitter
        flow = Flow(emitter.items)
        if not self.errors:
            for cycle in flow.stepless():
                heads = [e for e in emitter.loops if flow.places.get(e[0].number) in cycle]
                for _, diagnostic in heads[:1]:
                    self.errors[diagnostic.code, diagnostic.place] = diagnostic
        for note in flow.unbound():
            if note.error is not None:
                error = note.error()
                self.errors[error.code, error.place] = error


def _threads(world: World) -> Iterator[_Unit]:
    for thread in world.threads:
        yield _Unit(thread, thread.body)


def _predicates(world: World) -> Iterator[_Unit]:
    groups = (
        (PredicateKind.FINAL, world.finals),
        (PredicateKind.ALWAYS, world.always.items()),
        (PredicateKind.NEVER, world.never.items()),
        (PredicateKind.REACHABLE, world.reachable.items()),
        (PredicateKind.PENDING, world.pending.items()),
    )
    for kind, group in groups:
        for name, body in group:
            yield _Unit(None, body, name, kind)


def _roots(world: World) -> Iterator[tuple[str, Any]]:
    for name, value in vars(world).items():
        if name != "threads":
            yield name, value
    for thread in world.threads:
        yield thread.name, thread


def _pages(objects: Objects) -> int:
    counts = [len(p) for p in objects.kept if isinstance(p, Pages)]
    return max(counts, default=0)


def _lowered(session: Session, units: list[_Unit]) -> list[_Done]:
    """Lower every unit, and again as long as more is learnt of what it relied on."""
    roots = [Path() for _ in units]
    done: dict[int, _Done] = {}
    todo = list(range(len(units)))
    while todo:
        for number in todo:
            session.storages.begin(number)
            done[number] = _lower(session, number, units[number], roots[number])
        todo = [] if session.adopted else sorted(session.storages.stale)
    return [done[number] for number in range(len(units))]


def _lower(session: Session, number: int, unit: _Unit, root: Path) -> _Done:
    emitter = Emitter(number)
    low = Lowering(session, emitter, unit.thread, root)
    if unit.thread is not None:
        arguments: list[Value] = [Const(a) for a in unit.thread.args]
        _entered(low, unit.body, arguments, root)
        _end(emitter)
        return _Done(Lowered(unit.thread, emitter, low.covers), low.errors, low.poisoned)
    emitter.atomic = 1
    value = _entered(low, unit.body, [], root)
    return _Done(_judge(low, unit, value), low.errors, low.poisoned)


def _entered(
    low: Lowering, body: Callable[..., Any], arguments: list[Value], root: Path
) -> Value | None:
    try:
        return calls.enter(low, body, arguments, root)
    except Refused as refused:
        low.note(refused)
    except DiagnosticError as error:
        for found in error.diagnostics:
            low.errors[found.code, found.what] = found
    return None


def _judge(low: Lowering, unit: _Unit, value: Value | None) -> Judge:
    emitter = low.emitter
    yes, no, end = (emitter.new_label() for _ in range(3))
    node = ast.Pass()
    known: bool | None = True
    result: Value = Const(True)
    if value is not None and not low.errors:
        known = conditions.truth(low, value, yes, no, node)
        result = Const(known) if known is not None else conditions.as_value(low, yes, no, end)
    reg = emitter.reg(Bool())  # written last, so that nothing takes its place
    emitter.emit(Op.MOV, reg, operands.operand(low, result, node))
    _end(emitter)
    owner = getattr(unit.body, "__self__", None)
    whose = unit.name if owner is None else low.objects.name(owner)
    if unit.kind is PredicateKind.PENDING:
        message = Message("progress", literally(f"the {unit.name} never ends"))
    else:
        message = Message(unit.name, literally(_SAYS[unit.kind].format(whose)))
    return Judge(unit.name, unit.kind, emitter, reg, message, low.covers)


def _end(emitter: Emitter) -> None:
    """End the code, also where lowering thinks that nothing gets here (a wait for ever)."""
    emitter.dead = False
    emitter.emit(Op.END)


_SAYS = {
    PredicateKind.ALWAYS: "it is false in this state",
    PredicateKind.NEVER: "it is true in this state",
    PredicateKind.REACHABLE: "no state makes it true",
    PredicateKind.FINAL: "{} is not at rest when all threads are done",
}


@contextmanager
def _deep() -> Iterator[None]:
    """Allow a deeper stack while the block lasts."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Do without the collection of garbage while the block lasts.

    Nearly all that a compilation makes stays until its end: looking for what does not is a seventh
    of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# -- errors ---------------------------------------------------------------------------------------


def _report(done: list[_Done]) -> None:
    """Raise all errors of all units, each once."""
    found: dict[object, Diagnostic] = {}
    for unit in done:
        unit.check()
        for about, diagnostic in unit.errors.items():
            known = found.get(about)
            if known is None or _earlier(diagnostic, known):
                found[about] = diagnostic
    if found:
        raise DiagnosticError(found.values())
    assert not any(unit.poisoned for unit in done), "something was refused without an error"


def _earlier(one: Diagnostic, two: Diagnostic) -> bool:
    return one.place is not None and two.place is not None and one.place < two.place
