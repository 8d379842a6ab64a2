"""Samples of tracepoints."""

from __future__ import annotations

import os
import threading
import time

import pytest

from mmunotify.errors import CannotError
from mmunotify.kernel.perf import PerfRings, stack_of
from mmunotify.kernel.tracefs import Tracefs


def test_samples() -> None:
    """A hit of this thread is sampled with its time, ids and stack; the filter holds."""
    try:
        with Tracefs() as tracefs:
            tracepoint = tracefs.tracepoint("task", "task_newtask")
        rings = PerfRings([tracepoint], {"task_newtask": f'comm != "no{os.getpid()}"'}, pages=8)
    except CannotError as error:
        pytest.skip(str(error))
    with rings:
        before = time.monotonic_ns()
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        rings.wait(1.0)
        mine = [one for one in rings.drain() if one.pid == os.getpid()]
        after = time.monotonic_ns()
        assert rings.lost == 0
    assert len(mine) == 1
    assert before <= mine[0].time <= after
    assert mine[0].tid == threading.get_native_id()
    assert mine[0].number == tracepoint.number
    assert len(stack_of(mine[0].chain)) > 2
