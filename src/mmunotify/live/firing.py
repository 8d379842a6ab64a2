"""What a program does to its own memory: one function an operation, to the target of a `Scratch`.

Invariant: what the machine refuses is a `NotFiredError` or an `OSError`, never silence.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

from mmunotify import _monitor
from mmunotify.kernel.memory import PAGE, map_pages
from mmunotify.kernel.ring import ring_madvise
from mmunotify.kernel.segment import Segment
from mmunotify.kernel.swap import swap_areas
from mmunotify.kernel.system_call import Syscall, system_call
from mmunotify.live.memory import Extent
from mmunotify.live.scratch import NotFiredError, Scratch

__all__ = [
    "COLD",
    "COLLAPSE",
    "DONTNEED",
    "DONTNEED_LOCKED",
    "FREE",
    "GUARD_INSTALL",
    "HUGEPAGE",
    "PAGEOUT",
    "POPULATE_WRITE",
    "REMOVE",
    "advise",
    "attach_over",
    "become_another",
    "become_huge",
    "by_c_library",
    "by_io_uring",
    "call",
    "detach",
    "end",
    "first_half",
    "fork",
    "free_lazily",
    "lock",
    "lock_and_unlock",
    "map_over",
    "map_private_over",
    "move",
    "move_and_keep",
    "move_onto",
    "move_onto_through",
    "nothing",
    "open_truncated",
    "pageout_without_swap",
    "part",
    "pin",
    "process_madvise",
    "punch_hole",
    "read_into",
    "read_zero_pages",
    "reclaimable",
    "remap_pages",
    "shrink_heap",
    "spawn",
    "touch",
    "truncate_by_path",
    "write_to_file",
]

Fire = Callable[[Scratch], object]

DONTNEED, FREE, REMOVE, HUGEPAGE, COLD, PAGEOUT = 4, 8, 9, 14, 20, 21
POPULATE_WRITE, DONTNEED_LOCKED, COLLAPSE, GUARD_INSTALL = 23, 24, 25, 102
_MAYMOVE, _FIXED, _DONTUNMAP = 1, 2, 4
_PUNCH_HOLE, _KEEP_SIZE = 2, 1
_MIGRATE_PAGES, _REMAP_FILE_PAGES = 256, 216
_ANOTHER = "import sys; print('here', flush=True); sys.stdin.read()"


def nothing(memory: Scratch) -> None:
    """Most operations need no preparation."""


def call(number: int, *rest: int) -> Fire:
    """A system call on the target, made by hand."""
    return lambda memory: memory.call(number, *rest)


def advise(advice: int) -> Fire:
    """`madvise` of the target."""
    return call(Syscall.MADVISE, advice)


def by_c_library(name: str, *rest: int) -> Fire:
    """A function of the C library on the target."""

    def fire(memory: Scratch) -> None:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
        address, length = memory.span
        words = (ctypes.c_size_t(length), *map(ctypes.c_long, rest))
        if function(ctypes.c_void_p(address), *words) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    return fire


def part(fire: Fire) -> Fire:
    """Prepare: what follows is done to pages 4 to 7."""

    def narrow(memory: Scratch) -> None:
        fire(memory)
        memory.target = Extent(memory.extent.address + 4 * PAGE, 4 * PAGE)

    return narrow


# Unmapping and moving -----------------------------------------------------------------------------


def map_over(memory: Scratch) -> None:
    """`mmap(MAP_FIXED)`."""
    memory.map(memory.target.address)


def map_private_over(memory: Scratch) -> None:
    """`mmap(MAP_FIXED)` of private memory."""
    map_pages(memory.target.length, at=memory.target.address)


def attach_over(memory: Scratch) -> None:
    """`shmat(SHM_REMAP)`: a segment of System V over the target."""
    Segment(memory.target.length, at=memory.target.address)


def detach(memory: Scratch) -> None:
    """`shmdt`."""
    memory.segment.detach(memory.target.address)


def first_half(memory: Scratch) -> None:
    """Prepare: what follows is done to the first half of the pages."""
    memory.target = Extent(memory.extent.address, memory.extent.length // 2)


def remap_pages(memory: Scratch) -> None:
    """`remap_file_pages`: the pages of the file that come after the target's over it."""
    system_call(_REMAP_FILE_PAGES, *memory.span, 0, memory.target.length // PAGE, 0)


def move(memory: Scratch) -> None:
    """`mremap` away."""
    memory.call(Syscall.MREMAP, memory.target.length, _MAYMOVE | _FIXED, memory.more().address)


def move_onto(memory: Scratch) -> None:
    """`mremap` of other memory onto the target."""
    source, size = memory.more(), memory.target.length
    flags = _MAYMOVE | _FIXED
    system_call(Syscall.MREMAP, source.address, size, size, flags, memory.target.address)


def move_onto_through(memory: Scratch) -> None:
    """The same, through the address space."""
    source = memory.more()
    memory.mm.remap((source.address, source.length), onto=memory.target.address)


def move_and_keep(memory: Scratch) -> None:
    """`mremap` of the pages without the mapping."""
    size = memory.target.length
    at = memory.call(Syscall.MREMAP, size, _MAYMOVE | _DONTUNMAP, 0)
    memory.elsewhere.append(Extent(at, size))


def shrink_heap(memory: Scratch) -> None:
    """`brk` to where the target begins, if the allocator has not moved the end meanwhile."""
    libc = ctypes.PyDLL(None)  # nobody else runs Python, which allocates
    libc.sbrk.restype = ctypes.c_void_p
    if libc.sbrk(ctypes.c_long(0)) != memory.target.end:
        raise NotFiredError("the allocator has taken the end of the heap meanwhile")
    libc.brk(ctypes.c_void_p(memory.target.address))


# Discarding ---------------------------------------------------------------------------------------


def by_io_uring(memory: Scratch) -> None:
    """`MADV_DONTNEED` by a worker of io_uring."""
    ring_madvise(*memory.span, DONTNEED)


def process_madvise(memory: Scratch) -> None:
    """`process_madvise(MADV_DONTNEED)` of this process by itself."""
    words = (ctypes.c_uint64 * 2)(*memory.span)
    pidfd = os.pidfd_open(os.getpid())
    try:
        vector = ctypes.addressof(words)
        system_call(Syscall.PROCESS_MADVISE, pidfd, vector, 1, DONTNEED, 0)
    except OSError as error:
        raise NotFiredError("process_madvise takes no MADV_DONTNEED before Linux 6.13") from error
    finally:
        os.close(pidfd)


def punch_hole(memory: Scratch) -> None:
    """`fallocate(FALLOC_FL_PUNCH_HOLE)`."""
    offset = memory.target.address - memory.extent.address
    mode = _PUNCH_HOLE | _KEEP_SIZE
    system_call(Syscall.FALLOCATE, memory.fd, mode, offset, memory.target.length)


def reclaimable(memory: Scratch) -> None:  # noqa: ARG001  it is every CPU that is emptied
    """Have pages where reclaim looks for them: on the kernel's lists, not on those of a CPU."""
    with contextlib.suppress(OSError):  # a kernel without NUMA
        nodes = ctypes.c_uint64(1)
        mask = ctypes.addressof(nodes)
        system_call(_MIGRATE_PAGES, 0, 65, mask, mask)  # from node 0 to node 0


def free_lazily(memory: Scratch) -> None:
    """Leave the pages to whoever reclaims them."""
    reclaimable(memory)
    memory.call(Syscall.MADVISE, FREE)
    reclaimable(memory)


def truncate_by_path(memory: Scratch) -> None:
    """`truncate(2)`."""
    os.truncate(f"/proc/self/fd/{memory.fd}", 0)


def open_truncated(memory: Scratch) -> None:
    """`open` with O_TRUNC."""
    os.close(os.open(f"/proc/self/fd/{memory.fd}", os.O_RDWR | os.O_TRUNC))


def pageout_without_swap(memory: Scratch) -> None:
    """`madvise(MADV_PAGEOUT)` where private memory has nowhere to go."""
    if swap_areas():
        raise NotFiredError("this machine has swap space")
    memory.call(Syscall.MADVISE, PAGEOUT)


# Huge pages, locks, copies ------------------------------------------------------------------------


def become_huge(memory: Scratch) -> None:
    """Have one huge page instead of 512."""
    memory.call(Syscall.MADVISE, HUGEPAGE)
    memory.call(Syscall.MADVISE, COLLAPSE)


def lock(memory: Scratch) -> None:
    """`mlock`."""
    memory.call(Syscall.MLOCK)


def lock_and_unlock(memory: Scratch) -> None:
    """`mlock` and `munlock`."""
    memory.call(Syscall.MLOCK)
    memory.call(Syscall.MUNLOCK)


def fork(*, by_hand: bool, stays: bool) -> Fire:
    """A child, which `stays` until the scratch memory goes, or ends at once."""

    def fire(memory: Scratch) -> None:
        memory.child.fork(by_hand=by_hand)
        if not stays:
            memory.child.end()

    return fire


def spawn(memory: Scratch) -> None:  # noqa: ARG001  it does nothing to it
    """`posix_spawn`, which borrows the memory until the child's exec, and wait for the child."""
    child = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", ""], os.environ)
    os.waitpid(child, 0)


def pin(memory: Scratch) -> None:
    """Register the pages as a buffer of io_uring, which pins them."""
    ring = _monitor.Uring(1)
    result = ring.update(0, *memory.span)
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    memory.undo.callback(ring.update, 0, 0, 0)


def end(memory: Scratch) -> None:  # noqa: ARG001  everything goes
    """`exit_group`: nothing of Python's runs any more."""
    os._exit(0)


def become_another(memory: Scratch) -> None:  # noqa: ARG001  everything goes
    """`execve` of a program that says a word and waits until its input ends."""
    os.execv(sys.executable, [sys.executable, "-S", "-c", _ANOTHER])


# Writing ------------------------------------------------------------------------------------------


def touch(memory: Scratch) -> None:
    """Write to every page."""
    ctypes.memset(memory.target.address, 1, memory.target.length)


def read_zero_pages(memory: Scratch) -> None:
    """Have the zero page everywhere."""
    memory.call(Syscall.MADVISE, DONTNEED)
    ctypes.string_at(*memory.span)


def read_into(memory: Scratch) -> None:
    """`read(2)` from a file, which the kernel writes."""
    address, length = memory.span
    with Path("/dev/zero").open("rb", buffering=0) as file:
        file.readinto(memoryview((ctypes.c_char * length).from_address(address)).cast("B"))


def write_to_file(memory: Scratch) -> None:
    """`write(2)` to the file that is mapped."""
    os.pwrite(memory.fd, bytes(memory.target.length), 0)
