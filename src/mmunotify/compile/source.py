"""From a function object to its syntax tree and its place in a file.

Each file is parsed once. A function is found by its first line and name, so decorators and
nested classes are no obstacle.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from mmunotify.errors import Diagnostic, DiagnosticError, Place

__all__ = ["Function", "SourceFile", "function_of", "source_file"]


@dataclass
class SourceFile:
    """A parsed file: its lines and every function in it by (name, first line)."""

    path: str
    lines: list[str]
    functions: dict[tuple[str, int], ast.FunctionDef] = field(default_factory=dict)
    lambdas: dict[int, list[ast.Lambda]] = field(default_factory=dict)

    def text(self, line: int) -> str:
        """The text of `line` (from 1), stripped."""
        return self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""


@dataclass(frozen=True)
class Function:
    """A function of the subset: its syntax, its file and the Python function for its globals."""

    node: ast.FunctionDef
    file: SourceFile
    python: Callable[..., Any]

    @property
    def code(self) -> CodeType:
        """The code object, which identifies the function."""
        code: CodeType = self.python.__code__
        return code


_files: dict[str, SourceFile] = {}


def source_file(path: str) -> SourceFile:
    """Return the parsed file at `path`; raise `DiagnosticError` E102 or E101."""
    lines = linecache.getlines(path)
    known = _files.get(path)
    if known is not None and known.lines == lines:
        return known
    if not lines:
        raise _unavailable(path, path)
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError as error:
        raise DiagnosticError([syntax_diagnostic(path, error)]) from None
    found = SourceFile(path, lines)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found.functions[node.name, first] = node
    _files[path] = found
    return found


def syntax_diagnostic(path: str, error: SyntaxError) -> Diagnostic:
    """Turn a SyntaxError into diagnostic E101 at its place."""
    line, column = error.lineno or 1, error.offset or 1
    end = error.end_offset if error.end_lineno == error.lineno and error.end_offset else column + 1
    return Diagnostic(
        code="E101",
        place=Place(path, line, column, max(end, column + 1)),
        what=f"this is not Python: {error.msg}",
        why="the file cannot be read before it is mended",
        fix="mend the syntax; `python -m py_compile FILE` shows the same error",
    )


def _unavailable(name: str, file: str) -> DiagnosticError:
    return DiagnosticError(
        [
            Diagnostic(
                code="E102",
                place=Place(file, 1, 1, 2),
                what=f"the source text of {name} is not available",
                why="bodies are compiled from their source; it does not exist for code typed "
                "into the Python prompt, given to python -c or exec, or of a C function",
                fix="put the class into a .py file and import it from there",
            )
        ]
    )


def function_of(python: Callable[..., Any]) -> Function:
    """Return the subset function for a Python function; raise `DiagnosticError` E102, E101."""
    code = getattr(python, "__code__", None)
    name = getattr(python, "__qualname__", repr(python))
    if code is None:
        raise _unavailable(name, "<unknown>")
    try:
        file = source_file(code.co_filename)
    except FileNotFoundError:
        raise _unavailable(name, code.co_filename) from None
    node = file.functions.get((code.co_name, code.co_firstlineno))
    if node is None:
        raise _unavailable(name, code.co_filename)
    return Function(node, file, python)
