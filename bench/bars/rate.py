"""States per second and bytes per state, without any reduction, on the largest size (C)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from bench import engine, promela, spin
from bench.engine import Run
from bench.options import Options
from bench.protocol import coarse
from bench.samples import Samples, in_turn
from bench.sizes import SIZES
from bench.spin import Verified
from bench.table import Bar, Table

from mmunotify.check.search import Found

__all__ = ["measure"]


def measure(options: Options) -> Table:
    """Run the engine on one core and on two, each after a run of Spin.

    So neither finds memory that the other has just given back, which is faster than fresh memory.
    """
    counted = SIZES["C"]
    program = engine.compiled(coarse(counted.size))
    with spin.verifier(
        promela.COARSE,
        defines=promela.defines(counted.size),
        spin=("-o2",),
        cc=("-O2", "-DNOREDUCE"),
    ) as verifier:
        turns = in_turn(
            options.runs,
            [
                lambda: (verifier.run("-w23"), engine.run(program)),
                lambda: (verifier.run("-w23"), engine.run(program, workers=2)),
            ],
        )
    one, two = ([run for _, run in turn] for turn in turns)
    return _table(one, two, [peer for peer, _ in turns[0]])


def _table(one: Sequence[Run], two: Sequence[Run], peer: Sequence[Verified]) -> Table:
    counted = SIZES["C"]
    table = Table(
        "rate",
        f"every state of C ({counted.text}), no reduction",
        ("checker", "states", "transitions", "seconds", "M states/s", "bytes/state"),
    )
    seconds = {
        "engine, 1 core": Samples(tuple(run.search for run in one)),
        "engine, 2 workers": Samples(tuple(run.search for run in two)),
        "Spin -O2 -DNOREDUCE": Samples(tuple(run.seconds for run in peer)),
    }
    found: list[Found | Verified] = [one[0].found, two[0].found, peer[0]]
    sizes = [one[0].bytes_per_state, two[0].bytes_per_state, peer[0].bytes / peer[0].states]
    for (name, took), what, size in zip(seconds.items(), found, sizes, strict=True):
        rate = what.states / took.median / 1e6
        table.row(name, what.states, what.transitions, took.text, rate, f"{size:.1f}")
        table.samples[name] = list(took.values)
    alone, both, spins = seconds.values()
    table.bars = [
        *(
            Bar(f"states, {name}", what.states, "==", counted.states)
            for name, what in zip(seconds, found, strict=True)
        ),
        Bar("states/s of one core against Spin", spins.median / alone.median, ">=", 2.5, "x"),
        Bar("two workers against one", alone.median / both.median, ">=", 1.5, "x"),
        Bar("bytes a state, everything counted", sizes[0], "<=", 40),
    ]
    cpu = [median(run.cpu for run in runs) for runs in (one, two, peer)]
    table.notes = [
        f"by processor time, which a busy machine disturbs less: {cpu[2] / cpu[0]:.2f}x against "
        f"Spin; two workers take {cpu[1] / cpu[0]:.2f} times that of one",
        f"by pairs of runs: {_paired(spins, alone)} against Spin, {_paired(alone, both)} by two",
        "Spin's bytes are all it reports: states, 2^23 hash slots, the stack",
        "Spin counts the initial state as a transition",
    ]
    return table


def _paired(slow: Samples, fast: Samples) -> str:
    ratios = [s / f for s, f in zip(slow.values, fast.values, strict=True)]
    return f"{median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
