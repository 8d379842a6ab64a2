"""`AddressSpace`: MMU notifiers on the memory of this process.

Subscribers are told through the same protocol source that `check` explores. Operations that go
through this class call their start hooks before and their end hooks after; what others do is
reported by monitors, as exactly as each of them can.
Invariant: a section runs while its thread holds `mmap_lock`, registration holds it for writing.
"""

from __future__ import annotations

import atexit
import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from mmunotify import _monitor
from mmunotify.errors import DiagnosticError
from mmunotify.lang.page_range import Event
from mmunotify.lang.rwsem import RwSem
from mmunotify.live import refusals
from mmunotify.live.audit import Allowance, Audit
from mmunotify.live.dispatcher import Dispatcher
from mmunotify.live.forks import announce_forks
from mmunotify.live.guarantee import Guarantee
from mmunotify.live.guarded import Guard, HookError, guarded, print_hook_error
from mmunotify.live.memory import PAGE_SIZE, Extent, Memory, MemoryRange, extent_of, pages_of
from mmunotify.live.monitors import Kvm, Monitor, Validate, default_monitors, monitor_named
from mmunotify.live.notifiers import LiveNotifiers, ThreadTable
from mmunotify.live.runtime import Threads

__all__ = ["AddressSpace"]

_EVENTS = {
    0: ("munmap", Event.UNMAP),
    1: ("mremap", Event.UNMAP),
    2: ("madvise", Event.CLEAR),
    5: ("change", Event.CLEAR),  # of whatever kind
}
_FORK, _DIED = 3, 4
_TOP = 1 << 47  # of the addresses that a program can use
_MADV_DONTNEED, _MADV_PAGEOUT = 4, 21
_MREMAP_MAYMOVE, _MREMAP_FIXED = 1, 2


# Registered first, so it runs last: from then on a daemon thread that comes out of a system call
# stays outside of the interpreter, which would end the process otherwise.
atexit.register(_monitor.closing)


@dataclass
class _Inside:
    """How deep a thread is inside of sections."""

    depth: int = 0


