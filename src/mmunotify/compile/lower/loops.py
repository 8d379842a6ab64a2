"""Loops: unrolled where the rounds are few and known, real loops otherwise."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmunotify.compile.lower import builtin, conditions, expressions, operands, statements
from mmunotify.compile.lower.context import CallExit, Loop, Lowering
from mmunotify.compile.types import IntType
from mmunotify.compile.values import Const, Dyn, Poison, Sequenced, Span, Value
from mmunotify.ir.ops import Op

__all__ = ["break_", "continue_", "for_", "while_"]

_UNROLL = 16
_STEPLESS = (
    "E107",
    "this loop can go round without a step",
    "no other thread could ever run again, and the check would not end",
    "wait_until(lambda: ...), or a for loop over range(n)",
)


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
    code, what, why, fix = _STEPLESS
    low.emitter.loops.append((head, low.refuse(code, node, what, why, fix).diagnostic))
    known = conditions.branch(low, node.test, inside, leave)
    if known is False:
        statements.body(low, node.orelse)
        return
    if known is None:
        low.emitter.place(inside)
    with low.control(Loop(end, head, low.emitter.atomic)):
        statements.body(low, node.body)
    low.emitter.emit(Op.JMP, head)
    if known is None:
        low.emitter.place(leave)
        statements.body(low, node.orelse)
    low.emitter.place(end)


def for_(low: Lowering, node: ast.For) -> None:
    """Lower `for`."""
    value = expressions.evaluate(low, node.iter)
    if isinstance(value, Poison):
        return
    found = builtin.iterable(low, value, node.iter)
    end = low.emitter.new_label()
    if isinstance(found, Sequenced):
        _for_each(low, node, found, end)
    else:
        _for_span(low, node, found, end)
    statements.body(low, node.orelse)
    low.emitter.place(end)


def _for_each(low: Lowering, node: ast.For, items: Sequenced, end: Any) -> None:
    constants = [i.value for i in items.items if isinstance(i, Const)]
    counted = len(constants) == len(items.items) > _UNROLL and all(
        isinstance(c, int) for c in constants
    )
    if (
        counted
        and not low.emitter.atomic
        and constants == list(range(constants[0], constants[0] + len(constants)))
    ):
        span = Span(Const(constants[0]), Const(constants[-1] + 1), len(constants))
        _real_loop(low, node, span, end)
        return
    for number, item in enumerate(items.items):
        if low.emitter.dead:
            return
        _round(low, node, item, number, end)


def _round(low: Lowering, node: ast.For, item: Value, number: int, end: Any) -> None:
    again = low.emitter.new_label()
    with low.within(("round", node.lineno, number)):
        low.at(node)
        with _own_scope(low):
            statements.assign_target(low, node.target, item, alias=_aliased(low, node))
            with low.control(Loop(end, again, low.emitter.atomic)):
                statements.body(low, node.body)
    low.emitter.place(again)


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
    names = {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
    return not names & low.frame.names.variables


def _for_span(low: Lowering, node: ast.For, span: Span, end: Any) -> None:
    if span.trips > _UNROLL and not low.emitter.atomic:
        _real_loop(low, node, span, end)
        return
    for number in range(span.trips):
        inside, leave = low.emitter.new_label(), low.emitter.new_label()
        item = expressions.arithmetic(low, ast.Add(), span.start, Const(number), node.iter)
        known = conditions.compare(low, ast.Lt(), item, span.stop, inside, leave, node.iter)
        if known is False:
            return
        if known is None:
            low.emitter.place(leave)
            # Out of rounds: go on behind the loop, past the else clause's rounds.
            after = low.emitter.new_label()
            low.emitter.emit(Op.JMP, after)
            low.emitter.place(inside)
            _round(low, node, item, number, end)
            _rest(low, node, span, number + 1, end)
            low.emitter.place(after)
            return
        _round(low, node, item, number, end)


def _rest(low: Lowering, node: ast.For, span: Span, first: int, end: Any) -> None:
    start = expressions.arithmetic(low, ast.Add(), span.start, Const(first), node.iter)
    _for_span(low, node, Span(start, span.stop, span.trips - first), end)


def _real_loop(low: Lowering, node: ast.For, span: Span, end: Any) -> None:
    first = expressions.counted(low, span.start)
    kind = _counter_type(low, span, node)
    reg = low.emitter.reg(kind, "<round>", low.frame.scope)
    operands.move(low, reg, first, kind, node, "the loop counter")
    head, inside, again, leave = (low.emitter.new_label() for _ in range(4))
    low.emitter.place(head)
    head.used += 1
    low.emitter.step(kept=True)
    conditions.compare(low, ast.Lt(), Dyn(reg, kind), span.stop, inside, leave, node.iter)
    low.emitter.place(inside)
    item = Dyn(reg, kind)
    copy = low.emitter.reg(kind, "", -1)
    low.emitter.emit(Op.MOV, copy, item.reg)
    with low.within(("loop", node.lineno)):
        statements.assign_target(low, node.target, Dyn(copy, kind))
        with low.control(Loop(end, again, low.emitter.atomic)):
            statements.body(low, node.body)
    low.emitter.place(again)
    low.emitter.emit(Op.ADDK, reg, reg, 1)
    low.emitter.emit(Op.JMP, head)
    low.emitter.place(leave)


def _counter_type(low: Lowering, span: Span, node: ast.For) -> IntType:
    lows = operands.bounds(operands.type_of(low, span.start, node))
    highs = operands.bounds(operands.type_of(low, span.stop, node))
    return IntType(lows[0], max(lows[1], highs[1]))


def _innermost(low: Lowering, node: ast.stmt) -> int:
    for number in range(len(low.controls) - 1, -1, -1):
        control = low.controls[number]
        if isinstance(control, CallExit):
            break
        if isinstance(control, Loop):
            return number
    raise low.refuse("E103", node, "break and continue need a loop")


def break_(low: Lowering, node: ast.Break) -> None:
    """Leave the innermost loop."""
    number = _innermost(low, node)
    low.unwind(number)
    loop = low.controls[number]
    assert isinstance(loop, Loop)
    low.emitter.emit(Op.JMP, loop.on_break)


def continue_(low: Lowering, node: ast.Continue) -> None:
    """Go on with the next round of the innermost loop."""
    number = _innermost(low, node)
    low.unwind(number)
    loop = low.controls[number]
    assert isinstance(loop, Loop)
    low.emitter.emit(Op.JMP, loop.on_continue)
