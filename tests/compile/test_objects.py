"""What the objects of set-up are called."""

from __future__ import annotations

from enum import Enum

from mmunotify.compile.objects import Objects
from mmunotify.lang import Counter, SpinLock, Table
from mmunotify.lang.pages import Pages


class Phase(Enum):
    """Keys of a table."""

    IDLE = 1
    BUSY = 2


class Device:
    """An object with a name of its own, as a key."""

    def __init__(self, name: str) -> None:
        self.name = name


class Root:
    """Holds tables of objects."""

    def __init__(self) -> None:
        self.locks: Table[Counter] = Table(Pages(2))
        self.counts: Table[Counter] = Table(Phase)
        self.by_device: Table[Counter] = Table([Device("a"), Device("b")])
        self.plain: Table[Counter] = Table([SpinLock(), SpinLock()])
        for table in (self.locks, self.counts, self.by_device, self.plain):
            for key in table:
                table[key] = Counter()


def test_objects_in_tables() -> None:
    """A value of a table is called by its key, as the report shows the key."""
    root = Root()
    objects = Objects([("", root)])
    assert [objects.name(c) for c in root.locks.values.values()] == [
        "Root.locks[0x1000]",
        "Root.locks[0x2000]",
    ]
    assert objects.name(root.counts[Phase.BUSY]) == "Root.counts[BUSY]"
    assert [objects.name(c) for c in root.by_device.values.values()] == [
        "Root.by_device[a]",
        "Root.by_device[b]",
    ]
    assert [objects.name(c) for c in root.plain.values.values()] == [
        "Root.plain[0]#2",
        "Root.plain[1]#2",
    ]
