"""From a function object to its syntax tree and its place in a file.

Each file is parsed once, and each function is looked up once. A function is found by its first
line and name, so decorators and nested classes are no obstacle; a lambda by its place.
"""

from __future__ import annotations

import ast
import linecache
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

import mmunotify.lang
from mmunotify.errors import Diagnostic, DiagnosticError, Place

__all__ = [
    "Function",
    "SourceFile",
    "function_of",
    "is_library",
    "is_standard_library",
    "source_file",
    "syntax_diagnostic",
]

_LIBRARY = Path(mmunotify.lang.__file__).parents[1]
_LAYERS = tuple(str(_LIBRARY / name) + "/" for name in ("lang", "primary", "protocols"))
_STANDARD = sysconfig.get_path("stdlib")


@dataclass(eq=False)
class SourceFile:
    """A parsed file: its lines, its functions by (name, first line), its lambdas by line."""

    path: str
    lines: list[str]
    functions: dict[tuple[str, int], ast.FunctionDef] = field(default_factory=dict)
    lambdas: dict[int, list[ast.Lambda]] = field(default_factory=dict)

    def text(self, line: int) -> str:
        """The text of `line` (from 1), stripped."""
        return self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""


@dataclass(frozen=True, eq=False)
class Function:
    """A function of the subset: its syntax, its file and the Python function for its globals."""

    node: ast.FunctionDef
    file: SourceFile
    python: Any

    @property
    def code(self) -> CodeType:
        """The code object, which identifies the function."""
        code: CodeType = self.python.__code__
        return code


_files: dict[str, SourceFile] = {}
# By the id of the code object, which is kept: equal code may stand in two files.
_nodes: dict[int, tuple[CodeType, ast.FunctionDef, SourceFile]] = {}


def is_library(path: str) -> bool:
    """Tell whether a file belongs to what mmunotify brings: no line in it is the user's."""
    return path.startswith(_LAYERS)


def is_standard_library(path: str) -> bool:
    """Tell whether a file comes with Python."""
    return path.startswith((_STANDARD, "<frozen")) and "site-packages" not in path


def source_file(path: str) -> SourceFile:
    """Return the parsed file at `path`; raise `DiagnosticError` E102 or E101."""
    linecache.checkcache(path)
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
    found = _files[path] = SourceFile(path, lines)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found.functions[node.name, first] = node  # type: ignore[assignment]
        elif isinstance(node, ast.Lambda):
            found.lambdas.setdefault(node.lineno, []).append(node)
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
    where = f" ({file})" if file.startswith("<") else ""
    return DiagnosticError(
        Diagnostic(
            code="E102",
            place=None,
            what=f"the source text of {name} is not available{where}",
            why="bodies are compiled from their source; it does not exist for code typed into the "
            "Python prompt, given to python -c or made by exec, nor for a function written in C",
            fix="put the class into a .py file and import it from there",
        )
    )


def function_of(python: Callable[..., Any]) -> Function:
    """Return the subset function for a Python function; raise `DiagnosticError` E102, E101."""
    code: CodeType | None = getattr(python, "__code__", None)
    if code is None:
        raise _unavailable(getattr(python, "__qualname__", type(python).__name__), "")
    known = _nodes.get(id(code))
    if known is None:
        known = _nodes[id(code)] = (code, *_found(code))
    return Function(known[1], known[2], python)


def _found(code: CodeType) -> tuple[ast.FunctionDef, SourceFile]:
    name = code.co_qualname.rpartition("<locals>.")[2]
    try:
        file = source_file(code.co_filename)
    except DiagnosticError as error:
        if error.diagnostics[0].code == "E101":
            raise
        raise _unavailable(name, code.co_filename) from None
    node = file.functions.get((code.co_name, code.co_firstlineno))
    if node is None and code.co_name == "<lambda>":
        node = _lambda(code, file)
    if node is None:
        raise _unavailable(name, code.co_filename)
    return node, file


def _lambda(code: CodeType, file: SourceFile) -> ast.FunctionDef | None:
    """Return the lambda that a code object was made from, as a function that returns its value."""
    columns = [start for line, _, start, _ in code.co_positions() if line and start]
    names = code.co_varnames[: code.co_argcount]
    like = [
        node
        for node in file.lambdas.get(code.co_firstlineno, [])
        if tuple(a.arg for a in (*node.args.posonlyargs, *node.args.args)) == names
    ]
    for node in sorted(like, key=lambda n: (n.end_col_offset or 0) - n.col_offset):
        end = node.end_col_offset or 0
        if len(like) == 1 or all(node.col_offset <= column < end for column in columns):
            inner = ast.copy_location(ast.Return(node.body), node.body)
            made = ast.FunctionDef("lambda", node.args, [inner], [], None)
            return ast.copy_location(made, node)
    return None
