"""The mutants of a GPU's shared virtual memory."""

from __future__ import annotations

from tests.drivers.mutant import Caught, Mutants, Survivor

from mmunotify.drivers.svm import Svm

__all__ = ["SVM"]

STALE = "no_stale_translation"

SET_SEQ = "            mmu_interval_set_seq(sub, cur_seq)\n"
ZAP = "                self.spte[page] = None  # xe_pt_zap_ptes_range\n"
FLUSH = "            self.tlb.flush_range(rng)  # and wait for it, once for all ranges\n"
UNMAP = "                self.dma_addr[page] = None  # drm_gpusvm_range_unmap_pages\n"
WRITE = "        with self.notifier_lock.write:\n            mmu_interval_set_seq"
BLOCK = "        if not rng.blockable:\n            return False\n"
BEGIN = "            seq = mmu_interval_read_begin(self.notifier)\n"
LOOKUP = """\
            with self.mm.mmap_lock.read:
                frame = self.mm.hmm_range_fault(page, write)
"""
RETRY = "                if not mmu_interval_read_retry(self.notifier, seq):\n"
READ = "            with self.notifier_lock.read:\n                if self.unmapped[page]:\n"
BIND = (
    "        with self.notifier_lock.read:\n            valid = self.dma_addr[page] is not None\n"
)
INSERT = "                mmu_interval_notifier_insert(self.notifier)\n"
REMOVE = "                mmu_interval_notifier_remove(self.notifier)\n"
FINI = "                self.spte.fill(None)\n                self.tlb.flush()\n"
COLLECT = "            self.garbage_collector(page)\n"

SVM = Mutants(
    Svm,
    (
        Caught("set_seq_removed", "madvise_dontneed", STALE, ((SET_SEQ, ""),)),
        Caught("zap_removed", "munmap", STALE, ((ZAP, "                pass\n"),)),
        Caught("flush_removed", "munmap", STALE, ((FLUSH, ""),)),
        Caught("pages_stay_valid", "munmap", STALE, ((UNMAP, ""),)),
        Caught(
            "invalidate_without_lock",
            "munmap",
            STALE,
            ((WRITE, WRITE.replace("with self.notifier_lock.write", "if True")),),
        ),
        Caught(
            "retry_check_removed",
            "madvise_dontneed",
            STALE,
            ((RETRY, "                if True:\n"),),
        ),
        Caught(
            "begin_after_lookup", "madvise_dontneed", STALE, ((BEGIN + LOOKUP, LOOKUP + BEGIN),)
        ),
        Caught(
            "pages_without_lock",
            "madvise_dontneed",
            STALE,
            ((READ, READ.replace("with self.notifier_lock.read", "if True")),),
        ),
        Caught(
            "bound_without_lock",
            "munmap",
            STALE,
            ((BIND, BIND.replace("with self.notifier_lock.read", "if True")),),
        ),
        Caught(
            "never_inserted", "munmap", STALE, ((INSERT, ""), (REMOVE, "                pass\n"))
        ),
        Caught("waits_where_it_must_not", "oom_reaper", "context", ((BLOCK, ""),)),
        Caught("fini_without_zap", "munmap/unregister", STALE, ((FINI, "                pass\n"),)),
    ),
    (
        Survivor(
            "never_collected",
            "munmap",
            "a range whose VMA went away stays unusable, and every fault on it fails",
            ((COLLECT, ""),),
        ),
    ),
)
