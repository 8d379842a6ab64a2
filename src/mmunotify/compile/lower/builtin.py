"""Python's builtins that bodies may use."""

from __future__ import annotations

import ast
from collections.abc import Callable
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
)
from mmunotify.compile.lower.context import Lowering
from mmunotify.compile.types import IntType
from mmunotify.compile.values import (
    Const,
    Dyn,
    Method,
    Poison,
    Sequenced,
    Span,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang import intrinsics as words
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table

__all__ = ["branch", "elements", "function", "is_quantifier", "iterable", "with_syntax"]


def with_syntax(low: Lowering, called: Value, node: ast.Call) -> Value | None:
    """Handle the calls that need the syntax of their arguments: require, any, all."""
    python = called.value if isinstance(called, Const) else None
    if python is words.require:
        return _require(low, node)
    if is_quantifier(called, node):
        yes, no, end = (low.emitter.new_label() for _ in range(3))
        outcome = branch(low, called, node, yes, no)
        return Const(outcome) if outcome is not None else conditions.as_value(low, yes, no, end)
    return None


def is_quantifier(called: Value, node: ast.Call) -> bool:
    """Tell whether this is any(... for ...) or all(... for ...)."""
    python = called.value if isinstance(called, Const) else None
    if python is not any and python is not all:
        return False
    return len(node.args) == 1 and isinstance(node.args[0], ast.GeneratorExp)


def _require(low: Lowering, node: ast.Call) -> Value:
    arguments = dict(zip(("property", "condition", "message"), node.args, strict=False))
    arguments |= {k.arg: k.value for k in node.keywords if k.arg is not None}
    if not {"property", "condition"} <= set(arguments):
        raise low.refuse("E108", node, "require takes a property, a condition and a message")
    name = expressions.evaluate(low, arguments["property"])
    if not (isinstance(name, Const) and isinstance(name.value, str)):
        raise low.refuse("E104", node, "the property of require is a string")
    text = arguments.get("message")
    intrinsics.assertion(low, name.value, arguments["condition"], text)
    return Const(None)


def branch(low: Lowering, called: Value, node: ast.Call, yes: Label, no: Label) -> bool | None:
    """Jump by any(... for ...) or all(... for ...) over a fixed collection."""
    decides = isinstance(called, Const) and called.value is any
    generator_node = node.args[0]
    assert isinstance(generator_node, ast.GeneratorExp)
    if len(generator_node.generators) != 1:
        raise low.refuse("E104", node, "one `for` at most in any() and all()")
    generator = generator_node.generators[0]
    items = elements(low, generator.iter)
    test: ast.expr = generator_node.elt
    for condition in generator.ifs:
        guard = condition if decides else ast.copy_location(
            ast.UnaryOp(ast.Not(), condition), condition
        )  # fmt: skip
        joined = ast.BoolOp(ast.And() if decides else ast.Or(), [guard, test])
        test = ast.copy_location(joined, node)
    return _each(low, generator.target, items, test, decides, yes, no)


def _each(
    low: Lowering,
    target: ast.expr,
    items: tuple[Value, ...],
    test: ast.expr,
    decides: bool,
    yes: Label,
    no: Label,
) -> bool | None:
    dynamic = False
    for number, item in enumerate(items):
        with low.within(("any", number)), statements.shadowed(low, target):
            statements.assign_target(low, target, item, alias=True)
            go_on = low.emitter.new_label()
            known = conditions.branch(
                low, test, yes if decides else go_on, go_on if decides else no
            )
        if known is None:
            dynamic = True
            low.emitter.place(go_on)
        elif known is decides:
            return conditions.settle(low, decides, dynamic, yes, no)
    return conditions.settle(low, not decides, dynamic, yes, no)


def elements(low: Lowering, node: ast.expr) -> tuple[Value, ...]:
    """Return the elements of a fixed collection."""
    value = iterable(low, expressions.evaluate(low, node), node)
    if isinstance(value, Sequenced):
        return value.items
    raise low.refuse("E104", node, "this needs a collection that set-up fixed")


def iterable(low: Lowering, value: Value, node: ast.AST) -> Sequenced | Span:
    """Return what a `for` over `value` goes through."""
    if isinstance(value, Sequenced | Span):
        return value
    if isinstance(value, Poison):
        return Sequenced(())
    if isinstance(value, Tup) and value.cls is None:
        return Sequenced(value.items)
    if isinstance(value, Const):
        python = value.value
        if isinstance(python, set | frozenset):
            raise low.refuse(
                "E113",
                node,
                "a Python set has no order to iterate in",
                "the order would reach the model and differ from run to run",
                "use a tuple, or a Table",
            )
        if isinstance(python, list | tuple | range | Pages | Table):
            return Sequenced(tuple(Const(item) for item in python))
        if isinstance(python, type) and hasattr(python, "__members__"):
            return Sequenced(tuple(Const(item) for item in python))  # type: ignore[attr-defined]
        if isinstance(python, dict | str):
            kind = type(python).__name__
            raise low.refuse("E208", node, f"a {kind} cannot be iterated in a body")
    method = attributes.read_attribute(low, value, "__iter__", node)
    if not isinstance(method, Method):
        raise low.refuse("E104", node, "this cannot be iterated over")
    return iterable(low, calls.inline(low, method.function, [method.owner], {}, node), node)


# -- ordinary calls -----------------------------------------------------------------------------


def function(
    low: Lowering,
    python: Any,
    arguments: list[Value],
    node: ast.AST,
) -> Value | None:
    """Return the value of a call of a builtin, or None if it is not one of these."""
    try:
        handler = _BUILTINS.get(python)
    except TypeError:  # unhashable
        return None
    if handler is None:
        return None
    return handler(low, arguments, node)


def _counted(low: Lowering, arguments: list[Value]) -> list[Value]:
    return [expressions.counted(low, a) for a in arguments]


def _range(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    numbers = _counted(low, arguments)
    if all(isinstance(n, Const) and isinstance(n.value, int) for n in numbers) and numbers:
        return Const(range(*(n.value for n in numbers if isinstance(n, Const))))
    if not 1 <= len(numbers) <= 2:
        raise low.refuse("E108", node, "range takes a stop, or a start and a stop, here")
    start, stop = numbers if len(numbers) == 2 else (Const(0), numbers[0])
    ends = [_interval(low, v, node) for v in (start, stop)]
    return Span(start, stop, max(0, ends[1][1] - ends[0][0]))


def _interval(low: Lowering, value: Value, node: ast.AST) -> tuple[int, int]:
    kind = operands.type_of(low, value, node)
    if not isinstance(kind, IntType):
        raise low.refuse("E203", node, "range is over ints")
    return operands.bounds(kind)


def _len(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    value = arguments[0]
    if isinstance(value, Const) and isinstance(
        value.value, list | tuple | range | Pages | Table | dict | str
    ):
        return Const(len(value.value))
    if isinstance(value, Tup) and value.cls is None:
        return Const(len(value.items))
    method = attributes.read_attribute(low, value, "__len__", node)
    if not isinstance(method, Method):
        raise low.refuse("E106", node, "len of this is not in the subset")
    return calls.inline(low, method.function, [method.owner], {}, node)


def _bool(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    known = conditions.truth(low, expressions.counted(low, arguments[0]), yes, no, node)
    return Const(known) if known is not None else conditions.as_value(low, yes, no, end)


def _extreme(op: ast.cmpop) -> Callable[[Lowering, list[Value], ast.AST], Value]:
    def handler(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
        items = list(iterable(low, arguments[0], node).items) if len(arguments) == 1 else arguments  # type: ignore[union-attr]
        values = _counted(low, list(items))
        best = values[0]
        for number, value in enumerate(values[1:]):
            with low.within(("extreme", number)):
                best = _better(low, op, best, value, node)
        return best

    return handler


def _better(low: Lowering, op: ast.cmpop, best: Value, value: Value, node: ast.AST) -> Value:
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    known = conditions.compare(low, op, value, best, yes, no, node)
    if known is not None:
        return value if known else best
    key = (*low.path, "extreme", getattr(node, "lineno", 0), getattr(node, "col_offset", 0))
    low.emitter.place(yes)
    result = variables.assign_fact(low, key, "", None, value, node, low.frame)
    low.emitter.emit(Op.JMP, end)
    low.emitter.place(no)
    result = variables.assign_fact(low, key, "", result, best, node, low.frame)
    low.emitter.place(end)
    return result


def _isinstance(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    value, cls = arguments
    if isinstance(value, Const) and isinstance(cls, Const):
        return Const(isinstance(value.value, cls.value))
    if isinstance(value, Tup) and value.cls is not None and isinstance(cls, Const):
        return Const(issubclass(value.cls, cls.value))
    raise low.refuse("E106", node, "isinstance is for objects known when the threads start")


def _hasattr(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    value, name = arguments
    if isinstance(value, Const) and isinstance(name, Const):
        return Const(hasattr(value.value, name.value))
    raise low.refuse("E106", node, "hasattr is for objects known when the threads start")


def _type(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    value = arguments[0]
    if isinstance(value, Const):
        return Const(type(value.value))
    raise low.refuse("E106", node, "type is for objects known when the threads start")


def _iter(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    return iterable(low, arguments[0], node)


def _items(low: Lowering, value: Value, node: ast.AST) -> tuple[Value, ...]:
    found = iterable(low, value, node)
    if isinstance(found, Sequenced):
        return found.items
    raise low.refuse("E104", node, "this needs a collection that set-up fixed")


def _enumerate(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    items = _items(low, arguments[0], node)
    return Sequenced(tuple(Tup((Const(n), item)) for n, item in enumerate(items)))


def _zip(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    columns = [_items(low, a, node) for a in arguments]
    return Sequenced(tuple(Tup(tuple(row)) for row in zip(*columns, strict=False)))


def _reversed(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    return Sequenced(tuple(reversed(_items(low, arguments[0], node))))


def _as_tuple(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    return Tup(_items(low, arguments[0], node))


def _int(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    value = expressions.counted(low, arguments[0])
    if isinstance(value, Const):
        return Const(int(value.value))
    if isinstance(value, Dyn):
        least, most = operands.bounds(value.type)
        return Dyn(value.reg, IntType(least, most))
    raise low.refuse("E106", node, "int of this is not in the subset")


_BUILTINS: dict[Any, Callable[[Lowering, list[Value], ast.AST], Value]] = {
    range: _range,
    len: _len,
    bool: _bool,
    min: _extreme(ast.Lt()),
    max: _extreme(ast.Gt()),
    isinstance: _isinstance,
    hasattr: _hasattr,
    type: _type,
    iter: _iter,
    enumerate: _enumerate,
    zip: _zip,
    reversed: _reversed,
    tuple: _as_tuple,
    int: _int,
}
