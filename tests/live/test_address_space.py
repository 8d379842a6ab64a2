"""Notifiers on real memory: who is told what, in which order."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import mmap
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live.raw import PAGE, PRIVATE, Memory

from mmunotify import AddressSpace, Driver, Event
from mmunotify.errors import DiagnosticError
from mmunotify.lang.page_range import PageRange
from mmunotify.live import HookError, MemoryRange, forks
from mmunotify.live.monitors import Userfaultfd
from mmunotify.live.scratch import Child


class Recorder:
    """A notifier that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, MemoryRange | None]] = []
        self.came = threading.Condition()

    def note(self, what: str, rng: Any = None) -> None:
        with self.came:
            self.told.append((what, rng))
            self.came.notify_all()

    def invalidate_range_start(self, rng: PageRange) -> None:
        self.note("start", rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        self.note("end", rng)

    def release(self) -> None:
        self.note("release")

    def words(self) -> list[str]:
        """What came, without ranges."""
        return [what for what, _ in self.told]

    def wait_for(self, count: int) -> None:
        """Wait until so many calls have come."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.told) >= count, 20), self.told


@pytest.fixture
def mm() -> Iterator[AddressSpace]:
    """An address space with the default monitors."""
    with AddressSpace() as found:
        yield found


def test_explicit_operation_is_told_before_and_after(mm: AddressSpace) -> None:
    """The start hook sees the old bytes, the end hook the new ones."""
    memory = Memory(4, PRIVATE)
    memory.write(b"old")
    seen: list[bytes] = []

    class Looking:
        def invalidate_range_start(self, rng: MemoryRange) -> None:
            assert (rng.address, rng.length) == memory.span
            assert rng.event is Event.CLEAR
            seen.append(ctypes.string_at(memory.address, 3))

        def invalidate_range_end(self, rng: MemoryRange) -> None:
            seen.append(ctypes.string_at(memory.address, 3))

    mm.register(Looking(), ranges=[memory.span])
    mm.discard(memory.span)
    assert seen == [b"old", b"\0\0\0"]


def test_explicit_operations_are_told_once(mm: AddressSpace) -> None:
    """What userfaultfd reports of an operation of our own is not told again."""
    recorder = Recorder()
    memory = Memory(8, PRIVATE)
    mapped = mmap.mmap(-1, 4 * PAGE)
    mm.register(recorder, ranges=[memory.span, mapped])
    mm.discard(memory.span)
    mm.protect(memory.span, mmap.PROT_READ)
    mm.pageout(memory.span)
    address, length = mm.remap(memory.span, onto=Memory(8, PRIVATE).address)
    mm.unmap(mapped)
    mm.poll()
    assert recorder.words() == ["start", "end"] * 5
    assert [rng.operation for what, rng in recorder.told if what == "start" and rng] == [
        "discard",
        "mprotect",
        "pageout",
        "mremap",
        "munmap",
    ]
    assert mapped.closed
    mm.unmap((address, length))


def test_operations_of_others_are_told_afterwards(mm: AddressSpace) -> None:
    """A raw discard and a raw munmap reach the hooks through the monitor."""
    recorder = Recorder()
    memory = Memory(8, PRIVATE)
    mm.register(recorder, ranges=[memory.span])
    memory.advise(4, 2, 3)
    recorder.wait_for(2)
    what, rng = recorder.told[0]
    assert what == "start"
    assert rng is not None
    assert (rng.address, rng.length) == (memory.address + 2 * PAGE, 3 * PAGE)
    memory.unmap()
    recorder.wait_for(4)
    assert recorder.words() == ["start", "end"] * 2


def test_only_what_concerns_a_subscriber(mm: AddressSpace) -> None:
    """Each is told of its own ranges."""
    one, two = Recorder(), Recorder()
    here, there = Memory(4, PRIVATE), Memory(4, PRIVATE)
    mm.register(one, ranges=[here.span])
    mm.register(two, ranges=[there.span])
    mm.discard(there.span)
    assert (one.words(), two.words()) == ([], ["start", "end"])


def test_unregister_releases(mm: AddressSpace) -> None:
    """After unregister nothing more comes; the memory is watched no more."""
    recorder = Recorder()
    memory = Memory(4, PRIVATE)
    mm.register(recorder, ranges=[memory.span])
    mm.unregister(recorder)
    mm.discard(memory.span)
    assert recorder.words() == ["release"]
    with AddressSpace() as other:  # not EBUSY
        other.register(Recorder(), ranges=[memory.span])


def test_close_releases() -> None:
    """Closing is an exit: everybody is released."""
    recorder = Recorder()
    memory = Memory(4, PRIVATE)
    with AddressSpace() as mm:
        mm.register(recorder, ranges=[memory.span])
    assert recorder.words() == ["release"]
    with pytest.raises(DiagnosticError, match="E415 the address space is closed"):
        mm.discard(memory.span)


def test_young(mm: AddressSpace) -> None:
    """Everybody is asked, and each clears its own bit."""

    class Aging:
        def __init__(self, young: bool) -> None:
            self.young = young

        def clear_young(self, rng: PageRange) -> bool:
            was, self.young = self.young, False
            return was

        def test_young(self, rng: PageRange) -> bool:
            return self.young

    both = Aging(True), Aging(True)
    memory = Memory(4, PRIVATE)
    for one in both:
        mm.register(one, ranges=[memory.span])
    assert mm.test_young(memory.span)
    assert mm.clear_young(memory.span)
    assert not any(one.young for one in both)
    assert not mm.clear_young(memory.span)


def test_a_driver_is_a_notifier(mm: AddressSpace) -> None:
    """A driver class as `check` takes it can be registered; only its own hooks are called."""
    started: list[int] = []

    class Mine(Driver):
        def invalidate_range_start(self, rng: PageRange) -> None:
            started.extend(rng)

    memory = Memory(3, PRIVATE)
    mm.register(Mine(mm), ranges=[memory.span])
    mm.discard(memory.span)
    first = memory.address // PAGE
    assert started == [first, first + 1, first + 2]


def test_fork_is_a_section(mm: AddressSpace) -> None:
    """Hooks are called before the copy and after, in the parent; the child has no monitors."""
    recorder = Recorder()
    mm.register(recorder, ranges=[Memory(4, PRIVATE).span])
    child = mm.fork()
    if child == 0:
        try:
            mm.poll()
        except DiagnosticError as error:
            os._exit(0 if recorder.words() == ["start"] and "E415" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    mm.poll()
    assert recorder.words() == ["start", "end"]
    assert recorder.told[0][1] is not None
    assert recorder.told[0][1].operation == "fork"


class TestHooksThatFail:
    """A hook that misbehaves keeps nobody from going on."""

    def test_raising(self) -> None:
        """It is reported; others are called; the operation takes place."""
        errors: list[HookError] = []
        recorder = Recorder()

        class Raising:
            def invalidate_range_start(self, rng: PageRange) -> None:
                raise RuntimeError("no")

            def invalidate_range_end(self, rng: PageRange) -> None:
                raise RuntimeError("neither")

        memory = Memory(4, PRIVATE)
        memory.write(b"old")
        with AddressSpace(on_error=errors.append) as mm:
            raising = Raising()
            mm.register(raising, ranges=[memory.span])
            mm.register(recorder, ranges=[memory.span])
            mm.discard(memory.span)
            mm.unregister(raising)
        assert [str(found.error) for found in errors] == ["no", "neither"]
        assert errors[0].hook == "invalidate_range_start"
        assert recorder.words() == ["start", "end", "release"]
        assert ctypes.string_at(memory.address, 3) == b"\0\0\0"

    def test_never_returning(self) -> None:
        """After its time the operation goes on, and the subscriber is told nothing more."""
        errors: list[HookError] = []
        leave = threading.Event()
        calls: list[str] = []

        class Stuck:
            def invalidate_range_start(self, rng: PageRange) -> None:
                calls.append("start")
                leave.wait()

            def invalidate_range_end(self, rng: PageRange) -> None:
                calls.append("end")

        memory = Memory(4, PRIVATE)
        memory.write(b"old")
        with AddressSpace(hook_timeout=0.05, on_error=errors.append) as mm:
            mm.register(Stuck(), ranges=[memory.span])
            mm.discard(memory.span)
            mm.discard(memory.span)
        leave.set()
        assert isinstance(errors[0].error, TimeoutError)
        assert calls == ["start"]
        assert ctypes.string_at(memory.address, 3) == b"\0\0\0"

    def test_operation_in_a_hook(self) -> None:
        """A hook that begins an operation gets a diagnostic, not a deadlock."""
        errors: list[HookError] = []
        memory, other = Memory(4, PRIVATE), Memory(4, PRIVATE)

        class Recursing:
            def __init__(self, space: AddressSpace) -> None:
                self.space = space

            def invalidate_range_start(self, rng: PageRange) -> None:
                self.space.discard(other.span)

        with AddressSpace(on_error=errors.append) as space:
            space.register(Recursing(space), ranges=[memory.span])
            space.discard(memory.span)
        assert "E416 discard inside of a section" in str(errors[0].error)

    def test_fork_in_a_hook(self) -> None:
        """A hook may start a program."""
        memory = Memory(4, PRIVATE)
        codes: list[int] = []

        class Starting:
            def invalidate_range_start(self, rng: PageRange) -> None:
                child = os.fork()
                if child == 0:
                    os._exit(7)
                codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        with AddressSpace() as mm:
            mm.register(Starting(), ranges=[memory.span])
            mm.discard(memory.span)
        assert codes == [7]


def test_forgotten_without_close() -> None:
    """One that nobody closes takes its threads and descriptors with it, and watches no more."""
    memory = Memory(4, PRIVATE)

    def use_and_forget() -> None:
        mm = AddressSpace()
        mm.register(Recorder(), ranges=[memory.span])
        mm.discard(memory.span)

    def entries(folder: str) -> int:
        return len(list(Path(f"/proc/self/{folder}").iterdir()))

    use_and_forget()
    gc.collect()
    descriptors = entries("fd")
    for _ in range(20):
        use_and_forget()
        gc.collect(1)  # the rest of what pytest keeps is looked at once
    gc.collect()
    deadline = time.monotonic() + 20
    while entries("task") > threading.active_count() + 1 and time.monotonic() < deadline:
        time.sleep(0.01)  # threads that were told to end take their time
    assert entries("task") <= 20
    assert entries("fd") <= descriptors


def test_mistakes(mm: AddressSpace) -> None:
    """What cannot be is said at once."""
    recorder = Recorder()
    memory = Memory(4, PRIVATE)
    mm.register(recorder, ranges=[memory.span])
    with pytest.raises(DiagnosticError, match="E416 this Recorder is registered already"):
        mm.register(recorder, ranges=[memory.span])
    with pytest.raises(DiagnosticError, match="E416 this Recorder is not registered"):
        mm.unregister(Recorder())
    with pytest.raises(DiagnosticError, match="E416 memoryview is no mapping"):
        mm.unmap(memoryview(bytes(PAGE)))
    with pytest.raises(DiagnosticError, match="E413 there is no monitor 'userfault'"):
        AddressSpace(monitors=["userfault"])


def test_threads_register_and_discard(mm: AddressSpace) -> None:
    """Subscribers come and go while others discard: no end without its start."""
    memory = Memory(4, PRIVATE)
    stop = threading.Event()
    unpaired: list[int] = []

    class Counting:
        def __init__(self) -> None:
            self.open = 0

        def invalidate_range_start(self, rng: PageRange) -> None:
            self.open += 1

        def invalidate_range_end(self, rng: PageRange) -> None:
            self.open -= 1
            if self.open < 0:
                unpaired.append(self.open)

    def discard() -> None:
        while not stop.is_set():
            mm.discard(memory.span)

    def come_and_go() -> None:
        for _ in range(30):
            one = Counting()
            mm.register(one, ranges=[memory.span])
            mm.unregister(one)  # may leave a section unended, as in the kernel: it is torn down

    discarding = threading.Thread(target=discard)
    others = [threading.Thread(target=come_and_go) for _ in range(2)]
    for thread in (discarding, *others):
        thread.start()
    for thread in others:
        thread.join()
    stop.set()
    discarding.join()
    assert not unpaired


def test_hundreds_that_wait_to_be_collected() -> None:
    """Closed ones count until they are collected, which the next one sees to when it must."""
    gc.disable()
    try:
        for _ in range(300):
            AddressSpace(monitors=["explicit"]).close()
    finally:
        gc.enable()


def test_a_report_that_raises() -> None:
    """`on_error` is the user's as well: what it raises is printed, and the operation goes on."""

    def fails(_: HookError) -> None:
        raise KeyError

    class Bad:
        def invalidate_range_start(self, rng: MemoryRange) -> None:
            raise ValueError

    memory = Memory(2, PRIVATE)
    memory.fill()
    told = io.StringIO()
    with AddressSpace(on_error=fails) as mm, contextlib.redirect_stderr(told):
        mm.register(Bad(), ranges=[memory.span])
        mm.discard(memory.span)
    assert ctypes.string_at(memory.address, 1) == b"\0"
    assert "ValueError" in told.getvalue()
    assert "KeyError" in told.getvalue()


@pytest.mark.parametrize("timeout", [None, 10.0])
def test_registering_within_a_hook(timeout: float | None) -> None:
    """It would wait for the section that it is in."""
    found: list[str] = []

    class Nested:
        def _try(self) -> None:
            with pytest.raises(DiagnosticError) as caught:
                space.register(Nested(), ranges=[])
            found.append(caught.value.diagnostics[0].what)
            with pytest.raises(DiagnosticError) as caught:
                space.unregister(self)
            found.append(caught.value.diagnostics[0].what)

        def invalidate_range_start(self, rng: MemoryRange) -> None:
            self._try()

        def release(self) -> None:
            self._try()

    memory = Memory(2, PRIVATE)
    with AddressSpace(hook_timeout=timeout) as space:
        nested = Nested()
        space.register(nested, ranges=[memory.span])
        space.discard(memory.span)
        space.unregister(nested)
    assert found == ["register inside of a section", "unregister inside of a section"] * 2


@pytest.mark.parametrize("timeout", [None, 10.0])
def test_a_hook_that_forks(timeout: float | None) -> None:
    """Also in the section of a fork, which ends when that fork is over."""
    told: list[str] = []

    class Forking:
        def invalidate_range_start(self, rng: MemoryRange) -> None:
            told.append("start")
            fork()
            told.append("forked")

        def invalidate_range_end(self, rng: MemoryRange) -> None:
            told.append("end")

    def fork() -> None:
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)

    memory = Memory(2, PRIVATE)
    with AddressSpace(monitors=["explicit"], hook_timeout=timeout) as space:
        space.register(Forking(), ranges=[memory.span])
        fork()
        assert told == ["start", "forked", "end"]
        space.discard(memory.span)
    assert told == ["start", "forked", "end"] * 2


