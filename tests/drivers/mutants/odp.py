"""The mutants of on-demand paging with interval notifiers."""

from __future__ import annotations

from tests.drivers.mutant import Caught, Mutants, Survivor

from mmunotify.drivers.odp import Odp

__all__ = ["ODP"]

STALE = "no_stale_translation"

SET_SEQ = "            mmu_interval_set_seq(sub, cur_seq)\n"
ZAP = "            self.unmap(rng)\n"
BLOCK = "        if not rng.blockable:\n            return False\n"
LOCK = "        with self.umem_mutex:\n            mmu_interval_set_seq"
BEGIN = "            current_seq = mmu_interval_read_begin(self.notifier)\n"
LOOKUP = """\
            with self.mm.mmap_lock.read:
                frame = self.mm.hmm_range_fault(page, write)  # without a reference
"""
CHECK = "                if not mmu_interval_read_retry(self.notifier, current_seq):\n"
COMMIT = "            with self.umem_mutex:\n" + CHECK
FLUSH = "        self.tlb.flush_range(rng)\n"
INSTALL = "                    self.set_mtt(page, frame, write)\n"
UNREGISTER = "            self.unmap(self.mm.whole_range())\n"

ODP = Mutants(
    Odp,
    (
        Caught("set_seq_removed", "munmap", STALE, ((SET_SEQ, ""),)),
        Caught("zap_removed", "munmap", STALE, ((ZAP + "        return", "        return"),)),
        Caught("flush_removed", "munmap", STALE, ((FLUSH, ""),)),
        Caught(
            "invalidate_without_lock",
            "munmap",
            STALE,
            ((LOCK, LOCK.replace("with self.umem_mutex", "if True")),),
        ),
        Caught("retry_check_removed", "munmap", STALE, ((CHECK, "                if True:\n"),)),
        Caught("begin_after_lookup", "munmap", STALE, ((BEGIN + LOOKUP, LOOKUP + BEGIN),)),
        Caught(
            "checked_before_the_lock",
            "munmap",
            STALE,
            ((COMMIT, f"{CHECK[4:]}                with self.umem_mutex:\n"),),
        ),
        Caught(
            "lookup_without_mmap_lock",
            "munmap",
            "context",
            ((LOOKUP.split("\n")[0], "            if True:"),),
        ),
        Caught(
            "begin_under_the_lock",
            "munmap+punch_hole",
            "no_deadlock",
            ((BEGIN, f"            with self.umem_mutex:\n    {BEGIN}"),),
        ),
        Caught("waits_where_it_must_not", "oom_reaper", "context", ((BLOCK, ""),)),
        Caught(
            "refuses_everything",
            "munmap",
            "context",
            ((BLOCK, "        if rng.blockable:\n            return False\n"),),
        ),
        Caught(
            "always_writable",
            "mprotect",
            "no_write_after_protect",
            ((INSTALL, INSTALL.replace("frame, write", "frame, True")),),
        ),
        Caught(
            "unregister_without_unmap",
            "munmap/unregister",
            STALE,
            ((UNREGISTER, "            pass\n"),),
        ),
        Caught(
            "unmap_after_removal",
            "munmap/unregister",
            STALE,
            (
                ("        with self.umem_mutex:\n" + UNREGISTER, ""),
                (
                    "        super().unregister()  # mmu_interval_notifier_remove\n",
                    "        super().unregister()\n        with self.umem_mutex:\n" + UNREGISTER,
                ),
            ),
        ),
    ),
    (
        Survivor(
            "set_seq_after_zap",
            "munmap",
            "both are under umem_mutex, and so is whoever reads them",
            ((SET_SEQ + ZAP, ZAP + SET_SEQ),),
        ),
    ),
)
