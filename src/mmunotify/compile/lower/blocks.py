"""Blocks that something must happen after: `with`, and `try` with its handlers and `finally`."""

from __future__ import annotations

import ast
from typing import Any

from mmunotify.compile.emit import Label
from mmunotify.compile.lower import (
    attributes,
    calls,
    conditions,
    expressions,
    intrinsics,
    operands,
    statements,
    variables,
    ways_out,
)
from mmunotify.compile.lower.context import Clause, Handler, Lowering
from mmunotify.compile.names import bound_in
from mmunotify.compile.objects import is_model_object
from mmunotify.compile.values import Const, Poison, Tup, Value
from mmunotify.ir.ops import Op
from mmunotify.lang.intrinsics import Failure

__all__ = ["try_", "with_"]


# -- with -----------------------------------------------------------------------------------------


def with_(low: Lowering, node: ast.With) -> None:
    """Lower `with` on locks, on `atomic()` and on whatever has `__enter__` and `__exit__`."""
    swallowed = low.emitter.new_label()
    _items(low, node, 0, swallowed)
    if swallowed.used:  # the block may have been left at any point
        for name in bound_in(ast.Module(node.body, [])):
            low.frame.env.pop(name, None)
    low.emitter.place(swallowed)


def _items(low: Lowering, node: ast.With, number: int, swallowed: Label) -> None:
    """Lower the items from `number` on, and the block inside them."""
    if number == len(node.items):
        statements.body(low, node.body)
        return
    item = node.items[number]
    if len(node.items) > 1:  # a report tells which of them a step is about
        low.at(item.context_expr)
    if _is_atomic(low, item.context_expr):
        if item.optional_vars is not None:
            statements.assign_target(low, item.optional_vars, Const(None))
        with low.emitter.atomically():
            _items(low, node, number + 1, swallowed)
        return
    manager = statements.tried(low, lambda: _entered(low, item))
    if isinstance(manager, Poison):
        for name in bound_in(item.optional_vars) if item.optional_vars is not None else ():
            variables.poison(low, name)
        _items(low, node, number + 1, swallowed)
        return

    def leave(failure: type[BaseException] | None) -> None:
        if len(node.items) > 1:
            low.at(item.context_expr)
        _exit(low, item, manager, failure, swallowed)

    ways_out.protected(low, lambda: _items(low, node, number + 1, swallowed), leave)


def _is_atomic(low: Lowering, node: ast.expr) -> bool:
    if not isinstance(node, ast.Call) or node.args or node.keywords:
        return False
    if not isinstance(node.func, ast.Name | ast.Attribute):
        return False
    name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
    if name in low.frame.names.bound or (isinstance(node.func, ast.Attribute) and name != "atomic"):
        return False
    found = statements.tried(low, lambda: expressions.evaluate(low, node.func))
    return isinstance(found, Const) and found.value is intrinsics.ATOMIC


def _entered(low: Lowering, item: ast.withitem) -> Value:
    """Evaluate and enter a context manager; return it."""
    node = item.context_expr
    manager = expressions.evaluate(low, node)
    if isinstance(manager, Poison):
        return manager
    if not _is_manager(low, manager):
        fix = "with self.lock:, or with atomic():"
        if isinstance(manager, Const) and hasattr(manager.value, "acquire"):
            fix = "use SpinLock, Mutex or another lock of mmunotify.lang"
        raise low.refuse(
            "E103",
            node,
            f"`with` needs a lock, not {operands.described(low, manager)}",
            "it has no __enter__ and __exit__ in the subset",
            fix,
        )
    entered = calls.call_method(low, manager, "__enter__", [], node)
    if item.optional_vars is not None:
        statements.assign_target(low, item.optional_vars, entered)
    return manager


def _is_manager(low: Lowering, value: Value) -> bool:
    if isinstance(value, Const | Tup):
        every: list[Value] = [value]
        objects = not isinstance(value, Const) or is_model_object(value.value)
    else:
        chosen = operands.objects_of(low, value)
        every = [] if chosen is None else [Const(o) for _, o in chosen.present]
        objects = bool(every)
    names = ("__enter__", "__exit__")
    return objects and all(attributes.special(v, n) is not None for v in every for n in names)


