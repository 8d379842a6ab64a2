"""`Segment`: a segment of System V's shared memory, by raw system calls.

Invariant: it is marked to be removed, so it is gone when the last one that has it attached is.
"""

from __future__ import annotations

from typing import Final

from mmunotify.kernel.system_call import system_call

__all__ = ["Segment"]

_SHMGET, _SHMAT, _SHMCTL, _SHMDT = 29, 30, 31, 67
_PRIVATE, _CREATE, _REMOVE, _REMAP = 0, 0o1000, 0, 0o40000


class Segment:
    """A new segment of `length` bytes, attached at `address` from the beginning."""

    def __init__(self, length: int, *, at: int | None = None) -> None:
        self._number: Final = system_call(_SHMGET, _PRIVATE, length, _CREATE | 0o600)
        try:
            self.address: Final = self.attach(at)
        finally:
            system_call(_SHMCTL, self._number, _REMOVE, None)

    def attach(self, at: int | None = None) -> int:
        """Attach it once more and return where; `at` replaces what is mapped there."""
        return system_call(_SHMAT, self._number, at or 0, 0 if at is None else _REMAP)

    @staticmethod
    def detach(address: int) -> None:
        """Unmap the one that is attached there."""
        system_call(_SHMDT, address)
