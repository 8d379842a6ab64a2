"""Devices that a registration cache can serve, real ones, one a file."""

from mmunotify.live.devices.io_uring import IoUring

__all__ = ["IoUring"]
