"""The benchmark protocol: pinned counts, and every checker's verdict; nothing is timed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from bench import promela, spin
from bench.protocol import Size, World, coarse, fine
from bench.reference.kvm_protocol import Explored, Protocol, explore
from bench.sizes import SIZES, Counted
from bench.spin import verifier

from mmunotify.check.search import Found, Search, Verdict
from mmunotify.compile import compile_world
from mmunotify.compile.reduce import MIXES, mix, reduce

needs_spin = pytest.mark.skipif(bool(spin.missing()), reason=spin.missing() or "all there")
quick = pytest.mark.parametrize("name", ["tiny", "small"])
every_mix = pytest.mark.parametrize("mixed", MIXES)
granularities = pytest.mark.parametrize("world", [coarse, fine])


def search(world: World, mixed: str = "none") -> Found:
    """Search the whole world under a mix of reductions."""
    program = compile_world(world)
    return Search(program, mix(program, mixed)).run(walks=False)


def by_python(size: Size) -> Explored:
    """Search the same size of the plain Python reference."""
    s = size
    return explore(Protocol(s.vcpus, s.invalidators, s.pages, s.frames, s.rounds, retry=s.retry))


# Counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "counted", [pytest.param(c, id=name) for name, c in SIZES.items() if c.states < 100_000]
)
def test_pinned_counts(counted: Counted) -> None:
    """The unreduced search of the coarse protocol has the states that every checker has."""
    found = search(coarse(counted.size))
    assert (found.verdict, found.states) == (Verdict.HOLDS, counted.states)


@pytest.mark.long
@pytest.mark.parametrize("name", ["A", "B", "C"])
def test_large_counts(name: str) -> None:
    """The large sizes, on one core and on two."""
    program = compile_world(coarse(SIZES[name].size))
    for workers in (1, 2):
        assert Search(program).run(walks=False, workers=workers).states == SIZES[name].states


@quick
def test_reference_agrees(name: str) -> None:
    """Plain Python finds the same states, steps and depth."""
    counted = SIZES[name]
    expected, found = by_python(counted.size), search(coarse(counted.size))
    assert not expected.deadlock
    assert not expected.path
    assert expected.states == counted.states
    assert (found.transitions, found.depth) == (expected.transitions, expected.depth)


@needs_spin
@quick
def test_spin_agrees(name: str) -> None:
    """Spin finds the same states and steps; it counts the initial state as one."""
    counted = SIZES[name]
    said = run_spin(promela.COARSE, promela.defines(counted.size))
    assert not said.violated
    assert said.states == counted.states
    assert said.transitions - 1 == search(coarse(counted.size)).transitions


def run_spin(model: Path, defines: Mapping[str, int], *cc: str) -> spin.Verified:
    """Verify a model of the reference folder without reduction."""
    with verifier(model, defines=defines, spin=("-o2",), cc=("-O1", "-DNOREDUCE", *cc)) as built:
        return built.run("-m100000", "-w20")


# Verdicts -------------------------------------------------------------------------------------


@every_mix
@granularities
def test_holds_under_every_mix(world: Callable[[Size], World], mixed: str) -> None:
    """No reduction finds an error that is not there."""
    assert search(world(Size(1, 1, 2, 2, 1)), mixed).verdict is Verdict.HOLDS


@every_mix
@granularities
def test_violated_under_every_mix(world: Callable[[Size], World], mixed: str) -> None:
    """No reduction loses the missing retry check."""
    assert search(world(Size(1, 1, 1, 2, 1, retry=False)), mixed).verdict is Verdict.VIOLATED


@every_mix
def test_any_number_of_rounds(mixed: str) -> None:
    """Loops that never end have finitely many states, and one of them is bad without retry."""
    assert search(fine(Size(1, 1, 1, 2, 0)), mixed).verdict is Verdict.HOLDS
    assert search(fine(Size(1, 1, 1, 2, 0, retry=False)), mixed).verdict is Verdict.VIOLATED


@granularities
def test_reductions_leave_out(world: Callable[[Size], World]) -> None:
    """All reductions together store a quarter of the states at most."""
    size = Size(2, 1, 2, 2, 1)
    assert 4 * search(world(size), "all").states < search(world(size)).states


def test_shortest_counterexample() -> None:
    """The engine's path is as long as the reference's shortest one."""
    size = Size(2, 1, 2, 3, 1, retry=False)
    found = search(coarse(size))
    assert found.shortest
    assert len(found.path) == len(by_python(size).path)


def test_one_state_of_each_orbit() -> None:
    """Symmetry alone stores as many states as there are orbits: every kind is proven."""
    counted = SIZES["A"]
    program = compile_world(coarse(counted.size))
    reduction = reduce(program, liveness=False, transactions=False, ample=False)
    found = Search(program, reduction).run(walks=False)
    assert found.verdict is Verdict.HOLDS
    assert found.states == counted.orbits


@needs_spin
def test_spin_agrees_on_the_bug() -> None:
    """Spin's shortest counterexample is as long as ours."""
    size = Size(1, 1, 1, 2, 1, retry=False)
    said = run_spin(promela.COARSE, promela.defines(size), "-DBFS")
    assert said.assertion
    assert said.steps == len(search(coarse(size)).path)


@needs_spin
@pytest.mark.parametrize("retry", [True, False])
def test_spin_agrees_on_statements(retry: bool) -> None:
    """The statement-granular models have the same verdict; their steps are not the same."""
    size = Size(1, 1, 2, 2, 1, retry=retry)
    said = run_spin(promela.FINE, promela.defines(size))
    assert said.violated is (search(fine(size)).verdict is Verdict.VIOLATED)
