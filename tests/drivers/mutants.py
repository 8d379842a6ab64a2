"""The mutants of the KVM driver: each line that protects something, removed or altered.

A mutant is the driver's source with a text replaced, imported as a file of its own, so that what a
check says of it has real lines. `CAUGHT` is a table: the scenario that is enough and the property
that fails there. `EQUIVALENT` are those that no scenario tells from the driver, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mmunotify.drivers.kvm

__all__ = ["CAUGHT", "EQUIVALENT", "Caught", "Equivalent", "Mutant", "source_of", "written"]

SOURCE = Path(mmunotify.drivers.kvm.__file__)


@dataclass(frozen=True)
class Mutant:
    """`edits`: pairs of a text that is in the driver once, and what stands there instead."""

    name: str
    edits: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Caught:
    """A mutant that violates `property` in `scenario`."""

    name: str
    scenario: str
    property: str
    edits: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Equivalent:
    """A mutant that violates nothing, and why that is right."""

    name: str
    reason: str
    edits: tuple[tuple[str, str], ...]


def source_of(edits: tuple[tuple[str, str], ...]) -> str:
    """Return the driver's source with `edits` made; each must match exactly once."""
    text = SOURCE.read_text(encoding="utf-8")
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} is in the driver {text.count(old)} times"
        text = text.replace(old, new)
    return text


def written(folder: Path, name: str, edits: tuple[tuple[str, str], ...]) -> Path:
    """Write a mutant into `folder` and return its file."""
    path = folder / f"{name}.py"
    path.write_text(source_of(edits), encoding="utf-8")
    return path
