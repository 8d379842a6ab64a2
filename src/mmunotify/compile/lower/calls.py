"""Calls: everything is inlined, specialised to the objects it is called on."""

from __future__ import annotations

import ast
from collections.abc import Callable
from types import BuiltinFunctionType, BuiltinMethodType, FunctionType, MethodType
from typing import Any

from mmunotify.compile.emit import Label
from mmunotify.compile.lower import (
    attributes,
    builtin,
    cases,
    conditions,
    construct,
    expressions,
    inlining,
    intrinsics,
    operands,
    ways_out,
)
from mmunotify.compile.lower.context import Lowering, Path, Refused
from mmunotify.compile.objects import is_model_object
from mmunotify.compile.shape import shape_of
from mmunotify.compile.source import function_of
from mmunotify.compile.values import (
    POISON,
    Closure,
    Const,
    Method,
    Selected,
    SuperOf,
    Value,
)
from mmunotify.errors import DiagnosticError

__all__ = ["branch", "call", "call_method", "call_value", "enter", "inline", "spread"]

inline = inlining.inline


def call(low: Lowering, node: ast.Call) -> Value:
    """Return the value of a call."""
    callee = _callee(low, node)
    if isinstance(callee, _Varying):
        return _call_each(low, callee, node)
    return _call_callee(low, callee, node)


def branch(low: Lowering, node: ast.Call, yes: Label, no: Label) -> bool | None:
    """Jump by the value of a call; a function that only returns a condition becomes it."""
    callee = _callee(low, node)
    if isinstance(callee, _Varying):
        return conditions.truth(low, _call_each(low, callee, node), yes, no, node)
    if builtin.is_quantifier(callee, node):
        return builtin.branch(low, callee, node, yes, no)
    python = _only_condition(callee)
    if python is None:
        return conditions.truth(low, _call_callee(low, callee, node), yes, no, node)
    arguments, keywords = _arguments(low, node)
    if isinstance(callee, Method):
        arguments = [callee.owner, *arguments]
    if operands.poisoned(*arguments, *keywords.values()):
        conditions.unknown(low, yes, no)
        return None
    with inlining.entered(low, python, arguments, keywords, node) as frame:
        condition = shape_of(frame.function.node).condition
        assert condition is not None
        low.at(frame.function.node.body[-1])
        ways_out.cover(low)
        return conditions.branch(low, condition, yes, no)


def _only_condition(callee: Value) -> Any:
    """Return the function that is called if it does nothing but return an expression."""
    python = callee.value if isinstance(callee, Const) else None
    if isinstance(callee, Method):
        python = callee.function
    elif isinstance(python, MethodType):
        return None
    if not isinstance(python, FunctionType) or intrinsics.knows(python):
        return None
    try:
        node = function_of(python).node
    except DiagnosticError:
        return None
    return python if shape_of(node).condition is not None else None


# -- what is called, with what --------------------------------------------------------------------


class _Varying:
    """A method that depends on which of several objects it is called on.

    `after`: for `super().name`, the class in whose method it stands.
    """

    def __init__(self, chosen: Selected, after: type | None) -> None:
        self.chosen = chosen
        self.after = after

    def of(self, one: Const) -> Value:
        """Return what is called on one of the objects."""
        return one if self.after is None else SuperOf(self.after, one)


def _callee(low: Lowering, node: ast.Call) -> Value | _Varying:
    if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
        return Const(super)
    if not isinstance(node.func, ast.Attribute):
        return expressions.evaluate(low, node.func)
    base = expressions.evaluate(low, node.func.value)
    return _method(low, base, node.func.attr, node.func)


def _method(low: Lowering, base: Value, name: str, node: ast.AST) -> Value | _Varying:
    after = base.cls if isinstance(base, SuperOf) else None
    chosen = operands.objects_of(low, base.owner if isinstance(base, SuperOf) else base)
    if chosen is not None and attributes.varies(chosen, name, after):
        return _Varying(chosen, after)
    return attributes.read(low, base, name, node)


def _arguments(low: Lowering, node: ast.Call) -> tuple[list[Value], dict[str, Value]]:
    arguments: list[Value] = []
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            arguments.extend(spread(low, argument))
        else:
            arguments.append(expressions.argument(low, argument))
    keywords: dict[str, Value] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            found = expressions.evaluate(low, keyword.value)
            if not (isinstance(found, Const) and found.value == {}):
                what = "** is not in the subset"
                why = "a call is compiled for the parameters it names"
                raise low.refuse("E104", keyword.value, what, why, "name the arguments")
        else:
            keywords[keyword.arg] = expressions.argument(low, keyword.value)
    return arguments, keywords


def spread(low: Lowering, node: ast.Starred) -> tuple[Value, ...]:
    """Return the values of `*collection` among arguments or items."""
    return builtin.fixed(low, expressions.evaluate(low, node.value), node.value)


# -- calling --------------------------------------------------------------------------------------


def _call_callee(low: Lowering, callee: Value, node: ast.Call) -> Value:
    if isinstance(callee, Const) and callee.value is super:
        return construct.super_of(low, node)
    special = builtin.with_syntax(low, callee, node)
    if special is not None:
        return special
    arguments, keywords = _arguments(low, node)
    return call_value(low, callee, arguments, keywords, node)


