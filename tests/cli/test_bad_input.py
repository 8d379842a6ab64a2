"""Files, names and options that cannot be used: one clear message, exit code 2, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.command import BUGGY, RIGHT, is_one_error, mmunotify, written

from mmunotify.cli.main import main

INIT = """
class Mine(Driver):
    def __init__(self, mm):
        super().__init__(mm)
"""


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """Call the command line in this process; return its one error."""
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert "bug in mmunotify" not in err
    assert len(err.splitlines()) <= 24, err
    return str(err)


# -- files -------------------------------------------------------------------------------------


def test_no_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Neither a missing file nor a folder is a driver's file."""
    assert "E301 there is no file nope.py" in refused(capsys, "check", "nope.py")
    assert "is a folder" in refused(capsys, "check", tmp_path)


def test_no_source(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A binary file, a file with a zero byte, a file in another encoding."""
    for number, data in enumerate((b"\x7fELF\x02\x80\xff", b"x = 1\0", b"x = '\xe4'\n")):
        path = tmp_path / f"binary{number}.py"
        path.write_bytes(data)
        assert "E301" in refused(capsys, "check", path)
    latin = tmp_path / "latin.py"
    latin.write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe4'\n")
    assert "E302 the file has no driver" in refused(capsys, "check", latin)
    other = tmp_path / "driver.txt"
    other.write_text("x = 1\n")
    assert "its name has to end in .py" in refused(capsys, "check", other)


def test_no_driver(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An empty file, and one with other classes only."""
    empty = tmp_path / "empty.py"
    empty.write_text("\n\n")
    assert f"{empty}:1:1: E302 the file is empty" in refused(capsys, "check", empty)
    other = written(tmp_path / "other.py", "class Mine:\n    pass\n")
    assert "E302 the file has no driver" in refused(capsys, "check", other)


def test_no_such_class(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest name is offered."""
    text = refused(capsys, "check", f"{RIGHT}:minimal")
    assert "E303" in text
    assert f"fix  {RIGHT}:Minimal" in " ".join(text.split("\n"))
    assert "its drivers are: Minimal" in refused(capsys, "check", f"{RIGHT}:Xyz")
    assert "E303" in refused(capsys, "check", f"{RIGHT}:")


def test_syntax_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The user's own line, with its caret."""
    path = written(tmp_path / "wrong.py", "class Mine(Driver:\n    pass\n")
    text = refused(capsys, "check", path)
    assert f"{path}:3:1" in text
    assert ": E101 this is not Python" in text
    assert "    3 | class Mine(Driver:" in text


def test_import_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The line in the user's file, wherever the exception comes from."""
    path = written(tmp_path / "wrong.py", "import nowhere_at_all\n")
    text = refused(capsys, "check", path)
    assert f"{path}:3:1: E209 importing the file raised ModuleNotFoundError" in text
    path = written(tmp_path / "leaves.py", "import sys\nsys.exit('no')\n")
    assert f"{path}:4:1: E209 importing the file raised SystemExit: no" in refused(
        capsys, "check", path
    )


def test_relative_names(tmp_path: Path) -> None:
    """A file in the current folder is named as the user would."""
    written(tmp_path / "wrong.py", f"{INIT}        self.seq = missing\n")
    text = is_one_error(mmunotify("check", "wrong.py", cwd=tmp_path), "E209")
    assert text.startswith("wrong.py:7:20: E209 set-up raised NameError")


# -- the form of a driver ----------------------------------------------------------------------


def test_init_raises(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """At the last line of the user's file that the exception passed."""
    path = written(tmp_path / "mine.py", f"{INIT}        self.spte = Table(mm.nothing)\n")
    text = refused(capsys, "check", path)
    assert f"{path}:7:27: E209 set-up raised AttributeError: 'Mm' object has no" in text
    assert "         self.spte = Table(mm.nothing)" in text


def test_wrong_init(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A driver is built from an address space alone; defaults are no matter."""
    body = "class Mine(Driver):\n    def __init__(self, mm, slots):\n        super().__init__(mm)\n"
    path = written(tmp_path / "mine.py", body)
    text = refused(capsys, "check", path)
    assert f"{path}:4:5: E306 Mine cannot be built from an address space alone" in text
    path = written(tmp_path / "fine.py", body.replace("slots", "slots=2"))
    assert "E308" in refused(capsys, "check", path)


def test_wrong_hooks(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """All wrong hooks at once."""
    path = written(
        tmp_path / "mine.py",
        """
        class Mine(Driver):
            release = None

            def invalidate_range_start(self, start, end):
                pass

            def fault(self, page):
                pass

            def walk(self, page, *more):
                return None
        """,
    )
    text = refused(capsys, "check", path)
    assert text.count("E307 ") == 3
    assert f"{path}:7:5: E307 invalidate_range_start does not take" in text
    assert "fix  def fault(self, page, write):" in text


def test_no_walk(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Without anything to walk every property would hold."""
    path = written(tmp_path / "mine.py", INIT)
    assert f"{path}:5:5: E308 Mine has no translation" in refused(capsys, "check", path)


# -- names and numbers -------------------------------------------------------------------------


def test_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest one is offered, and the list is short enough to read."""
    text = refused(capsys, "check", RIGHT, "--scenario", "munmapp")
    assert "E304 there is no scenario munmapp" in text
    assert "did you mean munmap?" in text
    text = refused(capsys, "check", RIGHT, "--property", "no_stale_translations")
    assert "did you mean no_stale_translation?" in text
    text = refused(capsys, "check", RIGHT, "--protocol", "scru")
    assert "did you mean srcu?" in text


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--pages", "0"),
        ("--pages", "4096"),
        ("--frames", "13"),
        ("--devices", "-1"),
        ("--workers", "0"),
        ("--time", "0"),
        ("--time", "nan"),
        ("--memory", "much"),
        ("--memory", "0"),
    ],
)
def test_numbers(capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    """What is out of range is said with what would be possible."""
    text = refused(capsys, "check", RIGHT, f"{option}={value}")
    assert f"E305 {option} {value}" in text
    assert f"fix  {option} " in text


def test_usage() -> None:
    """Wrong usage ends with exit code 2 and argparse's message."""
    for words in ((), ("chek",), ("check",), ("check", RIGHT, "--workers", "x"), ("--nope",)):
        run = mmunotify(*words)
        assert run.returncode == 2
        assert run.stderr.startswith("usage: mmunotify")
        assert run.stdout == ""


# -- files that a run reads or writes ----------------------------------------------------------


def test_unwritable(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Said before the search."""
    for option in ("--html", "--json"):
        text = refused(capsys, "check", RIGHT, option, tmp_path / "no" / "such" / "file")
        assert "E505" in text
        assert "No such file or directory" in text
        assert "E505" in refused(capsys, "check", RIGHT, option, tmp_path)


def test_results_that_are_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A missing file, another kind of file, a damaged one, and one of a later version."""
    assert "E506 there is no file" in refused(capsys, "show", tmp_path / "nope.json")
    assert "E506" in refused(capsys, "show", tmp_path)
    assert "E502" in refused(capsys, "show", RIGHT)
    binary = tmp_path / "binary.json"
    binary.write_bytes(bytes(range(256)))
    assert "E502" in refused(capsys, "show", binary)
    saved = tmp_path / "result.json"
    main(["check", str(BUGGY), "--scenario", "munmap", "--json", str(saved)])
    capsys.readouterr()
    text = saved.read_text()
    saved.write_text(text[: len(text) // 2])
    assert "E501" in refused(capsys, "show", saved)
    saved.write_text(text.replace("mmunotify.result/1", "mmunotify.result/9"))
    assert "E502" in refused(capsys, "show", saved)


def test_replay_strings(capsys: pytest.CaptureFixture[str]) -> None:
    """Malformed, cut short, and of another driver."""
    one = ("--scenario", "munmap", "--replay")
    assert "E504" in refused(capsys, "check", BUGGY, *one, "nonsense")
    main(["check", str(BUGGY), "--scenario", "munmap"])
    found = capsys.readouterr().out.split("--replay ")[1].split()[0]
    assert "E504" in refused(capsys, "check", BUGGY, *one, found[:-2])
    text = refused(capsys, "check", RIGHT, *one, found)
    assert "E503 this replay string is of another program" in text
    assert main(["check", str(BUGGY), *one, found]) == 1
    assert "FAIL  no_stale_translation" in capsys.readouterr().out


def test_unknown_code(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest codes are offered."""
    assert "did you mean" in refused(capsys, "explain", "E1077")


def test_set_up_that_only_the_caller_sees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line of the user's is on the way to the error, or the address space is another one."""
    path = tmp_path / "wrong.py"
    head = "from mmunotify import Driver\n\n\nclass Mine(Driver):\n    def __init__(self, mm):\n"
    path.write_text(f"{head}        super().__init__(mm)\n        return 1\n")
    assert "E209 set-up raised TypeError: __init__() should" in refused(capsys, "check", path)
    path.write_text(f"{head}        super().__init__(mm)\n        self.mm = Driver\n")
    assert "E306 Mine puts something else into self.mm" in refused(capsys, "check", path)
