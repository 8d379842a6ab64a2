"""One page at a time: whoever has `invalidate_page` needs no section, and misses none."""

from __future__ import annotations

import pytest
from tests.protocols.paged import PagedKvm
from tests.protocols.under import EVENTS, HOLDS, First, Subscriber, told, under

from mmunotify.lang.page_range import PageRange


class Paged(Subscriber):
    """Writes down that a page is gone."""

    def invalidate_page(self, rng: PageRange) -> None:
        cleared = "cleared" if self.mm.pte[rng.start] is None else "mapped"
        EVENTS.append(f"{self.who} page, {cleared}")


class Late(PagedKvm):
    """Does not make a fault retry whose lookup came before."""

    def invalidate_page(self, rng: PageRange) -> None:
        with self.mmu_lock:
            if self.unmap_gfn_range(rng):
                self.tlb.flush()


def test_order() -> None:
    """Each is told in its own way; under today's protocol a section is all there is."""
    assert told("take_all_locks", "migrate", (Paged, First)) == [
        "first start",
        "paged page, cleared",
        "first end",
    ]
    both = ["paged start", "first start", "paged end", "first end"]
    assert told("srcu", "migrate", (Paged, First)) == both
    assert told("take_all_locks", "munmap", (Paged, First)) == both


@pytest.mark.parametrize("protocol", ["v9", "v10", "take_all_locks", "srcu_3_10"])
@pytest.mark.parametrize("name", ["reclaim", "migrate", "cow"])
def test_no_section_is_needed(protocol: str, name: str) -> None:
    assert under(protocol, name, PagedKvm) == HOLDS


@pytest.mark.parametrize("name", ["migrate/register", "cow/register"])
def test_nobody_can_come_in_the_middle(name: str) -> None:
    """Claim 9: it follows the clear, so nobody comes too late; a section can be half over."""
    assert under("v9", name, PagedKvm) == HOLDS
    assert under("v9", name).startswith("paired")


def test_the_sequence_is_needed() -> None:
    assert under("take_all_locks", "migrate", Late) != HOLDS
