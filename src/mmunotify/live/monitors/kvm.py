"""The auditor: an empty virtual machine, which the kernel's own MMU notifier tells everything.

A process that creates a VM gets, by KVM's tracepoints, every invalidation of its address space with
its range: copy-on-write, KSM, migration, reclaim and truncation as well. They come some time later,
so nothing rests on them but the proof that another monitor has missed nothing. Needs root.
Invariant: an event that was lost counts as one over everything.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from mmunotify import _monitor
from mmunotify.kernel.kvm import Vm
from mmunotify.kernel.notifications import Notifications
from mmunotify.live.guarantee import Guarantee
from mmunotify.live.memory import Extent
from mmunotify.live.operations import OPERATIONS, Agent

__all__ = ["Kvm"]

_TOP = (1 << 64) - 1


class Kvm:
    """KVM's notifier on this process. `heard` counts what it was told of watched memory.

    `period`: seconds between two looks at what there is.
    """

    name = "kvm"
    guarantees: Mapping[str, Guarantee] = {
        operation.name: Guarantee.OBSERVED
        for operation in OPERATIONS
        if operation.translating and operation.name != "madv_free"
    }
    reach = frozenset(Agent)

    def __init__(self, *, period: float = 0.05) -> None:
        self.heard = 0
        self.period = period
        self._vm: Vm | None = None
        self._notifications: Notifications | None = None
        self._space: _monitor.Space | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self, space: _monitor.Space) -> None:
        """Create the VM and listen; raise `CannotError` where that is not permitted."""
        self._space = space
        self._notifications = Notifications(stacks=False, aging=False, prompt=False)
        try:
            self._vm = Vm()
        except BaseException:
            self._notifications.close()
            raise
        # Nobody waits for this thread, so it may be one of Python's.
        self._thread = threading.Thread(target=self._run, name="mmunotify-kvm", daemon=True)
        self._thread.start()

    def watch(self, extent: Extent) -> None:
        """Watch a range; the notifier tells of everything."""

    def unwatch(self, extent: Extent) -> None:
        """Stop watching a range."""

    def stop(self) -> None:
        """Destroy the VM."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join(10)
        if self._notifications is not None:
            self._notifications.close()
        if self._vm is not None:
            self._vm.close()

    def _run(self) -> None:
        assert self._notifications is not None
        assert self._space is not None
        lost = 0
        while not self._stopping:
            # A wake-up for each event costs the program ten times the event; it looks by the clock.
            self._notifications.wait(self.period)
            for one in self._notifications.take():
                self.heard += 1
                self._space.invalidate(one.start, one.end)
            if self._notifications.lost > lost:
                lost = self._notifications.lost
                self._space.invalidate(0, _TOP)
