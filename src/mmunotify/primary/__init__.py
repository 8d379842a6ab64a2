"""The primary MMU: pages, frames, the page table, and every operation that changes it."""

from mmunotify.primary.cow import Cow
from mmunotify.primary.cpu import CpuAccess, CpuWrite
from mmunotify.primary.damon import Damon
from mmunotify.primary.device import Device
from mmunotify.primary.exit import Exit
from mmunotify.primary.fork import Fork
from mmunotify.primary.frame import Frame, Owner
from mmunotify.primary.ksm import Ksm
from mmunotify.primary.madvise import Dontneed, Free
from mmunotify.primary.migrate import Migrate
from mmunotify.primary.mm import Mm
from mmunotify.primary.mprotect import ClearRefs, Mprotect
from mmunotify.primary.mremap import Mremap
from mmunotify.primary.munmap import MapFixed, Munmap
from mmunotify.primary.oom_reaper import OomReaper
from mmunotify.primary.operation import OPERATIONS, Operation
from mmunotify.primary.other_owner import OtherOwner
from mmunotify.primary.reclaim import Reclaim
from mmunotify.primary.secondary_tlb import SecondaryTlb
from mmunotify.primary.truncate import PunchHole, Truncate

__all__ = [
    "OPERATIONS",
    "Device",
    "Frame",
    "Mm",
    "Operation",
    "Owner",
    "SecondaryTlb",
]

for _operation in (
    Munmap,
    MapFixed,
    Dontneed,
    Free,
    Mprotect,
    ClearRefs,
    PunchHole,
    Truncate,
    Mremap,
    Reclaim,
    Damon,
    Migrate,
    Ksm,
    Cow,
    Fork,
    OomReaper,
    Exit,
    CpuWrite,
    CpuAccess,
    OtherOwner,
):
    OPERATIONS[_operation.name] = _operation
