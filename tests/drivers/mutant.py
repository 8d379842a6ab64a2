"""Mutants of the shipped drivers: each line that protects something, removed or altered.

A mutant is a driver's source with a text replaced, imported as a file of its own, so that what a
check says of it has real lines. `mutants/` has a table for each driver: `caught` are the mutants
with the scenario that is enough and the property that fails there, `survivors` those that no
scenario tells from the driver, with the reason, and a scenario where the difference could show
first.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path

from mmunotify.lang.driver import Driver

__all__ = ["Caught", "Edit", "Mutants", "Survivor", "outdented", "written"]

Edit = tuple[str, str]
"""A text that is in the driver exactly once, and what stands there instead."""


@dataclass(frozen=True)
class Caught:
    """A mutant that violates `property` in `scenario`."""

    name: str
    scenario: str
    property: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Survivor:
    """A mutant that violates nothing, and why."""

    name: str
    scenario: str
    reason: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Mutants:
    """All mutants of one driver, which is the class that its file ends with."""

    driver: type[Driver]
    caught: tuple[Caught, ...]
    survivors: tuple[Survivor, ...] = ()

    @property
    def source(self) -> Path:
        """The driver's file."""
        return Path(inspect.getfile(self.driver))


def written(folder: Path, mutants: Mutants, mutant: Caught | Survivor) -> str:
    """Write a mutant into `folder` and return what names its driver on a command line."""
    text = mutants.source.read_text(encoding="utf-8")
    for old, new in mutant.edits:
        assert text.count(old) == 1, f"{old!r} is in the driver {text.count(old)} times"
        text = text.replace(old, new)
    path = folder / f"{mutant.name}.py"
    path.write_text(text, encoding="utf-8")
    return f"{path}:{mutants.driver.__name__}"


def outdented(text: str) -> str:
    """Return lines one level further out."""
    return "".join(line.removeprefix("    ") for line in text.splitlines(keepends=True))
