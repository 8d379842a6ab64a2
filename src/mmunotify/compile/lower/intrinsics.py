"""The words the compiler itself knows: intrinsics, and the methods of the built-in containers."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from mmunotify.compile.emit import Message
from mmunotify.compile.lower import access, attributes, calls, conditions, expressions, operands
from mmunotify.compile.lower.context import Lowering
from mmunotify.compile.objects import family_name
from mmunotify.compile.storage import PAGE
from mmunotify.compile.types import IntType, Ref
from mmunotify.compile.values import (
    Closure,
    Const,
    Dyn,
    Method,
    Operand,
    Reg,
    Sequenced,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang import intrinsics as words
from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table

__all__ = ["assertion", "counter_set", "function", "knows", "message", "method"]

_NONE = Const(None)


def function(
    low: Lowering,
    python: Any,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value | None:
    """Return the value of a call of an intrinsic, or None if `python` is none."""
    handler = _FUNCTIONS.get(python) if callable(python) and _hashable(python) else None
    if handler is None:
        return None
    assert isinstance(node, ast.Call)
    return handler(low, arguments, keywords, node)


def knows(python: Any) -> bool:
    """Tell whether the compiler itself gives `python` its meaning."""
    return python in _FUNCTIONS or python in _METHODS or python is words.require


def _hashable(python: Any) -> bool:
    return getattr(type(python), "__hash__", None) is not None


def _atomic(low: Lowering, *rest: Any) -> Value:
    raise low.refuse(
        "E115", rest[-1], "atomic() belongs into a with statement", "", "with atomic():"
    )


def _current(low: Lowering, *_: Any) -> Value:
    return Const(low.thread)


def _wait_until(
    low: Lowering, arguments: list[Value], keywords: dict[str, Value], node: ast.Call
) -> Value:
    if len(arguments) != 1 or keywords:
        raise low.refuse(
            "E108", node, "wait_until takes one condition", "", "wait_until(lambda: self.x == 0)"
        )
    with low.emitter.atomically():
        yes, no = low.emitter.new_label(), low.emitter.new_label()
        condition = arguments[0]
        if isinstance(condition, Closure) and _wait_plainly(low, condition):
            return _NONE
        if isinstance(condition, Closure):
            known = _branch_lambda(low, condition, yes, no)
        elif _is_callable(condition):
            value = calls.call_value(low, condition, [], {}, node)
            known = conditions.truth(low, value, yes, no, node)
        else:
            raise low.refuse(
                "E115",
                node,
                "wait_until takes a condition to evaluate again, not a value",
                "the value was computed once, before the wait",
                "wait_until(lambda: ...)",
            )
        if known is True:
            return _NONE
        if known is None:
            low.emitter.place(no)
        reg = low.emitter.reg(IntType(0, 0))
        low.emitter.emit(Op.CONST, reg, 0)
        low.emitter.emit(Op.WAIT, reg)
        low.emitter.stop()
        if known is None:
            low.emitter.place(yes)
    return _NONE


def _wait_plainly(low: Lowering, closure: Closure) -> bool:
    before, low.frame = low.frame, closure.frame
    try:
        found = conditions.equality(low, closure.node.body)
    finally:
        low.frame = before
    if found is None:
        return False
    if found is not True:
        reg = operands.operand(low, Const(False), closure.node) if found is False else found
        low.emitter.emit(Op.WAIT, reg)
    return True


def _is_callable(value: Value) -> bool:
    return isinstance(value, Method) or (isinstance(value, Const) and callable(value.value))


def _branch_lambda(low: Lowering, closure: Closure, yes: Any, no: Any) -> bool | None:
    before, low.frame = low.frame, closure.frame
    try:
        return conditions.branch(low, closure.node.body, yes, no)
    finally:
        low.frame = before


def _choose(
    low: Lowering, arguments: list[Value], keywords: dict[str, Value], node: ast.Call
) -> Value:
    if len(arguments) != 1 or keywords:
        raise low.refuse("E108", node, "choose takes one collection or number")
    options = arguments[0]
    if isinstance(options, Const) and isinstance(options.value, Pages):
        return _choose_number(low, len(options.value), PAGE)
    if isinstance(options, Const) and isinstance(options.value, bool | int):
        if options.value < 1:
            raise low.refuse("E202", node, "choose needs at least one alternative")
        return _choose_number(low, options.value, "")
    items = _options(low, options, node)
    if not items:
        raise low.refuse("E202", node, "choose needs at least one alternative")
    if len(items) == 1:
        return Const(items[0])
    for item in items:
        operands.adopt(low, item)
    numbers = [low.objects.numbers.get(id(item), -1) for item in items]
    if numbers == list(range(len(items))) and len({family_name(i) for i in items}) == 1:
        kind = Ref(family_name(items[0]), last=len(items) - 1)  # keeps them interchangeable
        reg = low.emitter.reg(kind)
        low.emitter.emit(Op.CHOOSE, reg, 0, len(items))
        return Dyn(reg, kind)
    chosen = _choose_number(low, len(items), "")
    assert isinstance(chosen, Dyn)
    return calls.select(low, tuple(items), chosen.reg, node)


def _options(low: Lowering, options: Value, node: ast.AST) -> list[Any]:
    if isinstance(options, Sequenced | Tup):
        if all(isinstance(i, Const) for i in options.items):
            return [i.value for i in options.items if isinstance(i, Const)]
    elif isinstance(options, Const) and isinstance(options.value, list | tuple | range | Table):
        return list(options.value)
    elif isinstance(options, Const) and isinstance(options.value, type):
        return list(getattr(options.value, "__members__", {}).values())  # an Enum
    raise low.refuse("E115", node, "choose takes a number or a fixed collection of set-up")


def _choose_number(low: Lowering, count: int, label: str) -> Value:
    kind = IntType(0, count - 1, label)
    reg = low.emitter.reg(kind)
    low.emitter.emit(Op.CHOOSE, reg, 0, count)
    return Dyn(reg, kind)


_FUNCTIONS: dict[Any, Callable[[Lowering, Any, Any, Any], Value]] = {
    words.atomic: _atomic,
    words.current: _current,
    words.wait_until: _wait_until,
    words.choose: _choose,
}


# -- assertions ---------------------------------------------------------------------------------


def assertion(low: Lowering, property: str, test: ast.expr, text: ast.expr | None) -> None:
    """Emit a check of `test`; `text` is evaluated where it fails."""
    if low.session.properties is not None and property not in low.session.properties:
        return
    yes, no = low.emitter.new_label(), low.emitter.new_label()
    plain = conditions.equality(low, test) if _constant_text(text) else None
    if isinstance(plain, Reg):
        low.emitter.emit(Op.ASSERT, plain, message(low, property, text, test))
        return
    known = conditions.branch(low, test, yes, no) if plain is None else plain
    if known is True:
        return
    if known is None:
        low.emitter.place(no)
    with low.emitter.atomic_depth(low.emitter.atomic + 1):
        failure = message(low, property, text, test)
    low.emitter.emit(Op.FAIL, failure)
    if known is None:
        low.emitter.place(yes)


def _constant_text(text: ast.expr | None) -> bool:
    return text is None or isinstance(text, ast.Constant)


def message(low: Lowering, property: str, text: ast.expr | None, test: ast.AST) -> Message:
    """Return the failure with the text of an assertion, its values in operands."""
    if text is None:
        source = low.frame.function.file.text(getattr(test, "lineno", 0))
        return Message(property, source.replace("{", "{{").replace("}", "}}"))
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        return Message(property, text.value.replace("{", "{{").replace("}", "}}"))
    if not isinstance(text, ast.JoinedStr):
        raise low.refuse("E104", text, "a message is a string or an f-string")
    parts: list[str] = []
    shown: list[Dyn] = []
    for part in text.values:
        _message_part(low, part, parts, shown)
    registers: tuple[Operand, ...] = tuple(d.reg for d in shown)
    return Message(property, "".join(parts), registers, tuple(d.type for d in shown))


def _message_part(low: Lowering, part: ast.expr, parts: list[str], shown: list[Dyn]) -> None:
    if isinstance(part, ast.Constant):
        parts.append(str(part.value).replace("{", "{{").replace("}", "}}"))
        return
    assert isinstance(part, ast.FormattedValue)
    value = expressions.scalar(low, part.value)
    if isinstance(value, Const):
        constant = value.value
        name = low.objects.name(constant) if low.objects.knows(constant) else constant
        name = getattr(name, "name", name)
        parts.append(str(name).replace("{", "{{").replace("}", "}}"))
        return
    kind = operands.type_of(low, value, part)
    parts.append(f"{{{len(shown)}}}")
    shown.append(Dyn(operands.operand(low, value, part), kind))


# -- methods of the built-in containers -----------------------------------------------------------


def method(
    low: Lowering,
    function: Method,
    arguments: list[Value],
    node: ast.AST,
) -> Value | None:
    """Return the value of a call of a container's method, or None if it is an ordinary one."""
    handler = _METHODS.get(function.function)
    if handler is None:
        return None
    return handler(low, function.owner, arguments, node)


