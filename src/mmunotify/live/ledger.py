"""`Ledger`: the kernel's notifications held against what monitors reported.

Everything has a time of one clock: notifications, reports, sections, and when memory began and
ceased to be watched. It is gone through in that order, up to a moment at which every report is in.
Invariant: a report answers for one notification. A section answers for all that lie in it.
"""

from __future__ import annotations

import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from typing import Final

from mmunotify.kernel.notifications import Notification
from mmunotify.live.audit import Allowance, Audit, Fault, Finding, Happened
from mmunotify.live.guarantee import Guarantee
from mmunotify.live.memory import Extent
from mmunotify.live.origin import Origin, Report, origin_of
from mmunotify.live.spans import Spans

__all__ = ["Ledger", "Promises"]

Promises = Callable[[Origin], tuple[Guarantee, tuple[str, ...]]]
"""The best that other monitors promise of an operation, and who promises to report it in order."""

Range = tuple[int, int]

_KEPT: Final = 100  # findings in full
_REPORTED: Final = frozenset({Report.UNMAP, Report.REMAP, Report.REMOVE})
# Reports that wait for their notification: a thread may be slow to go on after its report is read.
_WAIT: Final = 10_000_000_000
# One call that punches through several mappings tells of them one right after the other.
_ONE_CALL: Final = 100_000


