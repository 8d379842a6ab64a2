"""The mutants of a GPU's userptr buffers."""

from __future__ import annotations

from tests.drivers.mutant import Caught, Mutants, Survivor

from mmunotify.drivers.userptr import Userptr

__all__ = ["USERPTR"]

STALE = "no_stale_translation"

SET_SEQ = "            mmu_interval_set_seq(sub, cur_seq)\n"
WAIT = "            self.fence.wait()  # dma_resv_wait_timeout\n"
LOCK = "        with self.notifier_lock:\n            mmu_interval_set_seq"
BLOCK = "        if not rng.blockable:\n            return False\n"
SUBMIT = "        with self.notifier_lock:  # amdgpu_cs_submit\n"
CHECK = """\
            if mmu_interval_read_retry(self.notifier, seq):
                return RETRY
"""
BEGIN = "        seq = mmu_interval_read_begin(self.notifier)  # amdgpu_hmm_range_get_pages\n"
LOOKUP = """\
        with self.mm.mmap_lock.read:
            frame = self.mm.hmm_range_fault(page, write)
"""
FRESH = """\
                if self.fence.signaled:
                    self.gpu_pte.fill(None)
"""
FLUSH = "                self.tlb.flush()\n"

USERPTR = Mutants(
    Userptr,
    (
        Caught("set_seq_removed", "munmap", STALE, ((SET_SEQ, ""),)),
        Caught("fence_not_waited_for", "munmap", STALE, ((WAIT, ""),)),
        Caught(
            "fence_waited_for_before_the_lock",
            "munmap",
            STALE,
            ((LOCK, f"        self.fence.wait()\n{LOCK}"), (WAIT, "")),
        ),
        Caught(
            "invalidate_without_lock",
            "munmap",
            STALE,
            ((LOCK, LOCK.replace("with self.notifier_lock", "if True")),),
        ),
        Caught("submitted_without_lock", "munmap", STALE, ((SUBMIT, "        if True:\n"),)),
        Caught("retry_check_removed", "munmap", STALE, ((CHECK, ""),)),
        Caught("begin_after_lookup", "munmap", STALE, ((BEGIN + LOOKUP, LOOKUP + BEGIN),)),
        Caught("pages_of_an_older_job", "munmap", STALE, ((FRESH, ""),)),
        Caught("tlb_of_an_older_job", "munmap", STALE, ((FLUSH, ""),)),
        Caught("waits_where_it_must_not", "oom_reaper", "context", ((BLOCK, ""),)),
        Caught(
            "left_while_a_job_runs",
            "munmap/unregister",
            STALE,
            (("        self.fence.wait()\n        super", "        super"),),
        ),
    ),
    (
        Survivor(
            "set_seq_after_the_wait",
            "munmap",
            "both are under notifier_lock, and so is whoever reads the sequence",
            ((SET_SEQ + WAIT, WAIT + SET_SEQ),),
        ),
    ),
)
