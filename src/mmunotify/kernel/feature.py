"""`Feature`: one thing a machine may permit, found out by trying it.

Invariant: a probe undoes what it did before it returns, and changes no setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmunotify.errors import CannotError

__all__ = ["Feature", "Permit", "Refusal", "permit"]


class Refusal(Exception):
    """A probe was refused; the text says how."""


@dataclass(frozen=True, slots=True)
class Feature:
    """What is tried: `probe` returns what was found, or raises `OSError`, `Refusal`, `CannotError`.

    `purpose` says what needs it, `fix` is the one command or setting that would permit it.
    """

    name: str
    purpose: str
    probe: Callable[[], str]
    fix: str


@dataclass(frozen=True, slots=True)
class Permit:
    """What trying has shown; `fix` is empty where the feature is permitted."""

    name: str
    permitted: bool
    detail: str
    purpose: str
    fix: str


def permit(feature: Feature) -> Permit:
    """Try a feature."""
    fix = feature.fix
    try:
        detail, permitted = feature.probe(), True
    except CannotError as error:
        found = error.diagnostics[0]
        detail, permitted, fix = found.what, False, found.fix or fix
    except OSError as error:
        detail, permitted = error.strerror or str(error), False
    except Refusal as error:
        detail, permitted = str(error), False
    return Permit(feature.name, permitted, detail, feature.purpose, "" if permitted else fix)
