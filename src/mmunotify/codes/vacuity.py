"""W2xx: a check that passed, but proved less than it seems to.

Invariant: a warning never changes a verdict from holds to violated; only W203 keeps it from
being holds.
"""

from __future__ import annotations

from mmunotify.codes.entry import Code, entry

__all__ = ["VACUITY"]

VACUITY: tuple[Code, ...] = (
    entry(
        "W201",
        "driver lines that no state ever executed",
        text="""
            The search covered every interleaving of the scenarios within the bounds, and in none
            of them were these lines reached. What they do was therefore not checked. Either they
            cannot be reached at all, or the scenarios lack the operation that leads there, or the
            bounds are too small.

            Add the operation (`mmunotify check --scenario`), raise a bound, or remove the lines.
            """,
        wrong="""
            def invalidate_range_start(self, rng):
                if not rng.blockable:
                    self.defer(rng)         # never executed by --scenario munmap
            """,
        right="$ mmunotify check kvm_like.py --scenario oom_reaper   # does not block",
    ),
    entry(
        "W202",
        "a goal that was never reached",
        text="""
            A `reachable` goal is a condition that some state must meet: that a fault was answered
            with RETRY, say, or that two sections overlapped. It guards against a scenario in which
            everything holds because nothing happens. No state of the search met it.
            """,
        wrong="""
            @reachable
            def two_sections(self):         # munmap alone opens one
                return self.sections == 2
            """,
        right="$ mmunotify check kvm_like.py --scenario munmap+punch_hole",
    ),
    entry(
        "W203",
        "the search is incomplete",
        text="""
            The search stopped at a limit of time, memory or states, or was interrupted. No
            violation was found in what was covered, and nothing is known about the rest, so this
            is no proof: the verdict is INCOMPLETE and the exit code 3.

            Lower the bounds until the search ends, give it more memory, or resume it. A complete
            search with two pages is worth more than an incomplete one with four.
            """,
        wrong="$ mmunotify check kvm_like.py --pages 4 --memory 1G",
        right="$ mmunotify check kvm_like.py --pages 2 --memory 1G",
    ),
    entry(
        "W204",
        "no device ever used a translation",
        text="""
            In no state of any scenario did a device reach memory through a translation of the
            driver. What is never translated is never stale, so every property holds for want of
            anything to look at.

            Usually fault installs nothing: it always raises or returns RETRY, it writes to another
            table than the one the device walks (spte, or what walk returns), its retry check never
            passes, or `writable` is never set. A driver that ought to refuse every fault in these
            scenarios is not put to the test by them: choose others.
            """,
        wrong="""
            def fault(self, page, write):
                frame = self.mm.get_user_page(page, write)
                frame.put()
                return RETRY
            """,
        right="""
            def fault(self, page, write):
                frame = self.mm.get_user_page(page, write)
                with self.lock:
                    self.spte[page] = frame
                frame.put()
            """,
    ),
)
