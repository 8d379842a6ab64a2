"""Bounds that annotations give to ints: `Annotated[int, Int(0, 3)]`, or just `Int(0, 3)`.

An attribute is annotated in its class or where `__init__` assigns it, a local where a body does.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from mmunotify.compile.source import function_of
from mmunotify.errors import DiagnosticError
from mmunotify.lang.counter import Int

__all__ = ["attribute_bounds", "expression_bounds"]


@cache
def attribute_bounds(cls: type, name: str) -> Int | None:
    """Return the bounds that a class gives to the attribute `name`, if any."""
    for ancestor in cls.__mro__[:-1]:
        found = inspect.get_annotations(ancestor).get(name)
        if isinstance(found, str):
            found = _evaluated(found, vars(sys.modules.get(ancestor.__module__, ast)))
        bounds = _bounds(found) or _in_set_up(ancestor).get(name)
        if bounds is not None:
            return bounds
    return None


def expression_bounds(annotation: ast.expr, names: Mapping[str, Any]) -> Int | None:
    """Return the bounds that an annotation in a body gives; `names` are the globals."""
    return _bounds(_evaluated(ast.unparse(annotation), names))


@cache
def _in_set_up(cls: type) -> Mapping[str, Int]:
    """Return the bounds of the attributes that are annotated in `__init__`."""
    python = cls.__dict__.get("__init__")
    if python is None:
        return {}
    try:
        function = function_of(python)
    except DiagnosticError:
        return {}
    found: dict[str, Int] = {}
    for node in ast.walk(function.node):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
            bounds = expression_bounds(node.annotation, python.__globals__)
            if bounds is not None:
                found[node.target.attr] = bounds
    return found


def _evaluated(text: str, names: Mapping[str, Any]) -> Any:
    try:
        return eval(text, dict(names))
    except Exception:  # it names what only a type checker knows
        return None


def _bounds(annotation: Any) -> Int | None:
    if isinstance(annotation, Int):
        return annotation
    extras = getattr(annotation, "__metadata__", ())
    return next((extra for extra in extras if isinstance(extra, Int)), None)
