"""The probes of `mmunotify doctor`, on this machine."""

from __future__ import annotations

from pathlib import Path

from mmunotify.kernel.features import permits

SETTINGS = (
    "/sys/kernel/mm/ksm/run",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/proc/swaps",
    "/proc/self/mounts",
)


def state() -> list[str]:
    """What a probe might change."""
    files = [Path(name) for name in SETTINGS]
    return [file.read_text() for file in files if file.exists()] + sorted(
        str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()
    )


def test_nothing_changes() -> None:
    """Settings, mounts and descriptors are the same afterwards."""
    first = list(permits())
    before = state()
    assert list(permits()) == first
    assert state() == before


def test_every_feature_has_a_name_a_purpose_and_a_remedy() -> None:
    """What is missing comes with a fix, what is there with none."""
    found = list(permits())
    assert len({one.name for one in found}) == len(found) > 20
    for one in found:
        assert one.detail
        assert one.purpose
        assert bool(one.fix) is not one.permitted, one
