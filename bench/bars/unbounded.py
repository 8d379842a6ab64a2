"""A proof for any number of rounds: the statement-granular protocol with loops that never end."""

from __future__ import annotations

from functools import partial

from bench import engine
from bench.options import Options
from bench.protocol import Size, fine
from bench.samples import Samples, in_turn
from bench.table import Bar, Table

from mmunotify.check.search import Verdict

__all__ = ["measure"]

_SIZES = {
    "2 vcpu x 1 inv": Size(2, 1, 2, 2, 0),
    "2 vcpu x 2 inv": Size(2, 2, 2, 2, 0),
}
_LAST = "2 vcpu x 2 inv"


def measure(options: Options) -> Table:
    """Prove the protocol right for ever."""
    table = Table(
        "unbounded",
        "statement-granular, 2 pages, 2 frames, every loop for ever",
        ("size", "verdict", "states", "passes", "search", "both"),
    )
    programs = [engine.compiled(fine(size)) for size in _SIZES.values()]
    turns = in_turn(options.runs, [partial(engine.run, program, "all") for program in programs])
    for name, runs in zip(_SIZES, turns, strict=True):
        found = runs[0].found
        passes = Samples(tuple(run.passes for run in runs))
        search = Samples(tuple(run.search for run in runs))
        both = Samples(tuple(run.wall for run in runs))
        table.samples[name] = list(both.values)
        table.row(name, found.verdict.value, found.states, passes.text, search.text, both.text)
        if name == _LAST:
            table.bars = [
                Bar("proven", found.verdict is Verdict.HOLDS, "==", 1),
                Bar("seconds to the proof, passes included", both.median, "<=", 1.0, " s"),
            ]
    table.notes = ["Spin has no such model: its sequence number would grow for ever"]
    return table
