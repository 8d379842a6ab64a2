"""`guarded`: a subscriber as the protocol may call it, whatever its hooks do.

Invariant: no exception of a hook but EAGAIN gets into the protocol, which would leave its section
half open; a hook that does not return within its time is left behind, and its subscriber with it.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from mmunotify.lang.driver import EAGAIN, Driver
from mmunotify.lang.interval_notifier import MmuIntervalNotifier
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.table import Table
from mmunotify.live.memory import Extent, MemoryRange
from mmunotify.live.runtime import Threads

__all__ = ["HOOKS", "Guard", "HookError", "Worker", "guarded", "print_hook_error", "tell"]

HOOKS = (
    "invalidate_range_start",
    "invalidate_range_end",
    "arch_invalidate_secondary_tlbs",
    "clear_flush_young",
    "clear_young",
    "test_young",
    "release",
)


@dataclass(frozen=True)
class HookError:
    """A hook raised, or did not return in time (`error` is a TimeoutError)."""

    notifier: object
    hook: str
    range: PageRange | None
    error: BaseException


class Worker:
    """A thread that runs hooks for others, so that they can stop waiting for them."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mmunotify-hooks", daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], Any], seconds: float) -> Any:
        """Return what `function()` returns; raise TimeoutError if that takes too long.

        After a TimeoutError the worker is still at it, and of no use to anybody else.
        """
        caller = self._threads.current()
        answer: list[Any] = []
        done = threading.Event()

        def work() -> None:
            try:
                with self._threads.running_for(caller):
                    answer.extend((function(), None))
            except BaseException as error:  # whatever it is, the caller gets it
                answer.extend((None, error))
            done.set()

        self._work.put(work)
        if not done.wait(seconds):
            raise TimeoutError(f"the hook has not returned within {seconds:g} s")
        value, error = answer
        if error is not None:
            raise error
        return value

    def stop(self) -> None:
        """End the thread when it has done what it is at."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


class _Unwatched(Table[bool]):
    """The ghosts of a translation cache, for every page there is: no property looks at them."""

    def __getitem__(self, key: Any) -> bool:
        return False

    def __setitem__(self, key: Any, value: bool) -> None:
        pass


class Guard(Driver):
    """The base of guarded subscribers; the class that `guarded` makes has the hooks."""

    def __init__(
        self,
        notifier: Any,
        mm: Any,
        ranges: Sequence[Extent],
        report: Callable[[HookError], None],
        seconds: float | None,
    ) -> None:
        super().__init__(mm)
        self.notifier = notifier
        self.ranges = ranges
        self.report = report
        self.seconds = seconds
        self.worker: Worker | None = None
        self.stuck = False  # a hook of it has not returned: nothing is asked of it any more
        self.tlb = SimpleNamespace(used=_Unwatched(()), forgetting=_Unwatched(()))

    def concerns(self, rng: PageRange | None) -> bool:
        """Tell whether a range has to do with what the subscriber registered for."""
        if self.stuck:
            return False
        if rng is None or not self.ranges or not isinstance(rng, MemoryRange):
            return True
        end = rng.address + rng.length
        return any(rng.address < extent.end and extent.address < end for extent in self.ranges)

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """Call the hook of an interval notifier; False only if it says so."""
        return self.call("invalidate", rng, sub, rng, cur_seq) is not False

    def call(self, hook: str, rng: PageRange | None, *arguments: Any) -> Any:
        """Call a hook; report what goes wrong with it and answer as if it did not exist."""
        if not self.concerns(rng):
            return None
        bound = getattr(self.notifier, hook)
        arguments = arguments or (() if rng is None else (rng,))
        try:
            if self.seconds is None:
                return bound(*arguments)
            return self._worker().call(lambda: bound(*arguments), self.seconds)
        except EAGAIN:
            raise
        except TimeoutError as error:
            self.stuck = True
            self.worker = None
            tell(self.report, HookError(self.notifier, hook, rng, error))
        except Exception as error:  # a hook may raise anything; the operation must go on
            tell(self.report, HookError(self.notifier, hook, rng, error))
        return None

    def _worker(self) -> Worker:
        if self.worker is None:
            self.worker = Worker(self.mm.threads)
            weakref.finalize(self, self.worker.stop)  # if nobody closes it
        return self.worker

    def close(self) -> None:
        """The subscriber has left; nobody calls it any more."""
        if self.worker is not None:
            self.worker.stop()
            self.worker = None


def guarded(
    notifier: Any,
    mm: Any,
    ranges: Sequence[Extent],
    report: Callable[[HookError], None],
    seconds: float | None,
) -> Guard:
    """Return a driver that calls those hooks which `notifier` has, and no others."""
    hooks = {hook: _forward(hook) for hook in HOOKS if _has(notifier, hook)}
    kind: type[Guard] = type(type(notifier).__name__, (Guard,), hooks)
    return kind(notifier, mm, ranges, report, seconds)


def _has(notifier: Any, hook: str) -> bool:
    found = getattr(type(notifier), hook, None)
    return callable(found) and found is not getattr(Driver, hook)


def _forward(hook: str) -> Callable[..., Any]:
    def forward(self: Guard, rng: PageRange | None = None) -> Any:
        answer = self.call(hook, rng)
        return bool(answer) if hook.endswith("young") else None

    return forward


def tell(report: Callable[[HookError], None], found: HookError) -> None:
    """Report an error; where that raises, print both: an operation goes on whatever happens."""
    try:
        report(found)
    except Exception as second:
        print_hook_error(found)
        print_hook_error(HookError(found.notifier, "on_error", found.range, second))


def print_hook_error(found: HookError) -> None:
    """Print a hook's error to standard error, as Python does for threads; never raise."""
    where = f"{type(found.notifier).__name__}.{found.hook}"
    lines = [f"mmunotify: {where} failed; the operation goes on\n"]
    lines += traceback.format_exception(found.error)
    with contextlib.suppress(AttributeError, OSError, ValueError):  # None, full, closed
        sys.stderr.write("".join(lines))
        sys.stderr.flush()