class AddressSpace:
    """The memory of this process, with monitors that watch it.

    `monitors`: names ("explicit", "userfaultfd") or monitors; by default those that need no rights.
    `hook_timeout`: after so many seconds an operation goes on although a hook has not returned, and
    its subscriber is told nothing more; None: wait for ever. `on_error` is called with every
    `HookError`; by default it goes to standard error.
    """

    def __init__(
        self,
        *,
        monitors: Iterable[str | Monitor] | None = None,
        hook_timeout: float | None = 10.0,
        on_error: Callable[[HookError], None] = print_hook_error,
    ) -> None:
        self._process = os.getpid()
        self._space = _space()
        self._hook_timeout = hook_timeout
        self._on_error = on_error
        self._guards: dict[int, tuple[Any, Guard]] = {}
        self._dispatcher: Dispatcher | None = None
        self._draining = threading.Lock()
        self._inside = ThreadTable(_Inside)
        self._lapsed: weakref.WeakSet[Any] = weakref.WeakSet()  # told of what lapses: caches
        self._closed = False
        # What the protocol source uses of the model's `Mm`.
        self.threads = Threads()
        self.mmap_lock, self.rmap_lock = RwSem(high=127), RwSem(high=127)
        self.ghost = SimpleNamespace(watches_age=False)
        self.pages: Sequence[int] = ()
        self.notifiers = LiveNotifiers(self)
        self.monitors = _started(self._space, monitors)
        self.auditor = next((one for one in self.monitors if isinstance(one, Kvm)), None)
        if self.auditor is not None:
            self.auditor.beside(self.monitors)
        self.validators = tuple(one for one in self.monitors if isinstance(one, Validate))
        announce_forks(self)
        _close_at_exit(self)

    # -- subscribers ----------------------------------------------------------------------------

    def register(self, notifier: object, *, ranges: Iterable[Memory]) -> None:
        """Subscribe an object with any of the hooks of a driver to what happens to `ranges`.

        Raises `DiagnosticError`: E411 for what has no memory, E412 for what cannot be watched, E416
        within a hook, or a signal's handler that comes into the middle of an operation.
        """
        self._require_outside("register")
        extents = [pages_of(extent_of(memory)) for memory in ranges]
        if id(notifier) in self._guards:
            raise DiagnosticError(refusals.registered_twice(notifier))
        with self._entered():
            self._watch_all(extents)
            guard = guarded(notifier, self, extents, self._on_error, self._hook_timeout)
            with self.threads.running():
                self.notifiers.register(guard)
            self._guards[id(notifier)] = notifier, guard
        self.start_dispatcher()

    def unregister(self, notifier: object) -> None:
        """End a subscription: `release` is called, and when this returns no hook runs any more.

        Raises `DiagnosticError` E416 as `register` does.
        """
        self._require_outside("unregister")
        found = self._guards.pop(id(notifier), None)
        if found is None:
            raise DiagnosticError(refusals.not_registered(notifier))
        _, guard = found
        with self._entered():
            with self.threads.running():
                self.notifiers.unregister(guard)
            guard.close()
            for extent in guard.ranges:
                self.unwatch(extent)

    def clear_young(self, memory: Memory) -> bool:
        """Ask every subscriber whether it used the memory since the last time, and clear that."""
        return self._ask("clear_young", memory)

    def test_young(self, memory: Memory) -> bool:
        """Ask every subscriber whether it used the memory, without clearing that."""
        return self._ask("test_young", memory)

    # -- operations -----------------------------------------------------------------------------

    def unmap(self, memory: Memory) -> None:
        """Unmap: an mmap object is closed, an address and length go to `munmap(2)`."""
        extent = pages_of(extent_of(memory))
        with self._section(extent, Event.UNMAP, "munmap"):
            if hasattr(memory, "close"):
                self._space.begin_unmap(extent.address, extent.end)
                try:
                    memory.close()
                finally:
                    self._space.end_unmap(extent.address, extent.end)
            elif isinstance(memory, tuple):
                _check(self._space.unmap(extent.address, extent.end), "munmap", extent)
            else:
                raise DiagnosticError(refusals.not_a_mapping(memory))

    def discard(self, memory: Memory) -> None:
        """Drop the contents of the whole pages inside `memory` (`MADV_DONTNEED`)."""
        extent = _inner(extent_of(memory))
        if extent.length <= 0:
            return
        with self._section(extent, Event.CLEAR, "discard"):
            code = self._space.discard(extent.address, extent.end, _MADV_DONTNEED)
            _check(code, "madvise", extent)

    def remap(
        self, memory: tuple[int, int], *, length: int | None = None, onto: int | None = None
    ) -> tuple[int, int]:
        """Move or resize a mapping (`mremap`), to the address `onto` if given.

        Returns the new address and length. An mmap object has its own `resize`.
        """
        extent = pages_of(extent_of(memory))
        size = pages_of(Extent(extent.address, length)).length if length else extent.length
        flags = _MREMAP_MAYMOVE | (_MREMAP_FIXED if onto is not None else 0)
        over = Extent(onto, size) if onto is not None else extent
        with self._section(extent, Event.UNMAP, "mremap", beside=over):
            found = self._space.remap(extent.address, extent.end, size, flags, onto or 0)
            _check(min(found, 0), "mremap", extent)
        return found, size

    def protect(self, memory: Memory, protection: int) -> None:
        """Change the permissions (`mprotect`): `mmap.PROT_READ` and its like."""
        extent = pages_of(extent_of(memory))
        with self._section(extent, Event.PROTECTION_VMA, "mprotect"):
            _check(self._space.protect(extent.address, extent.end, protection), "mprotect", extent)

    def pageout(self, memory: Memory) -> None:
        """Have the kernel reclaim the pages (`MADV_PAGEOUT`)."""
        extent = pages_of(extent_of(memory))
        with self._section(extent, Event.CLEAR, "pageout"):
            code = self._space.advise(extent.address, extent.end, _MADV_PAGEOUT)
            _check(code, "madvise", extent)

    def fork(self) -> int:
        """`os.fork()`, which is a section over everything, here as elsewhere in the process.

        The child has no monitors; this address space and its caches refuse to work there.
        """
        return os.fork()

    def whole_range(self, event: Event = Event.UNMAP) -> MemoryRange:
        """Return the range of all addresses, as the protocol asks for it."""
        return MemoryRange.around(0, _TOP, event, "release")

    # -- monitors -------------------------------------------------------------------------------

    def guarantee(self, operation: str) -> Guarantee:
        """The best that the monitors promise of an operation, by its name in `live.operations`."""
        promised = [m.guarantees.get(operation, Guarantee.NONE) for m in self.monitors]
        return max(promised, default=Guarantee.NONE)

    def audit(self) -> Audit:
        """Return what happened to watched memory up to now, and whether everything was told of.

        Raises `DiagnosticError` E416 if "kvm" is not among the monitors.
        """
        self.require_open()
        if self.auditor is None:
            raise DiagnosticError(refusals.no_auditor())
        return self.auditor.audit()

    def watch(self, extent: Extent, allowance: Allowance | None = None) -> None:
        """Have every monitor report what happens to whole pages.

        A cache has an `allowance`, to which the auditor holds it.
        """
        with ExitStack() as undo:
            for monitor in self.monitors:
                if monitor is not self.auditor:
                    monitor.watch(extent)
                    undo.callback(monitor.unwatch, extent)
            undo.pop_all()
        if self.auditor is not None:  # it expects reports from now on
            self.auditor.watch(extent, allowance)

    def _watch_all(self, extents: Sequence[Extent]) -> None:
        """Watch every range, or none."""
        with ExitStack() as undo:
            for extent in extents:
                self.watch(extent)
                undo.callback(self.unwatch, extent)
            undo.pop_all()

    def unwatch(self, extent: Extent, allowance: Allowance | None = None) -> None:
        """Have it reported no more, unless others watch it too."""
        if self.auditor is not None:
            self.auditor.unwatch(extent, allowance)
        for monitor in self.monitors:
            if monitor is not self.auditor:
                monitor.unwatch(extent)

    @property
    def space(self) -> _monitor.Space:
        """The native half, which caches attach their tables to."""
        return self._space

    @property
    def is_here(self) -> bool:
        """Whether this is the process that it was made in, not a child of that."""
        return self._process == os.getpid()

    @property
    def alive(self) -> bool:
        """Whether the monitors work and this is the process they were made in."""
        return self.is_here and not (self._closed or self._space.dead)

    def poll(self) -> None:
        """Tell subscribers what has happened by now; a thread does so by itself, too."""
        self.require_open()
        self._space.settle()
        self._drain()

    def close(self) -> None:
        """Release every subscriber and stop the monitors. Caches serve no hits from then on."""
        if self._closed or not self.is_here:
            return
        self._closed = True
        if self._dispatcher is not None:
            self._dispatcher.stop()
        with self.threads.running():
            self.notifiers.release()
        for _, guard in self._guards.values():
            guard.close()
        self._guards.clear()
        for cache in list(self._lapsed):
            cache.lapse()
        if self.auditor is not None:  # before those that it expects reports from
            self.auditor.stop()
        for monitor in self.monitors:
            if monitor is not self.auditor:
                monitor.stop()

    def __enter__(self) -> AddressSpace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        names = ", ".join(monitor.name for monitor in self.monitors)
        return f"<AddressSpace of process {self._process}: {names}>"

    # -- for caches and forks -------------------------------------------------------------------

    def attach(self, cache: Any) -> None:
        """Call `cache.forked()` when the process forks, `cache.lapse()` when this closes.

        Raises `DiagnosticError` E416 for a second one where caches validate: what one remembers
        anew the other would take for unchanged.
        """
        if self.validators and len(self._lapsed):
            raise DiagnosticError(refusals.second_validating())
        self._lapsed.add(cache)
        self.start_dispatcher()

    def start_dispatcher(self) -> None:
        """Start the thread that tells subscribers."""
        if self._dispatcher is None:
            drain = weakref.WeakMethod(self._drain)
            self._dispatcher = Dispatcher(self._space.event_fd, lambda: _call(drain))
            weakref.finalize(self, self._dispatcher.stop)  # if nobody closes it

    def forking(self, until: ExitStack) -> None:
        """Open a section over everything for the time of a fork, unless a hook forks."""
        self._space.begin_fork()
        until.callback(self._space.end_fork)
        if self.alive and not self._is_inside():
            self._fork_section(until)

    # -- sections -------------------------------------------------------------------------------

    @contextmanager
    def _section(
        self, extent: Extent, event: Event, operation: str, beside: Extent | None = None
    ) -> Iterator[None]:
        """Call the start hooks, run the block, call the end hooks; `beside` is a second range."""
        self._require_outside(operation)
        ranges = [
            MemoryRange.around(one.address, one.end, event, operation)
            for one in (extent, beside)
            if one is not None
        ]
        with self._entered(), self.threads.running(), self.mmap_lock.read:
            for rng in ranges:
                self.notifiers.invalidate_range_start(rng)
            try:
                yield
            finally:
                for rng in reversed(ranges):
                    self.notifiers.invalidate_range_end(rng)

    def _fork_section(self, until: ExitStack) -> None:
        """No generator: Python would run the rest of one that is dropped, as in a fork's child."""
        rng = MemoryRange.around(0, _TOP, Event.PROTECTION_PAGE, "fork")
        for one in (self._entered(), self.threads.running(), self.mmap_lock.read):
            until.enter_context(one)
        if self.auditor is not None:
            self.auditor.begin(0, _TOP)
            until.callback(self.auditor.end, 0, _TOP)
        self.notifiers.invalidate_range_start(rng)
        until.callback(self.notifiers.invalidate_range_end, rng)
        for cache in list(self._lapsed):
            cache.forked()

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """Note that the running thread is inside of a section."""
        mine = self._inside[self.threads.current()]
        mine.depth += 1
        try:
            yield
        finally:
            mine.depth -= 1

    def _require_outside(self, operation: str) -> None:
        self.require_open()
        if self._is_inside():
            raise DiagnosticError(refusals.recursion(operation))

    def _is_inside(self) -> bool:
        return self._inside[self.threads.current()].depth > 0

    # -- what monitors saw ----------------------------------------------------------------------

    def _drain(self) -> None:
        with self._draining:
            rows, lost = self._space.drain()
            for kind, start, end, target, target_end in rows:
                if kind == _FORK:
                    self._foreign_fork()
                elif kind != _DIED:
                    operation, event = _EVENTS[kind]
                    self._tell(start, end, event, operation)
                    self._tell(target, target_end, event, operation)
            if lost:  # whatever it was
                self._tell(0, _TOP, Event.UNMAP, "lost")
        for cache in list(self._lapsed):
            cache.reap()

    def _tell(self, start: int, end: int, event: Event, operation: str) -> None:
        if start < end and self._guards and not self._closed:
            with self._section(Extent(start, end - start), event, operation):
                pass

    def _foreign_fork(self) -> None:
        if not self._closed:
            with ExitStack() as until:
                self._fork_section(until)

    def _ask(self, hook: str, memory: Memory) -> bool:
        self.require_open()
        extent = pages_of(extent_of(memory))
        rng = MemoryRange.around(extent.address, extent.end, Event.CLEAR, hook)
        young = False
        with self._entered(), self.threads.running(), self.mmap_lock.read, self.notifiers.srcu:
            for subscription in self.notifiers.subscriptions:
                if subscription.hashed and getattr(subscription, hook)(rng):
                    young = True  # everybody is asked: each has a bit of its own to clear
        return young

    def require_open(self) -> None:
        """Raise `DiagnosticError` E415 if this is closed, or another process."""
        if not self.is_here:
            raise DiagnosticError(refusals.other_process(self._process))
        if self._closed:
            raise DiagnosticError(refusals.closed())


