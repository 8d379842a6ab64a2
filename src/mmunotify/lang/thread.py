"""`Thread`: what stands for a thread of execution in bodies (`current`); `thread` declares one.

    @thread
    def prefetch_work(self) -> None:
        self.fault(choose(self.mm.pages), False)

A method of a driver, of an object that belongs to it, or of a protocol that is decorated so is the
body of one thread more in every scenario: a work item, an ioctl, a kernel thread.

Invariant: `preempt_count` and `non_block` are touched by the thread itself only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from mmunotify.lang.counter import Counter

__all__ = ["Thread", "is_daemon", "is_thread", "thread"]

F = TypeVar("F", bound=Callable[[Any], None])
_MARK = "mmunotify_thread_is_daemon"


class Thread:
    """A thread that runs `body(*args)`; a `daemon` need not finish.

    `role` says what it does, for reports ("munmap", "fault"); `mmu` is "primary" or "secondary"
    and selects the side of the report its lane is on. `mm` is the address space whose thread it is
    (`current->mm`), None for a kernel thread and for other processes.
    """

    def __init__(
        self,
        name: str,
        body: Callable[..., Any],
        *args: Any,
        daemon: bool = False,
        role: str = "",
        mmu: str = "primary",
        mm: Any = None,
    ) -> None:
        self.name = name
        self.body = body
        self.args = args
        self.daemon = daemon
        self.role = role
        self.mmu = mmu
        self.mm = mm
        self.preempt_count = Counter(high=7)


@overload
def thread(function: F) -> F: ...


@overload
def thread(*, daemon: bool = False) -> Callable[[F], F]: ...


def thread(function: F | None = None, *, daemon: bool = False) -> F | Callable[[F], F]:
    """Declare that a method without parameters is the body of a thread of its own.

    The thread has the method's name and runs from the beginning, once. A `daemon` need not finish:
    that it waits for ever is no deadlock. What is asked when all threads are done (`quiescent`) is
    asked when the others have finished and no daemon can move.
    """

    def mark(function: F) -> F:
        setattr(function, _MARK, daemon)
        return function

    return mark if function is None else mark(function)


def is_thread(function: object) -> bool:
    """Tell whether a method was declared as the body of a thread."""
    return isinstance(getattr(function, _MARK, None), bool)


def is_daemon(function: object) -> bool:
    """Tell whether that thread need not finish."""
    return getattr(function, _MARK, None) is True
