"""Devices that a registration cache can serve, real ones, one a file."""

from mmunotify.live.devices.attachment import Attacher, Exporter
from mmunotify.live.devices.io_uring import IoUring
from mmunotify.live.devices.kvm_slot import KvmSlots
from mmunotify.live.devices.mirror import Mirror

__all__ = ["Attacher", "Exporter", "IoUring", "KvmSlots", "Mirror"]