def _space() -> _monitor.Space:
    """Return a native space; closed ones count until Python collects them, if need be here."""
    try:
        return _monitor.Space()
    except RuntimeError:
        gc.collect()
        return _monitor.Space()


def _started(space: _monitor.Space, wanted: Iterable[str | Monitor] | None) -> tuple[Monitor, ...]:
    found = (
        default_monitors()
        if wanted is None
        else [monitor_named(one) if isinstance(one, str) else one for one in wanted]
    )
    for monitor in found:
        monitor.start(space)
    return tuple(found)


def _close_at_exit(space: AddressSpace) -> None:
    alive = weakref.ref(space)

    def close() -> None:
        found = alive()
        if found is not None:
            found.close()

    atexit.register(close)
    weakref.finalize(space, atexit.unregister, close)


def _call(method: weakref.WeakMethod[Any]) -> None:
    found = method()
    if found is not None:
        found()


def _inner(extent: Extent) -> Extent:
    """Return the whole pages inside of an extent."""
    start = -(-extent.address // PAGE_SIZE) * PAGE_SIZE
    return Extent(start, max(extent.end // PAGE_SIZE * PAGE_SIZE - start, 0))


def _check(code: int, call: str, extent: Extent) -> None:
    if code < 0:
        where = f"{call}({extent.address:#x}, {extent.length:#x})"
        raise OSError(-code, os.strerror(-code), where)
