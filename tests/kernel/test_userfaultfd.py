"""userfaultfd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mmunotify.kernel.feature import Refusal
from mmunotify.kernel.memory import PAGE, Memory, read64
from mmunotify.kernel.userfaultfd import Userfaultfd


@pytest.fixture
def fd() -> Iterator[Userfaultfd]:
    """One that may move pages."""
    try:
        fd = Userfaultfd(user_mode_only=False, features=("move",))
    except (OSError, Refusal) as error:
        pytest.skip(f"userfaultfd with UFFDIO_MOVE: {error}")
    with fd:
        yield fd


def test_move(fd: Userfaultfd) -> None:
    """A page moves with its contents."""
    with Memory(2) as source, Memory(2) as destination:
        source.touch(7)
        fd.register(destination.start, destination.size, missing=True)
        fd.move(destination.start, source.start, PAGE)
        assert (read64(destination.start), read64(source.start)) == (7, 0)


def test_unknown_feature() -> None:
    """A feature that no kernel offers is refused by name."""
    with pytest.raises((Refusal, OSError), match=r"teleport|permitted"):
        Userfaultfd(user_mode_only=True, features=("teleport",))
