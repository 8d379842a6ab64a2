"""`mmunotify litmus`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmunotify.cli.main import main
from mmunotify.litmus import row as module
from mmunotify.litmus.machine import Observed


def test_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a case, with counts, and the rate."""
    code = main(["litmus", "dontneed-read", "--rounds", "64", "--outcomes"])
    shown = capsys.readouterr().out.splitlines()
    if code == 4:
        pytest.skip(shown[2].strip())
    assert code == 0
    assert shown[0].startswith("test                    model      Linux ")
    assert shown[1].split() == ["dontneed-read", "Never", "Never", "0/64", "agree"]
    assert shown[-1].startswith("1 tests: ")
    assert "rounds/s; seed 0" in shown[-1]


def test_model_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a machine the model still answers."""
    assert main(["litmus", "message", "--model-only"]) == 0
    assert "model only" in capsys.readouterr().out


def test_own_file_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of the user's, for programs."""
    file = tmp_path / "mine.toml"
    file.write_text('init = "x = 1"\nhost = ["x = 2"]\nguest = ["r0 = x"]\nexists = "r0 = 2"\n')
    assert main(["litmus", str(file), "--model-only", "--json", "-"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["name"], found["model"]) == ("mine", "Sometimes")
    assert found["allowed"] == [[1], [2]]


def test_too_strong_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The only failing line; it names the outcome."""
    monkeypatch.setattr(module, "observe", lambda case, **_: Observed({(1, 1): 3}, 3, 1.0))
    assert main(["litmus", "dontneed-read"]) == 1
    shown = capsys.readouterr().out
    assert "MODEL TOO STRONG" in shown
    assert "r0=1 r1=1: 3 times, and the model forbids it" in shown


def test_no_device(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the machine can run none of them the exit code is 4; the model's answers are there."""

    def refused(*arguments: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr("mmunotify.kernel.kvm.os.open", refused)
    assert main(["litmus", "message"]) == 4
    shown = capsys.readouterr().out
    assert "there is no /dev/kvm" in shown
    assert "Never" in shown


def test_list_and_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    """The names; a mistyped one gets its neighbour."""
    assert main(["litmus", "--list"]) == 0
    assert "ksm-write " in capsys.readouterr().out
    assert main(["litmus", "ksm-wrte"]) == 2
    assert "did you mean ksm-write?" in capsys.readouterr().err
