"""`check`, `CheckResult` and `assert_holds`: the check as a function."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.api.drivers import Forgetful, Right

import mmunotify
from mmunotify import CheckFailed, CheckResult, DiagnosticError, assert_holds, check
from mmunotify.check import job, run
from mmunotify.drivers.kvm import Kvm
from mmunotify.report import render_page, render_text
from mmunotify.trace.file import encode_result, read_result, write_result
from mmunotify.trace.record import Result, Statistics

ROOT = Path(__file__).parents[2]
BUGGY = ROOT / "examples" / "kvm_without_retry.py"
FIVE = ("munmap+munmap", "munmap+mprotect", "mprotect+mprotect", "clear_refs", "oom_reaper")


def codes(error: DiagnosticError) -> list[str]:
    """Return the codes of an error."""
    return [diagnostic.code for diagnostic in error.diagnostics]


def without_times(result: Result) -> Result:
    """Return a result without what differs from run to run."""
    timeless = [
        msgspec.structs.replace(
            entry,
            statistics=msgspec.structs.replace(entry.statistics, seconds=0.0),
        )
        for entry in result.scenarios
    ]
    return msgspec.structs.replace(result, scenarios=timeless, seconds=0.0)


def test_holds() -> None:
    """A driver that is right: everything says so."""
    result = check(Kvm, scenario="munmap")
    assert result.ok
    assert result.verdict == "HOLDS"
    result.assert_ok()
    assert_holds(result)
    assert str(result) == render_text(result)
    assert str(result).startswith("PASS  kvm.py: ")


def test_violated() -> None:
    """A driver that is wrong: the exception carries the report."""
    result = check(Forgetful, scenario="munmap")
    assert not result.ok
    for ask in (result.assert_ok, lambda: assert_holds(result)):
        with pytest.raises(CheckFailed) as caught:
            ask()
        assert isinstance(caught.value, AssertionError)
        assert caught.value.result is result
        assert caught.value.__mmunotify_report__ == str(result)
        assert str(caught.value) == (
            "Forgetful violates no_stale_translation in munmap: "
            "a frame is freed while the driver's table still translates to it"
        )


def test_unfinished_is_not_ok() -> None:
    """A search that stops at a bound proves nothing."""
    result = check(Right, scenario="munmap", pages=4, frames=5, reduced=False, seconds=0.01)
    assert (result.verdict, result.ok) == ("INCOMPLETE", False)
    with pytest.raises(CheckFailed, match="is not finished in munmap: its limit of time"):
        result.assert_ok()


def test_is_the_record(tmp_path: Path) -> None:
    """What `--json` saves and the function returns is the same record."""
    result = check(Right, scenario="munmap")
    write_result(tmp_path / "result.json", result)
    read = read_result(tmp_path / "result.json")
    assert encode_result(read) == encode_result(result)
    assert isinstance(result, Result)


def test_html_for_notebooks() -> None:
    """The page is in a frame, so that its style stays its own."""
    result = check(Right, scenario="munmap")
    shown = result._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert shown.count("<") == 2
    assert "PASS" in render_page(result)


def test_path() -> None:
    """A path is as good as a class; `FILE:Class` names one of several."""
    assert check(BUGGY, scenario="munmap").property == "no_stale_translation"
    found = check(f"{BUGGY}:KvmWithoutRetry", scenario="munmap")
    assert found.driver == "KvmWithoutRetry"
    with pytest.raises(DiagnosticError, match="has 5 drivers, and one is to be checked"):
        check(Path(__file__).with_name("drivers.py"))


def test_options_are_checked() -> None:
    """Wrong options are diagnostics, all of them at once."""
    with pytest.raises(DiagnosticError) as caught:
        check(Right, pages=0, frames=99)
    assert codes(caught.value) == ["E305", "E305"]
    with pytest.raises(DiagnosticError) as caught:
        check(Right, scenario=("munmap", "nope"))
    assert codes(caught.value) == ["E304"]


def test_bounds_are_taken() -> None:
    """Options replace what a scenario says."""
    result = check(Right, scenario="munmap", pages=1, frames=2, devices=2)
    bounds = result.scenarios[0].bounds
    assert (bounds.pages, bounds.frames, bounds.devices) == (1, 2, 2)


def test_keep_going() -> None:
    """After a violation the other scenarios are searched, too; the first one is told."""
    result = check(Forgetful, scenario=("munmap", "madvise_free"), keep_going=True)
    assert [s.verdict for s in result.scenarios] == ["VIOLATED", "VIOLATED"]
    assert result.scenario == "munmap"
    assert [s.name for s in check(Forgetful, scenario=FIVE).scenarios] == [FIVE[0]]


def test_replay() -> None:
    """A replay string shows the same interleaving again."""
    result = check(Forgetful, scenario="munmap")
    again = check(Forgetful, scenario="munmap", replay=result.replay)
    assert again.trace == result.trace
    assert again.property == result.property
    with pytest.raises(DiagnosticError) as caught:
        check(Right, scenario="munmap", replay=result.replay)
    assert codes(caught.value) == ["E503"]


def test_workers_change_nothing() -> None:
    """The same answer from one process and from several."""
    one, two = (check(Right, scenario=FIVE, workers=n) for n in (1, 2))
    assert without_times(one) == without_times(two)
    assert [s.name for s in two.scenarios] == list(FIVE)


def test_workers_report_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several violated scenarios the first one counts, whichever was decided first."""
    monkeypatch.setattr(run, "_ALONE", 0)
    names = ("munmap+cow", "munmap+munmap", "munmap", "madvise_free", "truncate")
    one, two = (check(Forgetful, scenario=names, workers=n) for n in (1, 3))
    assert one.scenario == two.scenario == "munmap+cow"
    assert without_times(one) == without_times(two)


def test_workers_and_local_classes() -> None:
    """A class that no other process can import is checked in this one."""

    class Local(Right):
        pass

    result = check(Local, scenario=FIVE, workers=2)
    assert result.ok
    assert len(result.scenarios) == len(FIVE)


def test_ctrl_c_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted check raises: a run of tests must end with it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "reduce", interrupt)
    with pytest.raises(KeyboardInterrupt):
        check(Right, scenario="munmap")


def test_function_and_subpackage() -> None:
    """`mmunotify.check` can be called, and is the subpackage, whichever was asked for first."""
    package = "import mmunotify.check.options as module\nassert module.Options\n"
    function = "from mmunotify import check\nassert callable(check)\n"
    both = "import mmunotify\nassert mmunotify.check is check and check.options is module\n"
    for program in (package + function + both, function + package + both):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert mmunotify.check is check


def test_import_is_cheap() -> None:
    """`import mmunotify` imports neither engine nor reports nor what they need."""
    program = (
        "import sys, mmunotify\n"
        "late = [m for m in sys.modules if m.startswith(('mmunotify._core', 'mmunotify.check',\n"
        "        'mmunotify.compile', 'mmunotify.report', 'mmunotify.api', 'msgspec', 'rich'))]\n"
        "assert not late, late\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_name_is_there() -> None:
    """All that `__all__` promises can be had."""
    for name in mmunotify.__all__:
        assert getattr(mmunotify, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        mmunotify.nope  # noqa: B018


def test_result_is_frozen() -> None:
    """A result cannot be changed."""
    result = CheckResult(driver="Kvm")
    with pytest.raises(AttributeError):
        result.driver = "other"  # type: ignore[misc]
    assert result.scenarios == []
    assert Statistics() == Statistics()
