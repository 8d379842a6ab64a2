"""A trace of the kernel as text."""

from __future__ import annotations

from tests.report.kernel_sample import sample

from mmunotify.report.activity import notified_line, render_activity
from mmunotify.trace.record import Activity, Header, Trace

SHOWN = """\
TRACE  python <train>.py: 4 invalidations of 516 pages in 1.0 s
       Linux 6.18.0; 2 processes
       nothing was lost
       the command exited with 0

invalidated by                    calls        pages   share      largest
COW                                   2            2    50 %         1 pg
madvise                               1          512    25 %       512 pg
munmap                                1            2    25 %         2 pg

asked for its age by              calls        pages
DAMON                                 1            1

hottest memory                    calls        pages  mostly
[heap]                                3            3  COW
/usr/lib/libc.so.6                    1            2  munmap
30000000-30400000                     1          512  madvise

when  |@                                   -                                   |
      at most 3 in 14 ms

process                           calls        pages
python 10                             3          514
sh 11                                 1            2
"""


def test_whole() -> None:
    """The whole summary, in ASCII and 80 columns."""
    assert render_activity(sample()) == SHOWN
    assert max(map(len, SHOWN.splitlines())) <= 80


def test_losses_come_first() -> None:
    """What is missing is said before any number, in a colour of its own."""
    shown = render_activity(sample(lost=5, omitted=1), color=True)
    line = shown.splitlines()[2]
    assert "5 events lost: the kernel's rings were full; 1 later event in" in line
    assert "\033[" in line


def test_nothing_happened() -> None:
    """A trace without a notification is a trace."""
    empty = Trace(header=Header(source="kernel", subject="true"), activity=Activity(seconds=0.1))
    assert render_activity(empty).startswith("TRACE  true: 0 invalidations of 0 pages")


def test_line() -> None:
    """One notification for those who watch."""
    trace = sample()
    names = [lane.name for lane in trace.header.lanes]
    assert notified_line(trace.notified[2], names, 4096).split() == (
        "0.010000 python 10 unmap [0x30000000, +512) madvise".split()
    )
