"""What the intrinsics do when a body runs as plain Python.

A `Runtime` is installed for the thread that runs; the compiler never comes here. Without one,
bodies run alone: nothing else can make a condition true, so waiting for a false one is an error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

__all__ = ["Alone", "Runtime", "WouldBlock", "installed", "runtime"]


class WouldBlock(RuntimeError):
    """A body waited for something that nothing can bring about."""


class Runtime(Protocol):
    """How plain Python carries out the intrinsics of the subset."""

    def enter_atomic(self) -> None:
        """Begin a step that no other thread may interrupt."""

    def exit_atomic(self) -> None:
        """End such a step."""

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition()` holds."""

    def choose(self, alternatives: Sequence[Any]) -> Any:
        """Return one of `alternatives`."""

    def current(self) -> Any:
        """Return the object that stands for the running thread."""


class Alone:
    """One thread, nobody else: the default."""

    def __init__(self, thread: Any = None) -> None:
        self.thread = thread

    def enter_atomic(self) -> None:
        """Begin a step; nobody could interrupt it."""

    def exit_atomic(self) -> None:
        """End a step."""

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return if `condition()` holds; raise `WouldBlock` otherwise."""
        if not condition():
            raise WouldBlock("wait_until: the condition is false and no other thread runs")

    def choose(self, alternatives: Sequence[Any]) -> Any:
        """Return the first alternative."""
        return alternatives[0]

    def current(self) -> Any:
        """Return the thread given at construction."""
        return self.thread


_local = threading.local()


def runtime() -> Runtime:
    """Return the runtime of the running Python thread."""
    found: Runtime | None = getattr(_local, "runtime", None)
    return found if found is not None else Alone()


@contextmanager
def installed(new: Runtime) -> Iterator[None]:
    """Install `new` for the running Python thread while the block lasts."""
    before = getattr(_local, "runtime", None)
    _local.runtime = new
    try:
        yield
    finally:
        _local.runtime = before
