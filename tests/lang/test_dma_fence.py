"""A fence: a job that is awaited ends, and a waiter that does not wait is found."""

from __future__ import annotations

import pytest
from tests.check.verdicts import HOLDS, verdict

from mmunotify.drivers.userptr import Userptr
from mmunotify.lang import DmaFence


def test_without_a_job_it_is_signaled() -> None:
    fence = DmaFence()
    seen = [fence.signaled]
    fence.begin()
    seen.append(fence.signaled)
    fence.signal()
    seen.append(fence.signaled)
    assert seen == [True, False, True]


class SignalsTwice(Userptr):
    def unregister(self) -> None:
        self.fence.wait()
        self.fence.signal()
        super().unregister()


@pytest.mark.parametrize(("driver", "expected"), [(Userptr, HOLDS), (SignalsTwice, "assertion")])
def test_a_fence_is_signaled_once(driver: type[Userptr], expected: str) -> None:
    assert verdict(driver, "munmap/unregister").startswith(expected)
