"""mmunotify: MMU notifiers, checked through every interleaving and run on real memory.

The words of the language are here; so are `check` and `assert_holds`, which are imported when they
are first used: `import mmunotify` in a driver's file stays quick.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mmunotify import lang
from mmunotify.lang import *  # noqa: F403
from mmunotify.terms import VERSION

if TYPE_CHECKING:
    from mmunotify.api import CheckFailed, CheckResult, assert_holds, check
    from mmunotify.check.scenario import Membership, Scenario
    from mmunotify.errors import DiagnosticError

__all__ = [
    "CheckFailed",
    "CheckResult",
    "DiagnosticError",
    "Membership",
    "Scenario",
    "__version__",
    "assert_holds",
    "check",
]
__all__ += lang.__all__

__version__ = VERSION

_LATE = ("CheckFailed", "CheckResult", "assert_holds")


class _Package(ModuleType):
    """The package. Its `check` is the function, also when the subpackage `check` is imported."""

    @property
    def check(self) -> Any:
        """The function `mmunotify.api.check`."""
        from mmunotify import api

        return api.check

    @check.setter
    def check(self, module: ModuleType) -> None:
        """Leave the subpackage, which the import system puts here, to `sys.modules`."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        from mmunotify import api

        return getattr(api, name)
    if name in ("Membership", "Scenario"):
        from mmunotify.check import scenario

        return getattr(scenario, name)
    if name == "DiagnosticError":
        from mmunotify import errors

        return errors.DiagnosticError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


sys.modules[__name__].__class__ = _Package
