"""`KvmSlots`: memory slots of a virtual machine, through which a real guest reaches memory.

A slot binds guest addresses to host addresses, not to pages. KVM has an MMU notifier of its own and
follows whatever happens behind the addresses, so a left-over slot never shows old bytes. It shows
what is at the addresses by then: memory that nobody gave to the guest, or none. That is what a
cache prevents.
Invariant: a guest reaches the slots that are registered, and nothing else of this process.
"""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass

from mmunotify.kernel.guest import REFUSED, Access, Guest
from mmunotify.kernel.memory import PAGE
from mmunotify.kernel.memory import Memory as Pages
from mmunotify.live.guarantee import Need
from mmunotify.live.memory import Memory
from mmunotify.live.registration import Registration

__all__ = ["REFUSED", "KvmSlots", "Slot"]

_GUEST = 1 << 30  # where a guest's page numbers begin, in guest addresses
_FIRST = 1 << 31  # of the guest addresses that slots have
_WINDOWS = 3 << 29  # bytes of them: up to where a PC has its interrupt controllers
_MOST_SLOTS = 4096


@dataclass(frozen=True)
class Slot:
    """A slot: its number for KVM, and the guest address that it begins at."""

    number: int
    guest: int


class KvmSlots:
    """A guest with one CPU and room for `slots` registrations (1 to 4,096), keyed by `Slot`.

    They share 1.5 GiB of guest addresses evenly; longer memory is refused (E2BIG). Raises
    `CannotError` where there is no /dev/kvm or it may not be opened. Threads may share it: its CPU
    serves one at a time. After a fork the child has no virtual machine, as KVM wants it.
    """

    name = "kvm_slot"
    need = Need.PINNED
    """The operations that a slot must not outlive are those that end what a pin stands for:
    whatever makes an address mean other memory. Reclaim, migration and permissions are KVM's."""
    covers = frozenset({"madv_guard_install", "punch_hole", "ftruncate"})
    """After these the address means the same memory, with holes, and KVM's notifier follows."""
    whole = True
    """The guest would reach what comes to the addresses of a part that is gone."""

    def __init__(self, slots: int = 64) -> None:
        if not 1 <= slots <= _MOST_SLOTS:
            raise ValueError(f"KvmSlots({slots}): there is room for 1 to {_MOST_SLOTS:,} slots")
        self.window = _WINDOWS // slots // PAGE * PAGE
        self._own = Pages(1)
        try:
            self.guest = Guest(self._own)
        except BaseException:
            self._own.close()
            raise
        first = self.guest.vm.slots
        self._free = [
            Slot(first + index, _FIRST + index * self.window) for index in reversed(range(slots))
        ]
        self._used: set[Slot] = set()
        self._cpu = threading.Lock()

    # -- what a cache calls ---------------------------------------------------------------------

    def register(self, address: int, length: int) -> Slot:
        """Give the guest whole pages; OSError ENOBUFS without a free slot, E2BIG for a long one."""
        if length > self.window:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        if not self._free:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        slot = self._free[-1]
        self.guest.vm.set_memory(slot.number, slot.guest, address, length)
        return self._free.pop()

    def deregister(self, key: Slot) -> None:
        """Take the slot from the guest; when this returns no access through it is under way."""
        self.guest.vm.set_memory(key.number, key.guest, 0, 0)
        self._used.discard(key)
        self._free.append(key)

    def clear_young(self, key: Slot) -> bool:
        """Tell whether the guest was sent through the slot since the last time."""
        young = key in self._used
        self._used.discard(key)
        return young

    # -- what users call ------------------------------------------------------------------------

    def read(self, memory: Memory, registration: Registration) -> int:
        """Have the guest read the word that `memory` begins with, a multiple of 8 bytes.

        Returns `REFUSED` where the guest may not read.
        """
        with self._cpu:
            return self._access("read", memory, registration)

    def write(self, memory: Memory, registration: Registration, value: int) -> bool:
        """Have the guest write that word; tell whether it was let."""
        with self._cpu:
            refused = self.guest.refused[0]
            self._access("write", memory, registration, value)
            return self.guest.refused[0] == refused

    def close(self) -> None:
        """Destroy the virtual machine; close the cache before."""
        self.guest.close()
        self._own.close()

    def __enter__(self) -> KvmSlots:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _access(self, kind: str, memory: Memory, registration: Registration, value: int = 0) -> int:
        slot: Slot = registration.key
        self._used.add(slot)
        at = slot.guest + registration.offset(memory)
        page, byte = divmod(at - _GUEST, PAGE)
        return self.guest.run([Access(kind, page, value, word=byte // 8)])[0]
