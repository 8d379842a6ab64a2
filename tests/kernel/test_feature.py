"""One thing a machine may permit."""

from __future__ import annotations

import errno

from mmunotify.errors import CannotError, Diagnostic
from mmunotify.kernel.feature import Feature, Permit, Refusal, permit


def tried(error: Exception | None) -> Permit:
    """A feature whose probe ends with `error`."""

    def probe() -> str:
        if error:
            raise error
        return "fine"

    return permit(Feature("name", "purpose", probe, "do this"))


def test_permitted() -> None:
    """What is permitted needs no fix."""
    assert tried(None) == Permit("name", True, "fine", "purpose", "")


def test_refused() -> None:
    """However a probe is refused, the reason and the remedy are told."""
    refused = [
        tried(OSError(errno.EPERM, "Operation not permitted")),
        tried(Refusal("it is off")),
        tried(CannotError(Diagnostic("E401", None, "no device", fix="load it"))),
    ]
    assert [(one.permitted, one.detail, one.fix) for one in refused] == [
        (False, "Operation not permitted", "do this"),
        (False, "it is off", "do this"),
        (False, "no device", "load it"),
    ]
