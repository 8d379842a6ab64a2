"""Trace records: the one form in which every part tells what happened."""

from mmunotify.trace.record import Event, Header, Result, Trace

__all__ = ["Event", "Header", "Result", "Trace"]
