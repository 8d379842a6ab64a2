"""What is begun and must end, and when it counts as waiting for ever."""

from __future__ import annotations

from collections.abc import Callable

from tests.lang.small import Small

from mmunotify.check.obligations import watched
from mmunotify.check.schedule import Lasso, Move, closed, replay
from mmunotify.check.search import BrokenKind, Search, Verdict
from mmunotify.check.violation import PROGRESS, message
from mmunotify.compile import compile_world
from mmunotify.compile.reduce import progress_reduction, reduce
from mmunotify.ir.program import Program
from mmunotify.lang import Mutex, Obligation, SpinLock, WaitQueue, atomic, maybe, wait_until

HOLDS = ""


def program_of(bodies: list[Callable[[], None]]) -> Program:
    """Compile threads whose obligations are watched."""
    world = Small(bodies)
    world.pending = watched(world.threads, world.threads)
    return compile_world(world)


def never_ends(bodies: list[Callable[[], None]]) -> str:
    """Return what waits for ever, or "": the same with and without reduction, and replayed."""
    program = program_of(bodies)
    found = [Search(program, r).run(walks=False) for r in (None, progress_reduction(program))]
    assert found[0].verdict is found[1].verdict
    assert found[0].reached, "nothing is ever pending"
    told = HOLDS
    for one in found:
        if one.verdict is Verdict.VIOLATED:
            assert one.broken is not None
            assert one.broken.kind is BrokenKind.CYCLE
            moves = [Move(step.thread, step.choices) for step in one.schedule]
            told = _told(program, closed(program, moves, one.loop))
    return told


def _told(program: Program, lasso: Lasso) -> str:
    """Return what the cycle violates."""
    violation = replay(program, lasso).violation
    assert violation is not None
    assert violation.property == PROGRESS
    return message(program, violation)


class Flag:
    """A flag that one thread waits for, polling or asleep."""

    def __init__(self, queued: bool = False) -> None:
        self.up = False
        self.todo = Obligation("wait")
        self.queued = queued

    def poll(self) -> None:
        with self.todo:
            while not self.up:
                pass

    def sleep(self) -> None:
        with self.todo:
            if self.queued:
                wait_until(lambda: self.up, queued=True)
            else:
                wait_until(lambda: self.up)

    def set(self) -> None:
        self.up = True

    def toggle(self) -> None:
        while True:
            self.up = not self.up

    def nothing(self) -> None:
        while True:
            self.up = False


def test_a_poll_ends_as_the_other_thread_must_move() -> None:
    flag = Flag()
    assert never_ends([flag.poll, flag.set]) == HOLDS


def test_a_poll_for_what_nobody_sets() -> None:
    flag = Flag()
    assert never_ends([flag.poll, flag.nothing]) == "the wait of t0 never ends"


def test_a_waiter_while_another_thread_loops() -> None:
    flag = Flag()
    assert never_ends([flag.sleep, flag.nothing]) == "the wait of t0 never ends"


def test_a_condition_that_comes_and_goes_may_be_missed() -> None:
    flag = Flag()
    assert never_ends([flag.sleep, flag.toggle]) == "the wait of t0 never ends"
    flag = Flag()
    assert never_ends([flag.poll, flag.toggle]) == "the wait of t0 never ends"


def test_who_waits_in_a_queue_is_served() -> None:
    flag = Flag(queued=True)
    assert never_ends([flag.sleep, flag.toggle]) == HOLDS


class Handed:
    """A lock that two threads take for ever, and a third one once."""

    def __init__(self, lock: SpinLock | Mutex) -> None:
        self.lock = lock
        self.count = 0
        self.todo = Obligation("update")

    def busy(self) -> None:
        while True:
            with self.lock:
                self.count = 1 - self.count

    def once(self) -> None:
        with self.todo:
            with self.lock:
                self.count = 0


def test_locks_are_handed_on() -> None:
    for lock in (SpinLock(), Mutex()):
        handed = Handed(lock)
        assert never_ends([handed.busy, handed.busy, handed.once]) == HOLDS


class Unqueued:
    """A lock without a queue: whoever comes in time has it."""

    def __init__(self) -> None:
        self.taken = False
        self.todo = Obligation("update")

    def acquire(self) -> None:
        with atomic():
            wait_until(lambda: not self.taken)
            self.taken = True

    def busy(self) -> None:
        while True:
            self.acquire()
            self.taken = False

    def once(self) -> None:
        with self.todo:
            self.acquire()
        self.taken = False


def test_without_a_queue_a_lock_may_pass_a_thread_over() -> None:
    lock = Unqueued()
    assert never_ends([lock.busy, lock.once]) == "the update of t1 never ends"


class Sleeper:
    """Work that is waited for on a queue; `lost`: the test comes before `prepare`."""

    def __init__(self, lost: bool) -> None:
        self.queue = WaitQueue()
        self.ready = False
        self.lost = lost
        self.ticks = 0
        self.todo = Obligation("wait")

    def wait(self) -> None:
        with self.todo:
            if self.lost:
                while not self.ready:
                    since = self.queue.prepare()
                    self.queue.sleep(since)
            else:
                since = self.queue.prepare()
                while not self.ready:
                    self.queue.sleep(since)
                    since = self.queue.prepare()

    def work(self) -> None:
        self.ready = True
        self.queue.wake_up_all()
        while True:  # somebody goes on, so it is no deadlock
            self.ticks = 1 - self.ticks


def test_a_lost_wake_up() -> None:
    sleeper = Sleeper(lost=True)
    assert never_ends([sleeper.wait, sleeper.work]) == "the wait of t0 never ends"
    sleeper = Sleeper(lost=False)
    assert never_ends([sleeper.wait, sleeper.work]) == HOLDS


class Often:
    """An obligation that is begun again and again."""

    def __init__(self) -> None:
        self.value = 0
        self.todo = Obligation("round")

    def rounds(self) -> None:
        while maybe():
            with self.todo:
                self.value = 1 - self.value


def test_each_time_counts_for_itself() -> None:
    often = Often()
    assert never_ends([often.rounds]) == HOLDS


def test_where_nobody_watches_nothing_is_there() -> None:
    watching, plain = program_of([Often().rounds]), compile_world(Small([Often().rounds]))
    assert any(cell.name.endswith(".begun") for cell in watching.cells)
    assert not any(cell.name.endswith(".begun") for cell in plain.cells)
    assert not plain.predicates
    assert Search(plain, reduce(plain)).run().verdict is Verdict.HOLDS
