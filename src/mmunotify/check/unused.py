"""Lines of the driver that no state ever executed: what an empty proof would hide."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

from mmunotify.lang.driver import Driver
from mmunotify.lang.predicate import quantifier_of
from mmunotify.trace.record import Unused

__all__ = ["unused_lines"]

_SET_UP = ("__init__", "attach")
_JUDGES = ("quiescent", "walk")  # evaluated in states, not executed by threads


def unused_lines(driver: type[Driver], file: str, executed: set[int]) -> list[Unused]:
    """Return the statements of the driver's methods, in runs, that `executed` lacks.

    Those of a class it is derived from count, too, if they are in the same file, `file` to the
    user; methods that are overridden do not.
    """
    path = inspect.getsourcefile(driver)
    if path is None:
        return []
    text = Path(path).read_text(encoding="utf-8")
    lines = text.splitlines()
    first_lines = {code.co_firstlineno for code in _codes(driver, path)}
    found: list[Unused] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and _first_line(node) in first_lines:
            found += _runs(node, file, lines, executed)
    return sorted(found, key=lambda one: one.first)


def _codes(driver: type[Driver], path: str) -> Iterator[CodeType]:
    """Yield the code of every method in the file `path` that threads may execute."""
    for name in dir(driver):
        method = getattr(driver, name)
        if name in (*_SET_UP, *_JUDGES) or quantifier_of(method) is not None:
            continue
        if inspect.isfunction(method) and inspect.getsourcefile(method) == path:
            yield method.__code__


def _first_line(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        documentation = isinstance(statement, ast.Expr) and isinstance(
            statement.value, ast.Constant
        )
        if not documentation and not isinstance(statement, ast.Pass):
            yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body)


def _runs(
    method: ast.FunctionDef, file: str, lines: list[str], executed: set[int]
) -> Iterator[Unused]:
    run: list[ast.stmt] = []
    for statement in [*_statements(method.body), None]:
        if statement is not None and statement.lineno not in executed:
            run.append(statement)
            continue
        if run:
            first, last = run[0].lineno, max(_own_end(s) for s in run)
            yield Unused(
                file=file,
                first=first,
                last=last,
                function=method.name,
                text="\n".join(lines[first - 1 : last]),
            )
            run = []


def _own_end(statement: ast.stmt) -> int:
    """The last line of a statement's own head, not of the block inside it."""
    inner: list[ast.stmt] = getattr(statement, "body", [])
    if inner:
        return max(statement.lineno, inner[0].lineno - 1)
    return statement.end_lineno or statement.lineno
