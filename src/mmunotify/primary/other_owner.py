"""Another process on the same machine: it takes frames that are free and writes to them."""

from __future__ import annotations

from mmunotify.lang.driver import ENOMEM
from mmunotify.lang.maybe import maybe
from mmunotify.primary.frame import Owner
from mmunotify.primary.operation import Operation

__all__ = ["OtherOwner"]


class OtherOwner(Operation):
    """Takes a frame, keeps it for a while, gives it back; as often as it likes.

    Sequence: none. Nothing is wrong with it: it makes a stale translation do its damage to somebody
    else, where a free frame alone would already be a violation.
    """

    name = "other_owner"
    function = "alloc_pages"
    foreign = True

    def run(self) -> None:
        """Use frames."""
        while maybe():
            try:
                frame = self.mm.allocate(Owner.OTHER)
            except ENOMEM:
                return
            frame.put()
