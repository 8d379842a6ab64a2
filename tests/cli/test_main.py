"""What every verb has in common: help, version, streams, and what is imported for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.command import BUGGY, COMMAND, RIGHT, mmunotify, written

from mmunotify.cli import main as module
from mmunotify.cli.main import main
from mmunotify.terms import VERSION

ENGINE = ("mmunotify._core", "mmunotify.check", "mmunotify.compile", "mmunotify.report", "msgspec")


def imported_by(*words: str) -> list[str]:
    """Return what of the engine is imported when the command line is given `words`."""
    program = (
        "import sys\n"
        "from mmunotify.cli.main import main\n"
        "try:\n"
        f"    main({list(words)!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        f"print([m for m in sys.modules if m.startswith({ENGINE!r})], file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    found: list[str] = eval(run.stderr.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["check", "--help"], ["explain", "E107"]]
)
def test_help_imports_no_engine(words: list[str]) -> None:
    """Help, version and explanations need nothing that takes long to import."""
    assert imported_by(*words) == []


def test_version() -> None:
    """One line."""
    assert mmunotify("--version").stdout == f"mmunotify {VERSION}\n"


def test_help_names_everything() -> None:
    """Verbs, examples and exit codes."""
    text = mmunotify("--help").stdout
    for word in ("check", "show", "explain", "examples:", "130 interrupted"):
        assert word in text


def test_reader_goes_away() -> None:
    """`| head`: no traceback, and the exit code is that of the verdict."""
    command = [*COMMAND, "check", str(BUGGY), "--scenario", "munmap", "--json", "-"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.read(10)
    run.stdout.close()
    said = run.stderr.read()
    run.stderr.close()
    assert said == b""
    assert run.wait() == 1


def test_no_standard_output() -> None:
    """A closed standard output is no error either."""
    shell = f"exec {sys.executable} -m mmunotify check {BUGGY} --scenario munmap >&- 2>&-"
    assert subprocess.run(["sh", "-c", shell], check=False).returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_full_disk() -> None:
    """A report that cannot be written is an error, in one line."""
    with Path("/dev/full").open("w") as full:
        command = [*COMMAND, "check", str(BUGGY), "--scenario", "munmap"]
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 2
    assert "E505 standard output cannot be written: No space left" in run.stderr
    assert "Traceback" not in run.stderr


def test_only_the_report_is_on_standard_output(tmp_path: Path) -> None:
    """What a driver's file prints does not get into the JSON."""
    path = written(tmp_path / "loud.py", "print('hello')\n" + RIGHT.read_text())
    run = mmunotify("check", path, "--scenario", "clear_refs", "--json", "-")
    assert run.returncode == 0
    assert run.stdout.startswith('{"format":"mmunotify.result/1"')
    assert run.stderr == "hello\n"


def test_quiet_in_the_first_second() -> None:
    """A short check says nothing on standard error."""
    assert mmunotify("check", RIGHT, "--scenario", "clear_refs").stderr in ("",)


def test_colour(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Only where it is asked for or there is a terminal."""
    words = ["check", str(RIGHT), "--scenario", "clear_refs"]
    assert main(words) == 0
    assert "\033[" not in capsys.readouterr().out
    assert main([*words, "--color", "always"]) == 0
    assert "\033[" in capsys.readouterr().out
    assert main(["check", "nope.py", "--color", "always"]) == 2
    assert "\033[" in capsys.readouterr().err


def test_internal_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says that it is one; the traceback is there with --debug."""

    class Broken:
        @staticmethod
        def add_arguments(_: object) -> None:
            pass

        @staticmethod
        def run(_: object) -> int:
            raise ZeroDivisionError("by design")

    monkeypatch.setattr(module, "_verb", lambda _: Broken)
    assert main(["explain"]) == 2
    text = capsys.readouterr().err
    assert "error: this is a bug in mmunotify: ZeroDivisionError: by design" in text
    assert "Traceback" not in text
    assert main(["explain", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_diagnostics_with_debug(capsys: pytest.CaptureFixture[str]) -> None:
    """--debug shows where a diagnostic was made, and the diagnostic."""
    assert main(["check", "nope.py", "--debug"]) == 2
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert "E301 there is no file nope.py" in text


def test_environment_is_not_read() -> None:
    """An ASCII locale is enough."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [*COMMAND, "check", str(BUGGY), "--scenario", "munmap", "--color", "always"]
    run = subprocess.run(command, capture_output=True, env=environment)
    assert run.returncode == 1
    assert b"Traceback" not in run.stderr
