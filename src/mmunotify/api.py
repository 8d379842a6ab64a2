"""The check as a function: `check`, its `CheckResult`, and `assert_holds` for tests.

Invariant: importing this module imports neither the engine nor the reports; calling `check` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmunotify.trace.record import Result

if TYPE_CHECKING:
    from mmunotify.check.scenario import Scenario
    from mmunotify.check.subject import Subject
    from mmunotify.lang.driver import Driver

__all__ = ["CheckFailed", "CheckResult", "assert_holds", "check"]


class CheckFailed(AssertionError):
    """A check that did not hold. The pytest plugin prints its report in place of a traceback."""

    def __init__(self, result: Result) -> None:
        super().__init__(_headline(result))
        self.result = result

    @property
    def __mmunotify_report__(self) -> str:
        """The text that the pytest plugin shows."""
        return _text(self.result)


class CheckResult(Result, frozen=True, kw_only=True):
    """The answer of a check: the record that `--json` saves, with ways to look at it.

    `str(result)` is the report as text; a notebook shows the report page.
    """

    @property
    def ok(self) -> bool:
        """Whether everything holds and everything was searched; what is unfinished is not ok."""
        return self.verdict == "HOLDS"

    def assert_ok(self) -> None:
        """Raise `CheckFailed` with the report unless everything holds."""
        if not self.ok:
            raise CheckFailed(self)

    def __str__(self) -> str:
        return _text(self)

    def _repr_html_(self) -> str:
        """The report page in a frame of its own, for notebooks."""
        import html

        from mmunotify.report.html import render_page

        page = html.escape(render_page(self), quote=True)
        style = "width: 100%; height: 45em; border: 0"
        return f'<iframe srcdoc="{page}" style="{style}"></iframe>'


def check(
    driver: type[Driver] | str | os.PathLike[str],
    *,
    scenario: str | Scenario | Iterable[str | Scenario] = (),
    pages: int | None = None,
    frames: int | None = None,
    devices: int | None = None,
    protocol: str | None = None,
    properties: str | Iterable[str] = (),
    all_pairs: bool = False,
    memory: int | None = None,
    seconds: float | None = None,
    workers: int = 1,
    seed: int = 0,
    reduced: bool = True,
    keep_going: bool = False,
    replay: str = "",
) -> CheckResult:
    """Check a driver through every interleaving: a class, or `FILE` or `FILE:Class`.

    The options are those of `mmunotify check`: None or nothing means what each scenario says, all
    scenarios, all properties. A `scenario` is a name or a `Scenario` of your own. `memory` is in
    bytes; `workers` processes are used if the class can be imported by others, too, and all
    scenarios have names. `replay` shows one interleaving again, by its replay string.

    Raise `DiagnosticError` if the driver or an option cannot be used, and `KeyboardInterrupt` after
    Ctrl-C.
    """
    from mmunotify.check.options import Options
    from mmunotify.check.run import interrupted, replayed, run
    from mmunotify.check.scenario import Scenario

    wanted = [scenario] if isinstance(scenario, str | Scenario) else list(scenario)
    options = Options(
        pages=pages,
        frames=frames,
        devices=devices,
        protocol=protocol,
        scenarios=tuple(one if isinstance(one, str) else one.name for one in wanted),
        all_pairs=all_pairs,
        properties=_names(properties),
        memory=memory,
        seconds=seconds,
        workers=workers,
        seed=seed,
        reduced=reduced,
        keep_going=keep_going,
    )
    given = tuple(one for one in wanted if isinstance(one, Scenario))
    subject = replace(_subject(driver), given=given)
    if replay:
        return _as_check_result(replayed(subject, options, replay)[2])
    result = run(subject, options)
    if interrupted(result):
        raise KeyboardInterrupt
    return _as_check_result(result)


def assert_holds(result: Result) -> None:
    """Raise `CheckFailed`, an `AssertionError` with the report, unless `result` holds."""
    if result.verdict != "HOLDS":
        raise CheckFailed(result)


def _subject(driver: type[Driver] | str | os.PathLike[str]) -> Subject:
    from mmunotify.check.subject import load_one, subject_of

    return subject_of(driver) if isinstance(driver, type) else load_one(os.fspath(driver))


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _as_check_result(result: Result) -> CheckResult:
    fields: dict[str, Any] = {name: getattr(result, name) for name in result.__struct_fields__}
    return CheckResult(**fields)


def _text(result: Result) -> str:
    from mmunotify.report.text import render_text

    return render_text(result)


def _headline(result: Result) -> str:
    """Return what did not hold, in one line."""
    subject = result.driver or result.file
    if result.verdict == "VIOLATED":
        return f"{subject} violates {result.property} in {result.scenario}: {result.message}"
    stopped = [s for s in result.scenarios if s.verdict != "HOLDS"]
    where = f" in {stopped[0].name}: {stopped[0].reason}" if stopped else ""
    return f"the check of {subject} is not finished{where}"
