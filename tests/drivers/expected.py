"""What is known of every shipped driver: which property each standard scenario violates, and why.

`EXPECTED` is the one place that says so; docs/clients.md shows it, `test_expected.py` finds it out
anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmunotify.check.scenario import standard
from mmunotify.drivers import (
    Gru,
    IommuSva,
    Kvm,
    Kvm2627,
    KvmMemslots,
    KvmPfncache,
    Odp,
    OdpRwsem,
    Svm,
    Userptr,
    Xpmem,
)
from mmunotify.drivers.hold_off import (
    CounterSequence,
    EverBegun,
    HeldRecursiveRwSem,
    HeldRwSem,
)
from mmunotify.lang.driver import Driver

__all__ = ["EXPECTED", "Expected"]


@dataclass(frozen=True)
class Expected:
    """`violates`: property -> the standard scenarios in which it fails; all else holds.

    `quick` scenarios are searched in every run of the tests, the others with --long. `states` are
    counts of the search without reductions, with one page and two frames: they change only if the
    model, the driver or the steps of the language do.
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
_LOST_END = (  # the subscriber leaves in the middle of a section
    "munmap/unregister",
    "punch_hole/unregister",
    "reclaim/unregister",
    "cow/unregister",
    "punch_hole+exit",
    "reclaim+exit",
    "migrate+exit",
)
_RECLAIM = (  # a slot goes, and with its sptes what was known of their use
    "reclaim",
    "reclaim/2 devices",
    "reclaim/unregister",
    "reclaim/2 drivers",
    "munmap+reclaim",
    "madvise_dontneed+reclaim",
    "mprotect+reclaim",
    "punch_hole+reclaim",
    "reclaim+reclaim",
    "reclaim+migrate",
    "reclaim+cow",
    "reclaim+exit",
)
_EXIT = ("exit", "exit/unregister", "punch_hole+exit", "reclaim+exit", "migrate+exit")

EXPECTED: dict[str, Expected] = {
    "kvm": Expected(
        Kvm,
        ("munmap", "reclaim", "munmap+punch_hole"),
        {"munmap": 704, "mprotect": 620, "munmap+munmap": 4921},
    ),
    "kvm_memslots": Expected(
        KvmMemslots,
        ("munmap", "cow", "munmap/unregister", "migrate+exit", "reclaim"),
        {"munmap": 42443, "mprotect": 35269},
        {"aging_not_lost": _RECLAIM},
    ),
    "kvm_pfncache": Expected(
        KvmPfncache,
        ("munmap", "cow", "mprotect", "munmap+punch_hole"),
        {"munmap": 3521, "mprotect": 2570, "munmap+munmap": 28711},
    ),
    "kvm_2_6_27": Expected(
        Kvm2627,
        ("munmap", "exit", "cow", "munmap+munmap", "munmap+punch_hole"),
        {"munmap": 330, "reclaim": 939, "munmap+munmap": 2401},
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
        {"munmap": 564, "mprotect": 539, "munmap+munmap": 4264},
        {"no_stale_translation": _EXIT, "no_stale_bytes": ("migrate+exit",)},
    ),
    "xpmem": Expected(
        Xpmem,
        ("munmap", "cow", "oom_reaper", "clear_refs", "punch_hole+fork"),
        {"munmap": 400, "mprotect": 306, "munmap+munmap": 2629},
        {
            "no_stale_translation": ("punch_hole+fork",),
            "no_stale_bytes": ("punch_hole/2 devices",),
            "no_write_after_protect": ("clear_refs",),
        },
    ),
    "odp_rwsem": Expected(
        OdpRwsem,
        ("munmap", "cow", "munmap/unregister", "oom_reaper", "punch_hole+exit"),
        {"munmap": 759, "mprotect": 600, "munmap+munmap": 6652},
        {
            "paired": ("oom_reaper",),
            "bounds": ("oom_reaper",),
            "quiescent": ("punch_hole+exit", "reclaim+exit", "migrate+exit"),
        },
    ),
    "odp": Expected(
        Odp,
        ("munmap", "cow", "oom_reaper", "munmap/register", "munmap+punch_hole"),
        {"munmap": 1216, "mprotect": 1053, "munmap+munmap": 8924},
    ),
    "userptr": Expected(
        Userptr,
        ("munmap", "cow", "oom_reaper", "munmap/unregister", "munmap+punch_hole"),
        {"munmap": 640, "mprotect": 513, "munmap+munmap": 5032},
    ),
    "svm": Expected(
        Svm,
        ("munmap", "cow", "oom_reaper", "munmap/register", "munmap/unregister"),
        {"munmap": 1394, "mprotect": 933, "munmap+munmap": 11147},
    ),
    "iommu_sva": Expected(
        IommuSva,
        ("munmap", "cow", "madvise_free", "reclaim", "exit", "munmap+punch_hole"),
        {"munmap": 205, "mprotect": 172, "munmap+munmap": 1379},
    ),
    "counter_sequence": Expected(
        CounterSequence,
        ("munmap", "munmap/unregister", "oom_reaper", "munmap+punch_hole"),
        {"munmap": 328, "mprotect": 267, "munmap+munmap": 2456},
    ),
    "ever_begun": Expected(
        EverBegun,
        ("munmap/register", "munmap+punch_hole"),
        {"munmap": 387, "mprotect": 302, "munmap+munmap": 2940},
    ),
    "rwsem": Expected(
        HeldRwSem,
        ("munmap", "oom_reaper", "punch_hole+exit", "munmap+punch_hole"),
        {"munmap": 195, "mprotect": 182, "munmap+munmap": 1310},
        {"context": ("oom_reaper",), "quiescent": _LOST_END},
    ),
    "recursive_rwsem": Expected(
        HeldRecursiveRwSem,
        ("munmap", "oom_reaper", "punch_hole+exit"),
        {"munmap": 182, "mprotect": 171, "munmap+munmap": 1207},
        {"context": ("oom_reaper",), "quiescent": _LOST_END},
    ),
}
