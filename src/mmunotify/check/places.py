"""Places: which source line tells best what a step does, and what its cells are about.

Invariant: everything is read off locations and names; no driver or operation is known here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import PurePath

from mmunotify.ir.program import Cell, CellKind, Location, Program

__all__ = ["GROUPS", "Places", "driver_files", "function_name", "groups", "is_primitive"]

# The group of a cell, by the words of its name without digits and indexes, last one first:
# `mm.pte_write[0]` is "pte", `mmu_lock.owner` is "lock". "frame" counts only if no other word
# says anything (`frame0.refcount`); a table `frame` of frames is a translation cache, "tlb".
# Cells of an object of the family `Frame` are "frame" whatever it is called. The rest is "driver".
GROUPS = {
    "pte": "pte",
    "ptes": "pte",
    "entry": "pte",  # the swap or migration entry in place of a pte
    "spte": "spte",
    "sptes": "spte",
    "tlb": "tlb",
    "stlb": "tlb",
    "lock": "lock",
    "mutex": "lock",
    "sem": "lock",
    "rwlock": "lock",
    "rwsem": "lock",
    "spinlock": "lock",
}
_PRIMARY_TLB = "cpu"  # `cpu_tlb` belongs to the primary MMU
_FRAME = ("frame", "frames")
_CACHE = ("cache", "caches")  # the secondary TLB of a device; the swap cache is none
_INDEX = re.compile(r"\[[^]]*\]|\d+")
_WORD = re.compile(r"[A-Za-z]+")
_COMMENT = re.compile(r"\s{2,}#[^'\"]*$")
_CHECK = "require("  # what is checked is in the message; the line that led there says more
_COMMA = re.compile(r",(?![^(]*\))")  # between items, not between arguments
_AS = re.compile(r"\s+as\s+\w+$")
_WITH = re.compile(r"(?:async )?with\s+(.*?)(?:\s+as\s+\w+)?\s*:")


def is_primitive(file: str) -> bool:
    """Tell whether `file` belongs to the language itself (locks, tables), not to its users."""
    parts = PurePath(file).parts
    return ("mmunotify", "lang") in pairwise(parts)


def function_name(location: Location) -> str:
    """Return the name of the function a location is in, without its class."""
    return location.function.rpartition(".")[2]


def driver_files(driver: type) -> frozenset[str]:
    """Return the files that a driver class and the classes it builds on are written in."""
    files = (inspect.getsourcefile(cls) for cls in driver.__mro__ if cls.__module__ != "builtins")
    return frozenset(file for file in files if file is not None and not is_primitive(file))


class Places:
    """The source lines of a program; `driver` are the files of the driver, if known."""

    def __init__(self, program: Program, driver: Collection[str] = ()) -> None:
        self.program = program
        self.driver = frozenset(driver)

    def chain(self, location: int) -> tuple[Location, ...]:
        """Return the calls that lead to `location`, outermost first, `location` itself last."""
        found: list[Location] = []
        while location >= 0:
            found.append(self.program.locations[location])
            location = found[-1].parent
        return tuple(reversed(found))

    def told(self, chain: Sequence[Location]) -> int:
        """Return the position of the line to show: the innermost of the driver, if there is one.

        Otherwise the call that led into the file of the innermost line outside of the language's
        primitives: `frame.put()` says more than `self.refcount -= 1`.
        """
        inner = range(len(chain) - 1, -1, -1)
        for at in inner:
            if chain[at].file in self.driver:
                return at
        last = next((at for at in inner if not is_primitive(chain[at].file)), 0)
        if last + 1 < len(chain):
            return last  # it enters a primitive, which is named
        for at in range(last - 1, -1, -1):
            if chain[at].file != chain[last].file:
                return at
        return last - 1 if last and chain[last].text.strip().startswith(_CHECK) else last

    def function(self, chain: Sequence[Location]) -> str:
        """Return the function to name: the one by which the driver was entered, if it was."""
        for place in chain:
            if place.file in self.driver:
                return function_name(place)
        return function_name(chain[self.told(chain)]) if chain else ""

    def text(self, chain: Sequence[Location]) -> str:
        """Return the statement to show; entering or leaving a lock is named as a call."""
        if not chain:
            return ""
        at = self.told(chain)
        statement = _COMMENT.sub("", chain[at].text.strip())
        manager = _WITH.match(statement)
        inner = [function_name(one) for one in chain[at + 1 :]]
        if manager is None or not inner:
            return statement
        named = [name for name in inner if not name.startswith("__") and name.isidentifier()]
        called = named[0] if named else inner[0].strip("_")
        return f"{_item(manager[1], chain[at]).removeprefix('self.')}.{called}"


def _item(items: str, at: Location) -> str:
    """Return the one of `with a, b:` that a location is about: the one that is as wide."""
    every = [_AS.sub("", item).strip() for item in _COMMA.split(items)]
    width = at.end_column - at.column
    return next((item for item in every if len(item) == width), items)


def _group(cell: Cell, label: str) -> str:
    parts = _INDEX.sub("", cell.name).split(".")
    if any(part in _CACHE for part in parts):
        return "tlb"
    words = [word.lower() for part in parts for word in _WORD.findall(part)]
    for word in reversed(words):
        found = GROUPS.get(word, "")
        if found:
            return "" if found == "tlb" and _PRIMARY_TLB in words else found
    if label.lower() in _FRAME:
        return "tlb" if words[-1:] == ["frame"] else "driver"
    return "frame" if any(word in _FRAME for word in words) else "driver"


def groups(program: Program) -> tuple[str, ...]:
    """Return the group of every cell; "" for those that are not shared."""
    labels = (*program.labels, *("",) * len(program.cells))
    found = [
        _group(cell, label) if cell.kind is CellKind.SHARED else ""
        for cell, label in zip(program.cells, labels, strict=False)
    ]
    for kind in program.symmetry:
        if kind.name.lower() in _FRAME:
            for cell in (cell for column in kind.columns for cell in column):
                found[cell] = "frame" if found[cell] == "driver" else found[cell]
    return tuple(found)
