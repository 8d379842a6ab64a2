"""The benchmark protocol, written as a user would write it: a KVM-like secondary MMU.

`Coarse` has the steps of the reference (`reference/kvm_protocol.py`), by `atomic()`, and so
exactly its states. `Fine` has one access to shared state a step and locks from the library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mmunotify.lang import (
    Counter,
    Epoch,
    Pages,
    SpinLock,
    Table,
    Thread,
    atomic,
    choose,
    require,
    wait_until,
)

__all__ = ["Frame", "Size", "World", "coarse", "fine"]

Predicate = Callable[[], bool]


@dataclass(frozen=True)
class Size:
    """`vcpus` and `invalidators` threads, each going round `rounds` times (0: for ever)."""

    vcpus: int = 2
    invalidators: int = 1
    pages: int = 2
    frames: int = 2
    rounds: int = 1
    retry: bool = True


@dataclass
class World:
    """A closed system for the compiler."""

    threads: list[Thread]
    finals: list[tuple[str, Predicate]] = field(default_factory=list)
    always: dict[str, Predicate] = field(default_factory=dict)
    never: dict[str, Predicate] = field(default_factory=dict)
    reachable: dict[str, Predicate] = field(default_factory=dict)
    pending: dict[str, Predicate] = field(default_factory=dict)


class Frame:
    """A physical frame: the page that owns it (None: free) and its references."""

    def __init__(self, number: int) -> None:
        self.name = "ABCDEFGH"[number]
        self.owner: int | None = None
        self.refs = Counter(high=7)


class Vcpu:
    """A virtual CPU."""

    def __init__(self, number: int) -> None:
        self.name = f"vcpu{number}"


class Machine:
    """What all threads share."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.pages = Pages(size.pages)
        self.frames = tuple(Frame(n) for n in range(size.frames))
        self.vcpus = tuple(Vcpu(n) for n in range(size.vcpus))
        self.in_progress = Counter(high=size.invalidators)
        self.seq = Counter(high=max(1, size.invalidators * size.rounds))
        self.pte: Table[Frame | None] = Table(self.pages)
        self.spte: Table[Frame | None] = Table(self.pages)
        self.tlb: Table[Frame | None] = Table(self.vcpus)


class CoarseLock:
    """A lock that does not remember its owner, as the reference has it."""

    def __init__(self) -> None:
        self.locked = False

    def acquire(self) -> None:
        """Take it."""
        with atomic():
            wait_until(lambda: not self.locked)
            self.locked = True

    def release(self) -> None:
        """Give it back."""
        self.locked = False


class CoarseMachine(Machine):
    """The steps of the reference."""

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        self.lock = CoarseLock()

    def put(self, frame: Frame) -> None:
        """Drop a reference; free at zero. Part of one step."""
        frame.refs -= 1
        if frame.refs == 0:
            frame.owner = None

    def gup(self, page: int) -> Frame:
        """Get the page's frame and a reference, allocating any free frame. One step."""
        with atomic():
            frame = self.pte[page]
            if frame is None:
                frame = choose(self.frames)
                wait_until(lambda: frame.owner is None)
                frame.owner = page
                frame.refs.set(2)
                self.pte[page] = frame
            else:
                frame.refs += 1
        return frame

    def vcpu(self, me: Vcpu) -> None:
        """Fault a page in, then access it through the TLB."""
        for _ in range(self.size.rounds):
            with atomic():
                page = choose(self.pages)
            while True:
                seq = self.seq.read()
                frame = self.gup(page)
                self.lock.acquire()
                with atomic():
                    if not self.size.retry:
                        break
                    if self.in_progress == 0 and self.seq.read() == seq:
                        break
                self.lock.release()
                with atomic():
                    self.put(frame)
                    del frame, seq
            self.spte[page] = frame
            self.lock.release()
            with atomic():
                self.put(frame)
                del frame, seq
            with atomic():
                self.tlb[me] = self.spte[page]
                absent = self.tlb[me] is None
            if not absent:
                with atomic():
                    reached = self.tlb[me]
                    if reached is not None:
                        require("no_stale_translation", reached.owner == page, "stale")
                    self.tlb[me] = None

    def invalidate(self) -> None:
        """Invalidate a page, free its frame, and perhaps map another one."""
        for _ in range(self.size.rounds):
            with atomic():
                page = choose(self.pages)
            self.lock.acquire()
            with atomic():
                self.in_progress += 1
            self.spte[page] = None
            self.tlb.fill(None)
            self.lock.release()
            with atomic():
                old = self.pte[page]
                self.pte[page] = None
            with atomic():
                if old is not None:
                    self.put(old)
                del old
            self.lock.acquire()
            with atomic():
                self.seq += 1
            with atomic():
                self.in_progress -= 1
            self.lock.release()
            with atomic():
                self.map_again(page)

    def map_again(self, page: int) -> None:
        """Map any free frame at `page` if it is empty. Part of one step."""
        if self.pte[page] is None and any(f.owner is None for f in self.frames):
            frame = choose(self.frames)
            wait_until(lambda: frame.owner is None)
            frame.owner = page
            frame.refs.set(1)
            self.pte[page] = frame


