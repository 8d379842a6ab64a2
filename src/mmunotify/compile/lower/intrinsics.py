"""The words the compiler itself knows: intrinsics, and the methods of the built-in containers."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from mmunotify.compile.emit import Message, literally
from mmunotify.compile.lower import (
    access,
    attributes,
    builtin,
    calls,
    comparisons,
    conditions,
    elements,
    expressions,
    operands,
)
from mmunotify.compile.lower.context import Lowering
from mmunotify.compile.storage import PAGE
from mmunotify.compile.types import IntType
from mmunotify.compile.values import Closure, Const, Dyn, Method, Operand, Reg, Value
from mmunotify.ir.ops import Op
from mmunotify.lang import intrinsics as words
from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table

__all__ = ["ATOMIC", "assertion", "counter_set", "function", "knows", "method"]

ATOMIC = words.atomic
_NONE = Const(None)
_MOST = 127  # alternatives of one choice


def function(
    low: Lowering,
    python: Any,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value | None:
    """Return the value of a call of an intrinsic, or None if `python` is none."""
    known = _FUNCTIONS.get(id(python))
    if known is None:
        return None
    _check_arguments(low, python, arguments, keywords, node)
    return known(low, [*arguments, *keywords.values()], node)


_signature = cache(inspect.signature)  # of the intrinsics and the containers' methods, no others


def _check_arguments(
    low: Lowering,
    python: Any,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> None:
    signature = _signature(python)
    try:
        signature.bind(*arguments, **keywords)
    except TypeError as error:
        takes = ", ".join(n for n in signature.parameters if n != "self")
        what = f"{python.__name__}(): {error}"
        fix = f"{python.__name__}({takes})"
        raise low.refuse("E108", node, what, f"it is defined as {fix}", fix) from None


def knows(python: Any) -> bool:
    """Tell whether the compiler itself gives `python` its meaning."""
    return id(python) in _FUNCTIONS or id(python) in _METHODS or python is words.require


def _atomic(low: Lowering, _: list[Value], node: ast.AST) -> Value:
    what = "atomic() means something only in a with statement"
    why = "it is the block that becomes one step"
    raise low.refuse("E115", node, what, why, "with atomic():")


def _current(low: Lowering, *_: object) -> Value:
    return Const(low.thread)


# -- waiting --------------------------------------------------------------------------------------


def _wait_until(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    condition = arguments[0]
    queued = _is_queued(low, arguments[1:], node)
    with low.emitter.atomically():
        yes, no = low.emitter.new_label(), low.emitter.new_label()
        if isinstance(condition, Closure) and not condition.node.args.args:
            if _wait_plainly(low, condition, queued, node):
                return _NONE
            with low.inside(low.inner_frame(condition.node, condition.frame, low.path)):
                known = conditions.branch(low, condition.node.body, yes, no)
        elif isinstance(condition, Closure | Method) or _is_callable(condition):
            value = calls.call_value(low, condition, [], {}, node)
            known = conditions.truth(low, value, yes, no, node)
        else:
            raise low.refuse(
                "E115",
                node,
                "wait_until() takes a condition to evaluate again, not a value",
                "the value was computed once, before the wait",
                "wait_until(lambda: ...)",
            )
        if known is True:
            return _NONE
        if known is None:
            low.emitter.place(no)
        reg = low.emitter.reg(IntType(0, 0))
        low.emitter.emit(Op.CONST, reg, 0)
        low.emitter.emit(Op.WAIT, reg, queued)
        low.emitter.stop()
        if known is None:
            low.emitter.place(yes)
    return _NONE


def _is_queued(low: Lowering, arguments: list[Value], node: ast.AST) -> int:
    if not arguments:
        return 0
    queued = arguments[0]
    if isinstance(queued, Const) and isinstance(queued.value, bool):
        return int(queued.value)
    what = "whether a wait is queued must be known when the threads start"
    raise low.refuse("E115", node, what, "", "wait_until(lambda: ..., queued=True)")


def _wait_plainly(low: Lowering, closure: Closure, queued: int, node: ast.AST) -> bool:
    """Wait for `a == b`, without jumps; tell whether the condition has that form."""
    with low.inside(low.inner_frame(closure.node, closure.frame, low.path)):
        found = comparisons.equality(low, closure.node.body)
        if found is None:
            return False
        if found is not True:
            awaited = found or operands.operand(low, Const(False), node)
            low.emitter.emit(Op.WAIT, awaited, queued)
        if found is False:
            low.emitter.stop()
    return True


def _is_callable(value: Value) -> bool:
    return isinstance(value, Const) and callable(value.value)


# -- choosing -------------------------------------------------------------------------------------


def _choose(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    options = arguments[0]
    if isinstance(options, Const) and isinstance(options.value, Pages):
        return _choose_number(low, len(options.value), PAGE)
    if isinstance(options, Const) and isinstance(options.value, bool | int):
        _check_count(low, int(options.value), node)
        return _choose_number(low, int(options.value), "")
    if isinstance(options, Dyn) or (isinstance(options, Const) and options.value is None):
        what = f"choose() takes a number or a collection, not {operands.described(low, options)}"
        why = "how many alternatives there are must be known beforehand"
        raise low.refuse("E115", node, what, why, "choose(n), choose(self.mm.pages)")
    items = builtin.fixed(low, options, node)
    _check_count(low, len(items), node)
    if not all(isinstance(i, Const) for i in items):
        what = "choose() takes what set-up fixed, not a tuple of values"
        raise low.refuse("E115", node, what, "", "if choose(2) == 1: ...")
    values = tuple(i.value for i in items if isinstance(i, Const))
    if len(values) == 1:
        return Const(values[0])
    kind = operands.reference_type(low, values)
    if kind is not None and [low.objects.number(v) for v in values] == list(range(len(values))):
        reg = low.emitter.reg(kind)  # of that type they stay interchangeable
        low.emitter.emit(Op.CHOOSE, reg, 0, len(values))
        return Dyn(reg, kind)
    chosen = _choose_number(low, len(values), "")
    return elements.select(low, values, chosen, node)


def _check_count(low: Lowering, count: int, node: ast.AST) -> None:
    if not 1 <= count <= _MOST:
        what = f"choose() among {count} alternatives"
        raise low.refuse("E202", node, what, f"there must be 1 to {_MOST}", "choose(2)")


def _choose_number(low: Lowering, count: int, label: str) -> Dyn:
    kind = IntType(0, count - 1, label)
    reg = low.emitter.reg(kind)
    low.emitter.emit(Op.CHOOSE, reg, 0, count)
    return Dyn(reg, kind)


_FUNCTIONS: dict[int, Callable[[Lowering, list[Value], ast.AST], Value]] = {
    id(words.atomic): _atomic,
    id(words.current): _current,
    id(words.wait_until): _wait_until,
    id(words.choose): _choose,
}


# -- assertions -----------------------------------------------------------------------------------


def assertion(low: Lowering, property: str, test: ast.expr, text: ast.expr | None) -> None:
    """Emit a check of `test`; `text` is evaluated where it fails."""
    yes, no = low.emitter.new_label(), low.emitter.new_label()
    plain = comparisons.equality(low, test) if _constant_text(text) else None
    if isinstance(plain, Reg):
        low.emitter.emit(Op.ASSERT, plain, _message(low, property, text, test))
        return
    known = conditions.branch(low, test, yes, no) if plain is None else plain
    if known is True:
        return
    if known is None:
        low.emitter.place(no)
    with low.emitter.atomic_depth(low.emitter.atomic + 1):
        failure = _message(low, property, text, test)
    low.emitter.emit(Op.FAIL, failure)
    if known is None:
        low.emitter.place(yes)


def _constant_text(text: ast.expr | None) -> bool:
    return text is None or isinstance(text, ast.Constant)


def _message(low: Lowering, property: str, text: ast.expr | None, test: ast.AST) -> Message:
    """Return the failure with the text of an assertion, its values in operands."""
    if text is None:
        source = low.frame.function.file.text(getattr(test, "lineno", 0))
        return Message(property, literally(source))
    if isinstance(text, ast.JoinedStr):
        return _formatted(low, property, text)
    found = expressions.argument(low, text)
    if not isinstance(found, Const) or not isinstance(found.value, str):
        what = "a message is a string or an f-string"
        raise low.refuse("E104", text, what, "it is shown, and computed with nowhere", 'f"..."')
    return Message(property, literally(found.value))


def _formatted(low: Lowering, property: str, text: ast.JoinedStr) -> Message:
    parts: list[str] = []
    shown: list[Dyn] = []
    for part in text.values:
        if isinstance(part, ast.FormattedValue):
            value = expressions.evaluate(low, part.value)
            _show(low, expressions.counted(low, value, part.value), part, parts, shown)
        else:
            assert isinstance(part, ast.Constant)
            parts.append(literally(str(part.value)))
    registers: tuple[Operand, ...] = tuple(d.reg for d in shown)
    return Message(property, "".join(parts), registers, tuple(d.type for d in shown))


def _show(low: Lowering, value: Value, node: ast.AST, parts: list[str], shown: list[Dyn]) -> None:
    if isinstance(value, Const):
        constant = value.value
        name = low.objects.name(constant) if low.objects.knows(constant) else constant
        parts.append(literally(str(getattr(name, "name", name))))
        return
    kind = operands.type_of(low, value, node)
    parts.append(f"{{{len(shown)}}}")
    shown.append(Dyn(operands.operand(low, value, node), kind))


# -- methods of the built-in containers -----------------------------------------------------------


def method(
    low: Lowering,
    function: Method,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value | None:
    """Return the value of a call of a container's method, or None if it is an ordinary one."""
    handler = _METHODS.get(id(function.function))
    if handler is None:
        return None
    every = [function.owner, *arguments]
    _check_arguments(low, function.function, every, keywords, node)
    return handler(low, function.owner, [*arguments, *keywords.values()], node)


