"""The native core under every reduction: the executor's states, and the unreduced verdict."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from tests.reduce import protocol
from tests.reduce.executor import TooMany, search
from tests.reduce.programs import make
from tests.reduce.protocol import Config

from mmunotify.check.search import Search
from mmunotify.compile.reduce import MIXES, mix
from mmunotify.ir.program import Program

# With symmetry the ample thread depends on which state of an orbit stands for it.
PLAIN = [name for name in MIXES if name not in ("symmetry", "all")]


def verdict(program: Program, name: str, limit: int | None = None) -> tuple[str, int]:
    """Return the core's verdict and its number of states."""
    found = Search(program, mix(program, name)).run(walks=False, max_states=limit)
    return str(found.verdict), found.states


@pytest.mark.parametrize(
    ("grain", "config"),
    [("coarse", Config(1, 1)), ("fine", Config(2, 1, 1)), ("fine", Config(1, 1, 1, loops=0))],
    ids=str,
)
def test_the_same_states(grain: str, config: Config) -> None:
    program = protocol.build(grain, replace(config, epoch=config.loops == 0))
    for name in PLAIN:
        if name != "none" or config.vcpus == 1:
            states = len(search(program, mix(program, name)).states)
            assert verdict(program, name) == ("holds", states), name


def compare(seed: int) -> None:
    program = make(random.Random(seed).randrange)
    try:
        base = search(program, limit=1000)
    except TooMany:
        return
    reachable = {p.name for p in program.predicates if p.kind == "reachable"}
    for name in MIXES:
        said, states = verdict(program, name)
        if said == "incomplete":  # a value left the bounds of its cell
            return
        assert said == ("violated" if base.bad else "holds"), (seed, name)
        if said == "holds" and name in PLAIN and reachable <= base.reached:
            assert states == len(search(program, mix(program, name)).states), (seed, name)


def test_random_programs() -> None:
    for seed in range(60):
        compare(seed)


@pytest.mark.long
@pytest.mark.parametrize("start", range(0, 20_000, 1000))
def test_many_random_programs(start: int) -> None:
    for seed in range(start, start + 1000):
        compare(seed)


@pytest.mark.long
@pytest.mark.parametrize(
    ("grain", "config"),
    [
        ("coarse", Config(2, 1)),
        ("coarse", Config(2, 1, epoch=True)),
        ("coarse", Config(2, 1, epoch=True, loops=0)),
        ("coarse", Config(2, 2)),
        ("coarse", Config(2, 1, frames=3)),
        ("fine", Config(2, 1)),
        ("fine", Config(2, 1, epoch=True)),
        ("fine", Config(2, 2, 1)),
        ("fine", Config(2, 1, 1, epoch=True, loops=0)),
        ("fine", Config(1, 1, loops=2)),
    ],
    ids=str,
)
def test_mutants(grain: str, config: Config) -> None:
    """Every effect and critical section left out in turn, at sizes only the core can search."""
    for tag in ["", *protocol.effects(grain, config)]:
        program = protocol.build(grain, replace(config, drop=tag))
        said, _ = verdict(program, "none", 20_000_000)
        for name in MIXES:
            assert verdict(program, name)[0] == said, f"{grain} without {tag}: {name}"


@pytest.mark.long
@pytest.mark.parametrize("epoch", [False, True])
def test_the_bar(epoch: bool) -> None:
    """Statement granularity, 2 vcpus, 2 invalidators, 2 pages, 2 frames: 30,000 states."""
    program = protocol.build("fine", Config(2, 2, epoch=epoch))
    said, states = verdict(program, "all")
    assert said == "holds"
    assert states <= 30_000
