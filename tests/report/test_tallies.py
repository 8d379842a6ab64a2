"""What notifications add up to."""

from __future__ import annotations

from tests.report.kernel_sample import sample

from mmunotify.report.tallies import areas, by_cause, by_lane, merged, over_time


def test_by_cause() -> None:
    """Invalidations and aging are apart; every notification is in one of them."""
    trace = sample()
    invalidations, aging = by_cause(trace)
    assert [(t.name, t.calls, t.pages, t.largest) for t in invalidations] == [
        ("COW", 2, 2, 1),
        ("madvise", 1, 512, 512),
        ("munmap", 1, 2, 2),
    ]
    assert [(t.name, t.calls) for t in aging] == [("DAMON", 1)]
    assert sum(t.calls for t in (*invalidations, *aging)) == len(trace.notified)


def test_what_was_only_counted() -> None:
    """It is in the totals by cause, and nowhere else."""
    trace = sample(omitted=3)
    assert by_cause(trace)[0][0].calls == 5
    assert sum(t.calls for t in by_lane(trace)) == 4


def test_areas() -> None:
    """Each notification counts where it begins."""
    found = areas(sample())
    assert [(a.name, a.tally.calls) for a in found] == [
        ("[heap]", 3),
        ("30000000-30400000", 1),
        ("/usr/lib/libc.so.6", 1),
    ]
    assert found[0].causes == {"COW": 2, "DAMON": 1}
    assert sum(a.tally.calls for a in merged([*found, *found])) == 10


def test_over_time_and_processes() -> None:
    """Aging is no invalidation."""
    assert over_time(sample(), 4) == [3, 0, 1, 0]
    assert [(t.name, t.calls) for t in by_lane(sample())] == [("python 10", 3), ("sh 11", 1)]
