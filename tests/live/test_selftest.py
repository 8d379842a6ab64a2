"""The self-test: monitors keep on this machine what their tables promise."""

from __future__ import annotations

import pytest
from tests.live.subject import as_nobody

from mmunotify.live.guarantee import Guarantee
from mmunotify.live.operations import OPERATIONS, Kind
from mmunotify.live.scratch import FIRED
from mmunotify.live.selftest import Finding, certify


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    """One run."""
    return list(certify())


def test_nothing_is_broken(findings: list[Finding]) -> None:
    """No monitor keeps less than it promises."""
    assert [found for found in findings if found.broken] == []


def test_every_operation_is_there(findings: list[Finding]) -> None:
    """Each operation is measured for each monitor, or it is said why not."""
    assert set(FIRED) == {operation.name for operation in OPERATIONS}
    for monitor in ("explicit", "userfaultfd", "validate", "seccomp", "kvm"):
        assert {f.operation for f in findings if f.monitor == monitor} == set(FIRED)
    assert all(found.note for found in findings if found.measured is None)


def test_what_userfaultfd_hears(findings: list[Finding]) -> None:
    """Its table is exact: what it does not promise it does not report either."""
    measured = {
        (found.operation, found.memory): found.measured
        for found in findings
        if found.monitor == "userfaultfd" and found.measured is not None
    }
    assert measured["munmap", Kind.ANONYMOUS] is Guarantee.ORDERED
    assert measured["mremap_onto", Kind.SHARED] is Guarantee.ORDERED
    assert measured["punch_hole", Kind.SHARED] is Guarantee.NONE
    promised = {operation.name for operation in OPERATIONS if operation.heard}
    assert {name for (name, _), found in measured.items() if found} <= promised


def test_without_privilege() -> None:
    """User nobody has the same from userfaultfd, and is told what kvm lacks."""
    outcome = as_nobody(
        """
        from tests.live.subject import become_nobody
        from mmunotify.live.selftest import certify
        import mmunotify.live.address_space, mmunotify.kernel.notifications

        become_nobody()
        found = list(certify())
        assert not any(one.broken for one in found)
        heard = {one.operation for one in found if one.monitor == "userfaultfd" and one.measured}
        print("munmap" in heard, "madv_dontneed" in heard)
        print({one.measured for one in found if one.monitor == "kvm"})
        """
    )
    assert outcome.output.splitlines() == ["True True", "{None}"], outcome
