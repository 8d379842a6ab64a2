"""What a body may make: tuples with names and frozen dataclasses, which are values; and super()."""

from __future__ import annotations

import ast
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from types import FunctionType
from typing import Any

from mmunotify.compile.lower import calls, operands
from mmunotify.compile.lower.context import Lowering, Refused
from mmunotify.compile.objects import class_attribute, is_frozen
from mmunotify.compile.values import Const, SuperOf, Tup, Value

__all__ = ["structure", "super_of"]


def structure(
    low: Lowering,
    cls: type[Any],
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value:
    """Return a new instance of a frozen dataclass or NamedTuple; refuse all other classes."""
    if is_frozen(cls):
        return _dataclass(low, cls, arguments, keywords, node)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        names, defaults = cls._fields, dict(getattr(cls, "_field_defaults", {}))
        made = _filled(low, cls, names, defaults, arguments, keywords, node)
        return Tup(tuple(made.values()), cls, names)
    raise _cannot_build(low, cls, node)


def _cannot_build(low: Lowering, cls: type[Any], node: ast.AST) -> Refused:
    name = cls.__name__
    if issubclass(cls, Enum):
        what = f"{name}(...) is not in the subset"
        return low.refuse("E106", node, what, "which member it gives is not known", "name a member")
    if issubclass(cls, BaseException):
        what = f"{name}(...) is not in the subset here"
        return low.refuse("E106", node, what, "a failure is raised, not kept", f"raise {name}")
    if cls.__module__ == "builtins":
        what = f"{name}() is not in the subset"
        why = f"a {name} cannot be part of a state"
        fixes = {"str": "use an Enum", "float": "use an int"}
        return low.refuse("E106", node, what, why, fixes.get(name, "build a Table in set-up"))
    fix = f"build it in __init__ (self.x = {name}(...)) and use it here"
    if is_dataclass(cls):
        fix += ", or make it a value: @dataclass(frozen=True)"
    return low.refuse(
        "E204",
        node,
        f"a body cannot build a {name}",
        "the objects of a model are those that set-up built; a state has room for no other",
        fix,
    )


def _dataclass(
    low: Lowering,
    cls: type[Any],
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
) -> Value:
    own = [f for f in fields(cls) if f.init]
    init = class_attribute(cls, "__init__")
    if not isinstance(init, FunctionType) or init.__code__.co_filename != "<string>":
        what = f"a body cannot build a {cls.__name__}"
        why = "its __init__ is not the one that @dataclass makes"
        raise low.refuse("E204", node, what, why, "leave __init__ to @dataclass(frozen=True)")
    if len(own) != len(fields(cls)) or any(f.default_factory is not MISSING for f in own):
        what = f"a body cannot build a {cls.__name__}"
        why = "it has fields that are made anew for each instance"
        raise low.refuse("E204", node, what, why, "give all its fields as arguments")
    names = tuple(f.name for f in own if not f.kw_only)
    defaults = {f.name: f.default for f in own if f.default is not MISSING}
    for name in (f.name for f in own if f.kw_only and f.name not in keywords):
        if name in defaults:
            keywords = {**keywords, name: Const(defaults[name])}
    every = tuple(f.name for f in own)
    given = _filled(low, cls, names, defaults, arguments, keywords, node, _keyword_only(own))
    made = Tup(tuple(given[name] for name in every), cls, every)
    after = class_attribute(cls, "__post_init__")
    if isinstance(after, FunctionType):
        calls.inline(low, after, [made], {}, node)
    return made


def _keyword_only(own: list[Field[Any]]) -> tuple[str, ...]:
    return tuple(f.name for f in own if f.kw_only)


def _filled(
    low: Lowering,
    cls: type[Any],
    names: tuple[str, ...],
    defaults: dict[str, Any],
    arguments: list[Value],
    keywords: dict[str, Value],
    node: ast.AST,
    others: tuple[str, ...] = (),
) -> dict[str, Value]:
    """Return the value of each field, from the arguments or the defaults."""
    given = dict(zip(names, arguments, strict=False))
    twice = set(given) & set(keywords)
    given |= keywords
    missing = [n for n in (*names, *others) if n not in given and n not in defaults]
    unknown = set(keywords) - {*names, *others}
    if len(arguments) > len(names) or missing or unknown or twice:
        takes = ", ".join((*names, *others))
        what = f"{cls.__name__} takes {takes}"
        raise low.refuse("E108", node, what, "each of them once", f"{cls.__name__}({takes})")
    for value in given.values():
        operands.refuse_counter(low, value, node)
    return {n: given[n] if n in given else Const(defaults[n]) for n in (*names, *others)}


def super_of(low: Lowering, node: ast.AST) -> Value:
    """Return `super()` of the method being lowered."""
    frame = low.frame
    while frame.outer is not None:
        frame = frame.outer
    python = frame.function.python
    free = python.__code__.co_freevars
    owner = frame.env.get(python.__code__.co_varnames[0]) if python.__code__.co_argcount else None
    if "__class__" not in free or owner is None:
        what = "super() means nothing here"
        why = "it needs a method, and the object as its first parameter"
        raise low.refuse("E106", node, what, why, "name the class: Base.method(self)")
    return SuperOf(python.__closure__[free.index("__class__")].cell_contents, owner)
