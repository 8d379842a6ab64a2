"""The mutants of KVM as it was merged, in scenarios where it was right."""

from __future__ import annotations

from tests.drivers.mutant import Caught, Mutants, Survivor

from mmunotify.drivers.kvm_2_6_27 import Kvm2627

__all__ = ["KVM_2_6_27"]

STALE = "no_stale_translation"

COUNT = "            self.mmu_notifier_count += 1\n"
ZAP = """\
            for page in rng:
                if self.unmap_hva(page):
                    need_tlb_flush = True
"""
FLUSH = """\
        if need_tlb_flush:
            self.tlb.flush()  # kvm_flush_remote_tlbs: too late, see the class
"""
BUMP = "            self.mmu_notifier_seq.bump()\n"
FINISH = "            self.mmu_notifier_count -= 1\n"
SNAPSHOT = "        mmu_seq = self.mmu_notifier_seq.read()\n"
GUP = "        frame = self.mm.get_user_page(page, write)  # gfn_to_pfn\n"
CHECK = """\
            if self.mmu_notifier_retry(mmu_seq):
                result = RETRY
            elif self.spte[page] is None:
"""
RETRY = "self.mmu_notifier_count > 0 or self.mmu_notifier_seq.read() != mmu_seq"
INSTALL = "                self.spte[page] = frame  # rmap_add: the reference goes with it\n"
PUT = "        frame.put()  # kvm_release_pfn_clean\n"
UNMAP = "        self.spte[page] = None\n"
AGE = "        self.accessed[page] = False\n"
DROP = (
    "        frame.put()  # rmap_remove: before the flush, the page table still has a reference\n"
)
YOUNG_FLUSH = """\
        if young:
            self.tlb.flush()
"""

CAUGHT = (
    Caught("count_removed", "mmap_fixed+cpu_write", "no_stale_bytes", ((COUNT, ""), (FINISH, ""))),
    Caught("sequence_bump_removed", "mmap_fixed+cpu_write", "no_stale_bytes", ((BUMP, ""),)),
    Caught(
        "sequence_read_after_gup",
        "mmap_fixed+cpu_write",
        "no_stale_bytes",
        ((SNAPSHOT + GUP, GUP + SNAPSHOT),),
    ),
    Caught("zap_removed", "mmap_fixed+cpu_write", "no_stale_bytes", ((ZAP, ""),)),
    Caught("flush_removed", "munmap", STALE, ((FLUSH, ""),)),
    Caught(
        "fault_without_lock",
        "mmap_fixed+cpu_write",
        "no_stale_bytes",
        (
            (
                "        with self.mmu_lock:\n            if self.mmu_notifier_retry",
                "        if True:\n            if self.mmu_notifier_retry",
            ),
        ),
    ),
    Caught("put_removed", "munmap", "quiescent", ((PUT, ""),)),
    Caught(
        "reference_not_kept",
        "munmap",
        "quiescent",
        ((INSTALL, f"{INSTALL}                frame.put()\n"),),
    ),
    Caught("reference_not_given_back", "munmap", "quiescent", ((DROP, ""),)),
    Caught(
        "installed_twice",
        "munmap/2 devices",
        "quiescent",
        (("            elif self.spte[page] is None:\n", "            elif True:\n"),),
    ),
    Caught(
        "says_old",
        "reclaim",
        "aging_not_lost",
        (("        return young\n", "        return False\n"),),
    ),
)

SURVIVORS = (
    Survivor(
        "put_before_unmap",
        "munmap",
        "the mail's point: while range_start runs, the page table still holds a reference itself",
        ((UNMAP + AGE + DROP, DROP + UNMAP + AGE),),
    ),
    Survivor(
        "count_down_before_bump",
        "munmap",
        "both are under mmu_lock, and so is whoever reads them",
        ((BUMP + FINISH, FINISH + BUMP),),
    ),
    Survivor(
        "no_flush_of_young",
        "reclaim",
        "the accessed bit may be set a little late; a TLB that keeps the page costs no safety",
        ((YOUNG_FLUSH, ""),),
    ),
)

KVM_2_6_27 = Mutants(Kvm2627, CAUGHT, SURVIVORS)
