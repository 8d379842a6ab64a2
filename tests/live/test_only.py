"""A part of a program's memory."""

from __future__ import annotations

import pytest

from mmunotify.errors import DiagnosticError
from mmunotify.live.only import ALL, parse_only

AREAS = [
    (0x10000, 0x20000, "/lib/libm.so.6"),
    (0x20000, 0x30000, "[heap]"),
    (0x30000, 0x40000, ""),
    (0x40000, 0x50000, "/lib/libm.so.6"),
]


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        (["[heap]"], [(0x20000, 0x30000)]),
        (["libm"], [(0x18000, 0x20000), (0x40000, 0x48000)]),
        (["heap"], []),  # names in brackets are the kernel's, and whole
        (["19000-1a000"], [(0x19000, 0x1A000)]),
        (["0x19000-0x22000", "[heap]"], [(0x19000, 0x22000), (0x22000, 0x30000)]),
        (["1000-fffff000"], [(0x18000, 0x48000)]),
    ],
)
def test_parts(texts: list[str], parts: list[tuple[int, int]]) -> None:
    """In order, none twice, within the range that something happens to."""
    only = parse_only(texts)
    assert list(only.parts(0x18000, 0x48000, AREAS)) == parts
    assert not only.is_all


def test_all() -> None:
    """Nothing asked for is everything."""
    assert parse_only([]) == ALL
    assert ALL.is_all


@pytest.mark.parametrize("text", ["", "2000-1000", "1000-1001"])
def test_nonsense(text: str) -> None:
    """It is said, with what would do."""
    with pytest.raises(DiagnosticError, match="E327"):
        parse_only([text])
