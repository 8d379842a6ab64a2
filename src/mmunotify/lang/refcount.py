"""`Refcount`: how many hold a thing; the last one frees it (`refcount_t`).

Invariant: at 0 the thing is gone: nobody may take a reference again, nobody may drop one.
"""

from __future__ import annotations

from mmunotify.lang.counter import Counter
from mmunotify.lang.intrinsics import atomic, require

__all__ = ["Refcount"]


class Refcount:
    """A count of references, each operation one step."""

    def __init__(self, start: int = 1, high: int = 7) -> None:
        self.count = Counter(start, high)

    def get(self) -> None:
        """Take a reference (`refcount_inc`); at 0 that is a use after free."""
        with atomic():
            require("bounds", self.count > 0, "a reference is taken to what is already freed")
            self.count += 1

    def get_not_zero(self) -> bool:
        """Take a reference unless there is none left (`refcount_inc_not_zero`)."""
        with atomic():
            if self.count == 0:
                return False
            self.count += 1
            return True

    def put(self) -> bool:
        """Drop a reference; True if it was the last (`refcount_dec_and_test`)."""
        with atomic():
            require("bounds", self.count > 0, "a reference is dropped that nobody holds")
            self.count -= 1
            return self.count == 0

    def read(self) -> int:
        """The count now (`refcount_read`)."""
        return self.count.read()
