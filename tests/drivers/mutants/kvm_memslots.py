"""The mutants of KVM's memory slots and of its gfn-to-pfn cache, beyond those of KVM."""

from __future__ import annotations

from tests.drivers.mutant import Caught, Mutants, Survivor

from mmunotify.drivers.kvm_memslots import KvmMemslots
from mmunotify.drivers.kvm_pfncache import KvmPfncache

__all__ = ["KVM_MEMSLOTS", "KVM_PFNCACHE"]

STALE = "no_stale_translation"

COUNT = """\
        with self.mn_invalidate_lock:
            self.mn_active_invalidate_count += 1
"""
WAIT = """\
        while self.mn_active_invalidate_count > 0:
            self.mn_invalidate_lock.release()
            self.mn_memslots_update_rcuwait.sleep(since)
            self.mn_invalidate_lock.acquire()
            since = self.mn_memslots_update_rcuwait.prepare()
"""
WAKE = """\
        if wake:
            self.mn_memslots_update_rcuwait.wake_up_all()
"""
SYNCHRONIZE = "        self.srcu.synchronize()\n"
INVALIDATE = "            self.swap_active_memslots(Slot.INVALID)  # kvm_invalidate_memslot\n"
FLUSH = "            self.flush_shadow_memslot()\n"
NONE = "            self.swap_active_memslots(Slot.NONE)\n"
READER = "        with self.srcu:\n            if self.slot is not Slot.VALID:\n"
VALID = "            if self.slot is not Slot.VALID:\n"
WALK = "            if self.slot is not Slot.NONE:  # kvm_handle_hva_range\n"
LOCKED = """\
        with self.mmu_lock:
            for page in self.mm.pages:
"""

KVM_MEMSLOTS = Mutants(
    KvmMemslots,
    (
        # the slots of a section are the same at its end
        Caught("does_not_wait_for_sections", "munmap", "quiescent", ((WAIT, ""),)),
        Caught(
            "waits_before_the_lock",
            "munmap",
            "quiescent",
            (
                ("        self.mn_invalidate_lock.acquire()\n        since", "        since"),
                (
                    WAIT,
                    WAIT.replace("            self.mn_invalidate_lock.release()\n", "").replace(
                        "            self.mn_invalidate_lock.acquire()\n", ""
                    )
                    + "        self.mn_invalidate_lock.acquire()\n",
                ),
            ),
        ),
        Caught("sections_are_not_counted", "munmap", "bounds", ((COUNT, ""),)),
        Caught("wake_up_removed", "munmap", "no_deadlock", ((WAKE, ""),)),
        # virtual CPUs that read the old slots
        Caught("does_not_wait_for_readers", "munmap", STALE, ((SYNCHRONIZE, ""),)),
        Caught("fault_is_no_reader", "munmap", STALE, ((READER, f"        if True:\n{VALID}"),)),
        Caught("not_marked_invalid_first", "munmap", STALE, ((INVALIDATE, ""),)),
        Caught(
            "flushed_before_invalid", "munmap", STALE, ((INVALIDATE + FLUSH, FLUSH + INVALIDATE),)
        ),
        Caught("sptes_outlive_their_slot", "munmap", STALE, ((FLUSH, ""),)),
        Caught("flushed_after_the_slot_is_gone", "munmap", STALE, ((FLUSH + NONE, NONE + FLUSH),)),
        Caught(
            "invalid_slots_are_not_walked",
            "munmap",
            STALE,
            (
                (WALK, WALK.replace("is not Slot.NONE", "is Slot.VALID")),
                (
                    "            if self.slot is not Slot.NONE:\n",
                    "            if self.slot is Slot.VALID:\n",
                ),
            ),
        ),
        Caught(
            "faults_in_an_invalid_slot",
            "munmap",
            STALE,
            ((VALID, VALID.replace("is not Slot.VALID", "is Slot.NONE")),),
        ),
        Caught(
            "slots_flushed_without_lock",
            "munmap",
            STALE,
            ((LOCKED, LOCKED.replace("with self.mmu_lock", "if True")),),
        ),
    ),
)

GPC = """\
        if self.gfn in rng:  # gfn_to_pfn_cache_invalidate_start
            with self.gpc_lock.write:
                self.valid = False
"""
START = "        super().invalidate_range_start(rng)\n"
END = "        super().invalidate_range_end(rng)\n"
DOWN = """\
        with self.mn_invalidate_lock:
            self.mn_active_invalidate_count -= 1
"""
RETRY = "self.mn_active_invalidate_count > 0 or self.mmu_invalidate_seq.read() != mmu_seq"
SEQ = "        mmu_seq = self.mmu_invalidate_seq.read()\n"
GUP = "        frame = self.mm.get_user_page(self.gfn, True)\n"
COMMIT = "        with self.gpc_lock.write:\n            retry ="
PUT = "        frame.put()  # kvm_release_page_clean: the cache holds no reference\n"
USE = "        with self.gpc_lock.read:\n"

KVM_PFNCACHE = Mutants(
    KvmPfncache,
    (
        Caught("cache_not_invalidated", "munmap", STALE, ((GPC, ""),)),
        Caught(
            "invalidated_without_lock",
            "munmap",
            STALE,
            ((GPC, GPC.replace("with self.gpc_lock.write", "if True")),),
        ),
        Caught(  # corpus D3, before 58cd407ca4c6
            "refresh_looks_at_in_progress",
            "munmap",
            STALE,
            ((RETRY, RETRY.replace("mn_active_invalidate_count", "mmu_invalidate_in_progress")),),
        ),
        Caught(
            "refresh_looks_at_the_count_only",
            "munmap",
            STALE,
            ((RETRY, "self.mn_active_invalidate_count > 0"),),
        ),
        Caught(
            "refresh_looks_at_the_sequence_only",
            "munmap",
            STALE,
            ((RETRY, "self.mmu_invalidate_seq.read() != mmu_seq"),),
        ),
        Caught("sequence_read_after_lookup", "munmap", STALE, ((SEQ + GUP, GUP + SEQ),)),
        Caught(
            "committed_without_lock",
            "munmap",
            STALE,
            ((COMMIT, COMMIT.replace("with self.gpc_lock.write", "if True")),),
        ),
        Caught("counted_after_the_cache", "munmap", STALE, ((COUNT + GPC, GPC + COUNT),)),
        Caught("counted_down_before_the_end", "munmap", STALE, ((END + DOWN, DOWN + END),)),
        Caught("used_without_lock", "munmap", STALE, ((USE, "        if True:\n"),)),
        Caught("put_removed", "munmap", "quiescent", ((PUT, ""),)),
    ),
    (
        Survivor(
            "cache_after_the_page_table",
            "munmap",
            "sections are counted before either, and both are visited before anything changes",
            ((GPC + START, START + GPC),),
        ),
    ),
)
