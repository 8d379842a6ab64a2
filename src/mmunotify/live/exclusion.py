"""`Exclusion`: a lock that a signal's handler cannot wait for.

Python runs handlers in the middle of what the main thread is at. One that needs what that thread
holds would wait for itself; it gets a diagnostic instead.
Invariant: a handler may run between any two lines here, and either finds the lock taken for good or
is done before it is.
"""

from __future__ import annotations

import threading

from mmunotify.errors import DiagnosticError
from mmunotify.live import refusals

__all__ = ["Exclusion"]


class Exclusion:
    """`with exclusion:` excludes other threads; nested it raises `DiagnosticError` E416."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._inside = False

    @property
    def mine(self) -> bool:
        """Whether the running thread is inside."""
        if not self._lock.acquire(blocking=False):
            return False
        inside = self._inside
        self._lock.release()
        return inside

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._inside:
            self._lock.release()
            raise DiagnosticError(refusals.interrupted())
        self._inside = True

    def __exit__(self, *_: object) -> None:
        self._inside = False
        self._lock.release()
