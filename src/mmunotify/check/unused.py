"""Lines of the driver that no state ever executed: what an empty proof would hide."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmunotify.lang.driver import Driver
from mmunotify.trace.record import Unused

__all__ = ["executed_lines", "unused_lines"]

_SET_UP = ("__init__", "quiescent")


def executed_lines(
    locations: Iterable[tuple[str, int]], file: str
) -> set[int]:
    """Return the lines of `file` among executed locations."""
    return {line for where, line in locations if where == file}


def unused_lines(driver: type[Driver], file: str, executed: set[int]) -> list[Unused]:
    """Return the statements of the driver's methods, in runs, that `executed` lacks."""
    path = inspect.getsourcefile(driver)
    if path is None:
        return []
    text = Path(path).read_text()
    lines = text.splitlines()
    found: list[Unused] = []
    for cls in (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef)):
        if cls.name != driver.__name__:
            continue
        for method in (n for n in cls.body if isinstance(n, ast.FunctionDef)):
            if method.name not in _SET_UP:
                found += _runs(method, file, lines, executed)
    return found


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
    inner = getattr(statement, "body", None)
    if inner:
        return max(statement.lineno, inner[0].lineno - 1)
    return statement.end_lineno or statement.lineno
