"""#v9: methods under RCU, and a registration that nothing excludes."""

from __future__ import annotations

import pytest
from tests.protocols.test_srcu_eras import Sleeps
from tests.protocols.under import HOLDS, told, under


def test_order() -> None:
    assert told("v9", "munmap") == ["first start", "second start", "first end", "second end"]
    assert told("v9", "exit") == ["first release, off the list", "second release, off the list"]


@pytest.mark.parametrize("name", ["munmap", "cow", "reclaim/2 drivers"])
def test_holds_while_nobody_comes_or_goes(name: str) -> None:
    assert under("v9", name) == HOLDS


@pytest.mark.parametrize("name", ["munmap/register", "punch_hole/register"])
def test_registration_in_the_middle_of_a_section(name: str) -> None:
    """Not even `mmap_lock` is taken."""
    assert under("v9", name).startswith("paired: range_end without its range_start")


def test_methods_cannot_sleep() -> None:
    assert under("v9", "munmap", Sleeps).startswith("context")
    assert under("rcu_seqlock", "munmap", Sleeps) == HOLDS
