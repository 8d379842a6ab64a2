"""The form of a driver: how it is built, what its hooks take, and what a device can walk.

Everything that is wrong with the form of a class is said at once, at the lines of its methods.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmunotify.compile.lower.context import place_of
from mmunotify.compile.lower.hooks import REFUSAL, lost_results, words
from mmunotify.compile.source import function_of
from mmunotify.errors import Diagnostic, DiagnosticError, Place
from mmunotify.lang.driver import Driver
from mmunotify.protocols import PROTOCOLS, Subscriptions

__all__ = [
    "require_base",
    "require_form",
    "require_intervals",
    "require_subscribable",
    "require_unregister",
    "require_walk",
]

_HOOKS = (
    "invalidate_range_start",
    "invalidate_range_end",
    "invalidate",
    "invalidate_page",
    "arch_invalidate_secondary_tlbs",
    "clear_flush_young",
    "clear_young",
    "test_young",
    "release",
    "fault",
    "walk",
)
_LOADS = ("insert", "drop_in")  # of `SecondaryTlb`


def require_form(driver: type[Driver]) -> None:
    """Raise `DiagnosticError` E306, E307 and E312 unless the class has the form of a driver."""
    found = [
        *_wrong_init(driver),
        *_wrong_hooks(driver),
        *_misspelt_hooks(driver),
        *_lost_results(driver),
    ]
    if found:
        raise DiagnosticError(found)


def require_walk(driver: Driver) -> None:
    """Raise `DiagnosticError` E308 if a device could never have a translation of `driver`."""
    cls = type(driver)
    if hasattr(driver, "spte") or cls.walk is not Driver.walk or _loads_caches(cls):
        return
    place, _ = _head(cls.__init__ if "__init__" in vars(cls) else cls)
    raise DiagnosticError(
        Diagnostic(
            "E308",
            place,
            f"{cls.__name__} has no translation that a device could walk",
            "a device looks into self.spte, a Table from page to frame; without it, without a "
            "walk() and without self.tlb.insert() nothing could ever go wrong",
            "self.spte = Table(mm.pages)",
        )
    )


def require_subscribable(driver: type[Driver], protocol: type[Subscriptions], name: str) -> None:
    """Raise `DiagnosticError` E309 if a protocol would never call a hook of the driver."""
    missed = protocol.misses(driver)
    if not missed:
        return
    place, _ = _head(getattr(driver, missed[0]))
    able = [n for n, one in PROTOCOLS.items() if not one.misses(driver)]
    raise DiagnosticError(
        Diagnostic(
            "E309",
            place,
            f"{driver.__name__} cannot be subscribed under the protocol {name}",
            f"the protocol has no {missed[0]}: the driver would never hear of an invalidation",
            f"--protocol {' or '.join(able)}" if able else "the range hooks, which every one has",
        )
    )


def require_unregister(protocol: type[Subscriptions], name: str, scenario: str) -> None:
    """Raise `DiagnosticError` E309 if nobody can unsubscribe under a protocol."""
    if protocol.unregisters:
        return
    raise DiagnosticError(
        Diagnostic(
            "E309",
            None,
            f"there is no scenario {scenario} under the protocol {name}",
            "its driver unsubscribes, and the protocol has no mmu_notifier_unregister",
            "another scenario, or --protocol srcu",
        )
    )


def require_intervals(driver: Driver) -> None:
    """Raise `DiagnosticError` E310 unless `invalidate` and interval notifiers come together."""
    cls = type(driver)
    hooked = cls.invalidate is not Driver.invalidate
    if hooked == bool(driver.interval_notifiers):
        return
    place, _ = _head(cls.invalidate if hooked else cls.__init__)
    raise DiagnosticError(
        Diagnostic(
            "E310",
            place,
            f"{cls.__name__} has invalidate() and no MmuIntervalNotifier"
            if hooked
            else f"{cls.__name__} has a MmuIntervalNotifier and no invalidate()",
            "invalidate() is called for the ranges of the driver's interval notifiers",
            "self.notifier = MmuIntervalNotifier(self)  # in __init__, after super().__init__(mm)"
            if hooked
            else "def invalidate(self, sub, rng, cur_seq):",
        )
    )


def require_base(driver: Driver, mm: object) -> None:
    """Raise `DiagnosticError` E306 unless the base class's `__init__` has run, for `mm`."""
    found = getattr(driver, "mm", None)
    if found is mm:
        return
    cls = type(driver)
    place, _ = _head(cls.__init__)
    raise DiagnosticError(
        Diagnostic(
            "E306",
            place,
            f"{cls.__name__} does not set up its base class"
            if found is None
            else f"{cls.__name__} puts something else into self.mm",
            "Driver.__init__ gives the driver its address space, self.mm",
            "super().__init__(mm)  # first in __init__",
        )
    )


