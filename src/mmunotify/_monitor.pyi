"""The native part of mmunotify.live."""

from typing import Any, Self


version: str = '0.1.0'

MISS: int = -1

BUSY: int = -2

FULL: int = -3

BLIND: int = -4

class Space:
    """This process's address space, as caches see it."""

    def __init__(self) -> None: ...

    def begin_unmap(self, start: int, end: int) -> None:
        """Open a section for an unmap that the caller does."""

    def end_unmap(self, start: int, end: int) -> None:
        """Close that section."""

    def begin_fork(self) -> None:
        """The report of a fork by the caller is nothing new."""

    def end_fork(self) -> None:
        """That fork is over, or has failed."""

    def unmap(self, start: int, end: int) -> int: ...

    def discard(self, start: int, end: int, advice: int) -> int: ...

    def remap(self, start: int, end: int, length: int, flags: int, target: int) -> int: ...

    def protect(self, start: int, end: int, protection: int) -> int: ...

    def advise(self, start: int, end: int, advice: int) -> int: ...

    def invalidate(self, start: int, end: int) -> None:
        """Report that something has happened to a range, and is over."""

    def settle(self) -> None:
        """Wait until every invalidation that has begun is entered."""

    def keep_journal(self) -> None:
        """From now on keep what is reported, for an auditor."""

    def take_journal(self) -> tuple[list[tuple[int, int, int, int]], bool]:
        """
        Time, kind and range of each report since the last call, and whether any was lost.
        """

    @property
    def settled(self) -> bool:
        """
        Whether everything done by operations that had begun before is reported.
        """

    def drain(self) -> tuple[list[tuple[int, int, int, int, int]], bool]: ...

    @property
    def event_fd(self) -> int: ...

    @property
    def dead(self) -> bool: ...

    @property
    def probes(self) -> bool: ...

    @probes.setter
    def probes(self, arg: bool, /) -> None: ...

class Table:
    """The interval table of one registration cache."""

    def __init__(self, space: Space, capacity: int, whole: bool = False) -> None: ...

    def hit_range(self, start: int, end: int) -> int: ...

    def leave(self, slot: int) -> bool: ...

    def reserve(self, start: int, end: int) -> int: ...

    def commit(self, slot: int) -> str: ...

    def forget(self, slot: int) -> None: ...

    def joined(self, start: int, end: int) -> tuple[int, int]: ...

    def reap(self) -> list[int]: ...

    def candidate(self) -> int: ...

    def spare(self, slot: int) -> None: ...

    def evict(self, slot: int) -> bool: ...

    def invalidate(self, start: int, end: int) -> None: ...

    def valid(self, slot: int, start: int, end: int) -> bool: ...

    def users(self, slot: int) -> int: ...

    def generation(self, slot: int) -> int: ...

    def statistics(self) -> dict[str, int]: ...

    @property
    def capacity(self) -> int: ...

class Lookup:
    """Finds what a list holds for the slots of a table."""

    def __init__(self, table: Table, registrations: list[Any]) -> None: ...

    def get(self, memory: object, /) -> object: ...

    distrusts: bool

class Held:
    """A slot of a table, for users that leave one by one."""

    def __init__(self, table: Table, slot: int) -> None: ...

    def release(self) -> None:
        """Give it back; once for each `get`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    slot: int

    retired: bool

class Userfaultfd:
    """The userfaultfd monitor and its thread."""

    def __init__(self, space: Space) -> None: ...

    def watch(self, start: int, end: int) -> int: ...

    def unwatch(self, start: int, end: int) -> None: ...

    def stop(self) -> None: ...

    @property
    def fd(self) -> int: ...

    @property
    def alive(self) -> bool: ...

    @property
    def hears_forks(self) -> bool: ...

    @property
    def user_mode_only(self) -> bool: ...

class Uring:
    """An io_uring with a table of registered buffers."""

    def __init__(self, buffers: int) -> None: ...

    def update(self, slot: int, address: int, length: int) -> int:
        """Pin memory as a buffer, or none; 0 or -errno."""

    def transfer(self, write: bool, fd: int, address: int, length: int, offset: int, slot: int) -> int:
        """Read or write through a buffer, or without one (-1); bytes or -errno."""

def extent(buffer: object) -> tuple[int, int, bool]:
    """
    Address and length of an object's buffer, and whether it may only be read.
    """

def fork_unseen(reads: int, writes: int) -> int:
    """
    Fork by the system call alone. The child ends when nobody can write to `reads` any more, or something is read from it. Returns its number, or minus the error.
    """

def closing() -> None:
    """
    The interpreter is about to end: other threads must not come back into it.
    """
