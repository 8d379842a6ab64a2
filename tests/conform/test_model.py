"""What the model tells, by running it."""

from __future__ import annotations

import pytest

from mmunotify.conform.model import model_tells
from mmunotify.conform.told import shown


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        (["munmap"], "unmap 4"),
        (["clear_refs"], "unmap everything"),
        (["ksm"], "2 x unmap 4"),
        (["ksm", "cpu_write"], "3 x unmap 4"),
        (["fork", "cpu_write"], "2 x unmap 4"),
        (["mremap"], "unmap 4"),
        (["reclaim"], "age 4, unmap 4"),
        (["cpu_write"], "nothing"),
        (["exit"], "release"),
    ],
)
def test_sequences(operations: list[str], expected: str) -> None:
    """As the operations of the primary MMU are written today."""
    assert shown(model_tells(operations, (4, 8))) == expected
