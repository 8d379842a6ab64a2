"""The mutants of shared virtual addressing."""

from __future__ import annotations

from tests.drivers.mutant import Caught, Mutants, Survivor

from mmunotify.drivers.iommu_sva import IommuSva

__all__ = ["IOMMU_SVA"]

STALE = "no_stale_translation"

FLUSH = "        self.tlb.flush_range(rng)\n"
HOOK = "    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:\n"
DETACH = "        self.attached = False\n"
RELEASE = "        self.tlb.flush()\n"
FAULT = "            self.mm.hmm_range_fault(page, write)  # handle_mm_fault\n"

CAUGHT = (
    Caught("flush_removed", "munmap", STALE, ((FLUSH, "        pass\n"),)),
    Caught(
        "flush_at_range_start",
        "munmap",
        STALE,
        ((HOOK, HOOK.replace("arch_invalidate_secondary_tlbs", "invalidate_range_start")),),
    ),
    Caught(
        "flush_at_range_end",
        "munmap",
        STALE,
        ((HOOK, HOOK.replace("arch_invalidate_secondary_tlbs", "invalidate_range_end")),),
    ),
    Caught(
        "flush_of_first_page_only",
        "clear_refs",
        "no_write_after_protect",
        ((FLUSH, "        self.tlb.flush_range(PageRange(rng.start))\n"),),
    ),
    Caught("not_detached", "exit", STALE, ((DETACH, ""),)),
    Caught("release_without_flush", "exit", STALE, ((RELEASE, ""),)),
    Caught("flushed_before_detached", "exit", STALE, ((DETACH + RELEASE, RELEASE + DETACH),)),
    Caught(
        "write_bit_ignored",
        "mprotect",
        "no_write_after_protect",
        (("        self.writable = mm.pte_write\n", ""),),
    ),
    Caught(
        "fault_without_mmap_lock",
        "munmap",
        "context",
        (("        with self.mm.mmap_lock.read:\n", "        if True:\n"),),
    ),
)

SURVIVORS = (
    Survivor(
        "accessed_bits_of_its_own",
        "reclaim",
        "evicting a page in use costs a fault; the hook in the flush keeps it safe all the same",
        (("        self.accessed = mm.pte_young\n", ""),),
    ),
    Survivor(
        "flushes_everything",
        "munmap",
        "a flush too wide costs time only",
        ((FLUSH, "        self.tlb.flush()\n"),),
    ),
)

IOMMU_SVA = Mutants(IommuSva, CAUGHT, SURVIVORS)
