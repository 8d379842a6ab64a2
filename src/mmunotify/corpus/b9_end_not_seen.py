"""B9: a subscriber that leaves in the middle of a section never sees its end."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import thread, wait_until

__all__ = ["BUG", "SCENARIOS"]


class WaitsForEnd(Subscriber):
    """KVM, whose memslots are only changed while no section is open."""

    @thread
    def destroy_vm(self) -> None:
        """`kvm_destroy_vm`: unregister, then free the memslots."""
        self.mm.notifiers.unregister(self)
        self.repair()
        wait_until(lambda: self.count == 0)  # kvm_swap_active_memslots

    def repair(self) -> None:
        """What is done about sections that were open."""


class ZeroesTheCount(WaitsForEnd):
    """As it is."""

    def repair(self) -> None:
        """Zero mn_active_invalidate_count by hand: nobody else will."""
        with self.lock:
            self.count.set(0)


SCENARIOS = [Scenario("destroy_vm", ("punch_hole",), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="B9",
    title="unregistration between start and end",
    versions="every one",
    kind=Kind.LIVENESS,
    property="no_deadlock",
    what=(
        "A section begins, and a counting subscriber counts 1. It unregisters, which nothing "
        "keeps out of a section; the section ends, and nobody is left on the list to hear of it. "
        "The count stays 1, and whoever waits for 0 waits for ever."
    ),
    fix=(
        "After unregistration no end will come: set the count to 0 by hand, as kvm_destroy_vm "
        "does with a comment that says why."
    ),
    note=(
        "Not a bug of a released kernel: a hazard of the protocol, which KVM's code documents. "
        "Subscriptions to ranges do not have it, since their removal waits for the end."
    ),
    buggy=Case(WaitsForEnd, SCENARIOS[0]),
    fixed=Case(ZeroesTheCount, SCENARIOS[0]),
)
