"""The mutants of the KVM driver."""

from __future__ import annotations

from tests.drivers.mutant import Caught, Mutants, Survivor, outdented

from mmunotify.drivers.kvm import Kvm

__all__ = ["KVM"]

# -- parts of the driver -----------------------------------------------------------------------

BEGIN = "            self.mmu_invalidate_in_progress += 1  # kvm_mmu_invalidate_begin\n"
ZAP = "            if self.unmap_gfn_range(rng):\n"
FLUSH = "                self.tlb.flush()  # kvm_flush_remote_tlbs, before mmu_lock is dropped\n"
START = f"        with self.mmu_lock:\n{BEGIN}{ZAP}{FLUSH}"
BUMP = "            self.mmu_invalidate_seq.bump()\n"
FINISH = "            self.mmu_invalidate_in_progress -= 1\n"
END = f"        with self.mmu_lock:\n{BUMP}{FINISH}"
RELEASE = """\
        with self.mmu_lock:
            for page in self.mm.pages:
                self.set_spte(page, None, False)
            self.tlb.flush()
"""
SNAPSHOT = "        mmu_seq = self.mmu_invalidate_seq.read()\n"
GUP = "        frame = self.mm.get_user_page(page, write)  # kvm_faultin_pfn\n"
CHECK = "            stale = self.mmu_invalidate_retry(mmu_seq)  # is_page_fault_stale\n"
INSTALL = """\
            if not stale and not self.access_allowed(page, write):
                self.set_spte(page, frame, write)
"""
LOCKED = f"        with self.mmu_lock:\n{CHECK}{INSTALL}"
PUT = "        frame.put()  # kvm_release_faultin_page: sptes hold no references\n"
RETRY = "self.mmu_invalidate_in_progress > 0 or self.mmu_invalidate_seq.read() != mmu_seq"
ALLOWED = "self.spte[page] is not None and (not write or self.writable[page])"
HOOK_START = """\
    def invalidate_range_start(self, rng: PageRange) -> None:
        \"\"\"`kvm_mmu_notifier_invalidate_range_start`.\"\"\"
"""
HOOK_END = """\
    def invalidate_range_end(self, rng: PageRange) -> None:
        \"\"\"`kvm_mmu_notifier_invalidate_range_end`.\"\"\"
"""
HOOK_RELEASE = """\
    def release(self) -> None:
        \"\"\"`kvm_mmu_notifier_release`: `kvm_flush_shadow_all`.\"\"\"
"""
AGE_HOOKS = {
    "clear_flush_young": """\
    def clear_flush_young(self, rng: PageRange) -> bool:
        \"\"\"`kvm_mmu_notifier_clear_flush_young`: lockless, and without a flush on x86.\"\"\"
        return self.age_gfn_range(rng)
""",
    "clear_young": """\
    def clear_young(self, rng: PageRange) -> bool:
        \"\"\"`kvm_mmu_notifier_clear_young`.\"\"\"
        return self.age_gfn_range(rng)
""",
    "test_young": """\
    def test_young(self, rng: PageRange) -> bool:
        \"\"\"`kvm_mmu_notifier_test_young`.\"\"\"
        return any(self.accessed[page] for page in rng)
""",
}
SET = """\
        with atomic():
            self.spte[page] = frame
            self.writable[page] = write
            self.accessed[page] = frame is not None"""


# -- what is caught ----------------------------------------------------------------------------

STALE = "no_stale_translation"
PROTECT = "no_write_after_protect"
AGING = "aging_not_lost"
TWO = "munmap+punch_hole"  # two sections that overlap: one under mmap_lock, one not

