"""Five ways to hold off the faults of a secondary MMU between range_start and range_end.

The mail of 2 April 2008 weighs the first four, and the flag for the fifth; one file each, which
differ in nothing else.
"""

from mmunotify.drivers.hold_off.counter_sequence import CounterSequence
from mmunotify.drivers.hold_off.ever_begun import EverBegun
from mmunotify.drivers.hold_off.recursive_rwsem import HeldRecursiveRwSem
from mmunotify.drivers.hold_off.rwsem import HeldRwSem
from mmunotify.drivers.hold_off.seqlock import HeldSeqCount, HeldSeqLock

__all__ = [
    "CounterSequence",
    "EverBegun",
    "HeldRecursiveRwSem",
    "HeldRwSem",
    "HeldSeqCount",
    "HeldSeqLock",
]
