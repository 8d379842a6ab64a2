"""C15: i915 let go of pages whose translations the GPU still had in its TLB."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.pinning import PinningKvm
from mmunotify.lang import thread

__all__ = ["BUG", "SCENARIOS"]


class PutsUnflushed(PinningKvm):
    """A GPU: its entries hold references, and buffers are unbound when memory is short."""

    @thread
    def shrink(self) -> None:
        """`i915_gem_shrink`: unbind everything."""
        with self.mmu_lock:
            for page in self.mm.pages:
                frame = self.spte[page]
                if frame is not None:
                    self.spte[page] = None  # clear_range
                    self.flush()
                    frame.put()  # put_pages

    def flush(self) -> None:
        """What is done about the GPU's TLB."""


class FlushesFirst(PutsUnflushed):
    """As repaired."""

    def flush(self) -> None:
        """`intel_gt_invalidate_tlbs`, before the pages go."""
        self.tlb.flush()


SCENARIOS = [Scenario("shrink", ("punch_hole",), pages=1, frames=2)]

BUG = Bug(
    id="C15",
    title="pages are put before the GPU is flushed",
    versions="until 2022",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "A buffer is unbound: its entries in the GPU's page table are cleared, its pages are "
        "given back, and the GPU's TLB is not flushed. The pages are freed and get another owner; "
        "the GPU writes to them. It is the order that the mail of April 2008 calls unsafe."
    ),
    fix="Flush the GPU's TLB before the pages are given back.",
    commits=(Commit("7938d61591d3", Seen.MAIL),),
    cve="CVE-2022-0330",
    buggy=Case(PutsUnflushed, SCENARIOS[0]),
    fixed=Case(FlushesFirst, SCENARIOS[0]),
)
