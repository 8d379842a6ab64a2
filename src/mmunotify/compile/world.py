"""Compile a world: from threads and predicates built by set-up to a `Program`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from mmunotify.compile.assemble import Judge, Lowered, assemble
from mmunotify.compile.emit import Emitter, Message
from mmunotify.compile.lower import calls, conditions, operands
from mmunotify.compile.lower.context import Lowering, Refused, Session
from mmunotify.compile.objects import Objects
from mmunotify.compile.values import Const, Value
from mmunotify.errors import DiagnosticError
from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind, Program
from mmunotify.lang.pages import Pages
from mmunotify.lang.thread import Thread

__all__ = ["World", "compile_world"]

_PASSES = 40


class World(Protocol):
    """What a compilation needs: the threads and the predicates by name."""

    threads: list[Thread]
    finals: list[tuple[str, Callable[[], bool]]]
    always: dict[str, Callable[[], bool]]
    never: dict[str, Callable[[], bool]]
    reachable: dict[str, Callable[[], bool]]


Named = tuple[PredicateKind, str, Callable[[], bool]]


def _predicates(world: World) -> list[Named]:
    found: list[Named] = [(PredicateKind.FINAL, n, f) for n, f in world.finals]
    for kind, group in (
        (PredicateKind.ALWAYS, world.always),
        (PredicateKind.NEVER, world.never),
        (PredicateKind.REACHABLE, world.reachable),
    ):
        found += [(kind, n, f) for n, f in group.items()]
    return found


def compile_world(
    world: World,
    cover_files: Iterable[str] = (),
    properties: Collection[str] | None = None,
) -> Program:
    """Return the program of `world`; raise `DiagnosticError` with all errors found.

    `cover_files`: source files whose executed lines the search shall report. `properties`: only
    the assertions of these are compiled (None: all); those of the language itself always are.
    """
    threads, predicates = list(world.threads), _predicates(world)
    roots: list[tuple[str, Any]] = [("", world)]
    roots += [(t.name, t) for t in threads]
    objects = Objects(_named(roots))
    files = frozenset(cover_files)
    session = Session(objects, files, properties)
    for _ in range(_PASSES):
        if session.adopted:
            session = Session(objects, files, properties)
        session.begin_pass()
        lowered = [_thread(session, number, thread) for number, thread in enumerate(threads)]
        judges = [_judge(session, len(threads) + n, *p) for n, p in enumerate(predicates)]
        if not (session.changed or session.storages.changed or session.adopted):
            break
    _report(session)
    program = assemble(session, lowered, judges, _pages(objects))
    _report(session)
    return program


def _named(roots: list[tuple[str, Any]]) -> Iterable[tuple[str, Any]]:
    world = roots[0][1]
    for name, value in vars(world).items():
        if name != "threads":
            yield name, value
    yield from roots[1:]


def _pages(objects: Objects) -> int:
    found = [len(p) for p in objects.kept if isinstance(p, Pages)]
    return max(found, default=0)


def _report(session: Session) -> None:
    found = list(session.diagnostics.values())
    if found:
        # What nothing assigns stays None; where an assignment was refused, that is no news.
        own = [d for d in found if not (d.code == "E205" and d.what.startswith("None "))]
        raise DiagnosticError(own or found)


def _thread(session: Session, number: int, thread: Thread) -> Lowered:
    emitter = Emitter(number)
    low = Lowering(session, emitter, thread)
    _guarded(session, lambda: calls.enter(low, thread.body, [Const(a) for a in thread.args]))
    _end(emitter)
    return Lowered(thread, emitter)


def _end(emitter: Emitter) -> None:
    """End the code, also where lowering thinks that nothing gets here (a wait for ever)."""
    emitter.dead = False
    emitter.emit(Op.END)


def _guarded(session: Session, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except Refused as refused:
        diagnostic = refused.diagnostic
        session.diagnostics.setdefault((diagnostic.code, diagnostic.place), diagnostic)
        return None


def _judge(
    session: Session, number: int, kind: PredicateKind, name: str, body: Callable[..., Any]
) -> Judge:
    emitter = Emitter(number)
    emitter.atomic = 1
    low = Lowering(session, emitter, None)
    value: Value | None = _guarded(session, lambda: calls.enter(low, body, []))
    yes, no, end = (emitter.new_label() for _ in range(3))
    node = ast.Pass()
    known = conditions.truth(low, value, yes, no, node) if value is not None else True
    answer = Const(known) if known is not None else conditions.as_value(low, yes, no, end)
    result = operands.operand(low, answer, node)
    _end(emitter)
    owner = getattr(body, "__self__", None)
    whose = session.objects.name(owner) if owner is not None else name
    return Judge(name, kind, emitter, result, Message(name, _SAYS[kind].format(whose)))


_SAYS = {
    PredicateKind.ALWAYS: "it is false in this state",
    PredicateKind.NEVER: "it is true in this state",
    PredicateKind.REACHABLE: "no state makes it true",
    PredicateKind.FINAL: "{} is not at rest when all threads are done",
}
