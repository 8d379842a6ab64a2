"""mmunotify: MMU notifiers, checked through every interleaving and run on real memory.

The words of the language are here; so are `check`, `assert_holds` and the live side, which are
imported when they are first used: `import mmunotify` in a driver's file stays quick.
"""

import importlib
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
    from mmunotify.live import AddressSpace, RegistrationCache

__all__ = [
    "AddressSpace",
    "CheckFailed",
    "CheckResult",
    "DiagnosticError",
    "Membership",
    "RegistrationCache",
    "Scenario",
    "__version__",
    "assert_holds",
    "check",
]
__all__ += lang.__all__

__version__ = VERSION

_LATE = {
    "AddressSpace": "mmunotify.live",
    "CheckFailed": "mmunotify.api",
    "CheckResult": "mmunotify.api",
    "DiagnosticError": "mmunotify.errors",
    "Membership": "mmunotify.check.scenario",
    "RegistrationCache": "mmunotify.live",
    "Scenario": "mmunotify.check.scenario",
    "assert_holds": "mmunotify.api",
}


class _Check(ModuleType):
    """The subpackage `check`, which can be called, too."""

    def __call__(self, driver: Any, **options: Any) -> Any:
        """Check a driver through every interleaving: see `mmunotify.api.check`."""
        from mmunotify import api

        return api.check(driver, **options)


class _Package(ModuleType):
    """The package. Its `check` is the subpackage of that name, made callable."""

    @property
    def check(self) -> ModuleType:
        """Check a driver: `check(Driver)`."""
        module = importlib.import_module("mmunotify.check")
        module.__class__ = _Check
        return module

    @check.setter
    def check(self, module: ModuleType) -> None:
        """Take what the import system puts here: the same module."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


sys.modules[__name__].__class__ = _Package
