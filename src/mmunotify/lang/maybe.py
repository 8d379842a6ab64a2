"""`maybe`: a yes or no that nothing in the model decides."""

from __future__ import annotations

from mmunotify.lang.intrinsics import choose

__all__ = ["maybe"]


def maybe() -> bool:
    """Return True or False; a check explores both."""
    return choose(2) == 1
