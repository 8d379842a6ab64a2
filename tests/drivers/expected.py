"""What is known of every shipped driver: which property each standard scenario violates, and why.

`EXPECTED` is the one place that says so; docs/clients.md shows it, `test_expected.py` finds it out
anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmunotify.check.scenario import standard
from mmunotify.drivers import Gru, IommuSva, Kvm, Kvm2627, OdpRwsem, Xpmem
from mmunotify.lang.driver import Driver

__all__ = ["EXPECTED", "Expected"]


@dataclass(frozen=True)
class Expected:
    """`violates`: property -> the standard scenarios in which it fails; all else holds.

    `quick` scenarios are searched in every run of the tests, the others with --long. `states` are
    counts of the search without reductions, with one page and two frames: they change if, and only
    if, the model or the driver does.
    """

    driver: type[Driver]
    quick: tuple[str, ...]
    states: Mapping[str, int]
    violates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def scenarios(self) -> list[str]:
        """All standard scenarios."""
        return [scenario.name for scenario in standard(self.driver)]

    def properties(self, scenario: str) -> list[str]:
        """What fails in a scenario."""
        return [name for name, where in self.violates.items() if scenario in where]


_LATE = (  # two sections on one page: one under mmap_lock or its equal, one not
    "munmap+punch_hole",
    "munmap+reclaim",
    "munmap+migrate",
    "madvise_dontneed+madvise_dontneed",
    "madvise_dontneed+punch_hole",
    "madvise_dontneed+reclaim",
    "madvise_dontneed+migrate",
    "mprotect+punch_hole",
    "mprotect+reclaim",
    "mprotect+migrate",
    "punch_hole+punch_hole",
    "punch_hole+reclaim",
    "punch_hole+migrate",
    "punch_hole+ksm",
    "punch_hole+fork",
    "mremap+migrate",
    "migrate+fork",
)
_EXIT = ("exit", "exit/unregister", "punch_hole+exit", "reclaim+exit", "migrate+exit")

EXPECTED: dict[str, Expected] = {
    "kvm": Expected(Kvm, ("munmap", "reclaim", "munmap+punch_hole"), {}),
    "kvm_2_6_27": Expected(
        Kvm2627,
        ("munmap", "exit", "cow", "munmap+munmap", "munmap+punch_hole"),
        {"munmap": 300, "reclaim": 866, "munmap+munmap": 2147},
        {
            "no_stale_translation": _LATE,
            "no_stale_bytes": (
                "munmap+migrate",
                "madvise_dontneed+migrate",
                "mprotect+migrate",
                "punch_hole+migrate",
                "punch_hole+ksm",
                "mremap+migrate",
                "migrate+fork",
            ),
            "no_write_after_protect": (
                "mprotect+punch_hole",
                "mprotect+reclaim",
                "mprotect+migrate",
                "punch_hole+ksm",
                "punch_hole+fork",
                "migrate+fork",
            ),
        },
    ),
    "gru": Expected(
        Gru,
        ("munmap", "cow", "reclaim", "madvise_free", "munmap+punch_hole", "exit"),
        {"munmap": 528, "mprotect": 502, "munmap+munmap": 3995},
        {"no_stale_translation": _EXIT, "no_stale_bytes": ("migrate+exit",)},
    ),
    "xpmem": Expected(
        Xpmem,
        ("munmap", "cow", "oom_reaper", "clear_refs", "punch_hole+fork"),
        {"munmap": 372, "mprotect": 286, "munmap+munmap": 2408},
        {
            "no_stale_translation": ("punch_hole+fork",),
            "no_stale_bytes": ("punch_hole/2 devices",),
            "no_write_after_protect": ("clear_refs",),
        },
    ),
    "odp_rwsem": Expected(
        OdpRwsem,
        ("munmap", "cow", "munmap/unregister", "oom_reaper", "punch_hole+exit"),
        {"munmap": 690, "mprotect": 531, "munmap+munmap": 5567},
        {
            "paired": ("oom_reaper",),
            "bounds": ("oom_reaper",),
            "quiescent": ("punch_hole+exit", "reclaim+exit", "migrate+exit"),
        },
    ),
    "iommu_sva": Expected(
        IommuSva,
        ("munmap", "cow", "madvise_free", "reclaim", "exit", "munmap+punch_hole"),
        {"munmap": 175, "mprotect": 143, "munmap+munmap": 1155},
    ),
}
