"""Threads that take the same kind of steps at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

__all__ = ["side_by_side"]


def side_by_side(steps: Sequence[Callable[[], None]], count: int) -> None:
    """Do each step `count` times in a thread of its own; raise what any of them raised."""
    with ThreadPoolExecutor(len(steps)) as threads:
        for future in [threads.submit(_repeat, step, count) for step in steps]:
            future.result()


def _repeat(step: Callable[[], None], count: int) -> None:
    for _ in range(count):
        step()
