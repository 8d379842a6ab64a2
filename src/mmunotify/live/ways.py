"""The ways in which the operations of `live.operations` come about: data, a row of the matrix each.

A promise of a monitor is of an operation, and must hold for every way whose agent it reaches.
Invariant: every operation has a way on each kind of memory that it can happen to, and a way that
was fired had its `effect`, which the page tables show.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mmunotify.kernel.memory import PAGE, PROT_NONE, PROT_READ
from mmunotify.kernel.setting import changed
from mmunotify.kernel.swap import swap_area, swap_areas
from mmunotify.kernel.system_call import Syscall
from mmunotify.live import accomplice, firing
from mmunotify.live.firing import Fire, advise, by_c_library, call, nothing, part
from mmunotify.live.operations import OPERATIONS, Agent, Kind
from mmunotify.live.scratch import (
    HEAP,
    HUGE,
    PAGES,
    PRIVATE_FILE,
    Effect,
    NotFiredError,
    Scratch,
    Shape,
    effect_on,
    entries_of,
)

__all__ = ["HARMLESS", "SETTINGS", "WAYS", "Way", "announced_settings", "perform"]

HARMLESS = ""
"""The operation of ways of which nothing needs to be told: they change no translation, or the
program's monitors and devices go with it."""


SETTINGS: MappingProxyType[str, Callable[[], AbstractContextManager[None]]] = MappingProxyType(
    {"swap": swap_area, "ksm": lambda: changed(accomplice.KSM_RUN, "0")}
)
"""What of the machine has to be different for some ways. ksmd rests until it is to work."""


def announced_settings() -> Iterator[str]:
    """Say what `SETTINGS` would change on this machine for this user."""
    if os.geteuid() == 0:
        if not swap_areas():
            yield "a swap file of 64 MiB is used and removed"
        yield f"ksmd runs, then {accomplice.KSM_RUN} has its value again"


@dataclass(frozen=True)
class Way:
    """One way. `setting` is a name in `SETTINGS`, or nothing; `ends`: the program goes with it."""

    operation: str
    how: str
    fire: Fire
    effect: Effect
    agent: Agent
    memory: frozenset[Kind]
    prepare: Fire = nothing
    shape: Shape = PAGES
    setting: str = ""
    ends: bool = False


def perform(way: Way, memory: Scratch) -> None:
    """Do it to prepared memory; raise OSError where the kernel refuses.

    Raises `NotFiredError` if it cannot be done here, or the pages show that nothing came of it.
    """
    before = entries_of(memory.target)
    way.fire(memory)
    effect = effect_on(before, entries_of(memory.target))
    if effect not in (way.effect, Effect.HIDDEN):
        raise NotFiredError(f"done, but the translations are {effect} and not {way.effect}")


_PRIVATE = frozenset({Kind.ANONYMOUS})
_SHMEM = frozenset({Kind.SHARED, Kind.UNNAMED, Kind.SYSV})
_SHARED = _SHMEM | {Kind.FILE}
_MAPPED = frozenset(Kind) - {Kind.SYSV}  # by mmap
_MEMORY = {operation.name: operation.memory for operation in OPERATIONS}
_COMPACTED = Shape(4096)
_GONE, _OTHER, _SAME = Effect.GONE, Effect.OTHER, Effect.SAME


def _way(
    operation: str,
    how: str,
    fire: Fire,
    effect: Effect,
    agent: Agent = Agent.PROGRAM,
    memory: frozenset[Kind] | None = None,
    **more: Any,
) -> Way:
    kinds = memory or _MEMORY.get(operation, frozenset(Kind))
    return Way(operation, how, fire, effect, agent, kinds, **more)


def _through(operation: str, how: str, fire: Fire, effect: Effect, **more: Any) -> Way:
    return _way(operation, f"AddressSpace.{how}", fire, effect, Agent.THROUGH, **more)


_PART: dict[str, Any] = {"prepare": part(nothing)}
_HUGE_PART: dict[str, Any] = {
    "prepare": part(firing.become_huge),
    "memory": _PRIVATE,
    "shape": HUGE,
}
_FORKED: dict[str, Any] = {"prepare": firing.fork(by_hand=False, stays=True), "memory": _PRIVATE}
_LEFT: dict[str, Any] = {"prepare": firing.free_lazily, "memory": _PRIVATE}
_SWAP: dict[str, Any] = {
    "prepare": firing.reclaimable,
    "setting": "swap",
    "memory": _SHMEM | _PRIVATE,
}

