"""The operations that can hurt a second translation, and what each does: data.

`pinned`: it puts other pages, or none, behind an address, so that a device which holds the old ones
is stale. `translating`: it changes page table entries. `copying`: bytes change, or the pages do.
`memory`: on which kinds it can happen at all. How each comes about is in `live.ways`, and the
self-test (`live.selftest`) tries all of that.
Invariant: names are unique and are what reports, `allow_uncovered` and monitors call them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from mmunotify.live.guarantee import Need

__all__ = ["OPERATIONS", "Agent", "Kind", "Operation", "needed", "ordered_by_userfaultfd"]


class Kind(Enum):
    """A kind of memory."""

    ANONYMOUS = "anonymous"  # private
    UNNAMED = "unnamed"  # MAP_SHARED | MAP_ANONYMOUS, as mmap.mmap(-1, n): shared, without a file
    SYSV = "sysv"  # shmget and shmat: shared, without a descriptor
    SHARED = "shared"  # memfd, /dev/shm: whoever has the file may change it
    FILE = "file"

    def __str__(self) -> str:
        return self.value


class Agent(Enum):
    """Who or what does an operation. A monitor hears of it from some and not from others."""

    THROUGH = "the AddressSpace"  # and os.fork, which is as good
    PROGRAM = "the program's own system call"
    REMAP = "shmat(SHM_REMAP) or remap_file_pages"  # of which the kernel tells no userfaultfd
    WORKER = "a worker of io_uring"
    PROCESS = "another process"
    KERNEL = "the kernel of its own accord"
    CPU = "an access"  # by a CPU, or by the kernel on behalf of one

    def __str__(self) -> str:
        return self.value


_ALL = frozenset(Kind)
_ANONYMOUS = frozenset({Kind.ANONYMOUS})
_BY_FILE = frozenset({Kind.SHARED, Kind.FILE})
_NOT_PRIVATE = _BY_FILE | {Kind.UNNAMED, Kind.SYSV}


@dataclass(frozen=True)
class Operation:
    """One operation. `heard`: userfaultfd reports it."""

    name: str
    what: str
    pinned: bool = False
    translating: bool = True
    copying: bool = False
    heard: bool = False
    memory: frozenset[Kind] = _ALL

    def hurts(self, need: Need) -> bool:
        """Tell whether a device of that kind must hear of it."""
        return {
            Need.PINNED: self.pinned,
            Need.TRANSLATING: self.translating,
            Need.COPYING: self.copying or self.pinned,
        }[need]


def _row(name: str, what: str, effect: str = "translation", **more: object) -> Operation:
    pinned = effect == "association"
    return Operation(name, what, pinned=pinned, **more)  # type: ignore[arg-type]


OPERATIONS: tuple[Operation, ...] = (
    _row("munmap", "munmap, of all or a part", "association", heard=True),
    _row("mmap_fixed", "mmap(MAP_FIXED) over it", "association", heard=True),
    _row("mremap", "mremap away", "association", heard=True),
    _row("mremap_onto", "mremap(MREMAP_FIXED) onto it", "association", heard=True),
    _row("mremap_dontunmap", "mremap(MREMAP_DONTUNMAP)", "association", heard=True),
    _row("mremap_shrink", "mremap to a smaller length", "association", heard=True),
    _row("brk", "brk to a lower end of the heap", "association", heard=True, memory=_ANONYMOUS),
    _row("shmdt", "shmdt, of System V's memory", "association", memory=frozenset({Kind.SYSV})),
    _row("madv_dontneed", "madvise(MADV_DONTNEED)", "association", heard=True),
    _row("process_madvise", "process_madvise(MADV_DONTNEED)", "association", heard=True),
    _row("madv_remove", "madvise(MADV_REMOVE)", "association", heard=True, memory=_NOT_PRIVATE),
    _row("madv_free", "madvise(MADV_FREE)", heard=True, memory=_ANONYMOUS),
    _row("madv_guard_install", "madvise(MADV_GUARD_INSTALL)", "association"),
    _row("punch_hole", "fallocate(FALLOC_FL_PUNCH_HOLE)", "association", memory=_BY_FILE),
    _row("ftruncate", "ftruncate to less", "association", memory=_BY_FILE),
    _row("mprotect", "mprotect to fewer permissions"),
    _row("madv_pageout", "madvise(MADV_PAGEOUT)"),
    _row("reclaim", "reclaim, by kswapd or another process"),
    _row("madv_collapse", "madvise(MADV_COLLAPSE), khugepaged"),
    _row("migrate", "migration: compaction, NUMA balancing, move_pages"),
    _row("ksm", "KSM merges the page", memory=_ANONYMOUS),
    _row("fork", "fork makes the page copy-on-write", heard=False, memory=_ANONYMOUS),
    _row("cow", "a write breaks copy-on-write", memory=frozenset({Kind.ANONYMOUS, Kind.FILE})),
    _row("zero_page", "the first write after a read of the zero page", memory=_ANONYMOUS),
    Operation("write", "a CPU writes", translating=False, copying=True),
)
"""All operations, those that change the association of address and page first."""


def needed(need: Need, kinds: Iterable[Kind]) -> Iterator[Operation]:
    """Yield the operations that a device must hear of on memory of these kinds."""
    wanted = frozenset(kinds)
    for operation in OPERATIONS:
        if operation.hurts(need) and operation.memory & wanted:
            yield operation


def ordered_by_userfaultfd() -> list[str]:
    """Name the operations that userfaultfd reports."""
    return [operation.name for operation in OPERATIONS if operation.heard]
