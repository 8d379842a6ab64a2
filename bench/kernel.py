"""What an invalidation costs on the running kernel: one range against many.

MADV_DONTNEED over N pages by one call and by N, without a VM, with an empty one (a notifier that
has nothing to drop) and with a guest that has every page translated. The mail's claim 17 is that
one range, with one flush, serves any number of pages. Each figure is the median of several runs, in
time of the calling thread, so that other work on the machine counts little; what N empty calls take
is subtracted, so that Python's part does not count.

    bench/kernel.py [--most N] [--runs N] [--json PATH] [--svg PATH]
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import mmap
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.machine import describe

from mmunotify.errors import CannotError
from mmunotify.kernel.guest import Access, Guest
from mmunotify.kernel.kvm import Vm
from mmunotify.kernel.memory import PAGE, Memory
from mmunotify.report.plot import Plot, Series

__all__ = ["Figure", "main", "measure", "table"]

_SETTINGS = ("no VM", "empty VM", "guest")
_BATCH = 1024  # accesses of one round of the guest
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


@dataclass(frozen=True)
class Figure:
    """Microseconds for N pages: by one call, and by N calls of one page each."""

    setting: str
    pages: int
    one_range: float
    many_ranges: float

    @property
    def per_second(self) -> float:
        """Invalidations of one page in a second, one call after another."""
        return self.pages / self.many_ranges * 1e6


def measure(setting: str, most: int, runs: int) -> Iterator[Figure]:
    """Measure one setting for N = 1, 4, 16, ... `most`; raise `CannotError` without KVM."""
    pages = 1
    while pages <= most:
        with Memory(pages) as memory, _subscribed(setting, memory) as translate:
            one, many = [], []
            for _ in range(runs):
                translate()
                one.append(_time(memory.start, pages * PAGE, 1, pages * PAGE))
                translate()
                many.append(_time(memory.start, pages * PAGE, pages, PAGE))
        # The median of a difference may be next to nothing, and the axes are logarithmic.
        yield Figure(
            setting, pages, max(0.01, statistics.median(one)), max(0.01, statistics.median(many))
        )
        pages *= 4


@contextlib.contextmanager
def _subscribed(setting: str, memory: Memory) -> Iterator[Callable[[], None]]:
    """Yield what makes every page present, and translated where there is a guest."""
    if setting == "no VM":
        yield memory.touch
    elif setting == "empty VM":
        with Vm():
            yield memory.touch
    else:
        with Guest(memory) as guest:
            yield lambda: _translate(memory, guest)
            guest.require_translations()


def _translate(memory: Memory, guest: Guest) -> None:
    memory.touch()
    count = memory.size // PAGE
    for first in range(0, count, _BATCH):
        last = min(count, first + _BATCH)
        guest.run([Access("read", page) for page in range(first, last)])


def _time(start: int, size: int, calls: int, step: int) -> float:
    """Microseconds of this thread that the calls take, without Python's part."""
    madvise = _LIBC.madvise
    addresses = range(start, start + size, step)
    assert len(addresses) == calls
    before = time.thread_time_ns()
    for address in addresses:
        madvise(address, step, mmap.MADV_DONTNEED)
    between = time.thread_time_ns()
    for address in addresses:
        madvise(address, 0, mmap.MADV_DONTNEED)  # returns at once
    after = time.thread_time_ns()
    return (between - before - (after - between)) / 1000


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a table of text."""
    lines = [f"{'setting':<10}{'pages':>7}{'1 range, us':>14}{'N ranges, us':>14}{'ratio':>8}  /s"]
    for one in figures:
        ratio = one.many_ranges / one.one_range
        lines.append(
            f"{one.setting:<10}{one.pages:>7,}{one.one_range:>14,.1f}{one.many_ranges:>14,.1f}"
            f"{ratio:>8.1f}  {one.per_second:,.0f}"
        )
    return "\n".join(lines) + "\n"


def _plot(figures: Sequence[Figure]) -> Plot:
    series = []
    for setting in dict.fromkeys(one.setting for one in figures):
        mine = [one for one in figures if one.setting == setting]
        series.append(Series(f"{setting}, N ranges", [(f.pages, f.many_ranges) for f in mine]))
        series.append(Series(f"{setting}, 1 range", [(f.pages, f.one_range) for f in mine]))
    lifted = [Series(s.name, [(x, max(1.0, y)) for x, y in s.points]) for s in series]
    return Plot("MADV_DONTNEED over N pages (1 us and less as 1)", "pages", "us", lifted)


def main(words: Sequence[str] | None = None) -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--most", type=int, default=4096, help="pages at the most (4,096)")
    parser.add_argument("--runs", type=int, default=15, help="of each figure (15)")
    parser.add_argument("--json", metavar="PATH", help="save the figures")
    parser.add_argument("--svg", metavar="PATH", help="write the plot")
    arguments = parser.parse_args(words)
    figures: list[Figure] = []
    for setting in _SETTINGS:
        try:
            figures += measure(setting, arguments.most, arguments.runs)
        except CannotError as error:
            print(f"{setting}: {error}", file=sys.stderr)
    print("\n".join(f"{name}: {text}" for name, text in describe().items()), end="\n\n")
    print(table(figures), end="")
    if arguments.json:
        data = {"machine": describe(), "figures": [asdict(one) for one in figures]}
        Path(arguments.json).write_text(json.dumps(data, indent=1) + "\n")
    if arguments.svg:
        Path(arguments.svg).write_text(_plot(figures).svg() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
