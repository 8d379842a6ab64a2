"""The monitor that works everywhere: a userfaultfd that is read by a native thread.

Whatever unmaps, moves or discards watched memory is reported, whoever does it: glibc's own calls,
system calls made by hand, io_uring, another process. Needs no privilege; with CAP_SYS_PTRACE forks
are reported as well. What it never reports is in `guarantees`. The kernel does not tell it either
where shmat with SHM_REMAP or remap_file_pages map something else over watched memory (measured on
Linux 6.18); where these happen it is no monitor to rely on.
Invariant: every range that is watched is given back before the descriptor is closed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from mmunotify import _monitor
from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.live.guarantee import Guarantee
from mmunotify.live.memory import Extent
from mmunotify.live.operations import Agent, ordered_by_userfaultfd

__all__ = ["Userfaultfd"]


class Userfaultfd:
    """`userfaultfd(2)` with WP_ASYNC, never write-protecting."""

    name = "userfaultfd"
    guarantees: Mapping[str, Guarantee] = dict.fromkeys(ordered_by_userfaultfd(), Guarantee.ORDERED)
    reach = frozenset(Agent) - {Agent.REMAP}

    def __init__(self) -> None:
        self._native: _monitor.Userfaultfd | None = None

    @property
    def alive(self) -> bool:
        """Whether the thread still reads."""
        return self._native is not None and self._native.alive

    @property
    def hears_forks(self) -> bool:
        """Whether the kernel reports forks, which needs CAP_SYS_PTRACE."""
        return self._native is not None and self._native.hears_forks

    def start(self, space: _monitor.Space) -> None:
        """Open the descriptor and start its thread."""
        try:
            self._native = _monitor.Userfaultfd(space)
        except OSError as error:
            raise DiagnosticError(_refused(error)) from error

    def watch(self, extent: Extent) -> None:
        """Have the kernel report what happens to a range, which must be mapped throughout."""
        if self._native is None:
            return
        result = self._native.watch(extent.address, extent.end)
        if result != 0:
            self._native.unwatch(extent.address, extent.end)
            raise DiagnosticError(_cannot_watch(extent, -result))

    def unwatch(self, extent: Extent) -> None:
        """Have what nobody else watches reported no more."""
        if self._native is not None:
            self._native.unwatch(extent.address, extent.end)

    def stop(self) -> None:
        """Give all ranges back, then end the thread."""
        native, self._native = self._native, None
        if native is not None:
            native.stop()


def _refused(error: OSError) -> Diagnostic:
    return Diagnostic(
        "E401",
        None,
        f"userfaultfd is not to be had here: {error.strerror}",
        "the kernel has none (CONFIG_USERFAULTFD), is older than 6.7 (WP_ASYNC), or a seccomp "
        "filter such as a container's forbids it",
        'AddressSpace(monitors=["explicit"])  # only what goes through it is heard of',
    )


def _cannot_watch(extent: Extent, number: int) -> Diagnostic:
    where = f"[{extent.address:#x}, {extent.end:#x})"
    if number == errno.EBUSY:
        return Diagnostic(
            "E412",
            None,
            f"another userfaultfd watches {where}",
            "a mapping has one userfaultfd at most: a second AddressSpace of this process, CRIU, "
            "a JVM, a virtual machine monitor or libfabric has it",
            "use one AddressSpace for the whole process, or end the other user of this memory",
        )
    if number == errno.ENOMEM:
        return Diagnostic(
            "E412",
            None,
            f"the process has no room for another mapping: {where} cannot be watched",
            "watching a part of a mapping splits it, and vm.max_map_count limits their number",
            "watch whole mappings, or sysctl vm.max_map_count=1048576",
        )
    return Diagnostic(
        "E412",
        None,
        f"{where} cannot be watched: {os.strerror(number)}",
        "a part of it is not mapped, or is memory of a device",
        "mmap.mmap(-1, length)  # private, anonymous or shared memory, or a file",
    )
