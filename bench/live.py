"""What the live side costs: a lookup, a transfer, an invalidation; and what UCX does not hear of.

    bench/live.py [--quick] [--runs N] [--json PATH] [--page]

Everything side by side in one run, in turn; figures are medians. A figure that misses its bar is
printed and is no failure: a busy machine is none. Without userfaultfd or io_uring the exit is 4.
`--page` writes the figures of docs/live-cost.md anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import hooks, invalidations, lookups, machine, page, transfers
from bench.options import Options
from bench.table import summary

from mmunotify import AddressSpace
from mmunotify.errors import DiagnosticError, Exit
from mmunotify.live.devices import IoUring
from mmunotify.live.memory import extent_of

__all__ = ["main"]

_MOST = 16 << 20  # bytes that are registered at a time, with room to spare
_TABLES = (
    lookups.measure,
    transfers.buffered,
    transfers.direct,
    invalidations.measure,
    hooks.measure,
)


def main(words: Sequence[str] | None = None) -> int:
    """Measure and tell; return the exit status."""
    asked = _asked(words)
    if asked.child:
        invalidations.child(asked.child)
        return Exit.HOLDS
    if asked.hooks:
        place, who = asked.hooks
        hooks.child(Path(place), who)
    if lacking := _missing():
        print(f"live: {lacking}", file=sys.stderr)
        return Exit.CANNOT
    options = Options(runs=1 if asked.quick else asked.runs, quick=asked.quick)
    about = machine.describe() | {"runs": f"{options.runs} of each, in turn; medians"}
    print("\n".join(f"{name + ':':10} {value}" for name, value in about.items()), flush=True)
    tables = []
    for measure in _TABLES:
        tables.append(measure(options))
        print(f"\n{tables[-1].text}", flush=True)
    print("\n" + "\n  ".join(summary(tables)))
    if asked.page:
        page.LIVE_COST.write(about, tables)
    if asked.json:
        record = {"about": about, "tables": [table.record() for table in tables]}
        asked.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return Exit.HOLDS


def _asked(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/live.py", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="of each figure (5)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="save the figures")
    parser.add_argument(
        "--page", action="store_true", help="write the figures of docs/live-cost.md"
    )
    parser.add_argument(invalidations.CHILD, type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument(hooks.CHILD, nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.runs < 1:
        parser.error(f"--runs {asked.runs}: one run at least")
    if asked.page and asked.quick:
        parser.error("the page has everything in full: --page does not go with --quick")
    return asked


def _missing() -> str | None:
    """Say in one line what this machine lacks, if anything."""
    try:
        ring = IoUring(1)
    except OSError as error:
        return f"io_uring is not to be had here: {error.strerror}; see mmunotify doctor"
    memory = lookups.touched(_MOST)
    try:
        extent = extent_of(memory)
        ring.deregister(ring.register(extent.address, extent.length))
    except OSError as error:
        return f"io_uring pins no {_MOST >> 20} MiB: {error.strerror}; ulimit -l {_MOST >> 10}"
    try:
        AddressSpace().close()
    except DiagnosticError as error:
        return error.diagnostics[0].what
    return None


if __name__ == "__main__":
    sys.exit(main())
