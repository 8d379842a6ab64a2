"""The benchmark: `make bench`, or `python bench/run.py [--quick] [--runs N] [--page] [NAME ...]`.

Prints one table a bar and writes `bench/out/bench.json`, with `--page` docs/benchmarks.md too. A
figure that misses its bar is printed and is no failure: a busy machine is none. A wrong count or
verdict is: then the exit is 1. Without Spin or a C compiler the exit is 4.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import machine, page, spin
from bench.bars import bug, command, counts, rate, reduced, unbounded
from bench.options import Options
from bench.table import Table, summary

__all__ = ["main"]

BARS: dict[str, Callable[[Options], Table]] = {
    "rate": rate.measure,
    "reduced": reduced.measure,
    "unbounded": unbounded.measure,
    "bug": bug.measure,
    "command": command.measure,
    "counts": counts.measure,
}
OUT = Path(__file__).parent / "out" / "bench.json"
WRONG, CANNOT = 1, 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; return the exit status."""
    asked = _asked(arguments)
    if lacking := spin.missing():
        print(f"bench: {lacking}", file=sys.stderr)
        return CANNOT
    options = Options(runs=1 if asked.quick else asked.runs, quick=asked.quick)
    about = machine.describe() | {
        "Spin": spin.version(),
        "runs": f"{options.runs} of each, in turn; medians (least-most)",
    }
    print("\n".join(f"{name + ':':10} {value}" for name, value in about.items()), flush=True)
    tables = []
    for name in asked.names or BARS:
        table = BARS[name](options)
        tables.append(table)
        print(f"\n{table.text}", flush=True)
    _save(asked.json, about, tables)
    if asked.page:
        page.BENCHMARKS.write(about, tables)
    return _summary(tables)


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/run.py", description="Measure mmunotify beside Spin, on the same protocol."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BARS)}: only these"
    )
    parser.add_argument("--quick", action="store_true", help="one run of each, large ones left out")
    parser.add_argument("--runs", type=_positive, default=5, metavar="N", help="of each (5)")
    parser.add_argument(
        "--json", type=Path, default=OUT, metavar="PATH", help="bench/out/bench.json"
    )
    parser.add_argument(
        "--page", action="store_true", help="write the figures of docs/benchmarks.md anew"
    )
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in BARS]:
        parser.error(f"no table is called {unknown[0]}; there are {', '.join(BARS)}")
    if asked.page and (asked.names or asked.quick):
        parser.error("the page has every table, in full: --page goes with neither NAME nor --quick")
    return asked


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def _save(path: Path, about: dict[str, str], tables: list[Table]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"about": about, "tables": [table.record() for table in tables]}
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _summary(tables: list[Table]) -> int:
    print("\n" + "\n  ".join(summary(tables)))
    wrong = any(bar.exact and not bar.meets for table in tables for bar in table.bars)
    return WRONG if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
