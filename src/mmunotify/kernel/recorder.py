"""`Recorder`: from notifications to a trace of the processes they are about.

Invariant: every notification is counted once: kept, omitted (beyond the limit), lost (by the
kernel's rings), or passed over because it is about somebody else's memory.
"""

from __future__ import annotations

import platform
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from mmunotify.kernel.cause import cause_of, may_be_foreign
from mmunotify.kernel.maps import Maps
from mmunotify.kernel.memory import PAGE
from mmunotify.kernel.notifications import Notification, Notifications
from mmunotify.kernel.repeats import Repeats, vms_of
from mmunotify.trace.record import Activity, Header, Lane, Mapping, Notified, Omitted, Trace

__all__ = ["LIMIT", "Recorder"]

LIMIT: Final = 200_000
"""How many notifications are kept in full; the rest is counted."""

_LOOKS: Final = 0.5  # seconds between two looks at the maps


class Recorder:
    """Collects what `notifications` tell about the processes that `watch` has named.

    `told` is given each notification as it is recorded. Several VMs of one process report each
    invalidation as often; it is recorded once, from the moment that they have been seen.
    """

    def __init__(
        self,
        notifications: Notifications,
        *,
        limit: int = LIMIT,
        told: Callable[[Notified], None] | None = None,
    ) -> None:
        self.notes: list[str] = []
        self.lanes: list[Lane] = []
        self._notifications = notifications
        self._limit = limit
        self._told = told
        self._start = time.monotonic_ns()
        self._last_look = 0.0
        self._maps: dict[int, Maps] = {}
        self._lane: dict[int, int] = {}
        self._vms: dict[int, int] = {}
        self._inherited: dict[int, int] = {}
        self._repeats = Repeats()
        self._stacks: dict[tuple[str, ...], int] = {}
        self._causes: list[str] = []
        self._kept: list[Notified] = []
        self._omitted: dict[tuple[str, str], tuple[int, int]] = {}

    # -- what is watched ------------------------------------------------------------------------

    def watch(self, pid: int, fresh: bool = False, name: str = "") -> None:
        """Record what is about process `pid` from now on; called again, look at its maps.

        `fresh`: it has just got its first VM; further ones that it has open are its parent's.
        """
        if pid not in self._lane:
            self._lane[pid] = len(self.lanes)
            self.lanes.append(Lane(name=f"process {pid}", role="process"))
            self._maps[pid] = Maps(pid)
        if fresh:
            self._inherited[pid] = max(0, vms_of(pid) - 1)
        self._count_vms(pid)
        name = name or _name_of(pid)
        if name:  # exec has changed it
            self.lanes[self._lane[pid]] = Lane(name=f"{name} {pid}", role="process")
        self._maps[pid].look()

    def take(self) -> None:
        """Record what has come since the last call."""
        found = self._notifications.take()
        now = time.monotonic()
        if found and now - self._last_look > _LOOKS:
            self._last_look = now
            for pid, maps in self._maps.items():
                maps.look()
                self._count_vms(pid)
        for one in found:
            self._record(one)

    # -- the trace ------------------------------------------------------------------------------

    def trace(self, subject: str) -> Trace:
        """Return the trace so far."""
        seconds = (time.monotonic_ns() - self._start) / 1e9
        return Trace(
            header=Header(source="kernel", subject=subject, lanes=self.lanes),
            notified=self._kept,
            mappings=list(self._mappings()),
            activity=Activity(
                machine=f"{platform.system()} {platform.release()}",
                seconds=round(seconds, 6),
                lost=self._notifications.lost,
                omitted=[
                    Omitted(kind=kind, cause=cause, calls=calls, pages=pages)
                    for (kind, cause), (calls, pages) in sorted(self._omitted.items())
                ],
                page=PAGE,
                stacks=[list(stack) for stack in self._stacks],
                notes=self.notes,
            ),
        )

    def _mappings(self) -> Iterator[Mapping]:
        """The areas that something was told about."""
        for pid, maps in self._maps.items():
            lane = self._lane[pid]
            starts = sorted({one.start for one in self._kept if one.lane == lane})
            for start, end, name in maps:
                if _any_between(starts, start, end):
                    yield Mapping(lane=lane, start=start, end=end, name=name)

    def _record(self, one: Notification) -> None:
        stack = self._stack(one.stack)
        cause = self._causes[stack]
        lane = self._owner(one, cause)
        if lane is None or self._repeats.is_repeat(one, self._vms.get(one.pid, 1)):
            return
        if len(self._kept) >= self._limit:
            calls, pages = self._omitted.get((one.kind, cause), (0, 0))
            more = -(-(one.end - one.start) // PAGE)
            self._omitted[one.kind, cause] = (calls + 1, pages + more)
            return
        notified = Notified(
            time=max(0, one.time - self._start),
            lane=lane,
            kind=one.kind,
            start=one.start,
            end=max(one.end, one.start + 1),
            cause=cause,
            by=one.tid,
            stack=stack,
        )
        self._kept.append(notified)
        if self._told:
            self._told(notified)

    def _stack(self, stack: tuple[str, ...]) -> int:
        number = self._stacks.get(stack)
        if number is None:
            number = self._stacks[stack] = len(self._stacks)
            self._causes.append(cause_of(stack))
        return number

    def _owner(self, one: Notification, cause: str) -> int | None:
        """The lane of the process a notification is about, as far as that can be known."""
        if one.pid in self._lane:
            return self._lane[one.pid]
        if may_be_foreign(cause, one.stack):
            for pid, maps in self._maps.items():
                if maps.find(one.start) is not None:
                    return self._lane[pid]
        return None

    def _count_vms(self, pid: int) -> None:
        """See how many VMs are told of each invalidation of a process."""
        found = vms_of(pid)
        if found:  # it has gone otherwise, or is another user's
            self._vms[pid] = max(1, found - self._inherited.get(pid, 0))


def _any_between(sorted_: list[int], start: int, end: int) -> bool:
    at = bisect_left(sorted_, start)
    return at < len(sorted_) and sorted_[at] < end


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""