def _exit(
    low: Lowering,
    item: ast.withitem,
    manager: Value,
    failure: type[BaseException] | None,
    swallowed: Label,
) -> None:
    """Leave a context manager, which may keep a failure from going on."""
    node = item.context_expr
    arguments: list[Any] = [None] * 3
    if failure is not None:
        arguments = [failure, ways_out.instance(low, failure), None]
    low.at(node)
    with low.within(("exit", failure)):
        answer = calls.call_method(low, manager, "__exit__", list(map(Const, arguments)), node)
        if failure is None or low.emitter.dead:
            return
        go_on = low.emitter.new_label()
        known = conditions.truth(low, answer, swallowed, go_on, node)
    if known is None:
        low.emitter.place(go_on)
    elif known:
        low.emitter.emit(Op.JMP, swallowed)


# -- try ------------------------------------------------------------------------------------------


def try_(low: Lowering, node: ast.Try) -> None:
    """Lower `try` with its handlers and `finally`."""
    if not node.finalbody:
        _try_except(low, node)
        return

    def cleanup(failure: type[BaseException] | None) -> None:
        if failure is not None:
            low.handling.append(failure)
        with low.within(("finally", node.lineno)):
            statements.body(low, node.finalbody)
        if failure is not None:
            low.handling.pop()

    ways_out.protected(low, lambda: _try_except(low, node), cleanup)


class _Clause:
    """One `except` clause: its code is made once for each failure it has to tell apart."""

    def __init__(self, low: Lowering, node: ast.ExceptHandler) -> None:
        self.low = low
        self.node = node
        self.classes = _classes(low, node)
        self.labels: dict[type[BaseException] | None, Label] = {}
        again = (isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(node))
        self.tells_apart = node.name is not None or any(again)

    def label(self, failure: type[BaseException]) -> Label:
        """Return where a failure of this class goes."""
        key = failure if self.tells_apart else None
        if key not in self.labels:
            self.labels[key] = self.low.emitter.new_label()
        return self.labels[key]

    def lower(self, end: Label) -> None:
        """Emit the code of the clause."""
        low = self.low
        for failure, label in self.labels.items():
            low.emitter.place(label)
            if failure is not None:
                low.handling.append(failure)
            if self.node.name is not None and failure is not None:
                low.frame.env[self.node.name] = Const(ways_out.instance(low, failure))
            with low.within(("except", self.node.lineno, failure)):
                statements.body(low, self.node.body)
            if failure is not None:
                low.handling.pop()
            if self.node.name is not None:
                low.frame.env.pop(self.node.name, None)
            low.emitter.emit(Op.JMP, end)


def _try_except(low: Lowering, node: ast.Try) -> None:
    if not node.handlers:
        statements.body(low, node.body)
        statements.body(low, node.orelse)
        return
    end = low.emitter.new_label()
    handlers = [_Clause(low, h) for h in node.handlers]
    clauses: list[Clause] = [(h.classes, h.label) for h in handlers]
    with low.control(Handler(clauses)):
        statements.body(low, node.body)
    statements.body(low, node.orelse)
    low.emitter.emit(Op.JMP, end)
    for handler in handlers:
        handler.lower(end)
    low.emitter.place(end)


def _classes(low: Lowering, handler: ast.ExceptHandler) -> tuple[type[BaseException], ...]:
    if handler.type is None:
        return (Failure,)
    nodes = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    found: list[type[BaseException]] = []
    for node in nodes:
        value = statements.tried(low, lambda node=node: expressions.evaluate(low, node))  # type: ignore[misc]
        cls = value.value if isinstance(value, Const) else None
        if isinstance(value, Poison):
            continue
        if not (isinstance(cls, type) and _is_failure(cls)):
            what = operands.described(low, value)
            refused = low.refuse(
                "E111",
                node,
                f"{what} is no declared failure",
                "only failures the model names can be raised and caught",
                "except EFAULT:, or a class of yours: class Mine(Failure)",
            )
            low.note(refused)
            continue
        found.append(cls)
    return tuple(found)


def _is_failure(cls: type) -> bool:
    return issubclass(cls, Failure) or cls in (Exception, BaseException)
