"""Devices that a registration cache can serve, real ones, one a file, and what they are made of."""

from mmunotify.live.devices.attacher import Attacher
from mmunotify.live.devices.exporter import Exporter
from mmunotify.live.devices.io_uring import IoUring
from mmunotify.live.devices.kvm_slot import KvmSlots
from mmunotify.live.devices.mirror import Mirror

__all__ = ["Attacher", "Exporter", "IoUring", "KvmSlots", "Mirror"]
