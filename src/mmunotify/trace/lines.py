"""A trace as JSON Lines: its header, then one event, window, notification or the like a line.

Each line names its `type` first, so that grep and the columns of a database can tell them apart.
Invariant: `decode_lines(encode_lines(trace)) == trace`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from mmunotify.trace.damage import DamageError, require_sound
from mmunotify.trace.record import (
    Activity,
    Blocked,
    Event,
    Header,
    Mapping,
    Notified,
    Stale,
    Trace,
    Window,
)

__all__ = ["decode_lines", "encode_lines"]

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class _Tag(msgspec.Struct):
    """The part of a line that tells what it is."""

    type: str = ""


class _Source(msgspec.Struct, kw_only=True):
    file: str
    text: str


class _End(msgspec.Struct, kw_only=True):
    """The last line of a trace that was written whole."""

    events: int
    cycle: int = 0


def encode_lines(trace: Trace) -> Iterator[bytes]:
    """Yield the lines of a trace, each with its line break."""
    yield _line("header", trace.header)
    for event in trace.events:
        yield _line("event", event)
    for window in trace.windows:
        yield _line("window", window)
    for blocked in trace.blocked:
        yield _line("blocked", blocked)
    for notified in trace.notified:
        yield _line("notified", notified)
    for stale in trace.stale:
        yield _line("stale", stale)
    for mapping in trace.mappings:
        yield _line("mapping", mapping)
    if trace.activity:
        yield _line("activity", trace.activity)
    for file, text in trace.sources.items():
        yield _line("source", _Source(file=file, text=text))
    yield _line("end", _End(events=len(trace.events), cycle=trace.cycle))


def decode_lines(data: bytes) -> Trace:
    """Return the trace in `data`, or raise `DamageError`.

    Lines of an unknown type are passed over.
    """
    parts = _Parts()
    # Not splitlines(): JSON may hold other characters that Python takes for line breaks.
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            parts.add(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DamageError(f"line {number}: {error}") from None
    return require_sound(parts.trace())


def _line(kind: str, record: msgspec.Struct) -> bytes:
    return b'{"type":"' + kind.encode() + b'",' + msgspec.json.encode(record)[1:] + b"\n"


class _Parts:
    """The lines of a trace, sorted by their type."""

    def __init__(self) -> None:
        self.headers: list[Header] = []
        self.events: list[Event] = []
        self.windows: list[Window] = []
        self.blocked: list[Blocked] = []
        self.notified: list[Notified] = []
        self.stale: list[Stale] = []
        self.mappings: list[Mapping] = []
        self.activities: list[Activity] = []
        self.sources: list[_Source] = []
        self.ends: list[_End] = []
        self._tag = msgspec.json.Decoder(_Tag)
        self._adders = {
            "header": _adder(self.headers, Header),
            "event": _adder(self.events, Event),
            "window": _adder(self.windows, Window),
            "blocked": _adder(self.blocked, Blocked),
            "notified": _adder(self.notified, Notified),
            "stale": _adder(self.stale, Stale),
            "mapping": _adder(self.mappings, Mapping),
            "activity": _adder(self.activities, Activity),
            "source": _adder(self.sources, _Source),
            "end": _adder(self.ends, _End),
        }

    def add(self, line: bytes) -> None:
        """Add one line."""
        adder = self._adders.get(self._tag.decode(line).type)
        if adder:
            adder(line)

    def trace(self) -> Trace:
        """Return the trace. One cut off by a crash has no last line, and is not damaged by that."""
        if len(self.headers) != 1:
            raise DamageError(f"it has {len(self.headers)} header lines instead of one")
        if self.ends and self.ends[-1].events != len(self.events):
            raise DamageError(f"it has {len(self.events)} of {self.ends[-1].events} events")
        return Trace(
            header=self.headers[0],
            events=self.events,
            windows=self.windows,
            sources={source.file: source.text for source in self.sources},
            blocked=self.blocked,
            notified=self.notified,
            stale=self.stale,
            mappings=self.mappings,
            activity=self.activities[-1] if self.activities else None,
            cycle=self.ends[-1].cycle if self.ends else 0,
        )


def _adder(items: list[_Struct], kind: type[_Struct]) -> Callable[[bytes], None]:
    decode = msgspec.json.Decoder(kind).decode
    return lambda line: items.append(decode(line))
