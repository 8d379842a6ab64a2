"""Why the kernel invalidates, by call chains as this kernel has them."""

from __future__ import annotations

import pytest

from mmunotify.kernel.cause import CAUSES, cause_of, may_be_foreign

HEAD = ("kvm_mmu_notifier_invalidate_range_start", "__mmu_notifier_invalidate_range_start")
CHAINS = {
    "COW": ("do_wp_page", "__handle_mm_fault", "handle_mm_fault", "exc_page_fault"),
    "madvise": ("zap_page_range_single_batched", "madvise_vma_behavior", "do_madvise"),
    "mprotect": ("change_protection", "mprotect_fixup", "do_mprotect_pkey"),
    "fork": ("copy_page_range", "dup_mmap", "copy_process", "kernel_clone"),
    "mremap": ("unmap_vmas", "do_vmi_munmap", "move_vma", "do_mremap", "__do_sys_mremap"),
    "mmap over": ("unmap_vmas", "__mmap_region", "do_mmap", "vm_mmap_pgoff"),
    "munmap": ("unmap_vmas", "vms_clear_ptes", "do_vmi_munmap", "__vm_munmap"),
    "KSM": ("do_wp_page", "handle_mm_fault", "break_ksm", "unmerge_ksm_pages"),
    "compaction": ("try_to_migrate", "migrate_pages_batch", "compact_zone", "kcompactd"),
    "migration": ("try_to_migrate", "migrate_pages_batch", "do_move_pages_to_node"),
    "split": ("__split_huge_pmd", "unmap_page_range", "do_madvise"),
    "DAMON": ("try_to_unmap_one", "shrink_folio_list", "damon_pa_pageout", "kdamond_fn"),
    "reclaim": ("try_to_unmap_one", "shrink_folio_list", "shrink_node", "kswapd"),
    "exit": ("unmap_vmas", "exit_mmap", "mmput", "do_exit"),
}


@pytest.mark.parametrize("cause", CHAINS)
def test_causes(cause: str) -> None:
    """What happened goes before what asked for it."""
    assert cause in CAUSES
    assert cause_of((*HEAD, *CHAINS[cause])) == cause


def test_unknown_is_named() -> None:
    """A chain that no rule knows is told by its first function."""
    assert cause_of((*HEAD, "new_function", "do_syscall_64")) == "other (new_function)"
    assert cause_of(HEAD) == "other"
    assert cause_of(()) == "other"


def test_foreign() -> None:
    """ksmd changes other processes' memory; a munmap is always one's own."""
    assert may_be_foreign("KSM", CHAINS["KSM"])
    assert may_be_foreign("madvise", ("do_madvise", "__do_sys_process_madvise"))
    assert not may_be_foreign("munmap", CHAINS["munmap"])
    assert not may_be_foreign("COW", CHAINS["COW"])
