"""Why the kernel invalidates: read from the call chain that led to the notifier.

Invariant: what happens (COW, merge, migration, ...) goes before what asked for it (a system call),
and a chain that no rule knows is "other", with the function, never a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["CAUSES", "OTHER", "cause_of", "may_be_foreign"]

OTHER: Final = "other"

# cause -> functions any of which is in the chain; the first row that matches counts.
_RULES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    # First: whatever its thread does (age, reclaim, migrate), a policy of the user's asked for it.
    ("DAMON", ("kdamond_fn", "damon_pa_prepare_access_checks", "damon_va_prepare_access_checks")),
    ("KSM", ("ksm_do_scan", "ksm_scan_thread", "try_to_merge_one_page", "break_ksm")),
    ("collapse", ("collapse_huge_page", "madvise_collapse", "collapse_pte_mapped_thp")),
    ("collapse", ("retract_page_tables", "khugepaged", "hpage_collapse_scan_file")),
    ("NUMA balancing", ("change_prot_numa", "task_numa_work", "migrate_misplaced_folio")),
    ("compaction", ("compact_zone", "compact_node")),
    ("migration", ("migrate_pages", "migrate_pages_batch", "try_to_migrate", "migrate_vma_setup")),
    ("split", ("__split_huge_pmd", "__split_huge_pud", "split_folio", "split_huge_pmd_address")),
    ("COW", ("do_wp_page", "wp_page_copy", "do_huge_zero_wp_pmd", "hugetlb_wp", "do_cow_fault")),
    ("fork", ("copy_page_range", "dup_mmap", "copy_hugetlb_page_range")),
    ("madvise", ("do_madvise", "vector_madvise", "madvise_vma_behavior", "madvise_do_behavior")),
    ("reclaim", ("shrink_folio_list", "shrink_node", "shrink_one", "reclaim_pages")),
    ("reclaim", ("folio_referenced", "lru_gen_look_around", "walk_mm", "evict_folios")),
    ("idle tracking", ("page_idle_bitmap_read", "page_idle_bitmap_write")),
    ("truncate", ("unmap_mapping_range", "unmap_mapping_pages", "unmap_mapping_folio")),
    ("truncate", ("truncate_pagecache", "truncate_inode_pages_range", "shmem_fallocate")),
    ("writeback", ("page_vma_mkclean_one", "folio_mkclean", "page_mkclean_one")),
    ("mremap", ("do_mremap", "__do_sys_mremap", "move_page_tables")),
    ("userfaultfd", ("userfaultfd_ioctl", "userfaultfd_release", "uffd_wp_range")),
    ("userfaultfd", ("mwriteprotect_range", "move_pages_pte")),
    ("mprotect", ("mprotect_fixup", "do_mprotect_pkey")),
    ("soft-dirty", ("clear_refs_write",)),
    ("pagemap scan", ("do_pagemap_scan", "pagemap_scan_pmd_entry")),
    ("brk", ("__do_sys_brk", "do_brk_flags")),
    ("mmap over", ("__mmap_region", "mmap_region", "do_mmap")),
    ("OOM reaper", ("__oom_reap_task_mm", "oom_reaper")),
    ("exit", ("exit_mmap", "mmput")),
    ("munmap", ("do_munmap", "do_vmi_munmap", "__vm_munmap", "vms_clear_ptes", "unmap_region")),
    ("uprobe", ("uprobe_write_opcode", "uprobe_write", "__replace_page")),
)

CAUSES: Final = tuple(dict.fromkeys(cause for cause, _ in _RULES))
"""Every cause by name."""

_FOREIGN_CAUSES: Final = frozenset(
    (
        "KSM",
        "collapse",
        "compaction",
        "migration",
        "split",
        "reclaim",
        "truncate",
        "writeback",
        "DAMON",
        "idle tracking",
        "soft-dirty",
        "OOM reaper",
        "uprobe",
    )
)
_FOREIGN_CALLS: Final = frozenset(
    ("__do_sys_process_madvise", "process_vm_rw_core", "__access_remote_vm", "clear_refs_write")
)

_BY_FUNCTION: Final = {name: cause for cause, names in reversed(_RULES) for name in names}
_RANK: Final = {name: rank for rank, (_, names) in enumerate(_RULES) for name in names}
_PLUMBING: Final = ("mmu_notifier", "kvm_", "?")  # what every chain begins with


def cause_of(stack: Sequence[str]) -> str:
    """The cause that a call chain, innermost function first, stands for."""
    known = [name for name in stack if name in _RANK]
    if known:
        return _BY_FUNCTION[min(known, key=lambda name: _RANK[name])]
    for name in stack:
        if not any(part in name for part in _PLUMBING):
            return f"{OTHER} ({name})"
    return OTHER


def may_be_foreign(cause: str, stack: Sequence[str]) -> bool:
    """Tell whether a thread of another process, or of the kernel, can do that to a process."""
    return cause in _FOREIGN_CAUSES or any(name in _FOREIGN_CALLS for name in stack)
