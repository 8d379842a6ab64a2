"""What repairs a bug: the classes in which its two models differ, as they are written.

Invariant: what both models have is not shown. Where the fixed model only adds something, that is
the text; else it is what only the buggy one has.
"""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

from mmunotify.corpus.bug import Bug, Case

__all__ = ["repair"]


def repair(bug: Bug) -> tuple[str, str]:
    """Return what becomes of the text, "added" or "removed", and the source of the classes."""
    buggy, fixed = _classes(bug.buggy), _classes(bug.fixed)
    removed = [cls for cls in buggy if cls not in fixed]
    added = [cls for cls in fixed if cls not in buggy]
    label, found = ("removed", removed) if removed else ("added", added)
    return label, "\n\n\n".join(textwrap.dedent(inspect.getsource(c)).rstrip() for c in found)


def _classes(case: Case) -> list[Any]:
    """Return every class that a model is made of, those it is derived from included."""
    scenario = case.scenario.serving(case.driver)
    parts: list[Any] = [
        case.driver,
        *scenario.operation_classes,
        scenario.protocol_class,
        scenario.mm,
        *scenario.beside,
    ]
    return list(dict.fromkeys(cls for part in parts for cls in part.__mro__))
