"""`Simulated`: a device that a driver serves, on the real pages of a running program.

The device is that of a check (`primary.device`). It uses pages that are about to change, so that
the driver has translations which must go, and has a fault under way when a section begins, which
crosses it. In between it roams.
Invariant: it reads and writes no memory. What it does to the program is what its faults do.
"""

from __future__ import annotations

import inspect
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from mmunotify.lang.driver import RETRY, Driver
from mmunotify.lang.intrinsics import Failure
from mmunotify.lang.thread import Thread, is_daemon, is_thread
from mmunotify.live.memory import MemoryRange
from mmunotify.live.runtime import Threads
from mmunotify.primary.device import Device

__all__ = ["Crossing", "DeviceThreads", "Simulated"]

_IDLE: Final = 0.002  # seconds between two accesses of its own
_BRIEF: Final = 0.05  # seconds that an operation waits for the device at most
_RETRY: Final = 0.0005  # seconds before it tries again
_USED: Final = 4  # pages of a range that are used before it changes
_MOST: Final = 2048  # pages that it roams over: all are looked through after each section
_LOOK: Final = 512  # entries of the page table that are looked through for these


class _Over(BaseException):
    """The memory goes: what waits in a thread of the device ends."""


class DeviceThreads(Threads):
    """`Threads`, of which some, the device's, can be made to end where they wait."""

    def __init__(self) -> None:
        super().__init__()
        self._device = threading.local()

    @contextmanager
    def running_device(self, thread: Thread, over: threading.Event) -> Iterator[None]:
        """Run bodies in the block as a thread of the device, to its end or until `over`."""
        self._device.over = over
        try:
            with self.running_for(thread):
                yield
        except _Over:
            pass

    @property
    def is_device(self) -> bool:
        """Whether the running thread is the device's."""
        return hasattr(self._device, "over")

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """As before, but not for ever in a thread of the device."""
        super().wait_until(lambda: self._is_over() or condition())
        if self._is_over():
            raise _Over

    def _is_over(self) -> bool:
        return self.is_device and self._device.over.is_set()


class Crossing:
    """A fault that stands still when it has got its frame, until a section is over."""

    def __init__(self, is_mine: Callable[[], bool] = lambda: True) -> None:
        self.is_mine = is_mine  # whether the running thread is at the fault
        self.reached = threading.Event()
        self.over = threading.Event()
        self.done = threading.Event()

    def stand_still(self) -> None:
        """In the fault; a hook that waits for the fault would wait for us, so not for long."""
        self.reached.set()
        self.over.wait(_BRIEF)


