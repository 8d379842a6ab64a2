"""Bugs of the same family that the corpus does not have, and why."""

from __future__ import annotations

__all__ = ["OMITTED"]

OMITTED: dict[str, str] = {
    "A11": (
        "mmu_notifier_register without hlist_add_head_rcu: a reader may see the subscriber on the "
        "list before its fields. That needs weak memory; the model is sequentially consistent, "
        "where the store to the list is seen last because it comes last."
    ),
}
"""Ids and reasons, in the order of the page."""
