"""The monitor that is asked: has anything happened to these pages since they were watched?

Pages are write-protected when a cache remembers them, asynchronously: a write just lifts the
protection. What is still there, still registered and still protected was neither written to, nor
replaced, nor taken away. For devices that copy, and for private anonymous memory only: on shared
memory a hole that was read again looks unchanged, and MADV_GUARD_INSTALL never returns (both
measured on Linux 6.18).
Invariant: `unchanged` is true only if no page was changed between `remember` and the question.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from mmunotify import _monitor
from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.kernel.feature import Refusal
from mmunotify.kernel.userfaultfd import Userfaultfd
from mmunotify.live.guarantee import Guarantee
from mmunotify.live.mapping import mappings_in
from mmunotify.live.memory import Extent
from mmunotify.live.operations import Agent, Kind
from mmunotify.live.pagemap import PRESENT, WPALLOWED, WRITTEN, Wanted, pagemap_scan

__all__ = ["Validate"]

_AS_REMEMBERED = Wanted(WRITTEN, all_of=WPALLOWED | WRITTEN | PRESENT, returned=WPALLOWED)


class Validate:
    """PAGEMAP_SCAN over pages that a userfaultfd has write-protected; needs no privilege."""

    name = "validate"
    guarantees: Mapping[str, Guarantee] = dict.fromkeys(
        (
            *("munmap", "mmap_fixed", "brk", "mremap", "mremap_onto", "mremap_dontunmap"),
            *("mremap_shrink", "madv_dontneed", "process_madvise", "madv_guard_install"),
            *("cow", "zero_page", "write"),
        ),
        Guarantee.VALIDATED,
    )
    reach = frozenset(Agent)

    def __init__(self) -> None:
        self._uffd: Userfaultfd | None = None
        self._pagemap = -1

    def start(self, space: _monitor.Space) -> None:  # noqa: ARG002  it reports nothing
        """Open a userfaultfd of its own, which reports nothing and so blocks nobody."""
        try:
            wanted = ("wp_async", "wp_unpopulated")
            self._uffd = Userfaultfd(user_mode_only=True, features=wanted)
        except (OSError, Refusal) as error:
            raise DiagnosticError(
                Diagnostic(
                    "E401",
                    None,
                    f"userfaultfd with WP_ASYNC is not to be had here: {error}",
                    "it is there since Linux 6.7",
                )
            ) from error
        self._pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)

    def watch(self, extent: Extent) -> None:
        """Watch a range; there is nothing to report."""

    def unwatch(self, extent: Extent) -> None:
        """Stop watching a range."""

    def remember(self, extent: Extent) -> None:
        """Begin anew: what happened to these pages before does not count.

        Raises `DiagnosticError` E412 for what is not private and anonymous, or cannot be watched.
        """
        assert self._uffd is not None
        for mapping in mappings_in(extent.address, extent.end):
            if mapping.kind is not Kind.ANONYMOUS:
                raise DiagnosticError(
                    Diagnostic(
                        "E412",
                        None,
                        f"{mapping.kind} memory cannot be validated",
                        "a hole in it that was read again looks like what was there before",
                        "mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)",
                    )
                )
        try:
            self._uffd.register(extent.address, extent.length)
            self._uffd.write_protect(extent.address, extent.length)
        except OSError as error:
            where = f"[{extent.address:#x}, {extent.end:#x})"
            raise DiagnosticError(
                Diagnostic(
                    "E412",
                    None,
                    f"{where} cannot be watched: {error.strerror}",
                    "a part of it is not mapped, or another userfaultfd watches it",
                )
            ) from error

    def unchanged(self, extent: Extent) -> bool:
        """Tell whether every page is as it was when it was remembered."""
        found, _ = pagemap_scan(self._pagemap, extent, _AS_REMEMBERED, 1)
        return found == [extent]

    def stop(self) -> None:
        """Give the descriptors back."""
        if self._uffd is not None:
            self._uffd.close()
            os.close(self._pagemap)
            self._uffd = None
