"""A10: KVM's release walked the memslots without being a reader of their SRCU."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Mutex, Srcu, thread
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class Memslots:
    """One version of the slots."""

    def __init__(self) -> None:
        self.freed = False


class WalksUnread(Subscriber):
    """KVM with two versions of its memslots."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.srcu = Srcu()
        self.slots_lock = Mutex()
        self.old, self.new = Memslots(), Memslots()
        self.memslots = self.old

    def release(self) -> None:
        """`kvm_mmu_notifier_release`."""
        self.walk_slots()
        super().release()

    def walk_slots(self) -> None:
        """`kvm_arch_flush_shadow`: walks slots and aliases."""
        slots = self.memslots
        assert not slots.freed, "release walks memslots that were freed"

    @thread
    def set_memory_region(self) -> None:
        """`__kvm_set_memory_region`: publish new slots, wait for readers, free the old ones."""
        with self.slots_lock:
            self.memslots = self.new
            self.srcu.synchronize()
            self.old.freed = True


class WalksAsReader(WalksUnread):
    """As repaired."""

    def walk_slots(self) -> None:
        """The same in a read section."""
        with self.srcu:
            super().walk_slots()


SCENARIOS = [Scenario("memslots", ("exit",), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="A10",
    title="release walks memslots without SRCU",
    versions="until April 2010",
    kind=Kind.SC,
    property="assertion",
    what=(
        "exit calls release, which walks memslots and aliases without a read section of "
        "kvm->srcu. A thread that changes a slot publishes new ones, waits for the readers, of "
        "which release is none, and frees the old ones under the walk."
    ),
    fix="Hold srcu_read_lock in release.",
    commits=(Commit("eda2beda8356", Seen.HISTORY),),
    note="It was reported as a warning of lockdep; the interleaving is an inference.",
    buggy=Case(WalksUnread, SCENARIOS[0]),
    fixed=Case(WalksAsReader, SCENARIOS[0]),
)
