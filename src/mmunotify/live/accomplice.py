"""What others do to a program's memory: another process, and the kernel of its own accord.

Invariant: a process that was started has ended when the function returns, and a setting of the
kernel's that was changed has its old value again.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mmunotify.kernel.memory import PAGE, map_pages
from mmunotify.kernel.setting import changed, write_setting
from mmunotify.kernel.system_call import Syscall, system_call
from mmunotify.live.firing import DONTNEED, PAGEOUT, REMOVE
from mmunotify.live.memory import Extent
from mmunotify.live.operations import Kind
from mmunotify.live.scratch import NotFiredError, Scratch, entries_of

__all__ = [
    "KSM_RUN",
    "compact",
    "compactable",
    "merge",
    "mergeable",
    "merged",
    "migrate_to_node",
    "page_out_by_process",
    "punch_by_process",
    "truncate_by_process",
    "write_by_process",
]

KSM_RUN: Final = "/sys/kernel/mm/ksm/run"
_COMPACT: Final = "/proc/sys/vm/compact_memory"
_NODES: Final = Path("/sys/devices/system/node/online")
_MERGING: Final = 20.0  # seconds that ksmd gets
_COMPACTIONS: Final = 20
_MOVE_PAGES, _MOVE = 279, 2

# Arguments: the process and its memory, the file, a number.
_HEAD = """
import ctypes, os, sys
process, address, length, file, number = map(int, sys.argv[1:])
libc = ctypes.CDLL(None, use_errno=True)
vector = (ctypes.c_uint64 * 2)(address, length)
LONG = ctypes.c_long
def checked(result):
    if result < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
"""
_MADVISE = """
pidfd = os.pidfd_open(process)
checked(libc.syscall(LONG(440), LONG(pidfd), vector, LONG(1), LONG(number), LONG(0)))
"""
_PUNCH = "checked(libc.fallocate(file, 3, LONG(0), LONG(length)))"
_TRUNCATE = "os.truncate(file, 0)"
_WRITE = """
data = ctypes.create_string_buffer(length)
local = (ctypes.c_uint64 * 2)(ctypes.addressof(data), length)
checked(libc.process_vm_writev(process, local, LONG(1), vector, LONG(1), LONG(0)))
"""


def _by_process(source: str, what: str, number: int = 0) -> Callable[[Scratch], None]:
    """Have another process do it."""

    def fire(memory: Scratch) -> None:
        words = map(str, (os.getpid(), *memory.span, memory.fd, number))
        done = subprocess.run(
            [sys.executable, "-S", "-c", _HEAD + source, *words],
            pass_fds=[memory.fd] if memory.fd >= 0 else [],
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            problem = (done.stderr.strip().splitlines() or ["it has failed"])[-1]
            raise NotFiredError(f"{what} by another process: {problem}")

    return fire


page_out_by_process = _by_process(_MADVISE, "process_madvise", PAGEOUT)
punch_by_process = _by_process(_PUNCH, "fallocate")
truncate_by_process = _by_process(_TRUNCATE, "ftruncate")
write_by_process = _by_process(_WRITE, "process_vm_writev")


# KSM ----------------------------------------------------------------------------------------------


def mergeable(memory: Scratch) -> None:
    """Give all pages the same bytes, which no other memory has, and offer them to ksmd."""
    ctypes.memset(memory.target.address, 1, memory.target.length)
    mark = os.urandom(32)
    for address in range(memory.target.address, memory.target.end, PAGE):
        ctypes.memmove(address + 64, mark, len(mark))
    memory.call(Syscall.MADVISE, mmap.MADV_MERGEABLE)


def merge(memory: Scratch) -> None:
    """Have ksmd run until it has merged them."""
    if len(set(entries_of(memory.target))) < memory.target.length // PAGE:
        raise NotFiredError("the frame numbers that show a merged page are for root")
    with changed(KSM_RUN, "1"):
        deadline = time.monotonic() + _MERGING
        while len(set(entries_of(memory.target))) > 1:
            if time.monotonic() > deadline:
                raise NotFiredError(f"ksmd has not merged the pages within {_MERGING:g} s")
            time.sleep(0.01)


def merged(memory: Scratch) -> None:
    """Have merged pages."""
    mergeable(memory)
    merge(memory)


# Migration ----------------------------------------------------------------------------------------


def compactable(memory: Scratch) -> None:
    """Have frames with holes between them: every other one goes back to the kernel."""
    filler = Extent(map_pages(memory.target.length), memory.target.length)
    memory.elsewhere.append(filler)
    memory.call(Syscall.MADVISE, REMOVE if memory.kind is not Kind.ANONYMOUS else DONTNEED)
    for offset in range(0, memory.target.length, PAGE):
        for start in (memory.target.address, filler.address):
            ctypes.memset(start + offset, 1, 8)
    system_call(Syscall.MADVISE, filler.address, filler.length, DONTNEED)


def compact(memory: Scratch) -> None:
    """Have the kernel compact memory until some of the pages have moved."""
    before = entries_of(memory.target)
    for _ in range(_COMPACTIONS):
        try:
            write_setting(_COMPACT, "1")
        except OSError as error:
            raise NotFiredError(f"{_COMPACT} cannot be written: {error.strerror}") from error
        if entries_of(memory.target) != before:
            return
    raise NotFiredError("compaction has moved none of the pages")


def migrate_to_node(memory: Scratch) -> None:
    """`move_pages(2)` to another NUMA node."""
    nodes = _nodes()
    if len(nodes) < 2:
        raise NotFiredError("there is one NUMA node, so there is nowhere to move to")
    count = memory.target.length // PAGE
    pages = (ctypes.c_uint64 * count)(*range(memory.target.address, memory.target.end, PAGE))
    wanted, status = ((ctypes.c_int * count)() for _ in range(2))
    where, told = ctypes.addressof(pages), ctypes.addressof(status)
    system_call(_MOVE_PAGES, 0, count, where, None, told, 0)  # only asks where they are
    wanted[:] = [next(node for node in nodes if node != status[0])] * count
    system_call(_MOVE_PAGES, 0, count, where, ctypes.addressof(wanted), told, _MOVE)


def _nodes() -> list[int]:
    try:
        text = _NODES.read_text().strip()
    except FileNotFoundError:
        return [0]
    spans = [part.split("-") for part in text.split(",")]
    return [node for span in spans for node in range(int(span[0]), int(span[-1]) + 1)]
