"""`Mirror`: a copy of memory that is brought up to date by copying what was written, and no more.

It is what live migration, checkpoints and software caches of a remote node do. Of writes it learns
by asking the kernel at each use (`PageScan`), which cannot tell that other memory came to the same
address; that it hears from the cache's monitor.
Invariant: after `update` a copy holds every write that had happened when `update` was called.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.live import refusals
from mmunotify.live.guarantee import Need
from mmunotify.live.mapping import mappings_in
from mmunotify.live.memory import PAGE_SIZE, Extent, Memory, extent_of
from mmunotify.live.operations import Kind
from mmunotify.live.page_scan import PageScan
from mmunotify.live.registration import Registration

__all__ = ["Copy", "Mirror"]


@dataclass(eq=False)
class Copy:
    """The copy of an extent: `data`, and the parts of it that are known to be out of date."""

    extent: Extent
    data: bytearray
    pending: list[Extent] = field(default_factory=list)
    used: bool = False

    def note(self, written: Extent) -> None:
        """Take down what of this was written."""
        start = max(written.address, self.extent.address)
        end = min(written.end, self.extent.end)
        if start < end:
            self.pending.append(Extent(start, end - start))


class _Copies:
    """All copies of this process: a scan clears the kernel's bits for everybody, so all are told.

    The lock covers a scan with what it finds: a second thread must not take the bits for clean
    before the first has copied what they stood for.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.all: list[Copy] = []

    def reset(self) -> None:
        """In a child: the copies are the parent's, and so is whoever holds the lock."""
        self.__init__()  # type: ignore[misc]


_COPIES = _Copies()
os.register_at_fork(after_in_child=_COPIES.reset)


class Mirror:
    """Copies of private anonymous memory. Registrations have a `Copy` as their key.

    Needs an address space with the monitor userfaultfd (or validate), whose registration the
    kernel's bits of written pages rest on. Shared memory and files are refused (E412): others write
    them through page tables of their own. A device that writes memory it has pinned, such as an
    io_uring with registered buffers, sets no bit either; `forget` such memory after its transfers.
    `copied` counts the pages that were copied, first copies included.
    """

    name = "mirror"
    need = Need.COPYING
    covers = frozenset({"write", "madv_guard_install"})
    """Operations that no monitor has to report: each use asks the kernel. Guard pages count as
    written pages, and cannot be read."""
    whole = True
    """A scan of memory of which a part is gone fails."""

    def __init__(self) -> None:
        self.copied = 0
        self._process = os.getpid()
        self._scan = PageScan()

    # -- what a cache calls ---------------------------------------------------------------------

    def register(self, address: int, length: int) -> Copy:
        """Copy whole pages; `DiagnosticError` E412 for memory that others can write unseen."""
        extent = Extent(address, length)
        for mapping in mappings_in(address, extent.end):
            if mapping.kind is not Kind.ANONYMOUS:
                raise DiagnosticError(_not_private(extent, str(mapping.kind)))
        copy = Copy(extent, bytearray(length))
        with self._here():
            _COPIES.all.append(copy)
            try:
                self._find_written(extent)
                copy.pending = [extent]
                self._copy_pending(copy)
            except BaseException:
                _COPIES.all.remove(copy)
                raise
        return copy

    def deregister(self, key: Copy) -> None:
        """Drop a copy."""
        with self._here():
            _COPIES.all.remove(key)

    def clear_young(self, key: Copy) -> bool:
        """Tell whether the copy was updated or read since the last time."""
        young, key.used = key.used, False
        return young

    # -- what users call ------------------------------------------------------------------------

    def update(self, registration: Registration) -> int:
        """Bring a copy up to date and return how many pages that took.

        Raises OSError (EPERM, EIO, EFAULT) if the memory was unmapped or replaced since the lookup,
        or cannot be read; the copy then keeps what it has.
        """
        copy: Copy = registration.key
        copy.used = True
        with self._here():
            self._find_written(copy.extent)
            return self._copy_pending(copy)

    def read(self, memory: Memory, registration: Registration) -> bytes:
        """Read from the copy as it is; `update` it before."""
        extent = extent_of(memory)
        start = registration.offset(memory)
        registration.key.used = True
        return bytes(registration.key.data[start : start + extent.length])

    def forget(self, memory: Memory) -> None:
        """Take `memory` for written, because something wrote it that leaves no trace."""
        extent = extent_of(memory)
        start = extent.address // PAGE_SIZE * PAGE_SIZE
        end = -(-extent.end // PAGE_SIZE) * PAGE_SIZE
        with self._here():
            self._note(Extent(start, end - start))

    def close(self) -> None:
        """Give the descriptors back; close the cache before."""
        self._scan.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- written pages --------------------------------------------------------------------------

    @contextlib.contextmanager
    def _here(self) -> Iterator[None]:
        if self._process != os.getpid():  # the descriptors lead to the parent's memory
            raise DiagnosticError(refusals.other_process(self._process))
        with _COPIES.lock:
            yield

    def _find_written(self, extent: Extent) -> None:
        try:
            for written in self._scan.written(extent):
                self._note(written)
        except OSError:
            # A scan that stops half-way has cleared bits that it does not report.
            self._note(extent)
            raise

    @staticmethod
    def _note(written: Extent) -> None:
        for copy in _COPIES.all:
            copy.note(written)

    def _copy_pending(self, copy: Copy) -> int:
        """Copy what is out of date; what fails stays out of date."""
        pages = 0
        with memoryview(copy.data) as data:
            while copy.pending:
                part = copy.pending[-1]
                at = part.address - copy.extent.address
                self._scan.read(part.address, data[at : at + part.length])
                copy.pending.pop()
                pages += part.length // PAGE_SIZE
        self.copied += pages
        return pages


def _not_private(extent: Extent, kind: str) -> Diagnostic:
    return Diagnostic(
        "E412",
        None,
        f"[{extent.address:#x}, {extent.end:#x}) has {kind} memory, which no mirror can follow",
        "who writes it through another mapping, or by write(2), marks "
        "page table entries of its own, and this process's show nothing",
        "mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)",
    )
