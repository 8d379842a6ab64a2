"""What a process has of the kernel: descriptors, threads, mappings of devices, pinned pages."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections import Counter
from pathlib import Path

__all__ = ["gained", "mappings", "resources"]

_PROCESS = Path("/proc/self")
_OF_DEVICES = "anon_inode:", "/memfd:", "/dev/zero"


def resources() -> Counter[str]:
    """Count them by name; pinned memory in kB."""
    found: Counter[str] = Counter()
    for number in os.listdir(_PROCESS / "fd"):  # noqa: PTH208
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            target = os.readlink(_PROCESS / "fd" / number)  # noqa: PTH115
            found["descriptor " + target.rstrip("]0123456789")] += 1  # without its inode
    for line in (_PROCESS / "maps").read_text().splitlines():
        name = line.split(maxsplit=5)[5:]
        if name and name[0].startswith(_OF_DEVICES):
            found["mapping " + name[0]] += 1
    found.update("thread " + thread.name for thread in threading.enumerate())
    status = (_PROCESS / "status").read_text()
    found["pinned kB"] = int(status.partition("VmPin:")[2].split()[0])
    return found


def mappings() -> int:
    """Count all mappings, those of threads and of the allocator too: they come and go."""
    return len((_PROCESS / "maps").read_text().splitlines())


def gained(before: Counter[str]) -> Counter[str]:
    """Return what is there now and was not there before.

    What is in a cycle goes first, and what a thread keeps that is just about to end.
    """
    more = resources() - before
    deadline = time.monotonic() + 5
    generation = 1  # 2 takes 50 ms in a large process
    while more and time.monotonic() < deadline:
        gc.collect(generation)
        generation = 2
        more = resources() - before
    return more
