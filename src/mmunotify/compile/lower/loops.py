"""Loops: unrolled where the rounds are few and known, real loops otherwise."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmunotify.compile.emit import Label
from mmunotify.compile.lower import (
    builtin,
    comparisons,
    expressions,
    operands,
    statements,
    variables,
)
from mmunotify.compile.lower.context import CallExit, Loop, Lowering
from mmunotify.compile.names import bound_in
from mmunotify.compile.types import IntType, bounds
from mmunotify.compile.values import POISON, Const, Dyn, Poison, Sequenced, Span, Value
from mmunotify.ir.ops import Op

__all__ = ["break_", "continue_", "for_", "while_"]

_UNROLL = 16


def while_(low: Lowering, node: ast.While) -> None:
    """Lower `while`; that every round has a step is checked on the finished code."""
    if low.emitter.atomic:
        raise low.refuse(
            "E107",
            node,
            "a while inside atomic() has no bound the checker can see",
            "an atomic block is one step, and a step must end",
            "for _ in range(n): ... break",
        )
    head, inside, leave, end = (low.emitter.new_label() for _ in range(4))
    low.emitter.place(head)
    head.used += 1  # the way back comes later
    stepless = low.refuse(
        "E107",
        node,
        "this loop can go round without a step",
        "no other thread could ever run again, and the check would not end",
        "wait_until(lambda: ...), or a for loop over range(n)",
    )
    low.emitter.loops.append((head, stepless.diagnostic))
    known = statements.test(low, node.test, inside, leave)
    if known is False:
        statements.body(low, node.orelse)
        return
    if known is None:
        low.emitter.place(inside)
    with low.control(Loop(end, head)):
        statements.body(low, node.body)
    low.emitter.emit(Op.JMP, head)
    if known is None:
        low.emitter.place(leave)
        statements.body(low, node.orelse)
    low.emitter.place(end)


def for_(low: Lowering, node: ast.For) -> None:
    """Lower `for`."""
    found = statements.tried(low, lambda: _iterated(low, node))
    end = low.emitter.new_label()
    if isinstance(found, Poison):  # the collection was refused: look at one round
        _round(low, node, POISON, 0, end)
    elif isinstance(found, Sequenced):
        _for_each(low, node, found, end)
    else:
        assert isinstance(found, Span)
        _for_span(low, node, found, end)
    statements.body(low, node.orelse)
    low.emitter.place(end)


def _iterated(low: Lowering, node: ast.For) -> Value:
    value = expressions.evaluate(low, node.iter)
    return value if isinstance(value, Poison) else builtin.iterable(low, value, node.iter)


def _for_each(low: Lowering, node: ast.For, items: Sequenced, end: Label) -> None:
    span = None if low.emitter.atomic else _as_span(items)
    if span is not None:
        _real_loop(low, node, span, end)
        return
    for number, item in enumerate(items.items):
        if low.emitter.dead:
            return
        _round(low, node, item, number, end)


def _as_span(items: Sequenced) -> Span | None:
    """Return many numbers, each one more than the last, as a range."""
    numbers = [i.value for i in items.items if isinstance(i, Const) and type(i.value) is int]
    if not len(numbers) == len(items.items) > _UNROLL:
        return None
    first, last = numbers[0], numbers[-1]
    if numbers != list(range(first, first + len(numbers))) or first < -128 or last > 126:
        return None
    return Span(Const(first), Const(last + 1), len(numbers))


def _round(low: Lowering, node: ast.For, item: Value, number: int, end: Label) -> None:
    again = low.emitter.new_label()
    with low.within(("round", node.lineno, number)):
        low.at(node)
        with _own_scope(low):
            _assign(low, node.target, item, alias=_aliased(low, node))
            with low.control(Loop(end, again)):
                statements.body(low, node.body)
    low.emitter.place(again)


def _assign(low: Lowering, target: ast.expr, item: Value, *, alias: bool) -> None:
    def run() -> Value:
        statements.assign_target(low, target, item, alias=alias)
        return Const(None)

    if isinstance(statements.tried(low, run), Poison):
        for name in bound_in(target):
            variables.poison(low, name)


@contextmanager
def _own_scope(low: Lowering) -> Iterator[None]:
    """End the life of names bound in a round with the round."""
    frame, before = low.frame, low.frame.round
    low.scopes += 1
    frame.round = low.scopes
    low.emitter.scopes.append(frame.round)
    try:
        yield
    finally:
        low.emitter.scopes.pop()
        frame.round = before


def _aliased(low: Lowering, node: ast.For) -> bool:
    """Tell whether the loop's names may stand for the elements themselves."""
    return not low.frame.names.variables.intersection(bound_in(node.target))


