"""The auditor: an empty virtual machine, which the kernel's own MMU notifier tells everything.

A process that creates a VM gets, by KVM's tracepoints, every invalidation of its address space with
its range: copy-on-write, KSM, migration, reclaim and truncation as well. They come some time later,
so no cache rests on them. They are held against what the other monitors have reported: what nobody
told of is named, and caches forget it. Needs root.
Invariant: an event that was lost counts as one over everything. A notification is judged when every
report is in of an operation that had begun before it, or after two seconds.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from mmunotify import _monitor
from mmunotify.errors import DiagnosticError
from mmunotify.kernel.kvm import Vm
from mmunotify.kernel.notifications import Notifications
from mmunotify.kernel.repeats import Repeats, vms_of
from mmunotify.live import refusals
from mmunotify.live.audit import Allowance, Audit, Finding, print_finding
from mmunotify.live.guarantee import Guarantee
from mmunotify.live.ledger import Ledger
from mmunotify.live.memory import Extent
from mmunotify.live.monitors.monitor import Monitor
from mmunotify.live.operations import OPERATIONS, Agent
from mmunotify.live.origin import Origin

__all__ = ["Kvm"]

_TOP = (1 << 64) - 1
_PATIENCE, _LOOKS = 2_000_000_000, 20  # ns that a report may take, and looks
_GLANCES = 20  # at whether all reports are in, before it is left to the next look


class Kvm:
    """KVM's notifier on this process, and what the other monitors of it have missed.

    `on_finding` is called with each `Finding`, by a thread of its own or by who calls `audit`;
    by default it goes to standard error. `stacks`: without them an event costs an operation a third
    (1.5 us and not 3.5 us here) but has no name, so there is no audit. `period`: seconds between
    two looks at what there is; `pages`: size of each CPU's ring, a power of two.
    """

    name = "kvm"
    guarantees: Mapping[str, Guarantee] = {
        operation.name: Guarantee.OBSERVED
        for operation in OPERATIONS
        if operation.translating and operation.name != "madv_free"
    }
    reach = frozenset(Agent)

    def __init__(
        self,
        *,
        stacks: bool = True,
        period: float = 0.05,
        pages: int = 512,
        on_finding: Callable[[Finding], None] = print_finding,
    ) -> None:
        self.period = period
        self._stacks, self._pages = stacks, pages
        self._on_finding = on_finding
        self._ledger = Ledger(self._promise, self._forget)
        self._others: Sequence[Monitor] = ()
        self._process = os.getpid()
        self._vm: Vm | None = None
        self._notifications: Notifications | None = None
        self._space: _monitor.Space | None = None
        self._repeats = Repeats()
        self._vms = 1
        self._lost = 0
        self._looking = threading.Lock()
        self._unsettled: deque[int] = deque()  # when it was found that not all reports are in
        self._judged = 0  # until this time
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # -- as a monitor -----------------------------------------------------------------------------

    def start(self, space: _monitor.Space) -> None:
        """Create the VM and listen; raise `CannotError` where that is not permitted."""
        self._space = space
        space.keep_journal()
        self._notifications = Notifications(
            stacks=self._stacks, aging=False, prompt=False, pages=self._pages
        )
        try:
            self._vm = Vm()
        except BaseException:
            self._notifications.close()
            raise
        # Nobody waits for this thread, so it may be one of Python's.
        self._thread = threading.Thread(target=self._run, name="mmunotify-kvm", daemon=True)
        self._thread.start()

    def watch(self, extent: Extent, allowance: Allowance | None = None) -> None:
        """Audit what happens to a range, which others watch already."""
        self._ledger.watch(time.monotonic_ns(), extent, allowance)

    def unwatch(self, extent: Extent, allowance: Allowance | None = None) -> None:
        """Audit it no more; others still watch it."""
        self._ledger.unwatch(time.monotonic_ns(), extent, allowance)

    def stop(self) -> None:
        """Judge what there is, and destroy the VM."""
        if self._thread is not None:
            self.catch_up()
            self._stopping.set()
            self._thread.join(10)
            self._thread = None
        if self._notifications is not None:
            self._notifications.close()
        if self._vm is not None:
            self._vm.close()

    # -- as an auditor ----------------------------------------------------------------------------

    def beside(self, monitors: Sequence[Monitor]) -> None:
        """Hold these monitors to what they promise."""
        self._others = [one for one in monitors if one is not self]

    def audit(self) -> Audit:
        """Return what was found up to now; every operation that has returned is in it.

        Raises `DiagnosticError` E416 for an auditor that knows no names.
        """
        if self._notifications is None or not self._notifications.named:
            raise DiagnosticError(refusals.nameless(self._stacks))
        self.catch_up()
        with self._looking:
            return self._ledger.audit(self._lost)

    def catch_up(self) -> None:
        """Look until everything is judged that has happened by now."""
        now = time.monotonic_ns()
        self._look()
        while self._judged < now:
            time.sleep(min(self.period, 0.001))
            self._look()

    def begin(self, start: int, end: int) -> None:
        """From now on subscribers have been told of a range."""
        self._ledger.section(time.monotonic_ns(), start, end, 1)

    def end(self, start: int, end: int) -> None:
        """No longer."""
        self._ledger.section(time.monotonic_ns(), start, end, -1)

    def _run(self) -> None:
        assert self._notifications is not None
        while not self._stopping.is_set():
            # A wake-up for each event costs the program ten times the event; it looks by the clock.
            self._notifications.wait(self.period)
            self._look()

    def _look(self) -> None:
        """Take what there is, and judge what can be."""
        assert self._notifications is not None
        assert self._space is not None
        with self._looking:
            until = self._settled_at()
            found = self._notifications.take()
            rows, reports_lost = self._space.take_journal()
            lost = self._notifications.lost - self._lost
            self._lost += lost
            if reports_lost:
                self._ledger.blind(time.monotonic_ns())
            self._ledger.note(rows, unmapped=lost > 0)
            # A VM that was made or closed in between may have been told of a part.
            before, self._vms = self._vms, max(1, vms_of(self._process))
            for one in found:
                if not self._repeats.is_repeat(one, max(before, self._vms)):
                    self._ledger.notify(one, foreign=one.pid != self._process)
            self._judged = max(until, self._judged)
            self._ledger.close(self._judged)
            if lost or reports_lost:
                self._forget(0, _TOP)
            findings = self._ledger.news()
        for finding in findings:  # without the lock: who is told may ask for an audit
            try:
                self._on_finding(finding)
            except Exception:  # whatever it is, the auditor goes on
                traceback.print_exc()

    def _settled_at(self) -> int:
        """Return a time: the reports of all that began before it are in the journal."""
        assert self._space is not None
        for _ in range(_GLANCES):
            now = time.monotonic_ns()
            if self._space.settled:
                self._unsettled.clear()
                return now
            time.sleep(0)
        self._unsettled.append(now)
        # By looks, too: a process that was stopped for a while has reported nothing meanwhile.
        waited = now - self._unsettled[0] > _PATIENCE and len(self._unsettled) > _LOOKS
        return self._unsettled.popleft() if waited else 0

    def _promise(self, origin: Origin) -> tuple[Guarantee, tuple[str, ...]]:
        reached = [one for one in self._others if origin.agent in one.reach]
        promised = {
            one.name: one.guarantees.get(origin.operation, Guarantee.NONE) for one in reached
        }
        best = max(promised.values(), default=Guarantee.NONE)
        return best, tuple(n for n, one in promised.items() if one >= Guarantee.ORDERED)

    def _forget(self, start: int, end: int) -> None:
        """Have caches forget what nobody told them of."""
        assert self._space is not None
        self._space.invalidate(start, end)
