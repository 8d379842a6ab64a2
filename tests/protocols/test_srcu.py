"""Today's protocol: what it guarantees, and that each part of it is needed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.check.verdicts import HOLDS, scenario, verdict_of

from mmunotify.check.scenario import Scenario
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang.driver import EAGAIN, Driver
from mmunotify.lang.page_range import PageRange
from mmunotify.protocols import PROTOCOLS, SrcuNotifiers


class UnlinksFirst(SrcuNotifiers):
    """Before 3ad3d901bbcf: the driver is off the list when it is told to release."""

    def unregister(self, driver: Driver) -> None:
        subscription = self.by_driver[driver]
        with self.lock:
            subscription.hashed = False
        subscription.release()
        self.srcu.synchronize()

    def release(self) -> None:
        with self.lock:
            self._unlink_all()
        for subscription in self.subscriptions:
            subscription.release()
        self.srcu.synchronize()


class RegistersAnyTime(SrcuNotifiers):
    """No mm_take_all_locks: registration may fall into a section."""

    def register(self, driver: Driver) -> None:
        subscription = self.by_driver[driver]
        with self.lock:
            subscription.hashed = True


class RegistersUnderMmapLock(SrcuNotifiers):
    """The mmap lock alone: foreign sections run without it."""

    def register(self, driver: Driver) -> None:
        subscription = self.by_driver[driver]
        with self.mm.mmap_lock.write:
            subscription.hashed = True


class StopsAtFirst(SrcuNotifiers):
    """The first subscriber that says young ends the scan (EMM)."""

    def clear_flush_young(self, rng: PageRange) -> bool:
        for subscription in self.subscriptions:
            if subscription.hashed and subscription.clear_flush_young(rng):
                return True
        return False


class NeverUnwinds(SrcuNotifiers):
    """Before c2655835fd8c: after -EAGAIN those that have begun are not told that it is over."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        failed = False
        for subscription in self.subscriptions:
            if subscription.hashed:
                try:
                    subscription.start(rng)
                except EAGAIN:
                    failed = True
        if failed:
            raise EAGAIN


class Refuses(Driver):
    """Would have to sleep, so it says -EAGAIN; its device maps nothing."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        if not rng.blockable:
            raise EAGAIN


class RefusesWithEnd(Refuses):
    def invalidate_range_end(self, rng: PageRange) -> None:
        pass


class RefusesAlways(Driver):
    def invalidate_range_start(self, rng: PageRange) -> None:
        raise EAGAIN


@pytest.fixture(autouse=True)
def _protocols() -> Iterator[None]:
    before = dict(PROTOCOLS)
    for cls in (
        UnlinksFirst,
        RegistersAnyTime,
        RegistersUnderMmapLock,
        StopsAtFirst,
        NeverUnwinds,
    ):
        PROTOCOLS[cls.__name__] = cls
    yield
    PROTOCOLS.clear()
    PROTOCOLS.update(before)


def kvm(name: str, protocol: str) -> str:
    return verdict_of(scenario(name, Kvm).build(Kvm, {"protocol": protocol}))


def test_release_before_unlinking() -> None:
    assert kvm("munmap/unregister", "UnlinksFirst").startswith("no_stale_translation")
    assert kvm("punch_hole+exit", "UnlinksFirst").startswith("no_stale_translation")
    assert kvm("punch_hole+exit", "srcu") == HOLDS


@pytest.mark.parametrize("name", ["munmap/register", "punch_hole/register"])
def test_registration_excludes_sections(name: str) -> None:
    assert kvm(name, "RegistersAnyTime").startswith(("paired", "no_stale_translation"))
    assert kvm(name, "srcu") == HOLDS


def test_the_mmap_lock_alone_does_not_exclude_foreign_sections() -> None:
    assert kvm("munmap/register", "RegistersUnderMmapLock") == HOLDS
    assert kvm("punch_hole/register", "RegistersUnderMmapLock") != HOLDS


def test_everybody_is_asked_whether_a_page_is_young() -> None:
    assert "before it asked" in kvm("reclaim/2 drivers", "StopsAtFirst")
    assert kvm("reclaim/2 drivers", "srcu") == HOLDS


def reap(beside: type[Driver], protocol: str = "srcu") -> str:
    named = Scenario(
        "oom_reaper", ("oom_reaper",), pages=1, frames=2, beside=(beside,), protocol=protocol
    )
    return verdict_of(named.build(Kvm))


def test_a_refused_section_is_unwound() -> None:
    assert reap(Refuses) == HOLDS
    assert reap(Refuses, "NeverUnwinds") == "quiescent"


def test_who_can_refuse_has_no_end() -> None:
    assert reap(RefusesWithEnd).startswith("paired")


def test_only_what_may_not_block_is_refused() -> None:
    refused = Scenario("munmap", ("munmap",), pages=1, frames=2, beside=(RefusesAlways,))
    assert verdict_of(refused.build(Kvm)).startswith("context")
