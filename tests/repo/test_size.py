"""Files and functions stay small, are named after what they hold, and say what they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMITS = {".py": 600, ".cpp": 700, ".hpp": 700, ".h": 700}
FUNCTION_LIMIT = 80
EMPTY_NAMES = {"base", "common", "helpers", "manager", "misc", "util", "utils"}


def files(*folders: str) -> Iterator[Path]:
    """Yield the Python and C++ files below the named folders of the project, in order."""
    for folder in folders:
        yield from sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in LIMITS)


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Yield every module of the package with its syntax tree."""
    for path in files("src"):
        yield path.relative_to(ROOT), ast.parse(path.read_text())


def exports(tree: ast.Module) -> bool:
    """Tell whether a module assigns `__all__`."""
    targets = [
        target
        for node in tree.body
        for target in (
            node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        )
    ]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def test_files_are_short() -> None:
    """600 lines of Python or 700 of C++ at most."""
    sizes = {
        path: len(path.read_text().splitlines())
        for path in files("src", "native", "tests", "examples", "bench", "docs")
    }
    long = [f"{path}: {size}" for path, size in sizes.items() if size > LIMITS[path.suffix]]
    assert not long, "\n".join(long)


def test_functions_are_short() -> None:
    """80 lines at most, the text above the body included."""
    long = [
        f"{path}:{node.lineno}: {node.name}"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LIMIT
    ]
    assert not long, "\n".join(long)


def test_names_say_something() -> None:
    """No file or folder is called utils or the like."""
    empty = [
        str(path)
        for path in files("src", "native", "tests", "examples", "bench")
        if EMPTY_NAMES & {part.split(".")[0] for part in path.relative_to(ROOT).parts}
    ]
    assert not empty, "\n".join(empty)


def test_modules_introduce_themselves() -> None:
    """Every module has a docstring and lists what is public."""
    silent = [str(path) for path, tree in modules() if not ast.get_docstring(tree)]
    silent += [f"{path}: no __all__" for path, tree in modules() if not exports(tree)]
    assert not silent, "\n".join(silent)
