"""XPMEM: what the pins prove, what they do not, and what a range_start would change."""

from __future__ import annotations

import pytest
from tests.check.verdicts import HOLDS, verdict
from tests.drivers.expected import EXPECTED

from mmunotify.check.job import Job
from mmunotify.check.options import Options
from mmunotify.check.scenario import standard
from mmunotify.check.search import Verdict
from mmunotify.check.subject import subject_of
from mmunotify.drivers.xpmem import Xpmem
from mmunotify.lang import PageRange


class HearsEverybody(Xpmem):
    """Takes the sections of other contexts for its own, too."""

    def invalidate_range_end(self, rng: PageRange) -> None:
        with self.mmap_lock.read:
            self.clear_ptes(rng)


def test_ignored_sections_leave_an_old_frame_for_ever() -> None:
    """clear_refs is run by another process: the attacher keeps its write permission."""
    assert verdict(Xpmem, "clear_refs").startswith("no_write_after_protect")
    assert verdict(HearsEverybody, "clear_refs") == HOLDS


def test_the_reaper_must_not_wait_for_another_mm() -> None:
    """Why the sections of other contexts are ignored."""
    assert verdict(Xpmem, "oom_reaper") == HOLDS
    assert verdict(HearsEverybody, "oom_reaper").startswith("context")


@pytest.mark.long
@pytest.mark.parametrize("name", [s.name for s in standard(Xpmem, all_pairs=True)])
def test_no_frame_is_freed_under_an_attachment(name: str) -> None:
    """In every pair: a frame that is attached may become the child's, it is never free."""
    [chosen] = [s for s in standard(Xpmem, all_pairs=True) if s.name == name]
    options = Options(properties=("no_stale_translation",))
    found = Job(subject_of(Xpmem), chosen, options).search()
    with_child = "fork" in name and ("punch_hole" in name or "truncate" in name)
    assert found.verdict is (Verdict.VIOLATED if with_child else Verdict.HOLDS)


def test_the_child_is_the_exception() -> None:
    assert EXPECTED["xpmem"].violates["no_stale_translation"] == ("punch_hole+fork",)
    assert "belongs to another process" in verdict(Xpmem, "punch_hole+fork")
