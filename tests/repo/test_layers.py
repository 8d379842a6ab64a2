"""A module imports only from the layers below its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"

WORDS = {"codes", "errors", "terms"}  # these import nothing
MODEL = {"lang", "primary", "protocols", "drivers"}
SEARCH = {"_core", "ir", "compile", "check"}
MACHINE = {"_core", "_monitor", "live", "kernel"}
# What only commands need.
VERBS = {"trace", "report", "litmus", "conform", "corpus", "cost", "claims"}

# layer -> the layers it may import beside itself, from the lowest to the highest
ALLOWED: dict[str, set[str]] = {
    "_mmunotify_pytest": set(),
    **{lowest: set() for lowest in WORDS},
    "ir": WORDS,
    "lang": WORDS,
    "compile": WORDS | {"ir", "lang"},
    "primary": WORDS | {"lang"},
    "protocols": WORDS | {"lang", "primary"},
    "drivers": WORDS | {"lang", "primary", "protocols"},
    "cost": WORDS | MODEL,
    "trace": {"errors", "terms"},
    "check": WORDS | MODEL | SEARCH | {"trace"},
    "corpus": WORDS | MODEL | {"check", "trace"},
    "claims": WORDS | MODEL | {"check", "trace", "cost"},
    "report": {"errors", "terms", "trace"},
    "live": WORDS | MODEL | {"_monitor", "trace", "kernel"},
    "kernel": WORDS | {"_core", "trace"},
    "conform": WORDS | MODEL | SEARCH | MACHINE | {"trace"},
    "litmus": WORDS | MODEL | SEARCH | MACHINE | {"trace"},
    "api": WORDS | MODEL | SEARCH | {"trace", "report"},
    "cli": WORDS | MODEL | SEARCH | MACHINE | VERBS,
    "__main__": {"cli"},
    "__init__": WORDS | MODEL | SEARCH | MACHINE | {"trace", "report", "litmus", "conform", "api"},
}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and layer of every import of mmunotify in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                package, *inner = f"{prefix}{alias.name}".split(".")
                if package == "mmunotify":
                    yield node.lineno, inner[0] if inner else "__init__"


def test_imports_go_down() -> None:
    """No file imports from its own height or above, but from itself."""
    wrong = []
    for path in sorted(SRC.rglob("*.py")):
        first, *inner = path.relative_to(SRC).parts
        layer = (inner[0] if inner else first).removesuffix(".py")
        for line, target in imports(path):
            if target not in ALLOWED[layer] | {layer}:
                wrong.append(f"{path.relative_to(SRC)}:{line}: {layer} must not import {target}")
    assert not wrong, "\n".join(wrong)