def coarse(size: Size) -> World:
    """Return the system with the reference's steps."""
    return _world(CoarseMachine(size))


class FineMachine(Machine):
    """One access a step, locks from the library."""

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        self.mmu_lock = SpinLock()
        self.ptl = SpinLock()
        self.epoch = Epoch()

    def get(self, frame: Frame) -> None:
        """Take a reference."""
        with atomic():
            frame.refs += 1

    def put(self, frame: Frame) -> None:
        """Drop a reference; free at zero."""
        with atomic():
            frame.refs -= 1
            last = frame.refs == 0
        if last:
            frame.owner = None

    def allocate(self, page: int) -> Frame:
        """Take any free frame."""
        with atomic():
            frame = choose(self.frames)
            wait_until(lambda: frame.owner is None)
            frame.owner = page
            frame.refs.set(1)
        return frame

    def gup(self, page: int) -> Frame:
        """Get the page's frame and a reference."""
        with self.ptl:
            frame = self.pte[page]
            if frame is None:
                frame = self.allocate(page)
                self.pte[page] = frame
            self.get(frame)
        return frame

    def must_retry(self, seq: int) -> bool:
        """Tell whether a section is open or ended since `seq`."""
        if not self.size.retry:
            return False
        return self.in_progress > 0 or self.epoch.read() != seq

    def fault(self, page: int) -> None:
        """Map `page` in the secondary MMU."""
        while True:
            seq = self.epoch.read()
            frame = self.gup(page)
            with self.mmu_lock:
                retry = self.must_retry(seq)
                if not retry:
                    self.spte[page] = frame
            self.put(frame)
            if not retry:
                return

    def vcpu_round(self, me: Vcpu) -> None:
        """Fault a page in, then access it through the TLB."""
        page = choose(self.pages)
        self.fault(page)
        with atomic():  # the hardware's walk
            self.tlb[me] = self.spte[page]
        with atomic():
            frame = self.tlb[me]
            if frame is not None:
                require("no_stale_translation", frame.owner == page, "stale")
            self.tlb[me] = None

    def invalidate_round(self) -> None:
        """Invalidate a page, free its frame, and perhaps map another one."""
        page = choose(self.pages)
        with self.mmu_lock:
            self.in_progress += 1
            self.spte[page] = None
            self.tlb.fill(None)
        with self.ptl:
            old = self.pte[page]
            self.pte[page] = None
        if old is not None:
            self.put(old)
        with self.mmu_lock:
            self.epoch.bump()
            self.in_progress -= 1
        with self.ptl:
            if self.pte[page] is None:
                with atomic():
                    free = any(f.owner is None for f in self.frames)
                    new = self.allocate(page) if free else None
                if new is not None:
                    self.pte[page] = new

    def vcpu(self, me: Vcpu) -> None:
        """Go round."""
        if self.size.rounds == 0:
            while True:
                self.vcpu_round(me)
        for _ in range(self.size.rounds):
            self.vcpu_round(me)

    def invalidate(self) -> None:
        """Go round."""
        if self.size.rounds == 0:
            while True:
                self.invalidate_round()
        for _ in range(self.size.rounds):
            self.invalidate_round()


def fine(size: Size) -> World:
    """Return the system with one access a step."""
    return _world(FineMachine(size))


def _world(machine: CoarseMachine | FineMachine) -> World:
    size = machine.size
    threads = [
        Thread(vcpu.name, machine.vcpu, vcpu, role="vcpu", mmu="secondary")
        for vcpu in machine.vcpus
    ]
    threads += [
        Thread(f"invalidate{n}", machine.invalidate, role="invalidate")
        for n in range(size.invalidators)
    ]
    return World(threads)
