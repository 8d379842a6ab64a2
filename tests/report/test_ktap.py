"""KTAP: only what holds is ok."""

from __future__ import annotations

from tests.report.samples import incomplete, nine_steps, passed

from mmunotify.report import render_ktap


def test_only_what_holds_is_ok() -> None:
    """A violated scenario and an unfinished one are not ok, nor is the result they are in."""
    lines = render_ktap([passed(), nine_steps(), incomplete()]).splitlines()
    assert lines[:2] == ["KTAP version 1", "1..3"]
    assert [line for line in lines if not line.startswith(" ")][2:] == [
        "ok 1 KvmSeq",
        "not ok 2 KvmLike",
        "not ok 3 OdpUmem # TIMEOUT",
    ]
    assert "  ok 1 age_fault" in lines
    assert "  not ok 2 munmap_fault" in lines
    reason = "the memory limit of 4.0 GB was reached"
    assert f"  not ok 2 cow_fault_fault # TIMEOUT {reason}" in lines
