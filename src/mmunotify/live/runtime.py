"""`Threads`: the runtime that runs bodies of the subset with real threads.

One lock stands for the atomicity of steps. Where the subset says that a step happens only in states
where its condition holds, a thread sleeps on the lock's condition variable.
Invariant: while a thread is between `enter_atomic` and `exit_atomic`, no other is, except where it
waits: no primitive of `lang` writes before it waits within the same step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmunotify.lang.runtime import installed
from mmunotify.lang.thread import Thread

__all__ = ["Threads"]

# A step that is a plain assignment (`subscription.hashed = False`) wakes nobody: who waits for one
# looks again this often.
_LOOK_AGAIN = 0.001


class Threads:
    """Real threads. Every Python thread has one `lang.Thread`, made when it first comes here."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._local = threading.local()

    # -- what the intrinsics call ---------------------------------------------------------------

    def enter_atomic(self) -> None:
        """Begin a step; others wait."""
        self._changed.acquire()

    def exit_atomic(self) -> None:
        """End a step, and have everybody look whether what they wait for has come."""
        self._changed.notify_all()
        self._changed.release()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Sleep until `condition()` holds."""
        with self._changed:
            while not condition():
                self._changed.wait(_LOOK_AGAIN)

    def choose(self, alternatives: Sequence[Any]) -> Any:
        """Return the first alternative: any would do, as a check has shown."""
        return alternatives[0]

    def current(self) -> Thread:
        """The `lang.Thread` of the running thread, or the one it runs for."""
        found: Thread | None = getattr(self._local, "thread", None)
        if found is None:
            found = Thread(threading.current_thread().name, _nothing)
            self._local.thread = found
        return found

    # -- what live code calls -------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run bodies in the block on this runtime."""
        with installed(self):
            yield

    @contextmanager
    def running_for(self, thread: Thread) -> Iterator[None]:
        """Run bodies in the block on behalf of `thread`, which waits meanwhile."""
        before = getattr(self._local, "thread", None)
        self._local.thread = thread
        try:
            with installed(self):
                yield
        finally:
            self._local.thread = before


def _nothing() -> None:
    """The body of a thread that Python runs, not the world."""
