"""`origin_of`: which operation of `live.operations` led to a notification, and who reports such.

Invariant: a call chain that fits no operation keeps the name of its cause (`kernel.cause`), which
no monitor promises; a name is never the nearest guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from mmunotify.kernel.cause import cause_of, may_be_foreign
from mmunotify.live.operations import Agent

__all__ = ["Origin", "Report", "origin_of"]


class Report(Enum):
    """The kind of a native report (`monitor::Kind`)."""

    UNMAP = 0
    REMAP = 1
    REMOVE = 2
    FORK = 3
    DIED = 4
    CHANGE = 5
    BEGUN = 6
    ENDED = 7


@dataclass(frozen=True)
class Origin:
    """What an invalidation comes from: an operation, or a cause that is none of them.

    `reports`: the kind of report that userfaultfd makes of it, if it hears of it. `unmaps`: the
    mapping is gone, and with it everybody's watch on it. `foreign`: another process, or the kernel,
    may have done it.
    """

    operation: str
    reports: Report | None = None
    agent: Agent = Agent.PROGRAM
    unmaps: bool = False
    foreign: bool = False


_BY_CAUSE: Final = {
    "DAMON": "reclaim",
    "KSM": "ksm",
    "collapse": "madv_collapse",
    "NUMA balancing": "migrate",
    "compaction": "migrate",
    "migration": "migrate",
    "COW": "cow",  # of the zero page, too: the chain is the same
    "brk": "brk",
    "mmap over": "mmap_fixed",
}
# Causes by which the mapping goes.
_UNMAPS: Final = {"munmap", "mmap over", "mremap", "brk"}
_REMAPPING: Final = {"do_shmat", "__do_sys_remap_file_pages"}


@lru_cache(4096)
def origin_of(stack: tuple[str, ...]) -> Origin:
    """Return what a call chain, innermost function first, comes from."""
    cause = cause_of(stack)
    chain = frozenset(stack)
    foreign = may_be_foreign(cause, stack)
    if cause == "madvise":
        operation = _advised(chain)
        heard = operation in ("madv_dontneed", "process_madvise", "madv_remove", "madv_free")
        return Origin(operation, Report.REMOVE if heard else None, foreign=foreign)
    if cause == "truncate":
        return Origin(_truncated(chain), foreign=foreign)
    if cause == "fork":
        return Origin("fork", Report.FORK)
    if cause not in _UNMAPS:
        return Origin(_BY_CAUSE.get(cause, cause), foreign=foreign)
    if "__do_sys_shmdt" in chain or "ksys_shmdt" in chain:
        return Origin("shmdt", unmaps=True)
    if "move_page_tables" in chain:
        return Origin("mremap", Report.REMAP, unmaps=True)
    operation = _moved(chain) if cause == "mremap" else _BY_CAUSE.get(cause, cause)
    agent = Agent.REMAP if chain & _REMAPPING else Agent.PROGRAM
    return Origin("mmap_fixed" if agent is Agent.REMAP else operation, Report.UNMAP, agent, True)


def _advised(chain: frozenset[str]) -> str:
    by_process = chain & {"__do_sys_process_madvise", "vector_madvise"}
    if chain & {"shrink_folio_list", "reclaim_pages", "madvise_pageout"}:
        return "reclaim" if by_process else "madv_pageout"
    if chain & {"unmap_mapping_range", "unmap_mapping_pages", "vfs_fallocate"}:
        return "madv_remove"
    if "madvise_free_single_vma" in chain:
        return "madv_free"
    if "zap_page_range_single_batched" not in chain:
        return "madvise"  # before v6.16 a discard and a guard page look alike
    if "zap_page_range_single" in chain:
        return "madv_guard_install"
    return "process_madvise" if by_process else "madv_dontneed"


def _truncated(chain: frozenset[str]) -> str:
    if "vfs_fallocate" in chain:
        return "punch_hole"
    return "ftruncate" if chain & {"do_truncate", "notify_change"} else "truncate"


def _moved(chain: frozenset[str]) -> str:
    if "shrink_vma" in chain:
        return "mremap_shrink"
    return "mremap_onto" if "mremap_to" in chain else "mremap"
