"""The auditor: what no other monitor reports, the kernel's own notifier does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from tests.live.raw import PAGE, SHARED, Memory

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.errors import CannotError
from mmunotify.kernel.system_call import Syscall, system_call
from mmunotify.live import AliasDevice, Guarantee


@pytest.fixture
def mm() -> Iterator[AddressSpace]:
    """An address space with all monitors of this process's own memory."""
    try:
        found = AddressSpace(monitors=["explicit", "userfaultfd", "kvm"])
    except CannotError as error:
        pytest.skip(str(error))
    with found:
        yield found


def test_guarantees(mm: AddressSpace) -> None:
    """The best of what the monitors promise."""
    assert mm.guarantee("munmap") is Guarantee.ORDERED
    assert mm.guarantee("punch_hole") is Guarantee.OBSERVED
    assert mm.guarantee("write") is Guarantee.NONE


def test_a_punched_hole_is_observed(mm: AddressSpace) -> None:
    """Some time after, the registration is gone; that is no guarantee for a cache."""
    allowed = ["madv_guard_install", "punch_hole", "ftruncate"]
    device = AliasDevice()
    cache = RegistrationCache(mm, device, allow_uncovered=allowed)
    fd = os.memfd_create("test")
    os.truncate(fd, 4 * PAGE)
    memory = Memory(4, SHARED, fd=fd)
    memory.fill()
    deadline = time.monotonic() + 20
    with cache.get(memory.span) as registration:
        # What the auditor still has to tell of before must not count.
        while not registration.valid(memory.span) and time.monotonic() < deadline:
            cache.get(memory.span).release()
            time.sleep(0.01)
    cache.get(memory.span).release()
    before = cache.statistics().invalidations
    system_call(Syscall.FALLOCATE, fd, 3, 0, 4 * PAGE)
    while cache.statistics().invalidations == before and time.monotonic() < deadline:
        time.sleep(0.005)
    assert cache.statistics().invalidations > before
    cache.close()
    os.close(fd)
