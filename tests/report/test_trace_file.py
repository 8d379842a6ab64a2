"""Results and traces as files: what is written is read again, what is damaged is refused."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.report.samples import SAMPLES, deadlock, nine_steps, passed

from mmunotify.errors import DiagnosticError
from mmunotify.trace.file import (
    read_file,
    read_result,
    read_trace,
    require_writable,
    write_result,
    write_trace,
)
from mmunotify.trace.record import Trace


def the_trace() -> Trace:
    """Return a trace with everything in it."""
    trace = deadlock().trace
    assert trace
    return trace


def refused(use: Callable[..., object], *arguments: object) -> str:
    """Return the one line that says why, and check that it is one."""
    with pytest.raises(DiagnosticError) as caught:
        use(*arguments)
    assert len(caught.value.diagnostics) == 1
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_written_is_read_again(tmp_path: Path, name: str, suffix: str) -> None:
    """Results and traces come back as they were, and the same twice gives the same bytes."""
    result = SAMPLES[name]()
    path = tmp_path / f"result.json{suffix}"
    write_result(path, result)
    first = path.read_bytes()
    write_result(path, result)
    assert path.read_bytes() == first
    assert read_result(path) == result == read_file(path)
    if result.trace:
        write_trace(tmp_path / f"trace.jsonl{suffix}", result.trace)
        assert read_trace(tmp_path / f"trace.jsonl{suffix}") == result.trace
        assert read_file(tmp_path / f"trace.jsonl{suffix}") == result.trace


def test_each_line_of_a_trace_names_its_type(tmp_path: Path) -> None:
    """The header comes first, the end last."""
    path = tmp_path / "trace.jsonl"
    write_trace(path, the_trace())
    types = [json.loads(line)["type"] for line in path.read_text().splitlines()]
    assert types == ["header", *["event"] * 3, "window", "blocked", "blocked", "end"]


def test_a_result_laid_out_by_hand_is_read(tmp_path: Path) -> None:
    """Line breaks and indents in the JSON change nothing."""
    path = tmp_path / "result.json"
    write_result(path, nine_steps())
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
    assert read_file(path) == nine_steps()


def test_lines_of_a_type_from_later_are_passed_over(tmp_path: Path) -> None:
    """A newer writer of the same format may add lines and fields."""
    path = tmp_path / "trace.jsonl"
    write_trace(path, the_trace())
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace('"type":"event"', '"type":"event","mood":"good"')
    path.write_text("\n".join([lines[0], '{"type":"weather"}', "", *lines[1:]]))
    assert read_trace(path) == the_trace()


def test_a_trace_without_its_end_is_read(tmp_path: Path) -> None:
    """A run that was killed leaves whole lines, and those are sound."""
    path = tmp_path / "trace.jsonl"
    write_trace(path, the_trace())
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    assert read_trace(path).events == the_trace().events[:2]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text[:-90], "line 7"),
        (lambda text: text.replace('"n":2', '"n":"two"'), "line 3"),
        (lambda text: text.replace('"n":2', '"n":1'), "event 1 follows event 1"),
        (lambda text: text.replace('"lane":1', '"lane":7'), "lane 7"),
        (lambda text: text.replace('"uses":[2]', '"uses":[9]'), "event 9"),
        (lambda text: text.replace('"first":3', '"first":8'), "event 8"),
        (lambda text: "\n".join(text.splitlines()[:2] + text.splitlines()[3:]), "2 of 3 events"),
        (lambda text: text[:60], "first line"),
        (lambda text: text + text, "2 header lines"),
        (lambda text: text.replace('"n":2', '"n":\udcff'), "line 3: "),
    ],
)
def test_a_damaged_trace_is_refused(tmp_path: Path, change: Callable[[str], str], why: str) -> None:
    """The file is named, and what is wrong with it."""
    path = tmp_path / "trace.jsonl"
    write_trace(path, the_trace())
    path.write_bytes(change(path.read_text()).encode(errors="surrogateescape"))
    with pytest.raises(DiagnosticError) as caught:
        read_trace(path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E501"
    assert str(path) in diagnostic.what
    assert why in diagnostic.why


def test_a_damaged_result_is_refused(tmp_path: Path) -> None:
    """A field of another type, half a file, half a gzip file."""
    path = tmp_path / "result.json"
    write_result(path, nine_steps())
    whole = path.read_text()
    for text in (whole.replace('"shortest":true', '"shortest":"yes"'), whole[:-40]):
        path.write_text(text)
        assert refused(read_result, path).startswith("E501")
    path.write_bytes(gzip.compress(whole.encode())[:-40])
    assert refused(read_result, path).startswith("E501")


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"hello\n", b"[]", b'{"format": 5}', b"{}"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """What no mmunotify has written is not called damaged."""
    path = tmp_path / "perf.data"
    path.write_bytes(content)
    for read in (read_result, read_trace, read_file):
        assert refused(read, path).startswith("E502")


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    """Both versions are said."""
    path = tmp_path / "new.json"
    path.write_text('{"format":"mmunotify.result/2"}')
    text = refused(read_file, path)
    assert text.startswith("E502")
    assert "mmunotify.result/2" in text
    assert "mmunotify.result/1" in text


def test_a_trace_is_no_result(tmp_path: Path) -> None:
    """Each reader takes its own kind only."""
    path = tmp_path / "trace.jsonl"
    write_trace(path, the_trace())
    assert refused(read_result, path).startswith("E502")
    write_result(path, passed())
    assert refused(read_trace, path).startswith("E502")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """So is a directory."""
    assert refused(read_file, tmp_path / "no.json").startswith("E506 there is no file")
    assert refused(read_file, tmp_path).startswith("E506")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A directory that is not there, and one in the place of the file; before a run, too."""
    for path in (tmp_path / "no" / "result.json", tmp_path):
        assert refused(write_result, path, passed()).startswith("E505")
        assert refused(require_writable, path).startswith("E505")


def test_trying_leaves_no_file(tmp_path: Path) -> None:
    """Neither a new one nor a change of an old one."""
    require_writable(tmp_path / "result.json")
    assert not list(tmp_path.iterdir())
    (tmp_path / "old").write_text("old")
    require_writable(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "old"


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk loses nothing and leaves nothing."""
    path = tmp_path / "result.json"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in refused(write_result, path, passed())
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
    assert path.read_text() == "old"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The file behind it is the one that is replaced."""
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    write_result(tmp_path / "link.json", passed())
    assert (tmp_path / "link.json").is_symlink()
    assert read_result(tmp_path / "real.json") == passed()