@pytest.mark.parametrize("fails", [False, True])
def test_forks_of_this_thread_and_of_others(fails: bool) -> None:
    """Both are told, each once, also after a fork that has failed."""
    recorder, memory, child = Recorder(), Memory(2, PRIVATE), Child()
    with AddressSpace() as space:
        [*_, monitor] = space.monitors
        if not (isinstance(monitor, Userfaultfd) and monitor.hears_forks):
            pytest.skip("userfaultfd reports forks with CAP_SYS_PTRACE only")
        space.register(recorder, ranges=[memory.span])
        if fails:  # what Python does around one
            forks._before()
            forks._in_parent()
        else:
            child.fork()
            child.end()
        assert recorder.words() == ["start", "end"]
        child.fork(by_hand=True)
        child.end()
        recorder.wait_for(4)
        space.poll()
        assert recorder.words() == ["start", "end"] * 2


def test_registering_in_a_handler() -> None:
    """A signal at any moment of an operation or a registration: done, or refused; never stuck."""
    outcomes: Counter[str] = Counter()
    memory = Memory(2, PRIVATE)

    class Quiet:
        """A subscriber."""

    def handle(*_: object) -> None:
        other = Quiet()
        try:
            space.register(other, ranges=[memory.span])
            space.unregister(other)
            outcomes["done"] += 1
        except DiagnosticError as error:
            outcomes[error.diagnostics[0].code] += 1

    with AddressSpace() as space:
        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            deadline = time.monotonic() + 60
            while min(outcomes["done"], outcomes["E416"]) < 5 and time.monotonic() < deadline:
                mine = Quiet()
                space.register(mine, ranges=[memory.span])
                space.discard(memory.span)
                space.unregister(mine)
                sum(range(20_000))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert set(outcomes) == {"done", "E416"}
    assert min(outcomes.values()) >= 5


def test_one_range_of_several_cannot_be_watched() -> None:
    """Then none of them is."""
    good, bad = Memory(2, PRIVATE), (PAGE, PAGE)  # so low nothing can be mapped
    with AddressSpace() as mm, AddressSpace() as other:
        with pytest.raises(DiagnosticError, match="E412"):
            mm.register(object(), ranges=[good.span, bad])
        other.register(object(), ranges=[good.span])  # one userfaultfd a mapping
