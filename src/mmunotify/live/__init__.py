"""Live: MMU notifiers on the memory of a running process, and a registration cache on top."""

from mmunotify.live.address_space import AddressSpace
from mmunotify.live.device import AliasDevice, Device
from mmunotify.live.guarantee import Guarantee, Need
from mmunotify.live.guarded import HookError
from mmunotify.live.memory import MemoryRange
from mmunotify.live.registration import Registration
from mmunotify.live.registration_cache import RegistrationCache, Statistics

__all__ = [
    "AddressSpace",
    "AliasDevice",
    "Device",
    "Guarantee",
    "HookError",
    "MemoryRange",
    "Need",
    "Registration",
    "RegistrationCache",
    "Statistics",
]