def _counter_read(low: Lowering, owner: Value, _: list[Value], node: ast.AST) -> Value:
    return attributes.read(low, owner, "value", node)


def counter_set(low: Lowering, owner: Value, arguments: list[Value], node: ast.AST) -> Value:
    """Emit `counter.set(value)`; the bounds are checked by the store."""
    value = expressions.as_number(low, arguments[0], node)
    attributes.write(low, owner, "value", value, node)
    return _NONE


def _table_fill(low: Lowering, owner: Value, arguments: list[Value], node: ast.AST) -> Value:
    operands.refuse_counter(low, arguments[0], node)
    if not (isinstance(owner, Const) and isinstance(owner.value, Table)):
        what = "fill() is for a table known when the threads start"
        why = "this is reached through a reference that varies"
        raise low.refuse("E115", node, what, why, "for key in table: table[key] = value")
    access.fill(low, owner.value, arguments[0], node)
    return _NONE


def _epoch(low: Lowering, owner: Value, node: ast.AST) -> Epoch:
    if isinstance(owner, Const) and isinstance(owner.value, Epoch):
        return owner.value
    raise low.refuse(
        "E207",
        node,
        "this Epoch is reached through a reference that varies",
        "a snapshot is kept as one bit, which belongs to one Epoch",
        "find it by a loop, in which it is known: for one in self.all: if one is wanted: ...",
    )


def _epoch_read(low: Lowering, owner: Value, _: list[Value], node: ast.AST) -> Value:
    return access.snapshot(low, _epoch(low, owner, node))


def _epoch_bump(low: Lowering, owner: Value, _: list[Value], node: ast.AST) -> Value:
    access.bump(low, _epoch(low, owner, node))
    return _NONE


_METHODS: dict[int, Callable[[Lowering, Value, list[Value], ast.AST], Value]] = {
    id(Counter.read): _counter_read,
    id(Counter.set): counter_set,
    id(Table.fill): _table_fill,
    id(Epoch.read): _epoch_read,
    id(Epoch.bump): _epoch_bump,
}