class Ledger:
    """Counts and findings. `untold` is called with each range that nobody has reported."""

    def __init__(self, promises: Promises, untold: Callable[[int, int], None]) -> None:
        self._promises = promises
        self._untold = untold
        self._numbers = count()
        self._steps: list[tuple[int, int, Callable[[], None]]] = []
        self._arrivals: deque[tuple[int, Callable[[], None]]] = deque()  # from any thread
        self._watched: Spans[tuple[int, int]] = Spans()  # how often, and since when
        self._registered: weakref.WeakKeyDictionary[Allowance, Spans[int]] = (
            weakref.WeakKeyDictionary()
        )
        self._since: dict[tuple[Extent, Allowance | None], deque[int]] = {}
        self._open: Counter[Range] = Counter()
        self._reports: dict[Report, dict[Range, deque[int]]] = {one: {} for one in _REPORTED}
        self._forks: deque[int] = deque()
        self._last: dict[int, tuple[Notification, Origin]] = {}
        self._removed: dict[int, Notification] = {}
        self._shared: set[tuple[int, int]] = set()  # threads and times
        self._blind_until = 0
        self._dead = False
        self._told: Counter[str] = Counter()
        self._missed: Counter[str] = Counter()
        self._promised: dict[str, Guarantee] = {}
        self._findings: list[Finding] = []
        self._news: list[Finding] = []
        self._found = self._unjudged = 0

    # -- what comes in; by any thread -------------------------------------------------------------

    def watch(self, time: int, extent: Extent, allowance: Allowance | None) -> None:
        """Memory is watched from now on; by a cache, if it has an allowance."""
        self._arrivals.append((time, partial(self._begin, time, extent, allowance)))

    def unwatch(self, time: int, extent: Extent, allowance: Allowance | None) -> None:
        """It is not any more, as far as this one is concerned."""
        self._arrivals.append((time, partial(self._cease, extent, allowance)))

    def section(self, time: int, start: int, end: int, step: int) -> None:
        """A section begins (1) or ends (-1)."""
        self._arrivals.append((time, partial(self._change_section, (start, end), step)))

    # -- what comes in; by the auditor ------------------------------------------------------------

    def note(self, rows: Iterable[tuple[int, int, int, int]], *, unmapped: bool) -> None:
        """Enter what monitors reported. `unmapped`: it alone says what is not mapped any more."""
        for time, number, start, end in rows:
            kind = Report(number)
            if kind in _REPORTED:
                self._reports[kind].setdefault((start, end), deque()).append(time)
                if unmapped and kind is not Report.REMOVE:
                    self._step(time, partial(self._watched.clear, start, end))
            elif kind is Report.FORK:
                self._forks.append(time)
            elif kind is Report.DIED:
                self._step(time, self._die)
            elif kind is not Report.CHANGE:
                step = 1 if kind is Report.BEGUN else -1
                self._step(time, partial(self._change_section, (start, end), step))

    def notify(self, one: Notification, *, foreign: bool) -> None:
        """Enter what the kernel told; `foreign` if another process or the kernel itself did it."""
        origin = origin_of(one.stack)
        if origin.operation == "madv_remove":
            # Of one mapping it punches a hole in the file, and so in all its mappings.
            if foreign:
                origin = Origin("punch_hole", foreign=True)
            last = self._removed.get(one.tid)
            if last is not None and _is_one_call(one, last):
                self._shared |= {(last.tid, last.time), (one.tid, one.time)}
            self._removed[one.tid] = one
        if foreign and not origin.foreign:
            self._step(one.time, partial(self._pass_over, one))
        else:
            self._step(one.time, partial(self._judge, one, origin))

    def blind(self, until: int) -> None:
        """Reports were lost: what happened until then is not judged."""
        self._blind_until = max(self._blind_until, until)

    def close(self, until: int) -> None:
        """Judge what happened until a time by which everything is entered."""
        while self._arrivals:
            self._step(*self._arrivals.popleft())
        self._steps.sort()
        at = 0
        while at < len(self._steps) and self._steps[at][0] <= until:
            self._steps[at][2]()
            at += 1
        del self._steps[:at]
        self._shared = {key for key in self._shared if key[1] > until}
        self._forget(until - _WAIT)

    def news(self) -> list[Finding]:
        """The findings since the last call."""
        found, self._news = self._news, []
        return found

    def audit(self, lost: int) -> Audit:
        """What was found so far."""
        names = sorted(self._told.keys() | self._missed.keys())
        return Audit(
            tuple(self._row(name) for name in names),
            tuple(self._findings),
            self._found,
            lost,
            self._unjudged,
        )

    # -- steps, in the order of time --------------------------------------------------------------

    def _step(self, time: int, step: Callable[[], None]) -> None:
        self._steps.append((time, next(self._numbers), step))

    def _begin(self, time: int, extent: Extent, allowance: Allowance | None) -> None:
        self._since.setdefault((extent, allowance), deque()).append(time)
        self._watched.change(
            extent.address,
            extent.end,
            lambda was: (was[0] + 1, was[1]) if was else (1, time),
        )
        if allowance is not None:
            spans = self._registered.setdefault(allowance, Spans())
            spans.change(extent.address, extent.end, lambda _: time)

    def _cease(self, extent: Extent, allowance: Allowance | None) -> None:
        times = self._since.get((extent, allowance))
        if times is None:
            return
        since = times.popleft()
        if not times:
            del self._since[extent, allowance]

        def less(was: tuple[int, int] | None) -> tuple[int, int] | None:
            if was is None or was[1] > since:  # begun anew after the mapping of this one had gone
                return was
            return (was[0] - 1, was[1]) if was[0] > 1 else None

        self._watched.change(extent.address, extent.end, less)
        if allowance is not None and allowance in self._registered:
            self._registered[allowance].change(
                extent.address,
                extent.end,
                lambda was: was if was is not None and was > since else None,
            )

    def _change_section(self, rng: Range, step: int) -> None:
        self._open[rng] += step
        if not self._open[rng]:
            del self._open[rng]

    def _die(self) -> None:
        self._dead = True  # and with it every promise: caches serve nothing any more

    def _pass_over(self, one: Notification) -> None:
        """Most likely it is about another process; but a cache must not rely on that."""
        if any(self._watched.within(one.start, one.end)):
            self._untold(one.start, one.end)

    def _judge(self, one: Notification, origin: Origin) -> None:
        parts = [
            (start, end)
            for start, end, (_, since) in self._watched.within(one.start, one.end)
            if since <= one.time
        ]
        if parts:
            self._judge_watched(one, origin, (parts[0][0], parts[-1][1]))
        for spans in list(self._registered.values()):
            spans.clear(one.start, one.end)  # caches forget it, by whomever they are told
        if origin.unmaps:
            self._watched.clear(one.start, one.end)

    def _judge_watched(self, one: Notification, origin: Origin, rng: Range) -> None:
        before = self._last.get(one.tid)
        self._last[one.tid] = one, origin
        if one.time <= self._blind_until:
            self._unjudged += 1
            self._untold(one.start, one.end)
            return
        told = self._is_told(one, origin, rng)
        if told or _is_again(one, origin, before):
            self._told[origin.operation] += 1
            self._promised.setdefault(origin.operation, self._promises(origin)[0])
            if not told:  # a cache must not rely on that it is the same once more
                self._untold(one.start, one.end)
            return
        if (one.tid, one.time) in self._shared:
            origin = Origin("punch_hole", foreign=True)  # of which nothing is promised
        guarantee, who = self._promises(origin)
        self._missed[origin.operation] += 1
        self._promised.setdefault(origin.operation, guarantee)
        self._untold(one.start, one.end)
        if who and not self._dead:
            self._find(Fault.BROKEN, one, origin, who)
        for allowance in self._allowing(origin.operation):
            spans = self._registered[allowance].within(one.start, one.end)
            if any(since <= one.time for _, _, since in spans):
                self._find(Fault.ALLOWED, one, origin, (allowance.device,))

    # -- who told ---------------------------------------------------------------------------------

    def _is_told(self, one: Notification, origin: Origin, rng: Range) -> bool:
        if any(start <= rng[0] and rng[1] <= end for start, end in self._open):
            return True
        if origin.reports is Report.FORK:
            return any(time >= one.time for time in self._forks)
        if origin.reports is None:
            return False
        return self._use(origin.reports, rng, (one.start, one.end), one.time)

    def _use(self, kind: Report, rng: Range, exact: Range, time: int) -> bool:
        """Use up a report that covers `rng`: the one of exactly that call before wider ones."""
        reports = self._reports[kind]
        if self._spend(reports, exact, kind, time):
            return True
        wider = [one for one in reports if one[0] <= rng[0] and rng[1] <= one[1]]
        wider.sort(key=lambda one: one[1] - one[0])
        return any(self._spend(reports, one, kind, time) for one in wider)

    @staticmethod
    def _spend(reports: dict[Range, deque[int]], rng: Range, kind: Report, time: int) -> bool:
        times = reports.get(rng, ())
        # A discard is reported before it is done, the others after.
        usable = next((at for at in times if kind is Report.REMOVE or at >= time), None)
        if usable is None:
            return False
        reports[rng].remove(usable)
        if not reports[rng]:
            del reports[rng]
        return True

    def _allowing(self, operation: str) -> Iterator[Allowance]:
        names = {operation, "zero_page"} if operation == "cow" else {operation}
        for allowance in list(self._registered):
            if names & allowance.operations:
                yield allowance

    # -- what is kept -----------------------------------------------------------------------------

    def _find(self, fault: Fault, one: Notification, origin: Origin, who: tuple[str, ...]) -> None:
        self._found += 1
        if self._found > _KEPT:
            return
        finding = Finding(
            *(fault, origin.operation, one.start, one.end, one.time),
            *(one.pid, one.tid, who, one.stack),
        )
        self._findings.append(finding)
        self._news.append(finding)

    def _row(self, name: str) -> Happened:
        return Happened(
            name,
            self._told[name],
            self._missed[name],
            self._promised[name],
            tuple(sorted({allowance.device for allowance in self._allowing(name)})),
        )

    def _forget(self, before: int) -> None:
        """Drop the reports that no notification came for: of memory that nobody watches."""
        while self._forks and self._forks[0] < before:
            self._forks.popleft()
        for reports in self._reports.values():
            for rng in [rng for rng, times in reports.items() if times[-1] < before]:
                del reports[rng]


def _is_again(
    one: Notification, origin: Origin, before: tuple[Notification, Origin] | None
) -> bool:
    """A file system may unmap what it punches out more than once; the thread reports once."""
    if before is None or origin.operation != "madv_remove":
        return False
    last, by = before
    return by == origin and (last.start, last.end) == (one.start, one.end)


def _is_one_call(one: Notification, last: Notification | None) -> bool:
    """Tell whether one call has gone on from one mapping of a file to another one."""
    return (
        last is not None
        and last.stack == one.stack
        and last.start != one.start
        and last.end - last.start == one.end - one.start
        and one.time - last.time < _ONE_CALL
    )