def _call_each(low: Lowering, varying: _Varying, node: ast.Call) -> Value:
    """Call a method that depends on which object it is: one case an object."""
    assert isinstance(node.func, ast.Attribute)
    name, func = node.func.attr, node.func
    arguments, keywords = _arguments(low, node)

    def run(one: Const) -> Value:
        function = attributes.read(low, varying.of(one), name, func)
        return call_value(low, function, list(arguments), dict(keywords), node)

    return cases.each(low, varying.chosen, name, node, run)


def call_method(
    low: Lowering, base: Value, name: str, arguments: list[Value], node: ast.AST
) -> Value:
    """Return the value of `base.name(*arguments)`."""
    function = _method(low, base, name, node)
    if not isinstance(function, _Varying):
        return call_value(low, function, arguments, {}, node)
    return cases.each(
        low,
        function.chosen,
        name,
        node,
        lambda one: call_method(low, function.of(one), name, list(arguments), node),
    )


def call_value(
    low: Lowering,
    function: Value,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value:
    """Call any value."""
    if operands.poisoned(function, *arguments, *keywords.values()):
        return POISON
    if isinstance(function, Method):
        special = intrinsics.method(low, function, arguments, keywords, node)
        if special is not None:
            return special
        return inline(low, function.function, [function.owner, *arguments], keywords, node)
    if isinstance(function, Closure):
        return inlining.inline_lambda(low, function, arguments, keywords, node)
    if isinstance(function, Const):
        return _call_constant(low, function.value, arguments, keywords, node)
    method = attributes.special(operands.objects_of(low, function) or function, "__call__")
    if method is None:
        raise _not_callable(low, operands.described(low, function), node)
    return inline(low, method, [function, *arguments], keywords, node)


def _call_constant(
    low: Lowering,
    python: Any,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value:
    special = intrinsics.function(low, python, arguments, keywords, node)
    if special is None:
        special = builtin.function(low, python, arguments, keywords, node)
    if special is not None:
        return special
    if isinstance(python, MethodType):
        method = Method(python.__func__, Const(python.__self__))
        return call_value(low, method, arguments, keywords, node)
    if isinstance(python, FunctionType):
        return inline(low, python, arguments, keywords, node)
    if isinstance(python, type):
        return construct.structure(low, python, arguments, keywords, node)
    called = attributes.method_of(python, "__call__")
    if called is not None and is_model_object(python):
        return inline(low, called, [Const(python), *arguments], keywords, node)
    if isinstance(python, BuiltinFunctionType | BuiltinMethodType):
        raise _builtin(low, python, node)
    if hasattr(type(python), "__wrapped__") or hasattr(python, "__wrapped__"):
        name = getattr(python, "__name__", "this")
        what = (
            f"{name} is wrapped by a decorator whose {type(python).__name__} is not in the subset"
        )
        why = "it would keep values between calls, which is state the checker does not see"
        raise low.refuse("E106", node, what, why, "call the plain function")
    raise _not_callable(low, operands.described(low, Const(python)), node)


def _not_callable(low: Lowering, what: str, node: ast.AST) -> Refused:
    return low.refuse(
        "E106",
        node,
        f"{what} cannot be called",
        "a body calls methods of set-up objects and functions of the subset",
        "call one of its methods",
    )


_CHANGES = {"append", "add", "pop", "remove", "clear", "insert", "extend", "update", "discard"}


def _builtin(low: Lowering, python: Any, node: ast.AST) -> Refused:
    owner, name = getattr(python, "__self__", None), python.__name__
    if isinstance(owner, list | dict | set | tuple | str | frozenset):
        what = f"{type(owner).__name__}.{name}() is not in the subset"
        why = f"a {type(owner).__name__} that set-up made is a constant in bodies"
        fix = "use a Table, a Set or a Queue" if name in _CHANGES else "use a loop over it"
        return low.refuse("E106", node, what, why, fix)
    fixes = {
        "print": "mmunotify check FILE --replay STRING --pdb runs an interleaving as plain Python",
        "sum": "for x in ...: total += x",
        "sorted": "sort it in set-up",
        "setattr": "self.name = value",
        "getattr": "self.name",
    }
    what = f"{name}() is not in the subset"
    why = "it has no body the checker could compile"
    return low.refuse("E106", node, what, why, fixes.get(name, "do it in set-up"))


def enter(low: Lowering, body: Callable[..., Any], arguments: list[Value], root: Path) -> Value:
    """Lower a thread's or predicate's body from its beginning."""
    python = getattr(body, "__func__", body)
    if not isinstance(python, FunctionType):
        python = attributes.method_of(body, "__call__") or python
        arguments = [Const(body), *arguments]
    elif isinstance(body, MethodType):
        arguments = [Const(body.__self__), *arguments]
    function = function_of(python)
    low.frame = low.new_frame(function, root)
    node = ast.copy_location(ast.Call(ast.Name("body", ast.Load()), [], []), function.node)
    return inline(low, python, arguments, {}, node)
