"""D13: a fault that has to be retried returned without giving its reference back."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.primary.frame import Frame

__all__ = ["BUG", "SCENARIOS"]


class LeaksOnRetry(Subscriber):
    """The page through which a nested guest's registers are reached."""

    def fault(self, page: int, write: bool) -> None:
        """`kvm_translate_vncr`."""
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if self.count > 0 or self.seq.read() != seq:
                self.retry(frame)
                return
            self.spte[page] = frame
        frame.put()

    def retry(self, frame: Frame) -> None:
        """Return -EAGAIN."""


class PutsOnRetry(LeaksOnRetry):
    """As repaired."""

    def retry(self, frame: Frame) -> None:
        """`kvm_release_faultin_page`, then return -EAGAIN."""
        frame.put()


SCENARIOS = [Scenario("retry", ("punch_hole",), pages=1, frames=2)]

BUG = Bug(
    id="D13",
    title="a reference leaks where a fault is retried",
    versions="until 2026",
    kind=Kind.SC,
    property="quiescent",
    what=(
        "A fault finds a frame, with a reference, and then that a section came in between. It "
        "returns to be tried again, and keeps the reference."
    ),
    fix="Give the reference back on the path of the retry, too.",
    commits=(Commit("9f76b039a72d", Seen.CVE),),
    cve="CVE-2026-64282",
    buggy=Case(LeaksOnRetry, SCENARIOS[0]),
    fixed=Case(PutsOnRetry, SCENARIOS[0]),
)
