"""What repairs a bug: the class in which its two models differ, as it is written in its file.

Invariant: of the two classes that which is derived from the other is shown, since it says just what
differs.
"""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

from mmunotify.corpus.bug import Bug, Case

__all__ = ["repair"]


def repair(bug: Bug) -> tuple[str, str]:
    """Return what the text is, "fix" or "bug", and the source of the class that makes it."""
    for buggy, fixed in zip(_classes(bug.buggy), _classes(bug.fixed), strict=False):
        if buggy is not fixed:
            label, cls = ("bug", buggy) if issubclass(buggy, fixed) else ("fix", fixed)
            return label, textwrap.dedent(inspect.getsource(cls)).rstrip()
    return "fix", ""


def _classes(case: Case) -> list[Any]:
    scenario = case.scenario.serving(case.driver)
    return [
        case.driver,
        *scenario.operation_classes,
        scenario.protocol_class,
        scenario.mm,
        *scenario.beside,
    ]
