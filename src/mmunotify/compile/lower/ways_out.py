"""Ways out of a block: failures and their handlers, clean-ups, and coverage marks."""

from __future__ import annotations

import ast
from collections.abc import Callable

from mmunotify.compile.emit import Label, Message
from mmunotify.compile.lower import expressions, statements
from mmunotify.compile.lower.context import Cleanup, Handler, Lowering
from mmunotify.compile.values import Const, Value
from mmunotify.ir.ops import Op
from mmunotify.lang.intrinsics import Failure

__all__ = ["cover", "protected", "raise_", "try_"]


def cover(low: Lowering) -> None:
    """Mark the current statement, if it is the user's and a new stretch of code begins here."""
    emitter, session = low.emitter, low.session
    location = session.locations[emitter.location]
    if location.file not in session.cover_files or emitter.dead:
        return
    since = emitter.items[low.covered_at :] if low.covered_at >= 0 else []
    straight = bool(since) and all(
        item.label is None and item.op is not Op.STEP and not _jumps(item.op) for item in since
    )
    if straight and isinstance(since[0].args[0], int):
        session.covers[since[0].args[0]].append(emitter.location)
        return
    low.covered_at = len(emitter.items)
    session.covers.append([emitter.location])
    emitter.emit(Op.COVER, len(session.covers) - 1)


def _jumps(op: Op | None) -> bool:
    return op is not None and Op.JMP <= op <= Op.WAIT


def protected(low: Lowering, inner: Callable[[], None], cleanup: Callable[[], None]) -> None:
    """Lower `inner`, with `cleanup` on every way out of it."""
    with low.control(Cleanup(cleanup, low.emitter.atomic, low.frame)):
        inner()
    if not low.emitter.dead:
        cleanup()


# -- failures -----------------------------------------------------------------------------------


def raise_(low: Lowering, node: ast.Raise) -> None:
    """Lower `raise`: the handler is known, so it is a jump."""
    failure = _raised(low, node)
    for number in range(len(low.controls) - 1, -1, -1):
        control = low.controls[number]
        if isinstance(control, Handler):
            for cls, label in control.clauses:
                if issubclass(failure, cls):
                    low.unwind(number)
                    low.emitter.emit(Op.JMP, label)
                    return
    text = f"{failure.__name__} was raised and nothing handles it"
    low.emitter.emit(Op.FAIL, Message("uncaught", text))


def _raised(low: Lowering, node: ast.Raise) -> type[BaseException]:
    if node.exc is None:
        if low.handling:
            return low.handling[-1]
        raise low.refuse("E111", node, "there is no failure to raise again here")
    expression = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    value: Value = expressions.evaluate(low, expression)
    cls = value.value if isinstance(value, Const) else None
    cls = cls if isinstance(cls, type) else type(cls)
    if not issubclass(cls, Failure):
        raise low.refuse(
            "E111",
            node,
            f"{cls.__name__} is no declared failure",
            "only failures the model names can be raised and caught",
            f"class {cls.__name__}(Failure): ...",
        )
    return cls


def try_(low: Lowering, node: ast.Try) -> None:
    """Lower `try` with its handlers and `finally`."""
    if not node.finalbody:
        _try_except(low, node)
        return

    def cleanup() -> None:
        with low.within("finally"):
            statements.body(low, node.finalbody)

    protected(low, lambda: _try_except(low, node), cleanup)


def _try_except(low: Lowering, node: ast.Try) -> None:
    if not node.handlers:
        statements.body(low, node.body)
        statements.body(low, node.orelse)
        return
    end = low.emitter.new_label()
    handlers = [(_classes(low, h), low.emitter.new_label()) for h in node.handlers]
    clauses = [(cls, label) for classes, label in handlers for cls in classes]
    with low.control(Handler(clauses, low.emitter.atomic, low.frame)):
        statements.body(low, node.body)
    statements.body(low, node.orelse)
    low.emitter.emit(Op.JMP, end)
    for handler, (classes, label) in zip(node.handlers, handlers, strict=True):
        _handler(low, handler, classes, label)
        low.emitter.emit(Op.JMP, end)
    low.emitter.place(end)


def _handler(
    low: Lowering,
    handler: ast.ExceptHandler,
    classes: list[type[BaseException]],
    label: Label,
) -> None:
    low.emitter.place(label)
    if handler.name:
        low.frame.env[handler.name] = Const(classes[0])
    low.handling.append(classes[0])
    statements.body(low, handler.body)
    low.handling.pop()


def _classes(low: Lowering, handler: ast.ExceptHandler) -> list[type[BaseException]]:
    if handler.type is None:
        return [Failure]
    nodes = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    found: list[type[BaseException]] = []
    for node in nodes:
        value = expressions.evaluate(low, node)
        cls = value.value if isinstance(value, Const) else None
        if not (isinstance(cls, type) and issubclass(cls, BaseException)):
            raise low.refuse("E111", node, "this is no failure class")
        found.append(cls)
    return found