class Simulated(Device):
    """One device of `driver`, and the threads that belong to it; `anywhere` names a page to use."""

    def __init__(
        self,
        driver: Driver,
        threads: DeviceThreads,
        anywhere: Callable[[], tuple[int, int] | None],
        fails: Callable[[str, Exception], None],
        files: bool,
    ) -> None:
        super().__init__(driver)
        self.used: set[int] = set()  # pages that it asked the driver for, and may have got
        self.pages = 0  # how many it ever had there
        self.accesses = self.faults = self.retries = self.refusals = 0
        self.not_run = [name for name, daemon in _threads_of(driver) if not daemon]
        self._threads, self._anywhere, self._fails = threads, anywhere, fails
        self._random = random.Random(1)
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._failed = False
        self._real: Any = driver.mm
        self._files = files and driver.tlb.distinguishes_writes
        self._crossing: Crossing | None = None
        self._served = driver.fault
        driver.fault = self._counted  # type: ignore[method-assign]
        self._over, self._all_over = threading.Event(), threading.Event()
        self._python = self._started(self._serve, self._over)
        for name, daemon in _threads_of(driver):
            if daemon:
                self._started(getattr(driver, name), self._all_over)

    # -- what happens to the memory -------------------------------------------------------------

    def before(self, rng: MemoryRange) -> None:
        """A section is about to begin, and no other is open: use its pages, and cross it."""
        pages = self._pick(rng) if self._idle.is_set() and not self._failed else []
        if pages:
            crossing = self._crossing = Crossing(lambda: self._threads.is_device)
            self._idle.clear()
            self._jobs.put(lambda: self._cross(pages, crossing))
            crossing.reached.wait(_BRIEF)

    def after(self) -> None:
        """A section is over: the fault that crossed it goes on."""
        crossing, self._crossing = self._crossing, None
        if crossing is not None:
            crossing.over.set()
            crossing.done.wait(_BRIEF)

    def stop(self) -> None:
        """The memory goes; nothing is done to it any more when this returns."""
        self.mm.exits = True
        self._jobs.put(lambda: None)
        self.after()
        self._python.join(_BRIEF)
        self._over.set()
        self._python.join(1.0)

    def end(self) -> None:
        """The driver has been released: its own threads end, too."""
        self._all_over.set()

    # -- in the device's thread -----------------------------------------------------------------

    def pick_write(self) -> bool:
        """As in a check, at random."""
        return not self.driver.tlb.distinguishes_writes or self._random.random() < 0.5

    def _writes(self, page: int) -> bool:
        """Whether to write: never to a file, which would become dirty."""
        return self.pick_write() and not self._real.table.is_file(page)

    def use(self, _page: int, _write: bool) -> None:
        """The access itself: whether it was to the right frame is found out after the section."""
        self.accesses += 1

    def _started(self, body: Callable[[], None], over: threading.Event) -> threading.Thread:
        arguments = body, over
        python = threading.Thread(
            target=self._runs, args=arguments, name="mmunotify-device", daemon=True
        )
        python.start()
        return python

    def _runs(self, body: Callable[[], None], over: threading.Event) -> None:
        thread = Thread(body.__name__, body, mmu="secondary")
        try:
            with self._threads.running_device(thread, over):
                body()
        except Exception as error:  # the driver may do anything
            self._failed = True
            self._fails("fault" if body == self._serve else thread.name, error)
        finally:
            self._idle.set()

    def _serve(self) -> None:
        while not self.mm.exits:
            self._idle.set()
            try:
                job = self._jobs.get(timeout=_IDLE)
            except queue.Empty:
                job = self._roam
            self._idle.clear()
            job()

    def _roam(self) -> None:
        if len(self.used) >= _MOST:
            pages = list(self.used)
        else:
            found = self._anywhere()
            pages = self._present(*found) if found is not None else []
        if pages:
            page = self._random.choice(pages)
            self.access(page, self._writes(page))

    def _cross(self, pages: list[int], crossing: Crossing) -> None:
        *used, crossed = pages
        try:
            for page in used:
                self.access(page, self._writes(page))
            self._real.crossing = crossing
            self.fault(crossed, self._writes(crossed))
        finally:
            self._real.crossing = None
            crossing.reached.set()
            crossing.done.set()

    def _counted(self, page: int, write: bool) -> Any:
        """The driver's `fault`."""
        self.faults += 1
        self._note(page)
        try:
            answer = self._served(page, write)
        except Failure:
            self.refusals += 1
            raise
        finally:
            self._note(page)
        if answer is RETRY:
            self.retries += 1
            time.sleep(_RETRY)
        return answer

    def _note(self, page: int) -> None:
        if page not in self.used:
            self.used.add(page)
            self.pages += 1

    # -- which pages ----------------------------------------------------------------------------

    def _pick(self, rng: MemoryRange) -> list[int]:
        """Some pages of a range, the last one best without a translation."""
        piece = self._random.choice(rng.pieces) if rng.pieces else rng
        first = piece.start + self._random.randrange(max(1, piece.size - _LOOK + 1))
        pages = self._present(first, min(_LOOK, piece.end - first))
        chosen = self._random.sample(pages, min(_USED, len(pages)))
        return sorted(chosen, key=lambda page: not self.cache.permits(page, False))

    def _present(self, first: int, count: int) -> list[int]:
        found: list[int] = self._real.table.present(first, min(_LOOK, count), self._files)
        return found


def _threads_of(driver: Driver) -> Iterator[tuple[str, bool]]:
    """The threads that a driver declares, and whether they are daemons."""
    for name, function in inspect.getmembers(type(driver), is_thread):
        yield name, is_daemon(function)
