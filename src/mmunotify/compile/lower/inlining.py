"""Inlining: the body of a function in the place of its call, with its arguments as names."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmunotify.compile.lower import expressions, statements, variables
from mmunotify.compile.lower.context import CallExit, Frame, Lowering
from mmunotify.compile.objects import is_model_object
from mmunotify.compile.shape import Returns, shape_of
from mmunotify.compile.source import Function, function_of, is_library, is_standard_library
from mmunotify.compile.values import POISON, Closure, Const, Tup, Value
from mmunotify.errors import DiagnosticError

__all__ = ["entered", "inline", "inline_lambda"]

_DEPTH = 60
_SUSPENDS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def inline(
    low: Lowering,
    python: Any,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value:
    """Lower the body of a function in place and return what it returns."""
    with entered(low, python, arguments, keywords, node) as frame:
        returns = shape_of(frame.function.node).returns
        exit_ = CallExit(low.emitter.new_label(), returns, frame.path)
        with low.control(exit_):
            statements.body(low, frame.function.node.body)
            if not low.emitter.dead and returns is not Returns.LAST:
                statements.give_back(low, exit_, Const(None), node)
        low.emitter.place(exit_.end)
    if exit_.result is not None:
        return exit_.result
    return Const(None) if returns is Returns.NOTHING else POISON  # its statement was refused


@contextmanager
def entered(
    low: Lowering,
    python: Any,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Iterator[Frame]:
    """Be inside the inlined call while the block lasts."""
    function = _function(low, python, node)
    receiver = _identity(arguments)
    _check_callable(low, function, receiver, node)
    step = (getattr(node, "lineno", 0), getattr(node, "col_offset", 0), id(function.node))
    with low.within(step):
        frame = low.new_frame(function, low.path)
        frame.receiver = receiver
        _bind_arguments(low, frame, arguments, keywords, node)
        location = low.emitter.location
        low.stack.append(frame)
        try:
            with low.inside(frame):
                _parameters(low, frame)
                yield frame
        finally:
            low.stack.pop()
            low.emitter.location = location


def _function(low: Lowering, python: Any, node: ast.AST) -> Function:
    wrapped = getattr(python, "__wrapped__", None)
    try:
        function = function_of(wrapped if wrapped and _suspends(wrapped) else python)
    except DiagnosticError as error:
        found = error.diagnostics[0]
        about = getattr(getattr(python, "__code__", None), "co_filename", python)
        raise low.refuse(found.code, node, found.what, found.why, found.fix, about=about) from None
    if is_standard_library(function.file.path):
        name = getattr(python, "__qualname__", function.node.name)
        what = f"{getattr(python, '__module__', '')}.{name}() is not in the subset"
        why = "it belongs to Python's library, which is not written for the checker"
        raise low.refuse("E106", node, what, why, "do it in set-up, or write it as a method")
    return function


def _suspends(python: Any) -> bool:
    code = getattr(python, "__code__", None)
    return code is not None and bool(code.co_flags & _SUSPENDS)


def _parameters(low: Lowering, frame: Frame) -> None:
    """Copy parameters that the body assigns again into variables."""
    for name in sorted(frame.names.variables & set(frame.env)):
        value = frame.env.pop(name)
        variables.bind(low, name, value, frame.function.node)


def _check_callable(low: Lowering, function: Function, receiver: int, node: ast.AST) -> None:
    name = function.node.name
    for frame in low.stack:
        if frame.function.code is function.code and frame.receiver == receiver:
            raise low.refuse(
                "E105",
                node,
                f"{name} calls itself",
                "every call is expanded in place, so a recursion would never end",
                "write it as a loop",
                about=function.node,
            )
    if len(low.stack) > _DEPTH:
        raise low.refuse(
            "E105",
            node,
            f"calls nested more than {_DEPTH} deep at {name}",
            "every call is expanded in place",
            "write it as a loop",
        )
    suspends = shape_of(function.node).suspends
    if suspends:
        fixes = {"generator": "write a loop, or a class with __enter__ and __exit__"}
        raise low.refuse(
            "E103",
            node,
            f"{name} is a {suspends}",
            f"a {suspends} keeps a half-run body as a value",
            fixes.get(suspends, "write a plain function"),
        )


def _identity(arguments: list[Value]) -> int:
    if arguments and isinstance(arguments[0], Const) and is_model_object(arguments[0].value):
        return id(arguments[0].value)
    return 0


# -- arguments ------------------------------------------------------------------------------------


def _bind_arguments(
    low: Lowering,
    frame: Frame,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> None:
    python = frame.function.python
    code, defaults = python.__code__, python.__defaults__ or ()
    count = code.co_argcount
    plain = not keywords and not code.co_kwonlyargcount
    plain = plain and not code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    if not plain or not count - len(defaults) <= len(arguments) <= count:
        _bind_by_signature(low, frame, arguments, keywords, node)
        return
    names = code.co_varnames[:count]
    frame.env.update(zip(names, arguments, strict=False))
    for name, default in zip(reversed(names), reversed(defaults), strict=False):
        if name not in frame.env:
            frame.env[name] = Const(default)


def _bind_by_signature(
    low: Lowering,
    frame: Frame,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> None:
    signature = inspect.signature(frame.function.python, follow_wrapped=False)
    try:
        bound = signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise _wrong_arguments(low, frame, signature, str(error), node) from None
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            frame.env[name] = Tup(tuple(bound.arguments.get(name, ())))
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            if bound.arguments.get(name):
                what = f"{frame.function.node.name}() takes these arguments as **{name}"
                why = "a dict cannot be part of a state"
                raise low.refuse("E104", node, what, why, "name the parameters")
            frame.env[name] = Const({})
        elif name in bound.arguments:
            frame.env[name] = bound.arguments[name]
        else:
            frame.env[name] = Const(parameter.default)


def _wrong_arguments(
    low: Lowering, frame: Frame, signature: inspect.Signature, error: str, node: ast.AST
) -> Exception:
    """Refuse the call, or the definition where the caller is mmunotify and this is a hook."""
    name = frame.function.node.name
    takes = ", ".join(
        {2: "*", 4: "**"}.get(p.kind, "") + p.name for p in signature.parameters.values()
    )
    why = f"it is defined as {name}({takes})"
    what = f"{name}(): {error}"
    if is_library(low.frame.function.file.path) and not is_library(frame.function.file.path):
        outer, low.frame = low.frame, frame
        given = "called by mmunotify with arguments that do not fit"
        refused = low.refuse("E108", frame.function.node, f"{name} is {given}: {error}", why)
        low.frame = outer
        return refused
    return low.refuse("E108", node, what, why, "give the arguments it takes")


def inline_lambda(
    low: Lowering,
    closure: Closure,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value:
    """Return the value of a call of a lambda."""
    given = closure.node.args
    names = [a.arg for a in (*given.posonlyargs, *given.args)]
    every = {**dict(closure.defaults), **dict(zip(names, arguments, strict=False)), **keywords}
    wanted = {*names, *(a.arg for a in given.kwonlyargs)}
    if len(arguments) > len(names) or set(every) != wanted or given.vararg or given.kwarg:
        what = f"the lambda takes {len(names)} arguments, not {len(arguments)}"
        raise low.refuse("E108", node, what, "as in plain Python", "give what it takes")
    step = ("lambda", getattr(node, "lineno", 0), getattr(node, "col_offset", 0))
    with low.within(step):
        frame = low.inner_frame(closure.node, closure.frame, low.path)
        frame.env.update(every)
        frame.call = location = low.emitter.location
        with low.inside(frame):
            low.at(closure.node.body)
            value = expressions.evaluate(low, closure.node.body)
        low.emitter.location = location
        return value