def _for_span(low: Lowering, node: ast.For, span: Span, end: Label) -> None:
    if span.trips > _UNROLL and not low.emitter.atomic:
        _real_loop(low, node, span, end)
    else:
        _unrolled(low, node, span, 0, end)


def _unrolled(low: Lowering, node: ast.For, span: Span, number: int, end: Label) -> None:
    """Lower round `number` and all after it, each behind the question whether there is one."""
    if number == span.trips or low.emitter.dead:
        return
    inside, leave = low.emitter.new_label(), low.emitter.new_label()
    item = _item(low, span, number, node)
    known = comparisons.compare(low, ast.Lt(), item, span.stop, inside, leave, node.iter)
    if known is False:
        return
    if known is None:
        low.emitter.place(inside)
    _round(low, node, item, number, end)
    _unrolled(low, node, span, number + 1, end)
    low.emitter.place(leave)


def _item(low: Lowering, span: Span, number: int, node: ast.For) -> Value:
    """Return `start + number`; where it is used it is below `stop`."""
    if isinstance(span.start, Const):
        return Const(span.start.value + number)
    kind = _counter_type(low, span, node)
    reg = low.emitter.reg(IntType(kind.low + number, max(kind.low + number, kind.high - 1)))
    low.emitter.emit(Op.ADDK, reg, operands.operand(low, span.start, node), number)
    return Dyn(reg, reg.type)


def _real_loop(low: Lowering, node: ast.For, span: Span, end: Label) -> None:
    kind = _counter_type(low, span, node)
    reg = low.emitter.reg(kind, "<round>", low.frame.scope)
    operands.move(low, reg, span.start, kind, node, "the loop counter")
    head, inside, again, leave = (low.emitter.new_label() for _ in range(4))
    low.emitter.place(head)
    head.used += 1
    low.emitter.step(kept=True)
    counter = Dyn(reg, kind)
    if comparisons.compare(low, ast.Lt(), counter, span.stop, inside, leave, node.iter) is None:
        low.emitter.place(inside)
    item = low.emitter.reg(IntType(kind.low, max(kind.low, kind.high - 1)))
    low.emitter.emit(Op.MOV, item, reg)
    value = Dyn(item, item.type)
    with low.within(("loop", node.lineno)):
        _assign(low, node.target, value, alias=False)
        with low.control(Loop(end, again)):
            statements.body(low, node.body)
    low.emitter.place(again)
    low.emitter.emit(Op.ADDK, reg, reg, 1)
    low.emitter.emit(Op.JMP, head)
    low.emitter.place(leave)


def _counter_type(low: Lowering, span: Span, node: ast.For) -> IntType:
    starts = bounds(operands.type_of(low, span.start, node))
    stops = bounds(operands.type_of(low, span.stop, node))
    return IntType(starts[0], max(starts[1], stops[1]))


# -- leaving --------------------------------------------------------------------------------------


def _leave(low: Lowering, node: ast.stmt, where: Callable[[Loop], Label]) -> None:
    for number in range(len(low.controls) - 1, -1, -1):
        control = low.controls[number]
        if isinstance(control, CallExit):
            break
        if isinstance(control, Loop):
            low.unwind(number)
            low.emitter.emit(Op.JMP, where(control))
            return
    raise AssertionError(node)  # Python refuses a break outside of a loop


def break_(low: Lowering, node: ast.Break) -> None:
    """Leave the innermost loop."""
    _leave(low, node, lambda loop: loop.on_break)


def continue_(low: Lowering, node: ast.Continue) -> None:
    """Go on with the next round of the innermost loop."""
    _leave(low, node, lambda loop: loop.on_continue)
