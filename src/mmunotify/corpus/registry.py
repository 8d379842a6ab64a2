"""The registry: every file of this folder whose name begins with an id holds a `BUG`.

Invariant: the order is that of the groups and numbers, and the id of a bug is that of its file.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable
from functools import cache
from types import ModuleType

import mmunotify.corpus
from mmunotify.corpus.bug import Bug
from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.terms import nearest

__all__ = ["bugs", "module_of", "wanted"]

_FILE = re.compile(r"([a-f])(\d+)([a-z]?)_\w+")


@cache
def _names() -> dict[str, str]:
    """Return the modules' names by the ids of their bugs, in order."""
    found = {}
    for module in pkgutil.iter_modules(mmunotify.corpus.__path__):
        match = _FILE.fullmatch(module.name)
        if match:
            found[match[1].upper() + match[2] + match[3]] = module.name
    return {one: found[one] for one in sorted(found, key=_rank)}


def _rank(one: str) -> tuple[str, int, str]:
    group, number, letter = re.fullmatch(r"(\w)(\d+)(\w?)", one).groups()  # type: ignore[union-attr]
    return group, int(number), letter


def module_of(one: str) -> ModuleType:
    """Return the module of the bug with this id."""
    return importlib.import_module(f"mmunotify.corpus.{_names()[one]}")


def bugs() -> tuple[Bug, ...]:
    """Return all bugs, in order."""
    return wanted(_names())


def wanted(ids: Iterable[str]) -> tuple[Bug, ...]:
    """Return the bugs with these ids, in the order of the ids; raise `DiagnosticError` E304."""
    known = {one.lower(): one for one in _names()}
    unknown = [one for one in ids if one.lower() not in known]
    if unknown:
        raise DiagnosticError([_no_bug(one) for one in unknown])
    return tuple(module_of(known[one.lower()]).BUG for one in ids)


def _no_bug(one: str) -> Diagnostic:
    close = nearest(one.upper(), _names())
    fix = f"did you mean {close}?" if close else ""
    why = f"known are: {', '.join(_names())}"
    return Diagnostic("E304", None, f"there is no bug {one} in the corpus", why, fix)
