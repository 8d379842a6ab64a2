"""Python's builtins that bodies may use."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from mmunotify.compile.emit import Label
from mmunotify.compile.lower import (
    attributes,
    calls,
    cases,
    comparisons,
    conditions,
    elements,
    expressions,
    intrinsics,
    operands,
    statements,
    variables,
)
from mmunotify.compile.lower.context import Lowering
from mmunotify.compile.types import Bool, IntType, Type, bounds, is_nullable
from mmunotify.compile.values import (
    POISON,
    Const,
    Dyn,
    Poison,
    Selected,
    Sequenced,
    Span,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang import intrinsics as words
from mmunotify.lang.table import Table

__all__ = [
    "branch",
    "fixed",
    "function",
    "is_quantifier",
    "is_table",
    "iterable",
    "with_syntax",
]


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


def _require(low: Lowering, node: ast.Call) -> Value:
    names = ("property", "condition", "message")
    arguments = dict(zip(names, node.args, strict=False))
    arguments |= {k.arg: k.value for k in node.keywords if k.arg is not None}
    given = len(node.args) + len(node.keywords)
    if not {"property", "condition"} <= set(arguments) <= set(names) or given != len(arguments):
        what = "require() takes a property, a condition and a message"
        raise low.refuse("E108", node, what, "", 'require("mine", self.x == 0, "what is wrong")')
    name = expressions.argument(low, arguments["property"])
    if not (isinstance(name, Const) and isinstance(name.value, str)):
        what = "the property of require() is a string known beforehand"
        raise low.refuse("E115", arguments["property"], what, "a report is sorted by it")
    text = arguments.get("message")
    if low.session.properties is None or name.value in low.session.properties:
        intrinsics.assertion(low, name.value, arguments["condition"], text)
    return Const(None)


# -- any and all ----------------------------------------------------------------------------------


def is_quantifier(called: Value, node: ast.Call) -> bool:
    """Tell whether this is any(...) or all(...)."""
    python = called.value if isinstance(called, Const) else None
    return (python is any or python is all) and len(node.args) == 1 and not node.keywords


def branch(low: Lowering, called: Value, node: ast.Call, yes: Label, no: Label) -> bool | None:
    """Jump by any(...) or all(...) over a fixed collection."""
    decides = isinstance(called, Const) and called.value is any
    generator = node.args[0]
    if isinstance(generator, ast.GeneratorExp):
        return _each(low, generator, decides, yes, no)
    items = fixed(low, expressions.evaluate(low, generator), generator)
    dynamic = False
    for item in items:
        go_on = low.emitter.new_label()
        ways = (yes, go_on) if decides else (go_on, no)
        known = conditions.truth(low, item, *ways, generator)
        if known is None:
            dynamic = True
            low.emitter.place(go_on)
        elif known is decides:
            return conditions.settle(low, decides, dynamic, yes, no)
    return conditions.settle(low, not decides, dynamic, yes, no)


def _each(
    low: Lowering, generator: ast.GeneratorExp, decides: bool, yes: Label, no: Label
) -> bool | None:
    if len(generator.generators) != 1:
        what = "two `for` in one any() or all()"
        raise low.refuse("E104", generator, f"{what} are not in the subset", "", "nest two of them")
    clause = generator.generators[0]
    items = fixed(low, expressions.evaluate(low, clause.iter), clause.iter)
    test = _with_conditions(generator, clause.ifs, decides)
    dynamic = False
    for number, item in enumerate(items):
        go_on = low.emitter.new_label()
        with low.within(("any", cases.where(generator), number)):
            with low.inside(low.inner_frame(generator, low.frame, low.path)):
                statements.assign_target(low, clause.target, item, alias=True)
                ways = (yes, go_on) if decides else (go_on, no)
                known = conditions.branch(low, test, *ways)
        if known is None:
            dynamic = True
            low.emitter.place(go_on)
        elif known is decides:
            return conditions.settle(low, decides, dynamic, yes, no)
    return conditions.settle(low, not decides, dynamic, yes, no)


def _with_conditions(generator: ast.GeneratorExp, ifs: list[ast.expr], decides: bool) -> ast.expr:
    """Return the condition of a round: `x for .. if c` is `c and x` in any, `not c or x` in all."""
    test = generator.elt
    for condition in reversed(ifs):
        guard = condition
        if not decides:
            guard = ast.copy_location(ast.UnaryOp(ast.Not(), condition), condition)
        joined = ast.BoolOp(ast.And() if decides else ast.Or(), [guard, test])
        test = ast.copy_location(joined, generator)
    return test


# -- collections ----------------------------------------------------------------------------------


def is_table(value: Any) -> bool:
    """Tell whether a constant is a Table."""
    return isinstance(value, Table)


def fixed(low: Lowering, value: Value, node: ast.AST) -> tuple[Value, ...]:
    """Return the elements of a fixed collection."""
    found = iterable(low, value, node)
    if isinstance(found, Sequenced):
        return found.items
    raise low.refuse(
        "E104",
        node,
        "this needs a collection that set-up fixed",
        "how many elements this has is only known when it runs",
        "a Table, a list or tuple of set-up, or range(n) with a known n",
    )


def iterable(low: Lowering, value: Value, node: ast.AST) -> Sequenced | Span:
    """Return what a `for` over `value` goes through."""
    if isinstance(value, Span):
        return value
    if isinstance(value, Poison):
        return Sequenced(())
    items = elements.items_of(value)
    if items is not None:
        return Sequenced(items)
    if isinstance(value, Const):
        return _iterable_constant(low, value, node)
    if isinstance(value, Selected):
        parts = [elements.items_of(Const(o)) for _, o in value.present]
        if parts and all(p is not None and len(p) == len(parts[0] or ()) for p in parts):
            return _columns(low, value, node)
    return _by_method(low, value, node)


def _iterable_constant(low: Lowering, value: Const, node: ast.AST) -> Sequenced | Span:
    python = value.value
    if isinstance(python, set | frozenset):
        raise low.refuse(
            "E113",
            node,
            "a Python set has no order to iterate in",
            "the order would reach the model and differ from run to run",
            "use a tuple, or a Table",
        )
    if is_table(python):
        return Sequenced(tuple(map(Const, python.keys)))
    if isinstance(python, type) and hasattr(python, "__members__"):
        return Sequenced(tuple(map(Const, python)))  # type: ignore[call-overload]
    if isinstance(python, dict | str | bytes):
        what = f"{operands.described(low, value)} cannot be iterated in a body"
        raise low.refuse("E208", node, what, "it has no counterpart in the model", "use a Table")
    return _by_method(low, value, node)


def _columns(low: Lowering, value: Selected, node: ast.AST) -> Sequenced:
    """One of several lists of the same length: each element is one of several."""
    there = operands.present(low, value, "elements")
    rows = {n: tuple(o) for n, o in there.present}
    length = len(next(iter(rows.values())))
    return Sequenced(
        tuple(
            operands.one_of(low, there.reg, {n: row[at] for n, row in rows.items()}, node)
            for at in range(length)
        )
    )


def _by_method(low: Lowering, value: Value, node: ast.AST) -> Sequenced | Span:
    method = attributes.special(value, "__iter__")
    if method is None:
        what = f"{operands.described(low, value)} cannot be iterated over"
        why = "a loop goes over what set-up fixed: a Table, a list, pages, or a range"
        raise low.refuse("E104", node, what, why)
    return iterable(low, calls.inline(low, method, [value], {}, node), node)


# -- ordinary calls -------------------------------------------------------------------------------


def function(
    low: Lowering,
    python: Any,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value | None:
    """Return the value of a call of a builtin, or None if it is not one of these."""
    known = _BUILTINS.get(id(python))
    if known is None:
        return None
    handler, least, most = known
    name = python.__name__
    if keywords:
        what = f"{name}() takes no {next(iter(keywords))}= in the subset"
        raise low.refuse("E108", node, what, "bodies know its positional arguments only")
    if not least <= len(arguments) <= most:
        takes = (
            f"{least}"
            if least == most
            else f"{least} to {most}"
            if most < 99
            else f"{least} or more"
        )
        what = f"{name}() takes {takes} arguments in the subset, not {len(arguments)}"
        raise low.refuse("E108", node, what, "as in plain Python, or a part of that")
    for argument in arguments:
        if python not in (bool, isinstance, len, type, iter):
            operands.refuse_counter(low, argument, node)
    return handler(low, arguments, node)


def _range(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    if all(isinstance(n, Const) for n in arguments):
        numbers = [n.value for n in arguments if isinstance(n, Const)]
        if not all(isinstance(n, int) for n in numbers) or 0 in numbers[2:]:
            raise low.refuse("E203", node, "range() is over ints, by a step other than 0", "")
        return Const(range(*numbers))
    if len(arguments) == 3:
        what = "range() with a step needs numbers known beforehand"
        raise low.refuse("E104", node, what, "how often it goes round must have a bound")
    start, stop = arguments if len(arguments) == 2 else (Const(0), arguments[0])
    for end in (start, stop):
        kind = _type(low, end, node)
        if not isinstance(kind, IntType | Bool):
            what = f"range() is over ints, not {operands.described(low, end)}"
            raise low.refuse("E203", node, what, "")
        operands.number(low, end, node)
    trips = bounds(_type(low, stop, node))[1] - bounds(_type(low, start, node))[0]
    return Span(start, stop, max(0, trips))


def _type(low: Lowering, value: Value, node: ast.AST) -> Type:
    return operands.type_of(low, value, node)


def _len(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    value = arguments[0]
    method = attributes.special(value, "__len__")
    if method is not None and not isinstance(value, Const | Tup):
        return calls.inline(low, method, [value], {}, node)
    items = elements.items_of(value)
    if items is not None:
        return Const(len(items))
    if isinstance(value, Const) and isinstance(value.value, dict | str | set | frozenset):
        return Const(len(value.value))
    if method is None:
        what = f"{operands.described(low, value)} has no length"
        raise low.refuse("E106", node, f"len() is not in the subset here: {what}", "")
    return calls.inline(low, method, [value], {}, node)


def _bool(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    known = conditions.truth(low, arguments[0], yes, no, node)
    return Const(known) if known is not None else conditions.as_value(low, yes, no, end)


def _extreme(op: ast.cmpop) -> Callable[[Lowering, list[Value], ast.AST], Value]:
    def handler(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
        items = list(arguments if len(arguments) > 1 else fixed(low, arguments[0], node))
        if not items:
            raise low.refuse("E108", node, "the smallest or largest of nothing", "it is empty")
        best = items[0]
        for number, value in enumerate(items[1:]):
            with low.within(("extreme", cases.where(node), number)):
                best = _better(low, op, best, value, node)
        return best

    return handler


def _better(low: Lowering, op: ast.cmpop, best: Value, value: Value, node: ast.AST) -> Value:
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    known = comparisons.compare(low, op, value, best, yes, no, node)
    if known is not None:
        return value if known else best
    low.emitter.place(yes)
    result = variables.merge(low, low.path, "extreme", None, value, node)
    low.emitter.emit(Op.JMP, end)
    low.emitter.place(no)
    result = variables.merge(low, low.path, "extreme", result, best, node)
    low.emitter.place(end)
    return _clamped(low, op, result, best, value, node)


def _clamped(
    low: Lowering, op: ast.cmpop, result: Value, one: Value, two: Value, node: ast.AST
) -> Value:
    """Return the result with the bounds that an extreme of the two can have."""
    if not isinstance(result, Dyn) or not isinstance(result.type, IntType):
        return result
    (a, b), (c, d) = (bounds(_type(low, v, node)) for v in (one, two))
    least, most = (min(a, c), min(b, d)) if isinstance(op, ast.Lt) else (max(a, c), max(b, d))
    return Dyn(result.reg, IntType(least, most, result.type.label))


def _isinstance(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    value, cls = arguments
    classes: Any = cls.value if isinstance(cls, Const) else None
    if isinstance(cls, Tup) and all(isinstance(c, Const) for c in cls.items):
        classes = tuple(c.value for c in cls.items if isinstance(c, Const))
    try:
        if isinstance(value, Const):
            return Const(isinstance(value.value, classes))
        if isinstance(value, Tup):
            return Const(issubclass(value.cls or tuple, classes))
        chosen = operands.objects_of(low, value)
        if chosen is not None:
            return _is_one_of(low, chosen, classes, node)
        if isinstance(value, Dyn) and not is_nullable(value.type):
            return Const(issubclass(bool if isinstance(value.type, Bool) else int, classes))
    except TypeError:
        pass
    what = f"isinstance() of {operands.described(low, value)} is not in the subset"
    raise low.refuse("E106", node, what, "it is for objects and classes known beforehand")


def _is_one_of(low: Lowering, chosen: Selected, classes: Any, node: ast.AST) -> Value:
    answers = {n: isinstance(o, classes) for n, o in chosen.present}
    if not operands.is_nullable(chosen):
        return operands.one_of(low, chosen.reg, answers, node)
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    for number, answer in answers.items():
        if answer:
            low.emitter.emit(Op.JEQK, chosen.reg, number, yes)
    low.emitter.emit(Op.JMP, no)
    return conditions.as_value(low, yes, no, end)


def _hasattr(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    value, name = arguments
    if isinstance(value, Const) and isinstance(name, Const) and isinstance(name.value, str):
        return Const(hasattr(value.value, name.value))
    raise low.refuse("E106", node, "hasattr() is for objects known when the threads start", "")


def _class(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    value = arguments[0]
    if isinstance(value, Const):
        return Const(type(value.value))
    if isinstance(value, Tup):
        return Const(value.cls or tuple)
    raise low.refuse("E106", node, "type() is for objects known when the threads start", "")


def _iter(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    return iterable(low, arguments[0], node)


def _enumerate(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    items = fixed(low, arguments[0], node)
    start = arguments[1] if len(arguments) == 2 else Const(0)
    if not isinstance(start, Const) or not isinstance(start.value, int):
        raise low.refuse("E104", node, "enumerate() starts from a number known beforehand", "")
    first = start.value
    return Sequenced(tuple(Tup((Const(first + n), item)) for n, item in enumerate(items)))


def _zip(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    columns = [fixed(low, a, node) for a in arguments]
    return Sequenced(tuple(Tup(tuple(row)) for row in zip(*columns, strict=False)))


def _reversed(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    return Sequenced(tuple(reversed(fixed(low, arguments[0], node))))


def _as_tuple(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    return Tup(fixed(low, arguments[0], node)) if arguments else Tup(())


def _int(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    value = arguments[0]
    if isinstance(value, Const) and isinstance(value.value, bool | int):
        return Const(int(value.value))
    if isinstance(value, Dyn) and isinstance(value.type, IntType | Bool):
        least, most = bounds(value.type)
        label = value.type.label if isinstance(value.type, IntType) else ""
        reg = operands.number(low, value, node)
        return Dyn(reg, IntType(max(0, least) if is_nullable(value.type) else least, most, label))
    what = f"int() of {operands.described(low, value)} is not in the subset"
    raise low.refuse("E106", node, what, "only ints and bools are numbers here")


def _abs(low: Lowering, arguments: list[Value], node: ast.AST) -> Value:
    value = arguments[0]
    negative = expressions.arithmetic(low, ast.Sub(), Const(0), value, node)
    return (
        POISON
        if operands.poisoned(negative)
        else _BUILTINS[id(max)][0](low, [value, negative], node)
    )


_Handler = Callable[[Lowering, list[Value], ast.AST], Value]
_MANY = 99
_BUILTINS: dict[int, tuple[_Handler, int, int]] = {
    id(range): (_range, 1, 3),
    id(len): (_len, 1, 1),
    id(bool): (_bool, 1, 1),
    id(min): (_extreme(ast.Lt()), 1, _MANY),
    id(max): (_extreme(ast.Gt()), 1, _MANY),
    id(abs): (_abs, 1, 1),
    id(isinstance): (_isinstance, 2, 2),
    id(hasattr): (_hasattr, 2, 2),
    id(type): (_class, 1, 1),
    id(iter): (_iter, 1, 1),
    id(enumerate): (_enumerate, 1, 2),
    id(zip): (_zip, 0, _MANY),
    id(reversed): (_reversed, 1, 1),
    id(tuple): (_as_tuple, 0, 1),
    id(int): (_int, 1, 1),
}
