"""The intrinsics of the subset: the few words the compiler itself knows.

Everything else in `mmunotify.lang` is written on top of them. Called as plain Python they go to
the installed `Runtime`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from mmunotify.lang.runtime import runtime

__all__ = [
    "Failure",
    "Violation",
    "atomic",
    "choose",
    "current",
    "might_sleep",
    "require",
    "wait_until",
]

T = TypeVar("T")


class Failure(Exception):
    """Base of the failures a body may raise and catch (kernel error returns: `EFAULT`, ...)."""


class Violation(AssertionError):
    """A property does not hold. `property` names it."""

    def __init__(self, property: str, message: str) -> None:
        super().__init__(f"{property}: {message}")
        self.property = property


@contextmanager
def atomic() -> Iterator[None]:
    """Make everything inside one step."""
    active = runtime()
    active.enter_atomic()
    try:
        yield
    finally:
        active.exit_atomic()


def wait_until(condition: Callable[[], bool], queued: bool = False) -> None:
    """Go on only when `condition()` holds; it is evaluated in one step.

    `queued`: those who wait are served in turn, as by a lock of the kernel that queues them. Then
    `progress` assumes that a thread for which the condition holds again and again is served.
    """
    runtime().wait_until(condition)


@overload
def choose(alternatives: int) -> int: ...
@overload
def choose(alternatives: Sequence[T]) -> T: ...
def choose(alternatives: Any) -> Any:
    """Return any of `0..alternatives-1`, or any element; a check explores them all."""
    options = range(alternatives) if isinstance(alternatives, int) else alternatives
    return runtime().choose(options)


def current() -> Any:
    """Return the thread that runs this (`current` in the kernel)."""
    return runtime().current()


def require(property: str, condition: bool, message: str = "") -> None:
    """Violate `property` unless `condition`; raises `Violation` in plain Python."""
    if not condition:
        raise Violation(property, message)


def might_sleep() -> None:
    """Violate `context` if the running thread is in atomic context (`might_sleep()`)."""
    thread = current()
    if thread is not None:
        require("context", thread.preempt_count == 0, "sleeping in atomic context")
