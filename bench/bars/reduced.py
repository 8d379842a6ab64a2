"""Time to a verdict on the statement-granular protocol, each checker with its best reduction."""

from __future__ import annotations

from functools import partial
from statistics import median

from bench import engine, promela, spin
from bench.engine import Run
from bench.options import Options
from bench.protocol import Size, fine
from bench.samples import Samples, clocked, in_turn
from bench.spin import Verified
from bench.table import Bar, Table

from mmunotify.check.search import Verdict
from mmunotify.compile.reduce import MIXES
from mmunotify.ir.program import Program

__all__ = ["measure"]

SIZE = Size(vcpus=2, invalidators=2, pages=2, frames=2, rounds=1)
_LONGEST = 120.0  # seconds for one search of the mixes that leave little out
_LARGE = ("none", "liveness")  # tens of millions of states


def measure(options: Options) -> Table:
    """Run the engine under every mix, and Spin with partial order reduction."""
    table = Table(
        "reduced",
        "statement-granular, 2 vcpu x 2 inv, 2 pages, 2 frames, 1 round",
        ("checker and reduction", "verdict", "states", "passes", "search", "both"),
    )
    program, compiling = clocked(lambda: engine.compiled(fine(SIZE)))
    peers, building = clocked(lambda: _spin(options))
    building -= sum(run.wall for run in peers)
    _add_spin(table, peers)
    best = _add_mixes(table, options, program)
    spins = Samples(tuple(run.seconds for run in peers))
    both = Samples(tuple(run.wall for run in best))
    search = Samples(tuple(run.search for run in best))
    whole = spins.median + building, both.median + compiling
    table.bars = [
        Bar("Spin against passes and search", spins.median / both.median, ">=", 100, "x"),
        Bar("Spin against the search alone", spins.median / search.median, ">=", 100, "x"),
        Bar("states stored by the mix all", best[0].found.states, "<=", 30_000),
    ]
    table.notes = [
        f"by processor time: {median(r.cpu for r in peers) / median(r.cpu for r in best):.3g}x "
        "against the search alone",
        "passes: the reduction passes on the compiled program; both: up to the verdict",
        f"from the source text: engine {whole[1]:.3g} s (compiling {compiling:.3g} s), "
        f"Spin {whole[0]:.3g} s (spin -a and the C compiler {building:.3g} s): "
        f"{whole[0] / whole[1]:.3g}x",
    ]
    return table


def _spin(options: Options) -> list[Verified]:
    with spin.verifier(promela.FINE, defines=promela.defines(SIZE), cc=("-O2",)) as verifier:
        return [verifier.run("-m100000", "-w26") for _ in range(options.few)]


def _add_spin(table: Table, peers: list[Verified]) -> None:
    took = Samples(tuple(run.seconds for run in peers))
    table.samples["Spin"] = list(took.values)
    verdict = "violated" if peers[0].violated else "holds"
    name = "Spin, dead variables and partial order"
    table.row(name, verdict, peers[0].states, None, took.text, took.text)


def _add_mixes(table: Table, options: Options, program: Program) -> list[Run]:
    """Add a row a mix; return the runs of the mix that does everything."""
    small = [name for name in MIXES if name not in _LARGE]
    runs = {
        name: [] if options.quick else [engine.run(program, name, max_seconds=_LONGEST)]
        for name in _LARGE
    }
    turns = in_turn(options.runs, [partial(engine.run, program, name) for name in small])
    runs.update(zip(small, turns, strict=True))
    for name, found in runs.items():
        if found:
            _add(table, name, found)
    return runs["all"]


def _add(table: Table, name: str, runs: list[Run]) -> None:
    found = runs[0].found
    verdict = found.verdict.value
    if found.verdict is Verdict.INCOMPLETE:
        verdict += f" ({found.reason})"
    passes, search, both = (
        Samples(values)
        for values in (
            tuple(run.passes for run in runs),
            tuple(run.search for run in runs),
            tuple(run.wall for run in runs),
        )
    )
    table.samples[f"engine, {name}"] = list(search.values)
    table.row(f"engine, {name}", verdict, found.states, passes.text, search.text, both.text)
