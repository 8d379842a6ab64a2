"""What the syntax of a function tells before it is lowered; found once for each function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache

__all__ = ["Returns", "Shape", "shape_of"]


_Definition = ast.FunctionDef | ast.AsyncFunctionDef


class Returns(Enum):
    """How a function gives its value back."""

    NOTHING = "nothing"  # it always returns None
    LAST = "last"  # by one return, its last statement
    MERGED = "merged"  # by several


@dataclass(frozen=True)
class Shape:
    """The shape of one function.

    `suspends` says what makes it no plain function ("generator", "coroutine"). `condition` is what
    it returns if it does nothing else.
    """

    returns: Returns
    suspends: str
    condition: ast.expr | None


@cache
def shape_of(node: _Definition) -> Shape:
    """Return the shape of a function."""
    own = list(_own_nodes(node))
    suspends = "coroutine" if isinstance(node, ast.AsyncFunctionDef) else ""
    if any(isinstance(n, ast.Yield | ast.YieldFrom) for n in own):
        suspends = "generator"
    return Shape(_returns(node, own), suspends, _condition(node))


def _returns(node: _Definition, own: list[ast.AST]) -> Returns:
    returns = [n for n in own if isinstance(n, ast.Return)]
    if not any(n.value is not None for n in returns):
        return Returns.NOTHING
    last = node.body[-1]
    return Returns.LAST if len(returns) == 1 and last is returns[0] else Returns.MERGED


def _condition(node: _Definition) -> ast.expr | None:
    last = node.body[-1]
    before = node.body[:-1]
    if not isinstance(last, ast.Return) or len(before) > 1 or not all(map(_is_text, before)):
        return None
    return last.value


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function, those of inner functions left out."""
    inner = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, inner):
            yield child
            yield from _own_nodes(child)
