"""`Dispatcher`: the Python thread that tells subscribers what the native monitor has seen.

Nobody waits for it: operations run on when the native thread has read their event, and lookups see
the tables that the native thread has brought up to date. So it may hold the interpreter's lock.
Invariant: it blocks in calls that give the lock back, and ends before the interpreter does.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

__all__ = ["Dispatcher"]


class Dispatcher:
    """Calls `drain` whenever `event_fd` can be read."""

    def __init__(self, event_fd: int, drain: Callable[[], None]) -> None:
        self._drain = drain
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(event_fd, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="mmunotify-events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the event that it is at; once is enough."""
        if self._stopping:
            return
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        if threading.current_thread() is not self._thread:
            self._thread.join(5)  # a hook that does not return must not keep us
        if not self._thread.is_alive():
            os.close(self._wake)

    def _run(self) -> None:
        while not self._stopping:
            self._poll.poll()
            if not self._stopping:
                self._drain()
