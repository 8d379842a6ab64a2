"""Monitors: what tells of operations on memory, one file each."""

from collections.abc import Callable

from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.live.monitors.explicit import Explicit
from mmunotify.live.monitors.kvm import Kvm
from mmunotify.live.monitors.monitor import Monitor
from mmunotify.live.monitors.userfaultfd import Userfaultfd
from mmunotify.live.monitors.validate import Validate
from mmunotify.terms import nearest

__all__ = [
    "MONITORS",
    "Explicit",
    "Kvm",
    "Monitor",
    "Userfaultfd",
    "Validate",
    "default_monitors",
    "monitor_named",
]

MONITORS: dict[str, Callable[[], Monitor]] = {
    "explicit": Explicit,
    "userfaultfd": Userfaultfd,
    "kvm": Kvm,
    "validate": Validate,
}
"""All monitors of this process's own memory, by name."""


def default_monitors() -> list[Monitor]:
    """Return the monitors that every process may use."""
    return [Explicit(), Userfaultfd()]


def monitor_named(name: str) -> Monitor:
    """Return a new monitor; raise `DiagnosticError` E413 for a name that none has."""
    if name not in MONITORS:
        close = nearest(name, MONITORS)
        raise DiagnosticError(
            Diagnostic(
                "E413",
                None,
                f"there is no monitor {name!r}",
                f"the monitors are {', '.join(MONITORS)}",
                f"did you mean {close}?" if close else "",
            )
        )
    return MONITORS[name]()