def _counter_read(low: Lowering, owner: Value, _: list[Value], node: ast.AST) -> Value:
    return attributes.read_attribute(low, owner, "value", node)


def counter_set(low: Lowering, owner: Value, arguments: list[Value], node: ast.AST) -> Value:
    """Emit `counter.set(value)`; the bounds are checked by the store."""
    value = expressions.counted(low, arguments[0])
    target = ast.copy_location(ast.Attribute(ast.Name("", ast.Load()), "value"), node)
    access.write_attribute(low, owner, "value", value, target)
    return _NONE


def _table_fill(low: Lowering, owner: Value, arguments: list[Value], node: ast.AST) -> Value:
    if not (isinstance(owner, Const) and isinstance(owner.value, Table)):
        raise low.refuse("E205", node, "fill is for a table known when the threads start")
    access.fill(low, owner.value, expressions.counted(low, arguments[0]), node)
    return _NONE


def _epoch(low: Lowering, owner: Value, node: ast.AST) -> Epoch:
    if isinstance(owner, Const) and isinstance(owner.value, Epoch):
        return owner.value
    raise low.refuse(
        "E207",
        node,
        "this Epoch is reached through a reference that varies",
        "a snapshot is kept as one bit, which belongs to one epoch",
        "use a Counter here",
    )


def _epoch_read(low: Lowering, owner: Value, _: list[Value], node: ast.AST) -> Value:
    return access.snapshot_epoch(low, _epoch(low, owner, node))


def _epoch_bump(low: Lowering, owner: Value, _: list[Value], node: ast.AST) -> Value:
    access.bump(low, _epoch(low, owner, node))
    return _NONE


_METHODS: dict[Any, Callable[[Lowering, Value, list[Value], ast.AST], Value]] = {
    Counter.read: _counter_read,
    Counter.set: counter_set,
    Table.fill: _table_fill,
    Epoch.read: _epoch_read,
    Epoch.bump: _epoch_bump,
}
