"""Bugs of the same family that the corpus does not have, and why."""

from __future__ import annotations

__all__ = ["OMITTED"]

OMITTED: dict[str, str] = {
    "A11": (
        "mmu_notifier_register without hlist_add_head_rcu: a reader may see the subscriber on the "
        "list before its fields. That needs weak memory; the model is sequentially consistent, "
        "where the store to the list is seen last because it comes last."
    ),
    "D6": (
        "Ageing by dropping an spte without a change of the sequence (2014): the spte that a fault "
        "in flight puts back leads to a page that is still mapped, so the harm is a wrong estimate "
        "of its age alone."
    ),
    "D15": (
        "vhost's metadata prefetch by notifiers (5.3) was reverted and never repaired, so there is "
        "no fixed variant."
    ),
    "F12": ("Reclaim from the invalidate path of amdgpu (2021): the same as F1 with another lock."),
    "F14": (
        "Use after free of GRU through a fault and an unload (2022): not enough of it was read."
    ),
    "F15": (
        "Dirty COW and its relatives: a result of a page fault that is stale when it is used, as "
        "in group D, but of the CPU's own page tables, without a secondary MMU."
    ),
}
"""Ids and reasons, in the order of the page."""
