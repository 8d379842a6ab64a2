"""`Options`: what a user may ask of a check, with the defaults that need no configuration."""

from __future__ import annotations

from dataclasses import dataclass

from mmunotify.errors import Diagnostic, DiagnosticError

__all__ = ["Options"]

_RANGES = {"pages": (1, 8), "frames": (1, 12), "devices": (1, 4)}


@dataclass(frozen=True)
class Options:
    """`pages`, `frames`, `devices`: None means what each scenario says.

    `scenarios`: names, empty for all. `properties`: names, empty for all. `memory` bounds one
    search in bytes, `seconds` one search in time; None: what the machine has, no bound. `reduced`
    off searches every interleaving of steps. `keep_going` on goes on after a violation.
    """

    pages: int | None = None
    frames: int | None = None
    devices: int | None = None
    protocol: str | None = None
    scenarios: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    memory: int | None = None
    seconds: float | None = None
    workers: int = 1
    seed: int = 0
    reduced: bool = True
    keep_going: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise DiagnosticError(
                    Diagnostic(
                        "E305",
                        None,
                        f"--{name} {value} is out of range",
                        f"a model has {low} to {high} {name}; bugs need few, and each one more "
                        "multiplies the states",
                        f"--{name} {min(max(value, low), high)}",
                    )
                )
        if self.workers < 1:
            raise DiagnosticError(Diagnostic("E305", None, "--workers must be at least 1"))

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
        parts = ["mmunotify check", spec]
        parts += [f"--{name} {value}" for name, value in self.overrides.items()]
        parts.append(f"--scenario {_quoted(scenario)} --replay {replay}")
        return " ".join(parts)


def _quoted(text: str) -> str:
    return f"'{text}'" if " " in text else text
