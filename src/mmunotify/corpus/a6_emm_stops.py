"""A6: EMM ended its walk at the first answer that was not zero."""

from __future__ import annotations

from dataclasses import replace

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.drivers.kvm import Kvm
from mmunotify.protocols import EmmNotifiers, SummingEmmNotifiers

__all__ = ["BUG", "SCENARIOS"]


class Guest(Kvm):
    """A virtual machine; there are two of them on one address space."""


_POSTED = Scenario("posted", ("reclaim",), drivers=2, pages=1, frames=2, protocol=EmmNotifiers)
SCENARIOS = [_POSTED, replace(_POSTED, name="fixed_up", protocol=SummingEmmNotifiers)]

BUG = Bug(
    id="A6",
    title="EMM stops at the first answer",
    versions="never merged: EMM V1, 1 April 2008",
    kind=Kind.SC,
    property="aging_not_lost",
    what=(
        "Reclaim asks whether a page was used. The first subscriber says yes, so the walk ends: "
        "the second one's accessed bit is neither read nor cleared. The same walk announces "
        "sections, and a subscriber behind one that answers is not told of them at all."
    ),
    fix="Ask everybody; sum the positive answers and keep the first negative one.",
    note="From the review on linux-mm, 1 and 2 April 2008: the first claim of the discussion.",
    buggy=Case(Guest, SCENARIOS[0]),
    fixed=Case(Guest, SCENARIOS[1]),
)
