"""Calls: everything is inlined, specialised to the objects it is called on."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from mmunotify.compile.emit import Label
from mmunotify.compile.lower import (
    access,
    attributes,
    builtin,
    conditions,
    expressions,
    intrinsics,
    operands,
    statements,
    variables,
    ways_out,
)
from mmunotify.compile.lower.context import CallExit, Frame, Lowering
from mmunotify.compile.names import Names
from mmunotify.compile.source import Function, function_of
from mmunotify.compile.types import IntType
from mmunotify.compile.values import (
    POISON,
    Closure,
    Const,
    Method,
    Poison,
    Reg,
    Selected,
    SuperOf,
    Tup,
    Value,
)
from mmunotify.errors import DiagnosticError
from mmunotify.ir.ops import Op

__all__ = ["branch", "call", "call_value", "enter", "inline", "select"]

_DEPTH = 60
_SUPER = object()


def call(low: Lowering, node: ast.Call) -> Value:
    """Return the value of a call."""
    callee = _callee(low, node)
    return _split(low, callee, node) if isinstance(callee, _Varying) else _plain(low, callee, node)


def branch(low: Lowering, node: ast.Call, yes: Label, no: Label) -> bool | None:
    """Jump by the value of a call; a function that only returns a condition becomes it."""
    callee = _callee(low, node)
    if isinstance(callee, _Varying):
        return conditions.truth(low, _split(low, callee, node), yes, no, node)
    if builtin.is_quantifier(callee, node):
        return builtin.branch(low, callee, node, yes, no)
    condition = _only_condition(callee)
    if condition is None:
        value = expressions.counted(low, _plain(low, callee, node))
        return conditions.truth(low, value, yes, no, node)
    arguments, keywords = _arguments(low, node)
    if isinstance(callee, Method):
        arguments = [callee.owner, *arguments]
    frame = _frame_of(low, _python(callee), arguments, keywords, node)
    with low.within(_step(node, frame)), _entered(low, frame):
        low.at(frame.function.node.body[-1])
        ways_out.cover(low)
        return conditions.branch(low, condition, yes, no)


class _Varying:
    """A method that depends on which of several objects it is called on."""

    def __init__(self, chosen: Selected) -> None:
        self.chosen = chosen


def _callee(low: Lowering, node: ast.Call) -> Value | _Varying:
    if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
        return Const(_SUPER)
    if not isinstance(node.func, ast.Attribute):
        return expressions.evaluate(low, node.func)
    base = expressions.evaluate(low, node.func.value)
    chosen = access.objects_of(low, base)
    if chosen is not None and _differ(chosen, node.func.attr):
        return _Varying(chosen)
    return attributes.read_attribute(low, base, node.func.attr, node.func)


def _plain(low: Lowering, callee: Value, node: ast.Call) -> Value:
    if isinstance(callee, Const) and callee.value is _SUPER:
        return _super(low, node)
    special = builtin.with_syntax(low, callee, node)
    if special is not None:
        return special
    arguments, keywords = _arguments(low, node)
    return call_value(low, callee, arguments, keywords, node)


def _python(callee: Value) -> Any:
    if isinstance(callee, Method):
        return callee.function
    return callee.value if isinstance(callee, Const) else None


def _only_condition(callee: Value) -> ast.expr | None:
    """Return the expression of a function that does nothing but return it."""
    python = _python(callee)
    if not isinstance(python, FunctionType) or intrinsics.knows(python):
        return None
    try:
        body = function_of(python).node.body
    except DiagnosticError:
        return None
    last = body[-1]
    documented = len(body) == 2 and isinstance(body[0], ast.Expr)
    return last.value if isinstance(last, ast.Return) and (len(body) == 1 or documented) else None


def _arguments(low: Lowering, node: ast.Call) -> tuple[list[Value], dict[str, Value]]:
    arguments: list[Value] = []
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            arguments.extend(builtin.elements(low, argument.value))
        else:
            arguments.append(expressions.evaluate(low, argument))
    keywords: dict[str, Value] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise low.refuse("E104", node, "** is not in the subset", "", "name the arguments")
        keywords[keyword.arg] = expressions.evaluate(low, keyword.value)
    return arguments, keywords


def call_value(
    low: Lowering,
    function: Value,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value:
    """Call any value."""
    if isinstance(function, Poison) or any(isinstance(a, Poison) for a in arguments):
        return POISON
    if isinstance(function, Method):
        special = intrinsics.method(low, function, arguments, node)
        if special is not None:
            return special
        return inline(low, function.function, [function.owner, *arguments], keywords, node)
    if isinstance(function, Closure):
        return _inline_lambda(low, function, arguments, node)
    if not isinstance(function, Const):
        raise low.refuse("E106", node, "this value cannot be called")
    return _call_constant(low, function.value, arguments, keywords, node)


def _call_constant(
    low: Lowering,
    python: Any,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value:
    special = intrinsics.function(low, python, arguments, keywords, node)
    if special is None:
        special = builtin.function(low, python, arguments, node)
    if special is not None:
        return special
    if isinstance(python, MethodType):
        return inline(low, python.__func__, [Const(python.__self__), *arguments], keywords, node)
    if isinstance(python, FunctionType):
        return inline(low, python, arguments, keywords, node)
    if isinstance(python, type):
        return _construct(low, python, arguments, keywords, node)
    called = attributes.method_of(python, "__call__")
    if called is not None:
        return inline(low, called, [Const(python), *arguments], keywords, node)
    name = getattr(python, "__name__", None) or type(python).__name__
    what = f"{name}() is not in the subset"
    if isinstance(python, BuiltinFunctionType):
        raise low.refuse("E106", node, what, "it has no body the checker could compile")
    raise low.refuse("E106", node, what, "it is no function")


# -- construction -------------------------------------------------------------------------------


def _construct(
    low: Lowering,
    cls: type,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value:
    frozen = is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    if frozen or (issubclass(cls, tuple) and hasattr(cls, "_fields")):
        return _structure(low, cls, arguments, keywords, node)
    if issubclass(cls, Enum) or issubclass(cls, BaseException):
        what = f"{cls.__name__}(...) is not in the subset here"
        raise low.refuse("E106", node, what, "", f"name a member, or raise {cls.__name__}")
    raise low.refuse(
        "E204",
        node,
        f"a body cannot build a {cls.__name__}",
        "the objects of a model are those that set-up built; a state has room for no other",
        f"build it in __init__ (self.x = {cls.__name__}(...)) and use it here",
    )


def _structure(
    low: Lowering,
    cls: type,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Tup:
    if is_dataclass(cls):
        names = tuple(f.name for f in fields(cls))
        defaults = {f.name: f.default for f in fields(cls) if f.default is not MISSING}
    else:
        names = cls._fields  # type: ignore[attr-defined]
        defaults = dict(cls._field_defaults)  # type: ignore[attr-defined]
    given = dict(zip(names, arguments, strict=False)) | keywords
    missing = [n for n in names if n not in given and n not in defaults]
    if len(arguments) > len(names) or missing or set(keywords) - set(names):
        raise low.refuse("E108", node, f"{cls.__name__} takes {', '.join(names)}")
    items = tuple(expressions.counted(low, given[n]) if n in given else Const(defaults[n])
                  for n in names)  # fmt: skip
    return Tup(items, cls, names)


def _super(low: Lowering, node: ast.Call) -> Value:
    python: Any = low.frame.function.python
    free = python.__code__.co_freevars
    if "__class__" not in free or not python.__code__.co_argcount:
        raise low.refuse("E115", node, "super() outside of a method")
    cls = python.__closure__[free.index("__class__")].cell_contents
    owner = low.frame.env[python.__code__.co_varnames[0]]
    return SuperOf(cls, owner)


# -- dynamic receivers --------------------------------------------------------------------------


def _differ(chosen: Selected, name: str) -> bool:
    """Tell whether the objects have different methods `name`."""
    functions = {id(attributes.method_of(o, name)) for o in chosen.objects if o is not None}
    return len(functions) > 1


def _split(low: Lowering, varying: _Varying, node: ast.Call) -> Value:
    """Call a method that depends on which object it is: one case an object."""
    chosen = varying.chosen
    assert isinstance(node.func, ast.Attribute)
    name = node.func.attr
    arguments, keywords = _arguments(low, node)
    end = low.emitter.new_label()
    key = (*low.path, "split", node.lineno, node.col_offset)
    result: Value | None = None
    for number, owner in enumerate(chosen.objects):
        if owner is None:
            continue
        other = low.emitter.new_label()
        low.emitter.emit(Op.JNEK, chosen.reg, number, other)
        with low.within(number):
            function = attributes.read_attribute(low, Const(owner), name, node.func)
            value = call_value(low, function, list(arguments), dict(keywords), node)
        result = variables.assign_fact(low, key, "", result, value, node, low.frame)
        low.emitter.emit(Op.JMP, end)
        low.emitter.place(other)
    operands.fail_none(low, name)
    low.emitter.place(end)
    assert result is not None
    return result


def select(low: Lowering, items: tuple[Any, ...], reg: Reg, node: ast.AST) -> Value:
    """Return `items[reg]` for a fixed sequence of set-up objects or numbers."""
    if all(isinstance(i, bool | int) for i in items):
        return attributes.constants(low, Selected(reg, items), list(items), node)
    for item in items:
        operands.adopt(low, item)
    if isinstance(reg.type, IntType) and reg.type.low >= 0 and reg.type.high < len(items):
        return Selected(reg, items)
    operands.check_index(low, reg, len(items))
    return Selected(reg, items)


# -- inlining -----------------------------------------------------------------------------------


def inline(
    low: Lowering,
    python: FunctionType | Callable[..., Any],
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value:
    """Lower the body of a function in place and return what it returns."""
    frame = _frame_of(low, python, arguments, keywords, node)
    with low.within(_step(node, frame)):
        return _run(low, frame, node)


def _frame_of(
    low: Lowering,
    python: FunctionType | Callable[..., Any],
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Frame:
    try:
        function = function_of(python)
    except DiagnosticError as error:
        found = error.diagnostics[0]
        raise low.refuse(found.code, node, found.what, found.why, found.fix) from None
    _check_callable(low, function, arguments, node)
    frame = low.new_frame(function)
    frame.path = (*low.path, _step(node, frame))
    _bind_arguments(low, frame, arguments, keywords, node)
    return frame


def _step(node: ast.AST, frame: Frame) -> tuple[int, int, str]:
    line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
    return line, column, frame.function.node.name


@contextmanager
def _entered(low: Lowering, frame: Frame) -> Iterator[None]:
    """Be inside the inlined call while the block lasts."""
    before, location = low.frame, low.emitter.location
    low.stack.append(frame)
    low.frame = frame
    low.emitter.scopes.append(frame.scope)
    try:
        _parameters(low, frame)
        yield
    finally:
        low.emitter.scopes.pop()
        low.stack.pop()
        low.frame, low.emitter.location = before, location


def _run(low: Lowering, frame: Frame, node: ast.AST) -> Value:
    exit_ = CallExit(
        low.emitter.new_label(),
        low.emitter.atomic,
        statements.return_style(frame),
        key=(*frame.path, "<return>"),
    )
    with _entered(low, frame):
        with low.control(exit_):
            statements.body(low, frame.function.node.body)
            if not low.emitter.dead and exit_.style != "value":
                statements.give_back(low, exit_, Const(None), node)
        low.emitter.place(exit_.end)
    if exit_.result is not None:
        return exit_.result
    return Const(None) if exit_.style == "none" else POISON  # its statement was refused


def _parameters(low: Lowering, frame: Frame) -> None:
    """Copy parameters that the body assigns again into variables."""
    for name in sorted(frame.names.variables & set(frame.env)):
        value = frame.env.pop(name)
        variables.assign(low, name, expressions.counted(low, value), frame.function.node)


def _check_callable(
    low: Lowering, function: Function, arguments: list[Value], node: ast.AST
) -> None:
    name = function.node.name
    own = _identity(arguments)
    for frame in low.stack:
        if frame.function.code is function.code and frame.receiver == own:
            raise low.refuse(
                "E105",
                node,
                f"{name} calls itself",
                "every call is expanded in place, so a recursion would never end",
                "write it as a loop",
            )
    if len(low.stack) > _DEPTH:
        raise low.refuse("E105", node, f"calls nested more than {_DEPTH} deep at {name}")
    for part in ast.walk(function.node):
        if isinstance(part, ast.Yield | ast.YieldFrom):
            raise low.refuse(
                "E103",
                node,
                f"{name} is a generator",
                "a generator keeps a half-run body as a value",
                "write a class with __enter__ and __exit__, or a loop",
            )
        if isinstance(part, ast.Await):
            raise low.refuse("E103", node, f"{name} is a coroutine")


def _identity(arguments: list[Value]) -> int:
    if arguments and isinstance(arguments[0], Const):
        return id(arguments[0].value)
    return 0


def _bind_arguments(
    low: Lowering,
    frame: Frame,
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> None:
    frame.receiver = _identity(arguments)
    signature = inspect.signature(frame.function.python)
    try:
        bound = signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise low.refuse(
            "E108",
            node,
            f"{frame.function.node.name}() {_lower_case(str(error))}",
            f"it is defined as {frame.function.node.name}{signature_text(signature)}",
        ) from None
    for name, parameter in signature.parameters.items():
        if name in bound.arguments:
            value = bound.arguments[name]
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                value = Tup(tuple(value))
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD and value:
                raise low.refuse("E104", node, "** is not in the subset")
            frame.env[name] = value
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            frame.env[name] = Tup(())
        elif parameter.default is not inspect.Parameter.empty:
            frame.env[name] = Const(parameter.default)


def signature_text(signature: inspect.Signature) -> str:
    """Return the parameter list without annotations."""
    return "(" + ", ".join(p.name for p in signature.parameters.values()) + ")"


def _lower_case(text: str) -> str:
    return text[0].lower() + text[1:] if text else text


def _inline_lambda(low: Lowering, closure: Closure, arguments: list[Value], node: ast.AST) -> Value:
    names = [a.arg for a in closure.node.args.args]
    if len(names) != len(arguments):
        raise low.refuse("E108", node, f"the lambda takes {len(names)} arguments")
    low.scopes += 1
    frame = Frame(closure.function, Names(set(names)), low.scopes, outer=closure.frame)
    frame.call, frame.path = closure.frame.call, (*low.path, "lambda", node.__class__.__name__)
    frame.env.update(zip(names, arguments, strict=True))
    before, low.frame = low.frame, frame
    low.emitter.scopes.append(frame.scope)
    try:
        return expressions.evaluate(low, closure.node.body)
    finally:
        low.emitter.scopes.pop()
        low.frame = before


def enter(low: Lowering, body: Callable[..., Any], arguments: list[Value]) -> Value:
    """Lower a thread's or predicate's body from its beginning."""
    node = ast.Call(ast.Name(body.__name__, ast.Load()), [], [])
    function = function_of(getattr(body, "__func__", body))
    low.frame = low.new_frame(function)
    low.at(function.node)
    low.frame.call = -1
    low.emitter.location = -1
    ast.copy_location(node, function.node)
    return call_value(low, Const(body), arguments, {}, node)
