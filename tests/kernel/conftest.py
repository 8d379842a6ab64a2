"""What tests of the running kernel need; where the machine lacks it they skip and say what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mmunotify.errors import CannotError
from mmunotify.kernel.kvm import Vm
from mmunotify.kernel.memory import Memory
from mmunotify.kernel.notifications import Notifications


@pytest.fixture
def vm() -> Iterator[Vm]:
    """An empty VM: a notifier on this process."""
    try:
        vm = Vm()
    except CannotError as error:
        pytest.skip(str(error))
    with vm:
        yield vm


@pytest.fixture
def memory() -> Iterator[Memory]:
    """Sixteen pages with frames."""
    with Memory(16) as memory:
        memory.touch()
        yield memory


@pytest.fixture
def notifications(vm: Vm, memory: Memory) -> Iterator[Notifications]:
    """What the kernel tells about `memory` from now on."""
    try:
        found = Notifications(memory.start, memory.end)
    except CannotError as error:
        pytest.skip(str(error))
    with found:
        yield found