WAYS: tuple[Way, ...] = (
    _way("munmap", "by the C library", by_c_library("munmap"), _GONE),
    _way("munmap", "by hand", call(Syscall.MUNMAP), _GONE),
    _way("munmap", "of a part", call(Syscall.MUNMAP), _GONE, **_PART),
    _through("munmap", "unmap", lambda m: m.mm.unmap(m.span), _GONE),
    _way("mmap_fixed", "of the same kind", firing.map_over, _GONE, memory=_MAPPED),
    _way("mmap_fixed", "private, over a part", firing.map_private_over, _GONE, **_PART),
    _way("mmap_fixed", "shmat(SHM_REMAP)", firing.attach_over, _GONE, Agent.REMAP),
    _way(
        *("mmap_fixed", "remap_file_pages", firing.remap_pages, _OTHER, Agent.REMAP),
        prepare=firing.first_half,
        memory=_SHARED - {Kind.SYSV},
    ),
    _way("mremap", "to another address", firing.move, _GONE),
    _through("mremap", "remap", lambda m: m.mm.remap(m.span, onto=m.more().address), _GONE),
    _way("mremap_onto", "of other memory", firing.move_onto, _GONE),
    _through("mremap_onto", "remap", firing.move_onto_through, _GONE),
    _way("mremap_dontunmap", "to another address", firing.move_and_keep, _GONE),
    _way("mremap_shrink", "to one page", call(Syscall.MREMAP, PAGE, 0), _GONE),
    _through("mremap_shrink", "remap", lambda m: m.mm.remap(m.span, length=PAGE), _GONE),
    _way("brk", "to a lower end", firing.shrink_heap, _GONE, shape=HEAP),
    _way("shmdt", "by shmdt", firing.detach, _GONE),
    _way("madv_dontneed", "by madvise", advise(firing.DONTNEED), _GONE),
    _way("madv_dontneed", "of a part", advise(firing.DONTNEED), _GONE, **_PART),
    _way("madv_dontneed", "of a part of a huge page", advise(firing.DONTNEED), _GONE, **_HUGE_PART),
    _way(
        *("madv_dontneed", "MADV_DONTNEED_LOCKED", advise(firing.DONTNEED_LOCKED), _GONE),
        prepare=firing.lock,
    ),
    _way("madv_dontneed", "by io_uring", firing.by_io_uring, _GONE, Agent.WORKER),
    _through("madv_dontneed", "discard", lambda m: m.mm.discard(m.span), _GONE),
    _way("process_madvise", "of itself", firing.process_madvise, _GONE),
    _way("madv_remove", "by madvise", advise(firing.REMOVE), _GONE),
    _way("madv_free", "by madvise", advise(firing.FREE), _SAME),
    _way("madv_guard_install", "by madvise", advise(firing.GUARD_INSTALL), _GONE),
    _way("punch_hole", "by fallocate", firing.punch_hole, _GONE),
    _way("punch_hole", "by another process", accomplice.punch_by_process, _GONE, Agent.PROCESS),
    _way("ftruncate", "by ftruncate", lambda m: os.truncate(m.fd, 0), _GONE),
    _way("ftruncate", "by truncate", firing.truncate_by_path, _GONE),
    _way("ftruncate", "by open(O_TRUNC)", firing.open_truncated, _GONE),
    _way("ftruncate", "by another process", accomplice.truncate_by_process, _GONE, Agent.PROCESS),
    _way("mprotect", "PROT_READ", call(Syscall.MPROTECT, PROT_READ), _SAME),
    _way("mprotect", "PROT_NONE", call(Syscall.MPROTECT, PROT_NONE), _SAME),
    _way("mprotect", "of a part of a huge page", call(Syscall.MPROTECT, 1), _SAME, **_HUGE_PART),
    _way("mprotect", "by pkey_mprotect", call(Syscall.PKEY_MPROTECT, PROT_READ, -1), _SAME),
    _through("mprotect", "protect", lambda m: m.mm.protect(m.span, PROT_READ), _SAME),
    _way("madv_pageout", "to swap", advise(firing.PAGEOUT), _GONE, **_SWAP),
    _way(
        *("madv_pageout", "without swap", firing.pageout_without_swap, _GONE),
        prepare=firing.reclaimable,
        memory=_SHARED,
    ),
    _way("madv_pageout", "of what MADV_FREE left", advise(firing.PAGEOUT), _GONE, **_LEFT),
    _through("madv_pageout", "pageout", lambda m: m.mm.pageout(m.span), _GONE, **_SWAP),
    _way(
        *("reclaim", "to swap, by another process", accomplice.page_out_by_process, _GONE),
        agent=Agent.PROCESS,
        **_SWAP,
    ),
    _way(
        *("reclaim", "of what MADV_FREE left", accomplice.page_out_by_process, _GONE),
        agent=Agent.PROCESS,
        **_LEFT,
    ),
    _way(
        *("reclaim", "of a file, by another process", accomplice.page_out_by_process, _GONE),
        agent=Agent.PROCESS,
        prepare=firing.reclaimable,
        memory=frozenset({Kind.FILE}),
    ),
    _way(
        *("madv_collapse", "into a huge page", advise(firing.COLLAPSE), _OTHER),
        prepare=advise(firing.HUGEPAGE),
        memory=(_SHMEM & _MAPPED) | _PRIVATE,
        shape=HUGE,
    ),
    _way(
        *("migrate", "compaction", accomplice.compact, _OTHER, Agent.KERNEL),
        prepare=accomplice.compactable,
        memory=_SHMEM | _PRIVATE,
        shape=_COMPACTED,
    ),
    _way("migrate", "move_pages to a node", accomplice.migrate_to_node, _OTHER, Agent.PROGRAM),
    _way(
        *("ksm", "ksmd merges pages", accomplice.merge, _OTHER, Agent.KERNEL),
        prepare=accomplice.mergeable,
        setting="ksm",
    ),
    _way("fork", "os.fork", firing.fork(by_hand=False, stays=False), _SAME, Agent.THROUGH),
    _way("fork", "by hand", firing.fork(by_hand=True, stays=False), _SAME),
    _way("cow", "a write, a child shares it", firing.touch, _OTHER, Agent.CPU, **_FORKED),
    _way("cow", "io_uring pins it", firing.pin, _OTHER, Agent.CPU, **_FORKED),
    _way(
        *("cow", "another process writes", accomplice.write_by_process, _OTHER, Agent.PROCESS),
        **_FORKED,
    ),
    _way(
        *("cow", "a write to a merged page", firing.touch, _OTHER, Agent.CPU, _PRIVATE),
        prepare=accomplice.merged,
        setting="ksm",
    ),
    _way(
        *("cow", "first write to a private file", firing.touch, _OTHER, Agent.CPU),
        memory=frozenset({Kind.FILE}),
        shape=PRIVATE_FILE,
    ),
    _way(
        *("zero_page", "first write", firing.touch, _OTHER, Agent.CPU),
        prepare=firing.read_zero_pages,
    ),
    _way("write", "by a CPU", firing.touch, _SAME, Agent.CPU),
    _way("write", "read(2) into it", firing.read_into, _SAME, Agent.CPU),
    _way("write", "by another process", accomplice.write_by_process, _SAME, Agent.PROCESS),
    _way(
        *("write", "write(2) to the file", firing.write_to_file, _SAME, Agent.CPU),
        memory=frozenset({Kind.SHARED, Kind.FILE}),
    ),
    _way(HARMLESS, "MADV_COLD", advise(firing.COLD), _SAME),
    _way(HARMLESS, "MADV_POPULATE_WRITE", advise(firing.POPULATE_WRITE), _SAME),
    _way(HARMLESS, "mlock, munlock", firing.lock_and_unlock, _SAME),
    _way(HARMLESS, "posix_spawn", firing.spawn, _SAME),
    _way(HARMLESS, "io_uring pins it", firing.pin, _SAME, memory=_SHMEM | _PRIVATE),
    _way(
        *(HARMLESS, "a write, the child has gone", firing.touch, _SAME, Agent.CPU, _PRIVATE),
        prepare=firing.fork(by_hand=False, stays=False),
    ),
    _way(
        *(HARMLESS, "fork of shared memory", firing.fork(by_hand=False, stays=False), _SAME),
        agent=Agent.THROUGH,
        memory=_SHARED,
    ),
    _way(
        *(HARMLESS, "MADV_PAGEOUT without swap", firing.pageout_without_swap, _SAME),
        memory=_PRIVATE,
    ),
    _way(HARMLESS, "exit_group", firing.end, _GONE, memory=_PRIVATE, ends=True),
    _way(HARMLESS, "execve", firing.become_another, _GONE, memory=_PRIVATE, ends=True),
)
"""Every way, in the order of `OPERATIONS`, those that change nothing last."""
