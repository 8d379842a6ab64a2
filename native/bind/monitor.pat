# What the stub generator cannot see of the types in hit.cpp.

mmunotify._monitor.Lookup.__init__:
    def __init__(self, table: Table, registrations: list[Any]) -> None: ...

mmunotify._monitor.Lookup.get:
    def get(self, memory: object, /) -> object: ...

mmunotify._monitor.Lookup.distrusts:
    distrusts: bool

mmunotify._monitor.Held.__init__:
    def __init__(self, table: Table, slot: int) -> None: ...

mmunotify._monitor.Held.release:
    def release(self) -> None:
        """Give it back; once for each `get`."""

mmunotify._monitor.Held.__enter__:
    \from typing import Any, Self
    def __enter__(self) -> Self: ...

mmunotify._monitor.Held.__exit__:
    def __exit__(self, *_: object) -> None: ...

mmunotify._monitor.Held.slot:
    slot: int

mmunotify._monitor.Held.retired:
    retired: bool