CAUGHT = (
    # the retry check
    Caught("retry_check_removed", "munmap", STALE, ((CHECK, "            stale = False\n"),)),
    Caught("counter_only", "munmap", STALE, ((RETRY, "self.mmu_invalidate_in_progress > 0"),)),
    Caught(
        "sequence_only", "munmap", STALE, ((RETRY, "self.mmu_invalidate_seq.read() != mmu_seq"),)
    ),
    Caught("sequence_read_after_gup", "munmap", STALE, ((SNAPSHOT + GUP, GUP + SNAPSHOT),)),
    Caught(
        "retry_check_before_lock",
        "munmap",
        STALE,
        ((LOCKED, f"{outdented(CHECK)}        with self.mmu_lock:\n{INSTALL}"),),
    ),
    Caught("fault_without_lock", "munmap", STALE, ((LOCKED, outdented(CHECK + INSTALL)),)),
    Caught(
        "install_after_unlock",
        "munmap",
        STALE,
        ((LOCKED, f"        with self.mmu_lock:\n{CHECK}{outdented(INSTALL)}"),),
    ),
    Caught(
        "gup_under_lock",
        "munmap",
        "context",
        ((GUP + LOCKED, f"        with self.mmu_lock:\n    {GUP}{CHECK}{INSTALL}"),),
    ),
    # range_start: count, zap, flush, all under mmu_lock
    Caught("range_start_removed", "munmap", "bounds", ((HOOK_START + START, ""),)),
    Caught("count_up_removed", "munmap", "bounds", ((BEGIN, ""),)),
    Caught("count_removed", "munmap", STALE, ((BEGIN, ""), (FINISH, ""))),
    Caught(
        "count_up_after_zap",
        "munmap",
        STALE,
        (
            (
                START,
                f"        with self.mmu_lock:\n{ZAP}{FLUSH}        with self.mmu_lock:\n{BEGIN}",
            ),
        ),
    ),
    Caught(
        "flag_in_place_of_count",
        TWO,
        STALE,
        (
            (BEGIN, "            self.mmu_invalidate_in_progress.set(1)\n"),
            (FINISH, "            self.mmu_invalidate_in_progress.set(0)\n"),
        ),
    ),
    Caught("zap_removed", "munmap", STALE, ((ZAP + FLUSH, outdented(FLUSH)),)),
    Caught(
        "zap_at_end",
        "munmap",
        STALE,
        ((ZAP + FLUSH, ""), (BUMP, f"{ZAP}{FLUSH}{BUMP}")),
    ),
    Caught(
        "zap_of_first_page_only",
        "clear_refs",
        PROTECT,
        (("                flush = True\n", "                return True\n"),),
    ),
    Caught(
        "zap_of_writable_only",
        "munmap",
        STALE,
        (
            (
                "            if self.spte[page] is not None:\n                self.set_spte",
                "            if self.writable[page]:\n                self.set_spte",
            ),
        ),
    ),
    Caught("zap_without_lock", TWO, STALE, ((ZAP + FLUSH, outdented(ZAP + FLUSH)),)),
    Caught("range_start_without_lock", "munmap", STALE, ((START, outdented(BEGIN + ZAP + FLUSH)),)),
    Caught(
        "flush_removed",
        "munmap",
        STALE,
        ((ZAP + FLUSH, "            self.unmap_gfn_range(rng)\n"),),
    ),
    Caught(
        "flush_before_zap",
        "munmap",
        STALE,
        ((ZAP + FLUSH, f"{outdented(FLUSH)}            self.unmap_gfn_range(rng)\n"),),
    ),
    Caught(
        "flush_after_unlock",
        TWO,
        STALE,
        (
            (
                ZAP + FLUSH,
                "            flush = self.unmap_gfn_range(rng)\n"
                "        if flush:\n"
                "            self.tlb.flush()\n",
            ),
        ),
    ),
    Caught(
        "flush_at_end",
        "munmap",
        STALE,
        (
            (ZAP + FLUSH, "            self.unmap_gfn_range(rng)\n"),
            (BUMP, f"            self.tlb.flush()\n{BUMP}"),
        ),
    ),
    Caught(
        "flush_if_nothing_was_zapped",
        "munmap",
        STALE,
        ((ZAP, ZAP.replace("if self", "if not self")),),
    ),
    Caught("zap_forgets_to_say_so", "munmap", STALE, (("                flush = True\n", ""),)),
    # range_end: sequence and count
    Caught("sequence_bump_removed", "munmap", STALE, ((BUMP, ""),)),
    Caught(
        "sequence_bumped_at_start",
        "munmap",
        STALE,
        ((BUMP, ""), (BEGIN, BUMP + BEGIN)),
    ),
    Caught(
        "sequence_bumped_after_unlocked_count",
        "munmap",
        STALE,
        ((END, f"        with self.mmu_lock:\n{FINISH}{outdented(BUMP)}"),),
    ),
    Caught("range_end_without_lock", "ksm", "bounds", ((END, outdented(BUMP + FINISH)),)),
    # references
    Caught("put_removed", "munmap", "quiescent", ((PUT, ""),)),
    Caught(
        "put_forgotten_on_retry",
        "munmap",
        "quiescent",
        ((PUT, "        if not stale:\n            frame.put()\n"),),
    ),
    Caught(
        "put_twice_on_retry",
        "munmap",
        "quiescent",
        ((PUT, "        frame.put()\n        if stale:\n            frame.put()\n"),),
    ),
    # release
    Caught("release_removed", "exit", STALE, ((HOOK_RELEASE + RELEASE, ""),)),
    Caught(
        "release_without_flush",
        "exit",
        STALE,
        ((RELEASE, RELEASE.replace("            self.tlb.flush()\n", "")),),
    ),
    Caught(
        "release_without_zap",
        "exit",
        STALE,
        ((RELEASE, "        with self.mmu_lock:\n            self.tlb.flush()\n"),),
    ),
    Caught(
        "release_flushes_first",
        "exit",
        STALE,
        (
            (
                RELEASE,
                "        with self.mmu_lock:\n"
                "            self.tlb.flush()\n"
                "            for page in self.mm.pages:\n"
                "                self.set_spte(page, None, False)\n",
            ),
        ),
    ),
    Caught(
        "release_without_lock",
        "munmap/unregister",
        STALE,
        ((RELEASE, outdented(RELEASE.split("\n", 1)[1])),),
    ),
    # write permission and aging
    Caught(
        "always_writable",
        "mprotect",
        PROTECT,
        ((INSTALL, INSTALL.replace("frame, write)", "frame, True)")),),
    ),
    Caught(
        "clear_flush_young_says_old",
        "reclaim",
        AGING,
        (
            (
                AGE_HOOKS["clear_flush_young"],
                AGE_HOOKS["clear_flush_young"].replace("self.age_gfn_range(rng)", "False"),
            ),
        ),
    ),
    Caught(
        "aging_says_old", "reclaim", AGING, (("        return young\n", "        return False\n"),)
    ),
    Caught(
        "installed_as_old",
        "reclaim",
        AGING,
        ((SET, SET.replace("frame is not None", "False")),),
    ),
    # livelocks: nothing wrong ever happens, and no access ever succeeds
    Caught("count_down_removed", "munmap", "progress", ((FINISH, ""),)),
    Caught("range_end_removed", "munmap", "progress", ((HOOK_END + END, ""),)),
    Caught(
        "never_writable",
        "cow",
        "progress",
        ((INSTALL, INSTALL.replace("frame, write", "frame, False")),),
    ),
    Caught("allowed_ignores_write", "cow", "progress", ((ALLOWED, "self.spte[page] is not None"),)),
)

