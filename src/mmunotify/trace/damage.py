"""What a trace must satisfy beyond its types, so that a report can follow every number in it.

Invariant: after `require_sound`, each lane, event number and window of a trace exists.
"""

from __future__ import annotations

from mmunotify.trace.record import Event, Trace

__all__ = ["DamageError", "require_sound"]


class DamageError(Exception):
    """A trace contradicts itself; the text says where."""


def require_sound(trace: Trace) -> Trace:
    """Return the trace, or raise `DamageError` with the first thing that is wrong with it."""
    lanes = len(trace.header.lanes)
    numbers: set[int] = set()
    last = 0
    for event in trace.events:
        if event.n <= last:
            raise DamageError(f"event {event.n} follows event {last}")
        _require_lanes([event.lane, *event.alternatives], lanes, f"event {event.n}")
        _require_earlier(event, numbers)
        last = event.n
        numbers.add(last)
    for window in trace.windows:
        _require_lanes([window.lane], lanes, f"window {window.text or window.kind}")
        _require_events([window.first, window.last or window.first], numbers, "a window")
        if window.last and window.last < window.first:
            raise DamageError(f"a window ends at event {window.last}, before it starts")
    for blocked in trace.blocked:
        _require_lanes([blocked.lane], lanes, "a blocked lane")
        _require_events(blocked.uses, numbers, "a blocked lane")
    for notified in trace.notified:
        _require_lanes([notified.lane], lanes, "a notification")
        if notified.end <= notified.start:
            raise DamageError(f"a notification about {notified.start:#x} ends before it starts")
    for stale in trace.stale:
        _require_lanes([stale.lane], lanes, "a stale translation")
    for mapping in trace.mappings:
        _require_lanes([mapping.lane], lanes, "a mapping")
    if trace.cycle:
        _require_events([trace.cycle], numbers, "the cycle")
    return trace


def _require_lanes(found: list[int], lanes: int, who: str) -> None:
    for lane in found:
        if not 0 <= lane < lanes:
            raise DamageError(f"{who} names lane {lane}, but there are {lanes}")


def _require_events(found: list[int], numbers: set[int], who: str) -> None:
    for number in found:
        if number not in numbers:
            raise DamageError(f"{who} names event {number}, which is not there")


def _require_earlier(event: Event, numbers: set[int]) -> None:
    for number in event.uses:
        if number not in numbers:
            raise DamageError(f"event {event.n} uses event {number}, which is not before it")
