"""Time to the counterexample, and its length: the protocol without its retry check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench import engine, promela, spin
from bench.engine import Run
from bench.options import Options
from bench.protocol import World, coarse, fine
from bench.samples import Samples, in_turn
from bench.sizes import SIZES
from bench.table import Bar, Table

from mmunotify.check.search import Verdict

__all__ = ["measure"]

_SIZE = replace(SIZES["C"].size, retry=False)
_SPINS = {
    "Spin, depth first": ("-O2", "-DNOREDUCE"),
    "Spin, depth first, partial order": ("-O2",),
    "Spin, breadth first": ("-O2", "-DNOREDUCE", "-DBFS"),
    "Spin, breadth first, partial order": ("-O2", "-DBFS"),
}
_BAR_MS = 50


@dataclass(frozen=True)
class _Model:
    name: str
    build: Callable[..., World]
    promela: Path


def measure(options: Options) -> Table:
    """Search the same bug in both granularities, by walks and without, and with Spin."""
    table = Table(
        "bug",
        f"no retry check, size of C ({SIZES['C'].text})",
        ("model and search", "states", "steps", "engine ms", "pan s", "wall ms"),
    )
    for model in (
        _Model("coarse", coarse, promela.COARSE),
        _Model("fine", fine, promela.FINE),
    ):
        _add_engine(table, options, model)
        for name, flags in _SPINS.items():
            _add_spin(table, options, model, name, flags)
    table.notes = [
        "steps: micro steps of the model; by a walk or a reduced search not the shortest",
        "wall: the reduction passes included, or pan from start to exit (its hash table too)",
        "pan's clock counts hundredths; building it costs another second",
    ]
    return table


def _add_engine(table: Table, options: Options, model: _Model) -> None:
    program = engine.compiled(model.build(_SIZE))
    searches = {
        "engine, walks first": partial(engine.run, program, "all", walks=True),
        "engine, all reductions": partial(engine.run, program, "all"),
        "engine, breadth first": partial(engine.run, program, "none"),
    }
    turns = in_turn(options.runs, [*searches.values()])
    for name, runs in zip(searches, turns, strict=True):
        _add_runs(table, f"{model.name}: {name}", runs)
    first = Samples(tuple(run.search * 1000 for run in turns[0])).median
    reduced = Samples(tuple(run.search * 1000 for run in turns[1])).median
    table.bars += [
        Bar(f"{model.name}: found", turns[0][0].found.verdict is Verdict.VIOLATED, "==", 1),
        Bar(f"{model.name}: walks first", first, "<=", _BAR_MS, " ms"),
        Bar(f"{model.name}: all reductions, no walks", reduced, "<=", _BAR_MS, " ms"),
    ]


def _add_runs(table: Table, name: str, runs: list[Run]) -> None:
    found = runs[0].found
    took = Samples(tuple(run.search for run in runs))
    wall = Samples(tuple(run.wall for run in runs))
    table.samples[name] = list(took.values)
    steps = f"{len(found.schedule)}{'' if found.shortest else ' *'}"
    ms = f"{took.median * 1000:.3g}"
    table.row(name, found.states, steps, ms, None, f"{wall.median * 1000:.3g}")


def _add_spin(
    table: Table, options: Options, model: _Model, name: str, flags: tuple[str, ...]
) -> None:
    # Dead variables stay where nothing is reduced, as everywhere in these tables.
    exact = ("-o2",) if "-DNOREDUCE" in flags else ()
    with spin.verifier(
        model.promela, defines=promela.defines(_SIZE), spin=exact, cc=flags
    ) as verifier:
        runs = [verifier.run("-m100000", "-w23") for _ in range(options.runs)]
    took = Samples(tuple(run.seconds for run in runs))
    wall = Samples(tuple(run.wall for run in runs))
    row = f"{model.name}: {name}"
    table.samples[row] = list(wall.values)
    shortest = "-DBFS" in flags and "-DNOREDUCE" in flags
    steps = f"{runs[0].steps}{'' if shortest else ' *'}"
    table.row(row, runs[0].states, steps, None, took.median, f"{wall.median * 1000:.3g}")
    table.bars.append(Bar(f"{row}: found", runs[0].violated, "==", 1))
