"""What programs do to their memory, as they do it: by the C library, by Python, and around both.

Invariant: what is done puts other pages, none, or another permission behind the addresses, which
the page tables and /proc/self/maps show, or it is a `NotFiredError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import c_library, programs
from bench.programs import Prepared

from mmunotify.kernel.maps import permitted_areas_of
from mmunotify.kernel.system_call import Syscall
from mmunotify.live import firing
from mmunotify.live.firing import Fire, by_c_library
from mmunotify.live.memory import Extent
from mmunotify.live.operations import Kind
from mmunotify.live.scratch import (
    HEAP,
    PAGES,
    Effect,
    NotFiredError,
    Scratch,
    Shape,
    effect_on,
    entries_of,
)

__all__ = ["OCCASIONS", "Occasion"]


@dataclass(frozen=True)
class Occasion:
    """One thing that programs do. `access`: the pages stay, the permissions change."""

    what: str
    memory: str
    prepare: Callable[[], Prepared]
    effect: Effect = Effect.GONE
    access: bool = False

    def happen(self, prepared: Prepared) -> None:
        """Do it; raise `NotFiredError` if nothing has come of it."""
        extent = prepared.extent
        entries, permissions = entries_of(extent), _permissions(extent)
        prepared.fire()
        found = effect_on(entries, entries_of(extent))
        hidden = found is Effect.HIDDEN and self.effect is not Effect.GONE
        if found is not self.effect and not hidden:
            raise NotFiredError(f"done, but the translations are {found} and not {self.effect}")
        if self.access and _permissions(extent) == permissions:
            raise NotFiredError("done, but the permissions are the same")


def _permissions(extent: Extent) -> list[str]:
    found = permitted_areas_of("self")
    return [word for (start, end, _), word in found if start < extent.end and end > extent.address]


def _fork_and_write(memory: Scratch) -> None:
    firing.fork(by_hand=False, stays=True)(memory)
    firing.touch(memory)


def _to(
    what: str,
    kind: Kind,
    fire: Fire,
    effect: Effect = Effect.GONE,
    *,
    access: bool = False,
    before: Fire = firing.nothing,
    shape: Shape = PAGES,
) -> Occasion:
    """To scratch memory, which is prepared by `before`."""

    def prepare() -> Prepared:
        memory = Scratch(kind, shape)
        before(memory)
        return Prepared(memory.target, lambda: fire(memory))

    return Occasion(what, "heap" if shape.heap else str(kind), prepare, effect, access)


_ANONYMOUS, _SHARED = Kind.ANONYMOUS, Kind.SHARED

OCCASIONS: tuple[Occasion, ...] = (
    _to("munmap", _ANONYMOUS, by_c_library("munmap")),
    _to("munmap, system call by hand", _ANONYMOUS, firing.call(Syscall.MUNMAP)),
    _to("mmap(MAP_FIXED) over it", _ANONYMOUS, c_library.over),
    _to("mremap away", _ANONYMOUS, c_library.away),
    _to("mremap(MREMAP_FIXED) onto it", _ANONYMOUS, c_library.onto),
    _to("mremap(MREMAP_DONTUNMAP)", _ANONYMOUS, c_library.and_keep),
    _to("mremap to a smaller length", _ANONYMOUS, c_library.shrink),
    _to("madvise(MADV_DONTNEED)", _ANONYMOUS, by_c_library("madvise", firing.DONTNEED)),
    _to(
        "madvise(MADV_DONTNEED_LOCKED)",
        _ANONYMOUS,
        by_c_library("madvise", firing.DONTNEED_LOCKED),
    ),
    _to("MADV_DONTNEED by io_uring", _ANONYMOUS, firing.by_io_uring),
    _to("process_madvise(MADV_DONTNEED)", _ANONYMOUS, c_library.by_process),
    _to("madvise(MADV_REMOVE)", _SHARED, by_c_library("madvise", firing.REMOVE)),
    _to("madvise(MADV_GUARD_INSTALL)", _ANONYMOUS, by_c_library("madvise", firing.GUARD_INSTALL)),
    _to("fallocate(FALLOC_FL_PUNCH_HOLE)", _SHARED, c_library.punch),
    _to("ftruncate to less", _SHARED, lambda memory: c_library.call("ftruncate", memory.fd, 0)),
    _to("mprotect(PROT_READ)", _ANONYMOUS, by_c_library("mprotect", 1), Effect.SAME, access=True),
    _to("brk to a lower end", _ANONYMOUS, firing.shrink_heap, shape=HEAP),
    Occasion("free of 64 MiB", "malloc", programs.free_large),
    Occasion("free of 96 KiB, malloc_trim", "malloc", programs.free_and_trim),
    Occasion("mmap.close() of Python", "anonymous", programs.close_mapping),
    Occasion("del of 64 MiB of bytes", "bytes", programs.delete_bytes),
    Occasion("end of a thread", "its stack", programs.end_thread),
    Occasion("dlclose", "its data", programs.close_library),
    _to("os.fork, then a write", _ANONYMOUS, _fork_and_write, Effect.OTHER),
    _to(
        "a write, a child shares the page",
        _ANONYMOUS,
        firing.touch,
        Effect.OTHER,
        before=firing.fork(by_hand=False, stays=True),
    ),
)
"""Everything, in the order of the table; those that leave a child come last."""
