"""The cases: what a process, or the kernel on its behalf, does to memory.

The order is that of the kernel's families: unmapping, discarding, protecting, sharing, moving, the
kernel's own activity, and what changes nothing. Invariant: each case does one thing.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
import time
from pathlib import Path

from mmunotify.conform.case import CASES, PAGES, Scene, case
from mmunotify.errors import CannotError, Diagnostic
from mmunotify.kernel.feature import Refusal
from mmunotify.kernel.kvm import Vm
from mmunotify.kernel.memory import PAGE, PROT_NONE, PROT_READ, PROT_RW, Memory, map_pages, read64
from mmunotify.kernel.setting import changed
from mmunotify.kernel.system_call import Syscall, system_call
from mmunotify.kernel.userfaultfd import Userfaultfd

__all__ = ["CASES"]

_PAGE, _OTHER = PAGES
_DONTNEED_LOCKED, _COLLAPSE, _GUARD = 24, 25, 102
_COLD, _PAGEOUT, _POPULATE_WRITE = 20, 21, 23
_MAYMOVE, _FIXED, _DONTUNMAP = 1, 2, 4
_PROCESS_VM_WRITEV = 311

# Unmapping ----------------------------------------------------------------------------------------


@case("munmap", "munmap(page)", "munmap")
def _munmap(scene: Scene) -> None:
    system_call(Syscall.MUNMAP, scene.page(_PAGE), PAGE)


@case(
    "munmap of several mappings",
    "munmap(3 pages, 3 mappings)",
    "munmap",
    prepare=lambda scene: scene.mprotect(PROT_READ),
    expected="kernel finer",
    because="one section for all mappings; an operation of the model is about one page",
)
def _munmap_several(scene: Scene) -> None:
    system_call(Syscall.MUNMAP, scene.page(_PAGE - 1), 3 * PAGE)


@case("MAP_FIXED over a page", "mmap(page, MAP_FIXED)", "mmap_fixed")
def _map_fixed(scene: Scene) -> None:
    map_pages(PAGE, at=scene.page(_PAGE))


@case(
    "mremap shrink",
    "mremap(16 pages, 4 pages)",
    "munmap",
    expected="kernel finer",
    because="the whole tail goes in one section; an operation of the model is about one page",
)
def _shrink(scene: Scene) -> None:
    system_call(Syscall.MREMAP, scene.page(0), 16 * PAGE, _PAGE * PAGE, 0, 0)


# Discarding ---------------------------------------------------------------------------------------


@case("MADV_DONTNEED", "madvise(page, DONTNEED)", "madvise_dontneed")
def _dontneed(scene: Scene) -> None:
    scene.madvise(mmap.MADV_DONTNEED)


@case(
    "MADV_DONTNEED_LOCKED",
    "madvise(page, DONTNEED_LOCKED)",
    "madvise_dontneed",
    prepare=lambda scene: _lock(scene),
)
def _dontneed_locked(scene: Scene) -> None:
    scene.madvise(_DONTNEED_LOCKED)


@case("MADV_DONTNEED, shared", "madvise(page, DONTNEED)", "madvise_dontneed", memory="shared")
def _dontneed_shared(scene: Scene) -> None:
    scene.madvise(mmap.MADV_DONTNEED)


@case("MADV_GUARD_INSTALL", "madvise(page, GUARD_INSTALL)", "madvise_dontneed")
def _guard(scene: Scene) -> None:
    scene.madvise(_GUARD)


@case("MADV_FREE", "madvise(page, FREE)", "madvise_free")
def _free(scene: Scene) -> None:
    scene.madvise(mmap.MADV_FREE)


@case("MADV_REMOVE", "madvise(page, REMOVE)", "punch_hole", memory="shared")
def _remove(scene: Scene) -> None:
    scene.madvise(mmap.MADV_REMOVE)


@case("hole punch by descriptor", "fallocate(PUNCH_HOLE, page)", "punch_hole", memory="shared")
def _punch(scene: Scene) -> None:
    system_call(Syscall.FALLOCATE, scene.fd, 3, _PAGE * PAGE, PAGE)


@case(
    "ftruncate",
    "ftruncate(4 pages)",
    "truncate",
    memory="shared",
    expected="kernel finer",
    because="truncate_pagecache unmaps twice: before the pages leave the page cache, and again "
    "after, for private copies that were made in between; and all pages beyond the end at once",
)
def _truncate(scene: Scene) -> None:
    os.ftruncate(scene.fd, _PAGE * PAGE)


@case(
    "MADV_PAGEOUT after MADV_FREE",
    "madvise(page, PAGEOUT)",
    "reclaim",
    prepare=lambda scene: scene.madvise(mmap.MADV_FREE),
    expected="differs",
    because="MADV_PAGEOUT reclaims without asking for the page's age, which it has cleared; the "
    "model's reclaim is kswapd's, which asks",
)
def _pageout_lazy(scene: Scene) -> None:
    scene.madvise(_PAGEOUT)


@case(
    "MADV_PAGEOUT, shared",
    "madvise(page, PAGEOUT)",
    "reclaim",
    memory="shared",
    expected="differs",
    because="as above; without swap the page stays in the page cache, but its mapping goes",
)
def _pageout_shared(scene: Scene) -> None:
    scene.madvise(_PAGEOUT)


# Protecting ---------------------------------------------------------------------------------------


@case("mprotect read-only", "mprotect(page, PROT_READ)", "mprotect")
def _read_only(scene: Scene) -> None:
    scene.mprotect(PROT_READ)


@case("mprotect none", "mprotect(page, PROT_NONE)", "mprotect")
def _none(scene: Scene) -> None:
    scene.mprotect(PROT_NONE)


@case(
    "mprotect back to writable",
    "mprotect(page, PROT_READ|PROT_WRITE)",
    prepare=lambda scene: scene.mprotect(PROT_READ),
    expected="not modelled",
    because="change_protection announces every change, more permission included; the model has "
    "only the one that takes it away",
)
def _writable(scene: Scene) -> None:
    scene.mprotect(PROT_RW)


@case(
    "soft-dirty clear",
    "write 4 to /proc/self/clear_refs",
    "clear_refs",
    because="S and E are there even where the kernel is built without soft-dirty bits",
)
def _clear_refs(_scene: Scene) -> None:
    Path("/proc/self/clear_refs").write_text("4")


@case(
    "userfaultfd write protection",
    "UFFDIO_WRITEPROTECT(page)",
    "mprotect",
    prepare=lambda scene: _register(scene, ("pagefault_flag_wp",)),
    because="the same function as mprotect: change_protection",
)
def _write_protect(scene: Scene) -> None:
    scene.kept.write_protect(scene.page(_PAGE), PAGE)


@case(
    "PAGEMAP_SCAN with write protection",
    "ioctl(PAGEMAP_SCAN, WP_MATCHING, page)",
    "mprotect",
    prepare=lambda scene: _register(scene, ("pagefault_flag_wp", "wp_async", "wp_unpopulated")),
    because="the same shape as mprotect: S, write-protect, E",
)
def _scan(scene: Scene) -> None:
    results = ctypes.create_string_buffer(24 * 16)
    written = 1 << 1  # PAGE_IS_WRITTEN
    argument = bytearray(
        struct.pack(
            "=12Q",
            96,
            3,  # PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC
            scene.page(_PAGE),
            scene.page(_PAGE + 1),
            0,
            ctypes.addressof(results),
            16,
            0,
            0,
            written,
            0,
            written,
        )
    )
    with Path("/proc/self/pagemap").open("rb") as file:
        fcntl.ioctl(file, 0xC0606610, argument)


# Sharing ------------------------------------------------------------------------------------------


@case("fork", "fork()", "fork", prepare=Scene.alone)
def _fork(scene: Scene) -> None:
    scene.fork()


@case(
    "fork, shared mapping",
    "fork()",
    memory="shared",
    expected="not modelled",
    because="a shared mapping is not copied on write, so nothing is protected; the model's pages "
    "are private",
)
def _fork_shared(scene: Scene) -> None:
    scene.fork()


@case(
    "write after fork", "write(page), a child shares it", "cow", prepare=lambda scene: _share(scene)
)
def _cow(scene: Scene) -> None:
    scene.memory.write(_PAGE, 99)


@case("fork, then write", "fork(); write(page)", "fork", "cpu_write", prepare=Scene.alone)
def _fork_write(scene: Scene) -> None:
    scene.fork()
    scene.memory.write(_PAGE, 99)


@case(
    "write after the child has gone",
    "write(page)",
    "cpu_write",
    prepare=lambda scene: scene.fork().end(),
    because="the page is exclusive again: wp_page_reuse tells nobody, in the model, too",
)
def _reuse(scene: Scene) -> None:
    scene.memory.write(_PAGE, 99)


@case(
    "the child writes",
    "write(page) in the child",
    expected="not modelled",
    prepare=lambda scene: _writing_child(scene),
    because="the copy is made in the child's mm, on which no notifier is; the parent's page stays",
)
def _child_writes(scene: Scene) -> None:
    scene.kept.act()


@case(
    "process_vm_writev into a shared page",
    "process_vm_writev(page), a child shares it",
    "cow",
    prepare=lambda scene: _share(scene),
    because="GUP takes a write fault on behalf of the caller: the same wp_page_copy",
)
def _remote_write(scene: Scene) -> None:
    word = ctypes.create_string_buffer(8)
    local = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(word), 8), 16)
    remote = ctypes.create_string_buffer(struct.pack("=QQ", scene.page(_PAGE), 8), 16)
    system_call(_PROCESS_VM_WRITEV, os.getpid(), local, 1, remote, 1, 0)


@case(
    "first write after a read",
    "write(page), the zero page is mapped",
    prepare=lambda scene: _zero_page(scene),
    expected="not modelled",
    because="the zero page is replaced as by COW, with a section; the model has no zero page",
)
def _after_zero_page(scene: Scene) -> None:
    scene.memory.write(_PAGE, 99)


@case(
    "first write to a private file page",
    "write(page), MAP_PRIVATE of a file",
    prepare=lambda scene: _private_file(scene),
    expected="not modelled",
    because="the page cache's page is replaced as by COW, with a section; the model's frames are "
    "anonymous",
)
def _private_write(scene: Scene) -> None:
    scene.memory.write(_PAGE, 99)


# Moving -------------------------------------------------------------------------------------------


@case(
    "mremap move",
    "mremap(page, MAYMOVE|FIXED, elsewhere)",
    "mremap",
    prepare=lambda scene: _target(scene),
    expected="kernel finer",
    because="the old range is told twice: by move_page_tables, and by the munmap of what is left",
)
def _move(scene: Scene) -> None:
    system_call(Syscall.MREMAP, scene.page(_PAGE), PAGE, PAGE, _MAYMOVE | _FIXED, scene.kept)


@case(
    "mremap onto a page",
    "mremap(page, MAYMOVE|FIXED, other page)",
    expected="not modelled",
    because="munmap of the destination, then the move; the model's destination is always free",
)
def _move_onto(scene: Scene) -> None:
    system_call(
        Syscall.MREMAP, scene.page(_PAGE), PAGE, PAGE, _MAYMOVE | _FIXED, scene.page(_OTHER)
    )


@case(
    "mremap DONTUNMAP",
    "mremap(page, MAYMOVE|DONTUNMAP)",
    "mremap",
    because="without the munmap the old range is told once, as in the model",
)
def _move_dontunmap(scene: Scene) -> None:
    new = system_call(Syscall.MREMAP, scene.page(_PAGE), PAGE, PAGE, _MAYMOVE | _DONTUNMAP, 0)
    scene.undo.callback(system_call, Syscall.MUNMAP, new, PAGE)


@case(
    "UFFDIO_MOVE",
    "UFFDIO_MOVE(other page, page)",
    expected="not modelled",
    prepare=lambda scene: _register_gap(scene),
    because="one section on the source, as mremap; the model has no operation of that name",
)
def _uffd_move(scene: Scene) -> None:
    scene.kept.move(scene.page(_OTHER), scene.page(_PAGE), PAGE)


# The kernel's own activity ------------------------------------------------------------------------


_TWIN = "its twin, which becomes the merged page itself, is write-protected once, and not replaced"


@case(
    "KSM merge",
    "MADV_MERGEABLE, ksmd merges the page",
    "ksm",
    prepare=lambda scene: _twins(scene),
    expected="kernel finer",
    because=_TWIN,
)
def _ksm(scene: Scene) -> None:
    _merge(scene)


@case(
    "write to a merged page",
    "write(page), ksmd has merged it",
    "ksm",
    "cpu_write",
    prepare=lambda scene: _twins(scene),
    expected="kernel finer",
    because=_TWIN,
)
def _ksm_write(scene: Scene) -> None:
    _merge(scene)
    scene.memory.write(_PAGE, 99)


@case(
    "THP collapse",
    "madvise(2 MiB, COLLAPSE)",
    memory="huge",
    expected="not modelled",
    because="one section over the huge page; the model has pages of one size",
)
def _collapse(scene: Scene) -> None:
    scene.madvise(_COLLAPSE, 0, 512)


@case(
    "MADV_DONTNEED of a part of a huge page",
    "madvise(page, DONTNEED) within 2 MiB",
    "madvise_dontneed",
    memory="huge",
    prepare=lambda scene: scene.madvise(_COLLAPSE, 0, 512),
    expected="kernel finer",
    because="within that section the huge page is split, with a section of its own over all of it",
)
def _split(scene: Scene) -> None:
    scene.madvise(mmap.MADV_DONTNEED)


@case(
    "exit",
    "the process ends",
    "exit",
    prepare=lambda scene: _doomed(scene),
    because="the kernel calls release, which no tracepoint shows, and then unmaps without a word",
)
def _exit(scene: Scene) -> None:
    scene.kept.end()


# What changes nothing -----------------------------------------------------------------------------


@case("write", "write(page)", "cpu_write")
def _write(scene: Scene) -> None:
    scene.memory.write(_PAGE, 99)


@case(
    "first touch",
    "write(page), nothing is mapped",
    "cpu_write",
    prepare=lambda scene: scene.madvise(mmap.MADV_DONTNEED),
    because="an empty entry is filled: there is nothing to invalidate",
)
def _first_touch(scene: Scene) -> None:
    scene.memory.write(_PAGE, 99)


@case(
    "MADV_COLD",
    "madvise(page, COLD)",
    expected="not modelled",
    because="ages the page by the CPU's bit alone; secondary MMUs are not asked",
)
def _cold(scene: Scene) -> None:
    scene.madvise(_COLD)


@case(
    "MADV_PAGEOUT without swap",
    "madvise(page, PAGEOUT)",
    expected="not modelled",
    because="a dirty anonymous page has nowhere to go; the model's reclaim always has swap",
)
def _pageout(scene: Scene) -> None:
    scene.madvise(_PAGEOUT)


@case("MADV_POPULATE_WRITE", "madvise(page, POPULATE_WRITE)", "cpu_write")
def _populate(scene: Scene) -> None:
    scene.madvise(_POPULATE_WRITE)


@case(
    "mlock",
    "mlock(page)",
    expected="not modelled",
    because="changes where the page is listed, and nothing of its translation",
)
def _mlock(scene: Scene) -> None:
    _lock(scene)


# What cases need ----------------------------------------------------------------------------------


def _lock(scene: Scene) -> None:
    system_call(Syscall.MLOCK, scene.page(_PAGE), PAGE)


def _zero_page(scene: Scene) -> None:
    scene.madvise(mmap.MADV_DONTNEED)
    read64(scene.page(_PAGE))


def _private_file(scene: Scene) -> None:
    fd = os.memfd_create("private")
    scene.undo.callback(os.close, fd)
    os.ftruncate(fd, PAGE)
    map_pages(PAGE, at=scene.page(_PAGE), fd=fd)
    read64(scene.page(_PAGE))


def _target(scene: Scene) -> None:
    target = Memory(1)
    scene.undo.callback(target.close)
    scene.kept = target.start


def _register(scene: Scene, features: tuple[str, ...], *, missing: bool = False) -> None:
    try:
        fd = Userfaultfd(user_mode_only=True, features=features)
    except (OSError, Refusal) as error:
        raise CannotError(Diagnostic("E401", None, f"userfaultfd: {error}")) from None
    scene.undo.callback(fd.close)
    if missing:
        fd.register(scene.page(_OTHER), PAGE, missing=True)
    else:
        fd.register(scene.page(0), 16 * PAGE)
    scene.kept = fd


def _register_gap(scene: Scene) -> None:
    scene.madvise(mmap.MADV_DONTNEED, _OTHER)
    _register(scene, ("move",), missing=True)


def _twins(scene: Scene) -> None:
    """Two pages of one content, and ksmd at work."""
    scene.memory.write(_PAGE, 2**40)
    scene.memory.write(_OTHER, 2**40)
    scene.undo.enter_context(changed("/sys/kernel/mm/ksm/run", "1"))


def _merge(scene: Scene) -> None:
    """Offer the page and its twin to ksmd, and wait until it has merged them."""
    for page in (_PAGE, _OTHER):
        scene.madvise(mmap.MADV_MERGEABLE, page)
    deadline = time.monotonic() + 20
    # The count in /proc/self/ksm_merging_pages may still be that of memory that has gone.
    while _frame(scene.page(_PAGE)) != _frame(scene.page(_OTHER)):
        if time.monotonic() > deadline:
            raise CannotError(Diagnostic("E401", None, "ksmd did not merge within 20 s"))
        time.sleep(0.05)


def _writing_child(scene: Scene) -> None:
    scene.kept = scene.fork(lambda: scene.memory.write(_PAGE, 99))


def _share(scene: Scene) -> None:
    scene.fork()


def _frame(address: int) -> int:
    """The frame that a page has, as root may know it."""
    with Path("/proc/self/pagemap").open("rb") as file:
        file.seek(address // PAGE * 8)
        return int.from_bytes(file.read(8), "little") & (2**55 - 1)


def _doomed(scene: Scene) -> None:
    """A child with a notifier of its own on the page, at the same address."""

    def own() -> None:
        vm = Vm()
        scene.memory.write(_PAGE, 99)
        del vm  # its descriptors stay open until the exit

    child = scene.fork(own)
    child.act()
    scene.kept = child
