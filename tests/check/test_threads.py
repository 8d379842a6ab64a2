"""Threads that drivers and protocols declare by `@thread`."""

from __future__ import annotations

from tests.api.drivers import Forgetful, Right
from tests.check.verdicts import HOLDS, verdict_of

from mmunotify import FaultResult, Mutex, atomic, thread, wait_until
from mmunotify.check.scenario import Scenario
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.protocols import SrcuNotifiers

SMALL = Scenario("small", ("munmap",), pages=1, frames=2)


class Work:
    """A work item of its own."""

    def __init__(self, lock: Mutex) -> None:
        self.lock = lock
        self.done = False

    @thread
    def work(self) -> None:
        """Do it."""
        with self.lock:
            self.done = True


class Works(Right):
    """Has an object with a thread, and one that waits for it."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mutex = Mutex()
        self.item = Work(self.mutex)

    @thread
    def flush_work(self) -> None:
        """Wait for the work item."""
        wait_until(lambda: self.item.done)


class WorksUnderLock(Works):
    """Waits for the work item under the lock that it needs."""

    @thread
    def flush_work(self) -> None:
        """Wait for the work item."""
        with self.mutex:
            wait_until(lambda: self.item.done)


class Defers(Right):
    """Gives a reference back in a work item, which waits for more work."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.held: Frame | None = None

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """Leave the reference that was taken to the work item."""
        wait_until(lambda: self.held is None)
        frame = self.mm.get_user_page(page, write)
        with atomic():
            wait_until(lambda: self.held is None)
            self.held = frame
        return super().fault(page, write)

    @thread(daemon=True)
    def put_work(self) -> None:
        """Drop what was left here."""
        while True:
            wait_until(lambda: self.held is not None)
            frame = self.held
            self.held = None
            if frame is not None:
                frame.put()


class DefersForEver(Defers):
    """Takes the reference and keeps it."""

    @thread(daemon=True)
    def put_work(self) -> None:
        """Forget what was left here."""
        while True:
            wait_until(lambda: self.held is not None)
            self.held = None


class Waits(Right):
    """Has a thread that is woken by nobody."""

    @thread
    def waits(self) -> None:
        """Wait for ever."""
        wait_until(lambda: False)


class Serves(Right):
    """Has a kernel thread that is woken by nobody."""

    @thread(daemon=True)
    def serves(self) -> None:
        """Wait for ever."""
        wait_until(lambda: False)


class WithWorker(SrcuNotifiers):
    """A protocol with a thread."""

    @thread
    def call_srcu(self) -> None:
        """Wait for a grace period."""
        self.srcu.synchronize()


def test_names_and_sides() -> None:
    """After those of the scenario; a second one of the same name has a number."""
    scenario = Scenario("two", ("munmap", "munmap"), drivers=2, protocol=WithWorker)
    threads = scenario.build(Works).threads
    assert [(t.name, t.mmu) for t in threads[4:]] == [
        ("flush_work", "secondary"),
        ("work", "secondary"),
        ("flush_work2", "secondary"),
        ("work2", "secondary"),
        ("call_srcu", "primary"),
    ]
    assert [t.name for t in threads[:4]] == ["munmap", "munmap2", "device0", "device1"]


def test_they_run() -> None:
    """A deadlock between two of them is found, and not where there is none."""
    assert verdict_of(SMALL.build(Works)) == HOLDS
    assert verdict_of(SMALL.build(WorksUnderLock)).startswith("no_deadlock")


def test_daemons_need_not_finish() -> None:
    """Others must."""
    assert verdict_of(SMALL.build(Waits)).startswith("no_deadlock")
    assert verdict_of(SMALL.build(Serves)) == HOLDS


def test_the_list_counts_as_changing() -> None:
    """A thread of its own may register or unregister anybody."""
    assert SMALL.build(Works).mm.notifiers.changes
    assert not SMALL.build(Forgetful).mm.notifiers.changes


def test_a_daemon_does_its_work_before_all_is_at_rest() -> None:
    """`quiescent` is asked when no daemon can move, not when one has yet to give something back."""
    assert verdict_of(SMALL.build(Defers)) == HOLDS
    assert verdict_of(SMALL.build(DefersForEver)) == "quiescent"
