"""What hooks return: an error code as in C would be lost, since failures are exceptions here.

Invariant: what a hook of the user's may return is decided here alone, for the check of the form
and for what is compiled.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import Enum
from typing import Any

from mmunotify.compile.lower import operands
from mmunotify.compile.lower.context import Lowering
from mmunotify.compile.source import Function, is_library
from mmunotify.compile.types import EnumType, NoneOnly
from mmunotify.compile.values import Const, Dyn, Value
from mmunotify.lang.driver import FaultResult
from mmunotify.lang.intrinsics import Failure

__all__ = ["REFUSAL", "check_result", "lost_results", "words"]

_SILENT = (
    "invalidate_range_start",
    "invalidate_range_end",
    "arch_invalidate_secondary_tlbs",
    "release",
)
_HOOKS = (*_SILENT, "fault")
_LOST = (ast.UnaryOp, ast.BinOp, ast.Compare, ast.Tuple, ast.List, ast.Dict, ast.JoinedStr)

REFUSAL = "E312"


def words(hook: str) -> tuple[str, str, str]:
    """Return what is wrong with a value that `hook` returns, why, and what to write instead."""
    what = f"{hook} returns a value that nothing looks at"
    if hook == "fault":
        why = "it returns None or RETRY, and either way the device tries again; it fails by raising"
        return what, why, "return None or RETRY, or raise EFAULT"
    if hook == "invalidate_range_start":
        why = "it can fail in one way only: by raising EAGAIN, for a range that is not blockable"
        return what, why, "return nothing, or raise EAGAIN"
    return what, "this hook cannot fail", "return nothing"


# -- where it is compiled -------------------------------------------------------------------------


def check_result(low: Lowering, value: Value, node: ast.Return) -> None:
    """Refuse a value that a hook returns to mmunotify and that is lost there."""
    if len(low.stack) < 2 or node.value is None:
        return
    function, caller = low.stack[-1].function, low.stack[-2].function
    name = function.node.name
    if name not in _HOOKS or is_library(function.file.path) or not is_library(caller.file.path):
        return
    if not operands.poisoned(value) and not _may_be_answer(name, value):
        what, why, fix = words(name)
        raise low.refuse(REFUSAL, node, what, why, fix)


def _may_be_answer(hook: str, value: Value) -> bool:
    if isinstance(value, Const):
        return _is_answer(hook, value.value)
    if not isinstance(value, Dyn):
        return False
    if isinstance(value.type, EnumType):
        return hook == "fault" and value.type.cls is FaultResult
    return isinstance(value.type, NoneOnly)


def _is_answer(hook: str, value: Any) -> bool:
    """Tell whether `hook` may return `value`: 0 is success, as in C."""
    zero = type(value) is int and value == 0
    return value is None or zero or (hook == "fault" and isinstance(value, FaultResult))


# -- where it is written, compiled or not ---------------------------------------------------------


def lost_results(hook: str, function: Function) -> list[ast.Return]:
    """Return the statements of a hook that certainly return what nothing looks at."""
    if hook not in _HOOKS:
        return []
    return [node for node in _returns(function.node) if _is_lost(hook, node.value, function)]


def _returns(node: ast.AST) -> Iterator[ast.Return]:
    """Yield the return statements of a function, those of functions inside it left out."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.Return):
            yield part
        elif not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _returns(part)


def _is_lost(hook: str, value: ast.expr | None, function: Function) -> bool:
    if isinstance(value, ast.IfExp):
        return any(_is_lost(hook, part, function) for part in (value.body, value.orelse))
    if isinstance(value, ast.Constant):
        return not _is_answer(hook, value.value)
    if isinstance(value, ast.Name):
        known = function.python.__globals__.get(value.id)
        failure = isinstance(known, type) and issubclass(known, Failure)
        scalar = isinstance(known, int | Enum) and not _is_answer(hook, known)
        return (failure or scalar) and value.id not in function.python.__code__.co_varnames
    return isinstance(value, _LOST)
