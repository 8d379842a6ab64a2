"""The language of drivers, protocols and the primary MMU: intrinsics, state and primitives.

Only `intrinsics`, `Table`, `Counter`, `Epoch` and `Pages` are known to the compiler. Everything
else here is written in the subset, one noun a file, and may serve as an example.
"""

from mmunotify.lang.atomic_t import AtomicT
from mmunotify.lang.completion import Completion
from mmunotify.lang.counter import Counter, Epoch, Int
from mmunotify.lang.dma_fence import DmaFence
from mmunotify.lang.driver import EAGAIN, EFAULT, EMULATED, ENOMEM, RETRY, Driver, FaultResult
from mmunotify.lang.interval_notifier import (
    MmuIntervalNotifier,
    mmu_interval_check_retry,
    mmu_interval_notifier_insert,
    mmu_interval_notifier_remove,
    mmu_interval_read_begin,
    mmu_interval_read_retry,
    mmu_interval_set_seq,
)
from mmunotify.lang.intrinsics import (
    Failure,
    Violation,
    atomic,
    choose,
    current,
    might_sleep,
    require,
    wait_until,
)
from mmunotify.lang.maybe import maybe
from mmunotify.lang.mutex import Mutex
from mmunotify.lang.obligation import Obligation
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.lang.pages import Pages
from mmunotify.lang.predicate import always, never, reachable
from mmunotify.lang.queue import Queue
from mmunotify.lang.rcu import Rcu
from mmunotify.lang.recursive_rwsem import RecursiveRwSem
from mmunotify.lang.refcount import Refcount
from mmunotify.lang.rwlock import RwLock
from mmunotify.lang.rwsem import RwSem
from mmunotify.lang.seqcount import SeqCount
from mmunotify.lang.seqlock import SeqLock
from mmunotify.lang.set import Set
from mmunotify.lang.spinlock import SpinLock
from mmunotify.lang.srcu import Srcu
from mmunotify.lang.table import Table
from mmunotify.lang.thread import Thread, thread
from mmunotify.lang.wait_queue import WaitQueue

__all__ = [
    "EAGAIN",
    "EFAULT",
    "EMULATED",
    "ENOMEM",
    "RETRY",
    "AtomicT",
    "Completion",
    "Counter",
    "DmaFence",
    "Driver",
    "Epoch",
    "Event",
    "Failure",
    "FaultResult",
    "Int",
    "MmuIntervalNotifier",
    "Mutex",
    "Obligation",
    "PageRange",
    "Pages",
    "Queue",
    "Rcu",
    "RecursiveRwSem",
    "Refcount",
    "RwLock",
    "RwSem",
    "SeqCount",
    "SeqLock",
    "Set",
    "SpinLock",
    "Srcu",
    "Table",
    "Thread",
    "Violation",
    "WaitQueue",
    "always",
    "atomic",
    "choose",
    "current",
    "maybe",
    "might_sleep",
    "mmu_interval_check_retry",
    "mmu_interval_notifier_insert",
    "mmu_interval_notifier_remove",
    "mmu_interval_read_begin",
    "mmu_interval_read_retry",
    "mmu_interval_set_seq",
    "never",
    "reachable",
    "require",
    "thread",
    "wait_until",
]
