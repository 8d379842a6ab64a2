"""What the machine does in a litmus test: outcomes of a real KVM guest, counted.

The test is run many times in one go, each time on pages of its own; host and guest wait for each
other for a moment before each time, and the guest's accesses are delayed at random, so that they
fall before, into and after what the host does. Invariant: a run counts only if KVM has translated
for the guest (`pf_fixed`), and nothing is left of it in the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import random
import statistics
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mmunotify.errors import CannotError, Diagnostic
from mmunotify.kernel import guest as kvm_guest
from mmunotify.kernel.guest import Access, Guest
from mmunotify.kernel.memory import PAGE, PROT_READ, Memory, map_pages, read64, write64
from mmunotify.kernel.setting import changed
from mmunotify.kernel.system_call import Syscall, system_call
from mmunotify.litmus.case import PAGES, REFUSED, Case, Outcome, Statement

__all__ = ["OPERATIONS", "Observed", "observe"]

_INSTANCES: Final = 64  # times that a test is run in one go
_FEW: Final = 8  # the same, where a time takes a fork or the work of ksmd
_WORDS: Final = 4  # of flags for each time
_MAYMOVE_FIXED: Final = 3
_PUNCH_HOLE: Final = 3  # and keep the size
_FIRST_LOOKS: Final = 50_000  # that the host takes to see whether a virtual CPU has begun
_LOOKS: Final = 1000  # and whether it has come as far as the host
_FEW_LOOKS: Final = 5
_AWAITS: Final = 32  # times in a row that a virtual CPU waits for the host at the beginning


_Do = Callable[["_Bench", int], None]


@dataclass(frozen=True, slots=True)
class Observed:
    """How often each outcome was seen, in `rounds` rounds that took `seconds`."""

    outcomes: dict[Outcome, int]
    rounds: int
    seconds: float


def observe(case: Case, *, rounds: int = 20_000, seconds: float = 1.0, seed: int = 0) -> Observed:
    """Run a case until either bound is reached; raise `CannotError` where it cannot be run."""
    _require_possible(case)
    counts: Counter[Outcome] = Counter()
    with contextlib.ExitStack() as stack:
        if case.prepared == "merged":
            stack.enter_context(changed("/sys/kernel/mm/ksm/run", "1"))
        bench = stack.enter_context(_bench(case, random.Random(seed)))
        start = time.monotonic()
        while sum(counts.values()) < rounds and time.monotonic() - start < seconds:
            counts.update(bench.rounds())
        taken = time.monotonic() - start
        bench.guest.require_translations()
    return Observed(dict(counts), sum(counts.values()), taken)


# What operations are on the machine -----------------------------------------------------------


def _dontneed(bench: _Bench, instance: int) -> None:
    system_call(Syscall.MADVISE, bench.x(instance), PAGE, mmap.MADV_DONTNEED)


def _free(bench: _Bench, instance: int) -> None:
    system_call(Syscall.MADVISE, bench.x(instance), PAGE, mmap.MADV_FREE)


def _munmap(bench: _Bench, instance: int) -> None:
    system_call(Syscall.MUNMAP, bench.x(instance), PAGE)


def _mmap_fixed(bench: _Bench, instance: int) -> None:
    map_pages(PAGE, at=bench.x(instance))


def _mprotect(bench: _Bench, instance: int) -> None:
    system_call(Syscall.MPROTECT, bench.x(instance), PAGE, PROT_READ)


def _clear_refs(_bench: _Bench, _instance: int) -> None:
    Path("/proc/self/clear_refs").write_text("4")


def _punch_hole(bench: _Bench, instance: int) -> None:
    system_call(Syscall.FALLOCATE, bench.fd, _PUNCH_HOLE, instance * PAGE, PAGE)


def _truncate(bench: _Bench, instance: int) -> None:
    os.ftruncate(bench.fd, instance * PAGE)


def _mremap(bench: _Bench, instance: int) -> None:
    target = bench.memory.page(bench.index("y", instance))
    system_call(Syscall.MREMAP, bench.x(instance), PAGE, PAGE, _MAYMOVE_FIXED, target)


def _fork(bench: _Bench, _instance: int) -> None:
    bench.fork()


OPERATIONS: Final[dict[str, _Do]] = {
    "madvise_dontneed": _dontneed,
    "madvise_free": _free,
    "munmap": _munmap,
    "mmap_fixed": _mmap_fixed,
    "mprotect": _mprotect,
    "clear_refs": _clear_refs,
    "punch_hole": _punch_hole,
    "truncate": _truncate,
    "mremap": _mremap,
    "fork": _fork,
}
"""The model's operations that a process can perform when it likes; the others are the kernel's."""


def _require_possible(case: Case) -> None:
    for one in case.statements():
        if one.kind == "age":
            what = "no process can have the kernel ask for a page's age at a moment of its choice"
            raise CannotError(Diagnostic("E401", None, what))
        if one.kind == "operation" and one.name not in OPERATIONS:
            what = f"no process can have the kernel do {one.name} at a moment of its choice"
            raise CannotError(Diagnostic("E401", None, what))
    if any(one.name in ("punch_hole", "truncate") for one in case.statements()):
        if case.backing != "shared":
            what = f"{case.name} cuts a file, so its backing must be shared"
            raise CannotError(Diagnostic("E401", None, what))


# One case ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def _bench(case: Case, chance: random.Random) -> Iterator[_Bench]:
    slow = case.prepared == "merged" or any(one.name == "fork" for one in case.statements())
    count = _FEW if slow else _INSTANCES
    fd = -1
    try:
        if case.backing == "shared":
            fd = os.memfd_create("litmus")
            os.ftruncate(fd, count * PAGE)
        with Memory(2 * count + 1) as memory:
            memory.touch(0)
            with Guest(memory, cpus=max(1, len(case.guest))) as guest:
                bench = _Bench(case, memory, fd, guest, chance, count)
                try:
                    with _apart(guest, len(case.guest)):
                        yield bench
                finally:
                    bench.close()
    finally:
        if fd >= 0:
            os.close(fd)


@contextlib.contextmanager
def _apart(guest: Guest, cpus: int) -> Iterator[None]:
    """Keep this thread and the virtual CPUs on different processors, as far as there are any."""
    before = os.sched_getaffinity(0)
    mine, *others = sorted(before)
    for cpu in range(cpus if others else 0):
        guest.pin(cpu, others[cpu % len(others)])
    os.sched_setaffinity(0, {mine})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class _Bench:
    """A guest, its memory, and the threads of the host for one case.

    Pages 0 to `count`-1 are x of each time, as many follow for y, and one has all flags. The times
    go from the last to the first, as a file can only be cut from its end.
    """

    def __init__(
        self,
        case: Case,
        memory: Memory,
        fd: int,
        guest: Guest,
        chance: random.Random,
        count: int,
    ) -> None:
        self.case = case
        self.memory = memory
        self.fd = fd
        self.guest = guest
        self.chance = chance
        self.count = count
        self._registers = {name: [REFUSED] * count for name in case.registers}
        self._children: list[tuple[int, int]] = []
        self._words = {name: number for number, name in enumerate(case.flags)}
        self._flags = memory.page(2 * count)
        # The last words of the page say which time it is: the host's, then each virtual CPU's.
        self._turn = PAGE // 8 - 1 - len(case.guest)
        self._bodies = [[self._host_step(one) for one in thread] for thread in case.host]
        self._others = [_HostThread(self._follow(body)) for body in self._bodies[1:]]
        self._host_time: float = 3000.0  # ns that the host takes for one time

    def rounds(self) -> list[Outcome]:
        """Run the test `count` times; return what the registers hold for each."""
        self._reset()
        for cpu, thread in enumerate(self.case.guest):
            self.guest.load(self._accesses(cpu, thread), cpu)
        for cpu in range(len(self.case.guest)):
            self.guest.go(cpu)
        for other in self._others:
            other.go()
        taken = self._lead(self._bodies[0])
        self._host_time = statistics.median(taken)  # now and then the host is interrupted
        for other in self._others:
            other.wait()
        for cpu, thread in enumerate(self.case.guest):
            self.guest.wait(cpu)
            self._collect(cpu, thread)
        return list(zip(*self._registers.values(), strict=True))

    def x(self, instance: int) -> int:
        """The address of x."""
        return self.memory.page(instance)

    def index(self, place: str, instance: int) -> int:
        """The page that x or y is of one time."""
        return PAGES.index(place) * self.count + instance

    def fork(self) -> None:
        """Make a child that shares the memory until the round is over."""
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            # The child calls nothing that another thread could hold a lock of.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            try:
                os.close(writing)
                for _, other in self._children:
                    os.close(other)
                os.read(reading, 1)
            finally:  # Ctrl-C, too, must not unwind what is the parent's
                os._exit(0)
        os.close(reading)
        self._children.append((pid, writing))

    def close(self) -> None:
        """End the threads and children."""
        for other in self._others:
            other.end()
        self._reap()

    # -- the times ------------------------------------------------------------------------------

    def _lead(self, body: list[_Do]) -> list[int]:
        """The first thread of the host: all times, each begun together with the guest.

        Return how many ns each of them took.
        """
        taken = []
        turn = self._flags + 8 * self._turn
        cpus = [turn + 8 * (cpu + 1) for cpu in range(len(self.case.guest))]
        looks = _FIRST_LOOKS
        for instance in range(self.count - 1, -1, -1):
            number = self.count - instance
            write64(turn, number)
            # Who is not there does not run just now: then there is no use in waiting for it.
            together = all(_reached(address, number, looks) for address in cpus)
            looks = _LOOKS if together else _FEW_LOOKS
            start = time.monotonic_ns()
            for step in body:
                step(self, instance)
            taken.append(time.monotonic_ns() - start)
        return taken

    def _follow(self, body: list[_Do]) -> Callable[[], None]:
        """Another thread of the host: it follows the first."""
        turn = self._flags + 8 * self._turn

        def run() -> None:
            for instance in range(self.count - 1, -1, -1):
                _reached(turn, self.count - instance, _LOOKS)
                for step in body:
                    step(self, instance)

        return run

    def _accesses(self, cpu: int, thread: tuple[Statement, ...]) -> list[Access]:
        """A virtual CPU's accesses: for each time a meeting with the host, then the test's own.

        Their delays are random, within twice the host's time.
        """
        most = 2 * self._host_time  # a turn of the guest's empty loop takes about 1 ns
        flags = 2 * self.count
        found = [Access("write", flags, 1, word=self._turn + 1 + cpu)]
        found += [Access("await", flags, 1, word=self._turn)] * (_AWAITS - 1)
        for instance in range(self.count - 1, -1, -1):
            number = self.count - instance
            found.append(Access("write", flags, number, word=self._turn + 1 + cpu))
            found.append(Access("await", flags, number, word=self._turn))
            for position, one in enumerate(thread):
                delay = int(self.chance.random() * (most / 8 if position else most))
                page, word = self._place(one.place, instance)
                found.append(Access(one.kind, page, one.value, delay, word))
        return found

    def _collect(self, cpu: int, thread: tuple[Statement, ...]) -> None:
        width = len(thread) + 2
        results = self.guest.results(_AWAITS + width * self.count, cpu)[_AWAITS:]
        for position, one in enumerate(thread):
            if one.register:
                column = results[position + 2 :: width]
                column.reverse()
                self._registers[one.register] = [
                    REFUSED if value == kvm_guest.REFUSED else value for value in column
                ]

    # -- fresh memory ---------------------------------------------------------------------------

    def _reset(self) -> None:
        self._reap()
        memory, case, count = self.memory, self.case, self.count
        if self.fd >= 0:
            os.ftruncate(self.fd, count * PAGE)
        for name in PAGES:
            first = memory.page(self.index(name, 0))
            if name not in case.init:
                system_call(Syscall.MUNMAP, first, count * PAGE)
                continue
            map_pages(count * PAGE, at=first, fd=self.fd, shared=self.fd >= 0)
            for instance in range(count):
                memory.write(self.index(name, instance), case.init[name])
        ctypes.memset(self._flags, 0, PAGE)
        for column in self._registers.values():
            column[:] = [REFUSED] * count
        if case.prepared == "child":
            self.fork()
        elif case.prepared == "merged":
            self._merge()
        present = [
            Access("read", self.index(name, instance))
            for name in case.init
            for instance in range(count)
        ]
        for cpu in range(len(case.guest)):
            self.guest.run([*(present if case.touched else ()), Access("read", 2 * count)], cpu)

    def _merge(self) -> None:
        """Have ksmd merge all x; they have the same bytes, which no other page has."""
        value = self.chance.getrandbits(48) << 8
        for instance in range(self.count):
            write64(self.x(instance) + 64, value)
        system_call(Syscall.MADVISE, self.x(0), self.count * PAGE, mmap.MADV_MERGEABLE)
        deadline = time.monotonic() + 20
        while len({_frame(self.x(instance)) for instance in range(self.count)}) > 1:
            if time.monotonic() > deadline:
                raise CannotError(Diagnostic("E401", None, "ksmd did not merge within 20 s"))
            time.sleep(0.01)

    def _reap(self) -> None:
        for pid, writing in self._children:
            os.close(writing)
            os.waitpid(pid, 0)
        self._children = []

    # -- statements -----------------------------------------------------------------------------

    def _host_step(self, one: Statement) -> _Do:
        if one.kind == "operation":
            return OPERATIONS[one.name]

        def address(instance: int) -> int:
            page, word = self._place(one.place, instance)
            return self.memory.page(page) + 8 * word

        if one.kind == "read":
            column = self._registers[one.register]
            return lambda _, instance: column.__setitem__(instance, read64(address(instance)))
        return lambda _, instance: write64(address(instance), one.value)

    def _place(self, name: str, instance: int) -> tuple[int, int]:
        """The page and the word in it that a name means one time."""
        if name in self._words:
            return 2 * self.count, instance * _WORDS + self._words[name]
        return self.index(name, instance), 0


class _HostThread:
    """A further thread of the host, which runs its body when told."""

    def __init__(self, body: Callable[[], None]) -> None:
        self._body = body
        self._start = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self._ending = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def go(self) -> None:
        """Run it once."""
        self._start.release()

    def wait(self) -> None:
        """Wait until it is done; raise what went wrong."""
        self._done.acquire()
        if self._error:
            raise self._error

    def end(self) -> None:
        """End the thread."""
        self._ending = True
        self._start.release()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._start.acquire()
            if self._ending:
                return
            try:
                self._body()
            except Exception as error:
                self._error = error
            self._done.release()


def _reached(address: int, number: int, looks: int) -> bool:
    """Whether a word is `number` or more within so many looks."""
    return any(read64(address) >= number for _ in range(looks))


def _frame(address: int) -> int:
    """The frame that a page has, as root may know it."""
    with Path("/proc/self/pagemap").open("rb") as file:
        file.seek(address // PAGE * 8)
        return int.from_bytes(file.read(8), "little") & (2**55 - 1)
