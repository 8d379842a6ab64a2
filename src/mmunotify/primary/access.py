"""An access to memory by a translation that somebody keeps, and what it must not break.

Invariant: whatever reaches a frame by a secondary MMU's TLB, or by a mapping that the kernel made
for one, passes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmunotify.lang.intrinsics import require
from mmunotify.primary.frame import Frame, Owner

if TYPE_CHECKING:
    from mmunotify.primary.mm import Mm

__all__ = ["access", "translated"]


def translated() -> None:
    """Mark that a device reaches memory: where none ever does, nothing was put to the test."""
    return


def access(mm: Mm, frame: Frame, page: int, write: bool) -> None:
    """Read or write `frame` as the memory at `page`; part of one step."""
    translated()
    _require_owned(mm, frame, page)
    _require_coherent(mm, frame, page, write)
    if mm.ghost.watches_protection and write:
        require(
            "no_write_after_protect",
            not mm.ghost.protected[page],
            "the device writes by an old translation after write permission was removed",
        )


def _require_owned(mm: Mm, frame: Frame, page: int) -> None:
    require(
        "no_stale_translation",
        frame.owner is not Owner.FREE,
        "the device accesses a free frame",
    )
    require(
        "no_stale_translation",
        frame.owner is Owner.MM,
        "the device accesses a frame that belongs to another process",
    )
    if mm.ghost.watches_moves and mm.ghost.moved[page] is frame:
        require(
            "no_stale_translation",
            frame.refcount.read() > mm.mapcount(frame),  # somebody holds the frame itself
            "the device accesses a frame that belongs to another page now",
        )


def _require_coherent(mm: Mm, frame: Frame, page: int, write: bool) -> None:
    mapped = mm.pte[page]
    # While the flush after a zap is pending, CPUs may reach the old frame just the same.
    if mapped is not None and mapped is not frame and not frame.gathered:
        require(
            "no_stale_bytes",
            not mapped.written,
            "the device reads the old frame, a CPU has written to the new one",
        )
        require("no_stale_bytes", not write, "the device's write goes to the old frame: lost")
    if mm.ghost.watches_copies and write and mm.ghost.copied[page] is frame:
        require(
            "no_stale_bytes",
            mapped is frame and mm.pte_write[page],
            "the device writes to a frame whose bytes were copied already: lost",
        )