def _wrong_init(driver: type[Driver]) -> Iterator[Diagnostic]:
    if _accepts(driver.__init__, 2):
        return
    place, head = _head(driver.__init__)
    yield Diagnostic(
        "E306",
        place,
        f"{driver.__name__} cannot be built from an address space alone: {head}",
        f"a scenario builds it as {driver.__name__}(mm)",
        "def __init__(self, mm):",
    )


def _wrong_hooks(driver: type[Driver]) -> Iterator[Diagnostic]:
    for name in _HOOKS:
        hook, wanted = getattr(driver, name), getattr(Driver, name)
        if hook is wanted:
            continue
        parameters = list(inspect.signature(wanted).parameters)
        if callable(hook) and _accepts(hook, len(parameters)):
            continue
        place, head = _head(hook)
        yield Diagnostic(
            "E307",
            place,
            f"{name} does not take what it is called with: {head}",
            "hooks have the kernel's names and fixed parameters, passed by position",
            f"def {name}({', '.join(parameters)}):",
        )


def _misspelt_hooks(driver: type[Driver]) -> Iterator[Diagnostic]:
    """A method that nothing calls and that is nearly a hook would silently do nothing."""
    for name, method in vars(driver).items():
        close = difflib.get_close_matches(name, _HOOKS, 2, 0.8)
        if not callable(method) or name in _HOOKS or not close:
            continue
        place, head = _head(method)
        if place is None or f".{name}(" in Path(place.file).read_text():
            continue
        yield Diagnostic(
            "E307",
            place,
            f"{name} is no hook, and nothing calls it: {head}",
            "a hook is called by its name; any other method only where a body calls it",
            f"did you mean {' or '.join(close)}?",
        )


def _lost_results(driver: type[Driver]) -> Iterator[Diagnostic]:
    """An error code as in C has no effect, also where the scenarios at hand do not lead."""
    for name in _HOOKS:
        hook = getattr(driver, name)
        if hook is getattr(Driver, name) or not inspect.isfunction(hook):
            continue
        try:
            function = function_of(hook)
        except DiagnosticError:  # it has no source text: said where it is called
            continue
        for node in lost_results(name, function):
            what, why, fix = words(name)
            yield Diagnostic(REFUSAL, place_of(node, function), what, why, fix)


def _accepts(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # it does not say what it takes
        return True
    return True


def _head(where: Any) -> tuple[Place | None, str]:
    """Return the place and the text of the line that a function or class begins at."""
    try:
        lines, first = inspect.getsourcelines(where)
        file = inspect.getsourcefile(where) or ""
    except (OSError, TypeError):
        return None, "it is no method"
    for line, text in enumerate(lines, first):
        if text.lstrip().startswith(("def ", "async ", "class ")):
            bare = text.strip()
            start = text.index(bare) + 1
            return Place(file, line, start, start + len(bare)), bare.rstrip(":")
    return Place(file, first, 1, 2), lines[0].strip()


def _loads_caches(driver: type[Driver]) -> bool:
    """Tell whether the class's code loads a TLB itself: hardware that walks no table."""
    for cls in driver.__mro__:
        if cls in (Driver, object):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
        except (OSError, TypeError, SyntaxError):
            return True
        calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        if any(isinstance(f, ast.Attribute) and f.attr in _LOADS for f in calls):
            return True
    return False
