"""Ways out of a block: failures on their way to a handler, clean-ups, and coverage marks."""

from __future__ import annotations

import ast
from collections.abc import Callable

from mmunotify.compile.emit import Message
from mmunotify.compile.lower import expressions
from mmunotify.compile.lower.context import Cleanup, Handler, Lowering
from mmunotify.compile.values import Const, Value
from mmunotify.ir.ops import Op
from mmunotify.lang.intrinsics import Failure

__all__ = ["cover", "instance", "protected", "raise_"]


def cover(low: Lowering) -> None:
    """Mark the current statement, if it is the user's and a new stretch of code begins here."""
    emitter = low.emitter
    if emitter.dead or not low.session.covered.has(low.frame.function):
        return
    since = emitter.items[low.covered_at :] if low.covered_at >= 0 else []
    straight = bool(since) and all(
        item.label is None and item.op is not Op.STEP and not _jumps(item.op) for item in since
    )
    if straight:
        low.covers[-1].append(emitter.location)
        return
    low.covered_at = len(emitter.items)
    low.covers.append([emitter.location])
    emitter.emit(Op.COVER, len(low.covers) - 1)


def _jumps(op: Op | None) -> bool:
    return op is not None and Op.JMP <= op <= Op.WAIT


def protected(
    low: Lowering,
    inner: Callable[[], None],
    cleanup: Callable[[type[BaseException] | None], None],
) -> None:
    """Lower `inner`, with `cleanup` on every way out of it."""
    with low.control(Cleanup(cleanup, low.standing())):
        inner()
    if not low.emitter.dead:
        cleanup(None)


# -- failures -------------------------------------------------------------------------------------


def raise_(low: Lowering, node: ast.Raise) -> None:
    """Lower `raise`: the handler is known, so it is a jump."""
    failure = _raised(low, node)
    for number in range(len(low.controls) - 1, -1, -1):
        control = low.controls[number]
        if isinstance(control, Handler):
            for classes, label in control.clauses:
                if issubclass(failure, classes):
                    low.unwind(number, failure)
                    low.emitter.emit(Op.JMP, label(failure))
                    return
    low.unwind(-1, failure)
    text = f"{failure.__name__} was raised and nothing handles it"
    low.emitter.emit(Op.FAIL, Message("uncaught", text))


def _raised(low: Lowering, node: ast.Raise) -> type[BaseException]:
    if node.exc is None:
        if low.handling:
            return low.handling[-1]
        what = "there is no failure to raise again here"
        raise low.refuse("E111", node, what, "this is no except clause", "raise EFAULT")
    expression: ast.expr = node.exc
    if isinstance(expression, ast.Call):
        for argument in expression.args:
            if not isinstance(argument, ast.Constant | ast.JoinedStr):
                expressions.evaluate(low, argument)
        expression = expression.func
    value: Value = expressions.evaluate(low, expression)
    cls = value.value if isinstance(value, Const) else None
    cls = cls if isinstance(cls, type) else type(cls)
    if not issubclass(cls, Failure):
        name = cls.__name__ if issubclass(cls, BaseException) else "this"
        raise low.refuse(
            "E111",
            node,
            f"{name} is no declared failure",
            "only failures the model names can be raised and caught",
            f"class {name if name != 'this' else 'Mine'}(Failure): ...",
        )
    return cls


def instance(low: Lowering, failure: type[BaseException]) -> BaseException:
    """Return the one object that stands for all failures of a class."""
    found = low.session.raised.get(failure)
    if found is None:
        found = low.session.raised[failure] = BaseException.__new__(failure)
    return found
