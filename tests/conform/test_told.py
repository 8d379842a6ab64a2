"""Lists of what a secondary MMU is told, compared."""

from __future__ import annotations

import pytest

from mmunotify.conform.told import EVERYTHING, Told, covers, shown


def unmap(start: int, size: int = 1) -> Told:
    """A section."""
    return Told("unmap", start, start + size)


@pytest.mark.parametrize(
    ("more", "less", "expected"),
    [
        ([unmap(4)], [unmap(4)], True),
        ([unmap(3, 3)], [unmap(4)], True),
        ([unmap(4), unmap(4)], [unmap(4)], True),
        ([unmap(4), unmap(5)], [unmap(4, 2)], True),
        ([Told("unmap", *EVERYTHING)], [unmap(4)], True),
        ([Told("unmap", *EVERYTHING)], [Told("unmap", *EVERYTHING)], True),
        ([], [], True),
        ([], [unmap(4)], False),
        ([unmap(4)], [unmap(4), unmap(4)], False),
        ([unmap(8), unmap(4)], [unmap(4), unmap(8)], False),
        ([unmap(4)], [unmap(4, 2)], False),
        ([unmap(4)], [Told("unmap", *EVERYTHING)], False),
        ([unmap(4)], [Told("age", 4, 5)], False),
    ],
)
def test_covers(more: list[Told], less: list[Told], expected: bool) -> None:
    """All of one list has to be in the other, in its order."""
    assert covers(more, less) is expected


def test_shown() -> None:
    """A list for a reader."""
    assert shown([]) == "nothing"
    assert shown([unmap(4), unmap(4), unmap(0, 16)]) == "2 x unmap 4, unmap 0-15"
    assert shown([Told("unmap", *EVERYTHING), Told("release", 0, 2)]) == "unmap everything, release"
