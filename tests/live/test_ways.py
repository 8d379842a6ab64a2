"""The ways of operations: the table is complete, and what it says is what the page tables show."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace

import pytest

from mmunotify.live import accomplice, firing
from mmunotify.live.operations import OPERATIONS, Kind
from mmunotify.live.scratch import (
    HEAP,
    Effect,
    NotFiredError,
    Scratch,
    effect_on,
    entries_of,
    scratch,
)
from mmunotify.live.ways import HARMLESS, SETTINGS, WAYS, Way, perform

PINNED = {operation.name for operation in OPERATIONS if operation.pinned}
TRANSLATING = {operation.name for operation in OPERATIONS if operation.translating}


def test_every_operation_has_a_way() -> None:
    """On each kind of memory that it can happen to, but for what huge pages and nodes need."""
    there = {(way.operation, kind) for way in WAYS for kind in way.memory}
    wanted = {(one.name, kind) for one in OPERATIONS for kind in one.memory}
    # Files in huge pages are a matter of the file system, and segments are not aligned for them.
    assert wanted - there == {("madv_collapse", Kind.FILE), ("madv_collapse", Kind.SYSV)}
    assert {operation for operation, _ in there} == {one.name for one in OPERATIONS} | {HARMLESS}


def test_names() -> None:
    """A row of the matrix is found by its operation and how it comes about."""
    twice = [name for name, n in Counter((w.operation, w.how) for w in WAYS).items() if n > 1]
    assert twice == []
    assert list(dict.fromkeys(way.operation for way in WAYS)) == [
        *(one.name for one in OPERATIONS),
        HARMLESS,
    ]


def test_what_the_table_says() -> None:
    """Pages that are pinned count as replaced, and harmless is what changes no translation."""
    for way in WAYS:
        if way.operation == HARMLESS and not way.ends:
            assert way.effect is Effect.SAME, way
        elif way.operation in PINNED:
            assert way.effect is not Effect.SAME, way
        elif way.operation not in TRANSLATING | {HARMLESS}:
            assert way.effect is Effect.SAME, way


@pytest.mark.parametrize("kind", [Kind.ANONYMOUS, Kind.UNNAMED, Kind.SYSV, Kind.SHARED], ids=str)
def test_a_pin_holds_pages_in_place(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pinned device need not hear of leaves the pages that it holds where they are."""
    monkeypatch.setattr(accomplice, "_MERGING", 1.0)  # seconds that ksmd tries in vain
    moved, tried = [], 0
    for way in WAYS:
        if kind in way.memory and way.operation not in PINNED and not way.ends:
            with contextlib.suppress(NotFiredError):
                moved += [way.how] if _moves_pinned(way, kind) else []
                tried += 1
    assert moved == []
    assert tried > 10


def test_a_pin_does_not_help_against_the_others() -> None:
    """What it must hear of takes the pages away although they are pinned."""
    stays = []
    for way in WAYS:
        if Kind.ANONYMOUS in way.memory and way.operation in PINNED:
            with contextlib.suppress(NotFiredError):
                stays += [] if _moves_pinned(way, Kind.ANONYMOUS) else [way.how]
    assert stays == []


def test_without_effect() -> None:
    """A way that does not do what it says was not fired."""
    [way] = [one for one in WAYS if one.how == "MADV_COLD"]
    with scratch(Kind.ANONYMOUS) as memory:
        perform(way, memory)
        with pytest.raises(NotFiredError, match="translations are same and not gone"):
            perform(replace(way, effect=Effect.GONE), memory)


def test_effects() -> None:
    """Told by the bits of the entries; a frame that is hidden is no proof of the same one."""
    there, hidden, absent = 1 << 63 | 5, 1 << 63, 1 << 62 | 5
    assert effect_on((there, there), (there, there)) is Effect.SAME
    assert effect_on((there, there), (there, there + 1)) is Effect.OTHER
    assert effect_on((there, there), (there + 1, absent)) is Effect.GONE
    assert effect_on((hidden,), (hidden,)) is Effect.HIDDEN
    assert effect_on((0, there), (there, there)) is Effect.SAME  # what was not there cannot go


def test_the_heap_is_the_allocators() -> None:
    """Its end is moved back only where nobody has moved it meanwhile."""
    with scratch(Kind.ANONYMOUS, HEAP) as memory:
        more = Scratch(Kind.ANONYMOUS, HEAP)
        with pytest.raises(NotFiredError, match="allocator"):
            firing.shrink_heap(memory)
        firing.shrink_heap(more)


def _moves_pinned(way: Way, kind: Kind) -> bool:
    """Tell whether pinned pages have other frames behind their addresses afterwards, or none."""
    setting = SETTINGS[way.setting]() if way.setting else contextlib.nullcontext()
    with setting, scratch(kind, way.shape) as memory:
        way.prepare(memory)
        _pin(memory)
        before = entries_of(memory.target)
        if not any(entry & (1 << 55) - 1 for entry in before):
            pytest.skip("the frame numbers that show a moved page are for root")
        with contextlib.suppress(NotFiredError, OSError):
            perform(way, memory)  # to pinned pages the kernel may refuse it
        if way.operation not in PINNED | {"mprotect"}:  # these leave nothing that can be touched
            firing.touch(memory)
        return effect_on(before, entries_of(memory.target)) is not Effect.SAME


def _pin(memory: Scratch) -> None:
    try:
        firing.pin(memory)
    except OSError as error:
        pytest.skip(f"io_uring cannot pin memory here: {error.strerror}")