# -- what is not -------------------------------------------------------------------------------

LATER = "the gap: no operation of the model calls this hook (page_idle and the multi-gen LRU do)"

SURVIVORS = (
    # equivalent: the same for everybody who can look
    Survivor(
        "count_down_before_bump",
        TWO,
        "both are under mmu_lock, and so is whoever reads them; the kernel's order is for the "
        "lockless check before mmu_lock is taken, which only saves time",
        ((BUMP + FINISH, FINISH + BUMP),),
    ),
    Survivor(
        "sequence_bumped_before_lock",
        TWO,
        "the count is still up: who reads either of them, reads one that says stale",
        ((END, f"{outdented(BUMP)}        with self.mmu_lock:\n{FINISH}"),),
    ),
    Survivor(
        "flush_always",
        "munmap",
        "a flush too many costs time only",
        ((ZAP + FLUSH, "            self.unmap_gfn_range(rng)\n            self.tlb.flush()\n"),),
    ),
    Survivor(
        "put_before_install",
        "munmap",
        "the frame can be freed before it is installed only if a section began meanwhile, and "
        "then it is not installed",
        ((GUP + LOCKED + PUT, GUP + PUT + LOCKED),),
    ),
    Survivor(
        "spurious_fault_installs_again",
        "mprotect",
        "without a section in between the spte can only be the same; a read fault that takes "
        "write permission away costs another fault",
        ((ALLOWED, "False"),),
    ),
    Survivor(
        "no_retry_result",
        "munmap",
        "the device tries its access again anyhow, as a virtual CPU does",
        (("        return RETRY if stale else None", "        return None"),),
    ),
    Survivor(
        "spte_written_in_three_steps",
        "mprotect",
        "the order is right by accident: writable is false while the spte is none, so a walk in "
        "between sees less permission, never more",
        ((SET, outdented(SET.split("\n", 1)[1])),),
    ),
    Survivor(
        "zap_leaves_writable",
        "mprotect",
        "while the spte is none nobody looks, and the next install sets it in the same step",
        (
            (
                "            self.writable[page] = write\n",
                "            if frame is not None:\n                self.writable[page] = write\n",
            ),
        ),
    ),
    Survivor(
        "install_leaves_accessed",
        "reclaim",
        "the hardware marks an spte accessed when it loads it, which it does next",
        ((SET, SET.replace("            self.accessed[page] = frame is not None", "")),),
    ),
    Survivor(
        "aging_stops_at_first_page",
        "reclaim",
        "the kernel asks for one folio at a time, and a folio of the model is one page",
        (
            (
                "                self.accessed[page] = False\n                young = True\n",
                "                self.accessed[page] = False\n                return True\n",
            ),
        ),
    ),
    # gaps: the model does not look there
    Survivor("clear_young_removed", "reclaim", LATER, ((AGE_HOOKS["clear_young"], ""),)),
    Survivor("test_young_removed", "reclaim", LATER, ((AGE_HOOKS["test_young"], ""),)),
    Survivor(
        "clear_flush_young_removed",
        "reclaim",
        "the gap: a driver without the hook is taken for one without accessed bits, which the "
        "kernel does not ask either, though this one's pages are then evicted in use",
        ((AGE_HOOKS["clear_flush_young"], ""),),
    ),
    Survivor(
        "aging_keeps_the_bit",
        "reclaim",
        "the gap: a page that is young for ever is never evicted, and no property says that a "
        "scan has to clear the bit",
        (("                self.accessed[page] = False\n", ""),),
    ),
)

KVM = Mutants(Kvm, CAUGHT, SURVIVORS)
