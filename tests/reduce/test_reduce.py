"""All passes together: the reduced search says what the unreduced one says."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reduce import protocol
from tests.reduce.executor import Found, TooMany, differs, search
from tests.reduce.programs import make, programs
from tests.reduce.protocol import Config

from mmunotify.compile.reduce import MIXES, mix, reduce
from mmunotify.ir.program import Program

SMALL = 1200  # states; larger programs are passed over


def check(program: Program, base: Found, names: list[str]) -> None:
    """Require every mix in `names` to agree with the unreduced search."""
    for name in names:
        trouble = differs(program, base, mix(program, name))
        assert not trouble, trouble


@given(programs(), st.lists(st.booleans(), min_size=4, max_size=4))
def test_random_programs(program: Program, passes: list[bool]) -> None:
    try:
        base = search(program, limit=SMALL)
    except TooMany:
        return
    check(program, base, [name for name in MIXES if name != "none"])
    liveness, transactions, ample, symmetry = passes
    any_mix = reduce(
        program, liveness=liveness, transactions=transactions, ample=ample, symmetry=symmetry
    )
    trouble = differs(program, base, any_mix)
    assert not trouble, trouble


@given(programs())
def test_a_slot_that_is_named_twice_is_one_slot(program: Program) -> None:
    """Two snapshots of an epoch may have shared a slot: it holds one."""
    twice = replace(program, epochs=tuple((*slots, *slots) for slots in program.epochs))
    assert reduce(twice) == reduce(program)


@pytest.mark.parametrize("start", range(0, 40_000, 1000))
@pytest.mark.long
def test_many_random_programs(start: int) -> None:
    for seed in range(start, start + 1000):
        source = random.Random(seed)
        program = make(source.randrange)
        try:
            base = search(program, limit=SMALL)
        except TooMany:
            continue
        for name in MIXES:
            trouble = differs(program, base, mix(program, name))
            assert not trouble, f"seed {seed}: {trouble}"


def mutate(grain: str, config: Config, mixes: list[str]) -> int:
    """Leave out each effect in turn; return how many of the mutants go wrong."""
    wrong = 0
    for tag in ["", *protocol.effects(grain, config)]:
        program = protocol.build(grain, replace(config, drop=tag))
        base = search(program, limit=2_000_000)
        wrong += bool(base.bad)
        for name in mixes:
            trouble = differs(program, base, mix(program, name), limit=2_000_000)
            assert not trouble, f"{grain} without {tag}: {trouble}"
    return wrong


@pytest.mark.parametrize(
    ("grain", "config", "wrong"),
    [
        ("coarse", Config(1, 1, 1), 22),
        ("fine", Config(1, 1, 1), 31),
    ],
    ids=str,
)
def test_mutants(grain: str, config: Config, wrong: int) -> None:
    """Every effect and every critical section of the protocol left out in turn."""
    mixes = ["transactions", "all"] if grain == "fine" else list(MIXES)
    assert mutate(grain, config, mixes) == wrong


@pytest.mark.long
@pytest.mark.parametrize(
    ("grain", "config"),
    [
        ("coarse", Config(1, 1, 1, epoch=True)),
        ("coarse", Config(2, 1)),
        ("coarse", Config(2, 2, pages=1)),
        ("coarse", Config(1, 1, loops=2)),
        ("fine", Config(2, 1, pages=1)),
        ("fine", Config(1, 1, epoch=True, loops=0)),
    ],
    ids=str,
)
def test_more_mutants(grain: str, config: Config) -> None:
    assert mutate(grain, config, list(MIXES))


@pytest.mark.parametrize(
    ("grain", "config", "states"),
    [
        (
            "coarse",
            Config(1, 1, 1),
            {"none": 355, "liveness": 348, "transactions": 167, "ample": 95, "all": 54},
        ),
        (
            "fine",
            Config(1, 1, 1),
            {"none": 1598, "liveness": 921, "transactions": 243, "ample": 142, "all": 78},
        ),
        ("fine", Config(2, 1, 1), {"transactions": 3350, "symmetry": 954, "all": 614}),
        ("fine", Config(1, 1, 1, epoch=True, loops=0), {"none": 2681, "all": 153}),
    ],
    ids=str,
)
def test_pinned_counts(grain: str, config: Config, states: dict[str, int]) -> None:
    program = protocol.build(grain, config)
    found = {name: len(search(program, mix(program, name)).states) for name in states}
    assert found == states


@pytest.mark.long
@pytest.mark.parametrize("epoch", [False, True])
def test_the_bar(epoch: bool) -> None:
    """Statement granularity, 2 vcpus, 2 invalidators: at most 30,000 states."""
    program = protocol.build("fine", Config(2, 2, epoch=epoch))
    found = search(program, mix(program, "all"))
    assert not found.bad
    assert len(found.states) <= 30_000


def test_mixes_have_names() -> None:
    program = protocol.build("coarse", Config(1, 1, 1))
    for name in MIXES:
        assert mix(program, name).name == name
    assert reduce(program, transactions=False, symmetry=False).name == "ample+liveness"
