"""`Options`: what a user may ask of a check, with the defaults that need no configuration."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from mmunotify.errors import Diagnostic, DiagnosticError

__all__ = ["Options", "cores"]

_RANGES = {"pages": (1, 8), "frames": (1, 12), "devices": (1, 4)}
_MOST_WORKERS = 256


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Options:
    """`pages`, `frames`, `devices`, `protocol`: None means what each scenario says.

    `scenarios`: names, empty for all; `all_pairs`: every pair of operations is one, too.
    `properties`: names, empty for all. `memory` bounds in bytes what all searches take together,
    `seconds` one search in time; None: what the machine has, no bound. `workers` scenarios are
    searched at a time, or one with that many threads. `share`: how many searches share the memory.
    `reduced` off searches every interleaving of steps. `keep_going` on goes on after a violation.
    """

    pages: int | None = None
    frames: int | None = None
    devices: int | None = None
    protocol: str | None = None
    scenarios: tuple[str, ...] = ()
    all_pairs: bool = False
    properties: tuple[str, ...] = ()
    memory: int | None = None
    seconds: float | None = None
    workers: int = 1
    share: int = 1
    seed: int = 0
    reduced: bool = True
    keep_going: bool = False

    def __post_init__(self) -> None:
        found = [*self._sizes(), *self._limits()]
        if found:
            raise DiagnosticError(found)

    def _sizes(self) -> list[Diagnostic]:
        found = []
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                why = (
                    f"a model has {low} to {high} {name}; bugs need few, and each one more "
                    "multiplies the states"
                )
                found.append(_out_of_range(name, value, why, min(max(value, low), high)))
        return found

    def _limits(self) -> list[Diagnostic]:
        found = []
        if not 1 <= self.workers <= _MOST_WORKERS:
            why = f"a check has 1 to {_MOST_WORKERS} workers"
            nearest = min(max(self.workers, 1), _MOST_WORKERS)
            found.append(_out_of_range("workers", self.workers, why, nearest))
        if self.seconds is not None and not self.seconds > 0:
            why = "a search without time finds nothing"
            found.append(_out_of_range("time", self.seconds, why, 60))
        if self.memory is not None and self.memory < 1:
            found.append(_out_of_range("memory", self.memory, "states need memory", "1G"))
        return found

    @property
    def overrides(self) -> dict[str, int | str]:
        """The fields of a scenario that these options replace."""
        given = {
            "pages": self.pages,
            "frames": self.frames,
            "devices": self.devices,
            "protocol": self.protocol,
        }
        return {name: value for name, value in given.items() if value is not None}

    def command(self, spec: str, scenario: str, replay: str) -> str:
        """The command that shows one interleaving of one scenario again."""
        words = ["mmunotify", "check", spec]
        for name, value in self.overrides.items():
            words += [f"--{name}", str(value)]
        for name in self.properties:
            words += ["--property", name]
        if self.all_pairs:
            words.append("--all-pairs")
        return shlex.join([*words, "--scenario", scenario, "--replay", replay])


def _out_of_range(name: str, value: object, why: str, nearest: object) -> Diagnostic:
    return Diagnostic("E305", None, f"--{name} {value} is out of range", why, f"--{name} {nearest}")
