"""Drivers: secondary MMUs as worked examples, one file each."""

from mmunotify.drivers.kvm import Kvm

__all__ = ["Kvm"]
