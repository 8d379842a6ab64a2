"""Pinned state counts: the cheapest alarm for a change in steps, merging or reductions."""

from __future__ import annotations

import pytest
from bench.protocol import Size, coarse, fine

from mmunotify.check.search import Search, Verdict
from mmunotify.compile import compile_world
from mmunotify.compile.reduce import mix


@pytest.mark.parametrize(
    ("size", "states", "transitions"),
    [
        (Size(1, 1, 1, 2, 1), 353, 616),
        (Size(1, 1, 2, 2, 2), 13_765, 25_854),
        (Size(2, 1, 2, 3, 1), 76_567, 204_390),
    ],
)
def test_coarse_steps_are_the_reference_s(size: Size, states: int, transitions: int) -> None:
    """Unreduced, the subset version has exactly the states of the reference."""
    found = Search(compile_world(coarse(size))).run(walks=False)
    assert (found.verdict, found.states, found.transitions) == (Verdict.HOLDS, states, transitions)


@pytest.mark.parametrize(
    ("size", "name", "states"),
    [
        (Size(2, 1, 2, 2, 1), "none", 327_909),
        (Size(2, 1, 2, 2, 1), "liveness", 107_731),
        (Size(2, 1, 2, 2, 1), "transactions", 22_367),
        (Size(2, 1, 2, 2, 1), "ample", 15_707),
        (Size(2, 1, 2, 2, 1), "symmetry", 2_990),
        (Size(2, 1, 2, 2, 1), "all", 2_078),
        (Size(2, 2, 2, 2, 1), "all", 23_013),
        (Size(2, 2, 2, 2, 0), "all", 57_397),
    ],
)
def test_fine_steps_under_each_mix(size: Size, name: str, states: int) -> None:
    """Every reduction merges as much as it did, and the protocol holds under each."""
    program = compile_world(fine(size))
    found = Search(program, mix(program, name)).run(walks=False)
    assert (found.verdict, found.states) == (Verdict.HOLDS, states)


@pytest.mark.parametrize("name", ["none", "liveness", "transactions", "ample", "symmetry", "all"])
def test_the_bug_is_found_under_each_mix(name: str) -> None:
    """Without the retry check every mix finds the stale translation."""
    program = compile_world(fine(Size(2, 2, 2, 2, 1, retry=False)))
    found = Search(program, mix(program, name)).run(walks=False)
    assert found.verdict is Verdict.VIOLATED
    assert found.broken is not None
    assert program.failures[found.broken.number].property == "no_stale_translation"
