"""Words that every part uses: the names of properties, and the version.

Imports nothing of mmunotify, so everything may import it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["PROPERTIES", "VERSION", "nearest"]

VERSION = "0.1.0"

PROPERTIES: dict[str, str] = {
    "no_stale_translation": "no secondary reaches a frame that is free or belongs to anybody else",
    "no_stale_bytes": "no access through a secondary returns bytes of a frame that was replaced "
    "and whose successor a CPU has written",
    "no_write_after_protect": "no secondary writes after write permission was removed and the "
    "operation returned, without a new fault",
    "paired": "no range_end without its range_start, no range_start without its end but at "
    "teardown",
    "no_use_after_free": "no hook of a subscriber runs once its unregistration has returned",
    "aging_not_lost": "a page some secondary used since the last scan is reported young",
    "context": "nothing sleeps in atomic context",
    "no_deadlock": "no state in which an unfinished thread can never move",
    "progress": "no fault, registration or removal waits for ever although everybody is treated "
    "fairly",
    "quiescent": "when all threads are done, counts, references and locks are back",
    "assertion": "the driver's own assertions hold",
    "bounds": "no counter leaves its bounds, no table is used with a key it lacks",
    "null_dereference": "nothing is read from or written to None",
    "uncaught": "every failure is handled",
}
"""The properties and what they mean, in the order of reports."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word most like `word`, or ""."""
    found = difflib.get_close_matches(word, list(known), 1)
    return found[0] if found else ""
