"""What the live side costs: the measurement runs and prints its tables."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from bench import hooks, live, transfers
from bench.occasions import OCCASIONS, Occasion
from bench.options import Options
from bench.programs import Prepared
from bench.table import Table

from mmunotify import AddressSpace
from mmunotify.errors import Diagnostic, DiagnosticError, Exit
from mmunotify.kernel.system_call import Syscall
from mmunotify.live import firing
from mmunotify.live.devices import IoUring
from mmunotify.live.memory import Extent
from mmunotify.live.operations import Kind
from mmunotify.live.scratch import Effect, Scratch


def test_quick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All tables, with every row that this machine permits; nothing is asserted about time."""
    path = tmp_path / "figures.json"
    code = live.main(["--quick", "--json", str(path)])
    said = capsys.readouterr()
    if code == Exit.CANNOT:
        pytest.skip(said.err.strip())
    assert code == Exit.HOLDS
    tables = {table["name"]: table for table in json.loads(path.read_text())["tables"]}
    assert list(tables) == ["hit", "read", "direct", "invalidate", "hooks"]
    assert all(name + ": " in said.out for name in tables)
    sizes = ["4 KiB", "64 KiB", "1,024 KiB", "4,096 KiB"]
    assert [row[0] for row in tables["read"]["rows"]] == sizes
    direct = tables["direct"]
    assert [row[0] for row in direct["rows"]] == [
        f"{size}{clock}" for size in sizes for clock in ("", ", processor")
    ] or direct["notes"][0].startswith("left out: ")
    settings = [row[0] for row in tables["invalidate"]["rows"]]
    unwatched = ["none", "explicit, unwatched", "userfaultfd, unwatched", "none, again"]
    assert settings[:6] == [*unwatched, "explicit, watched", "userfaultfd, watched"]
    for table in tables.values():
        for values in table["samples"].values():
            assert len(values) == 1
            assert values[0] >= 0


_BY_FILE = {"fallocate(FALLOC_FL_PUNCH_HOLE)", "ftruncate to less"}
_MISSED = {
    "default": {
        *("madvise(MADV_GUARD_INSTALL)", "mprotect(PROT_READ)", "a write, a child shares the page"),
        *_BY_FILE,
    },
    "validate": {"mprotect(PROT_READ)"},
    "kvm": set[str](),
}
_REFUSED = {
    "default": set[str](),
    "validate": {"madvise(MADV_REMOVE)", "dlclose", *_BY_FILE},
    "kvm": set[str](),
}


@pytest.fixture(scope="module")
def heard() -> Table:
    """Who hears of what on this machine, without UCX, which only a full run fetches."""
    if lacking := live._missing():
        pytest.skip(lacking)
    return hooks.measure(Options(runs=1, quick=True))


def test_what_happens(heard: Table) -> None:
    """A row for everything, and no words of UCX's hooks."""
    assert [row[0] for row in heard.rows] == [occasion.what for occasion in OCCASIONS]
    assert list(heard.columns[2:]) == ["UCX's hooks", "default", "validate", "kvm"]
    assert {row[2] for row in heard.rows} == {"-"}
    assert "UCX's hooks: left out by --quick" in heard.notes[0]


@pytest.mark.parametrize("who", ["default", "validate", "kvm"])
def test_who_hears(heard: Table, who: str) -> None:
    """Who misses what, as docs/live.md says."""
    at = list(heard.columns).index(who)
    words = {row[0]: row[at] for row in heard.rows}
    if set(words.values()) == {"-"}:
        [why] = [n for n in heard.notes if n.startswith(f"{who}: ") and n not in hooks._NOTES]
        pytest.skip(why)
    done = {what: word for what, word in words.items() if not word.startswith("not to be done")}
    assert "munmap" in done
    assert set(done.values()) <= {"heard", "MISSED", "refused"}
    for word, expected in (("MISSED", _MISSED[who]), ("refused", _REFUSED[who])):
        assert {what for what, said in done.items() if said == word} == expected & done.keys()


class Ear:
    """Hears what it is told to, at the first listening and at those after it."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.listened = 0

    def listen(self, extent: Extent) -> None:
        self.listened += 1

    def heard(self) -> bool:
        return self.answers.pop(0)


def occasion(fire: Callable[[], object], *, access: bool = False) -> Occasion:
    """Return something that happens to a page, and changes permissions if it says `access`."""
    page = Scratch(Kind.ANONYMOUS)  # it stays
    effect = Effect.SAME if access else Effect.GONE
    prepared = Prepared(page.extent, fire)
    return Occasion("something", "anonymous", lambda: prepared, effect, access)


def test_what_did_not_happen_is_not_heard_of() -> None:
    """A row is of something that has changed pages or permissions, whoever says he heard."""
    for access in (False, True):
        word = hooks._word(occasion(lambda: None, access=access), Ear(False, True))
        assert word.startswith("not to be done: done, but the ")
    page = Scratch(Kind.ANONYMOUS)
    discarded = Occasion(
        *("discard", "anonymous"),
        lambda: Prepared(page.extent, lambda: page.call(Syscall.MADVISE, firing.DONTNEED)),
    )
    assert hooks._word(discarded, Ear(False, True)) == "heard"
    page.touch()
    assert hooks._word(discarded, Ear(False, False)) == "MISSED"
    page.touch()
    ear = Ear(True, False, True)
    assert hooks._word(discarded, ear) == "heard"
    assert ear.listened == 2, "who has heard of it before it happens listens again"
    assert "all the time" in hooks._word(discarded, Ear(True, True, True))
    page.close()


def test_who_is_not_to_be_had_says_why(tmp_path: Path) -> None:
    """One line of the child's goes into the note: here there are no hooks of UCX."""
    why = hooks._happened("UCX's hooks", tmp_path)
    assert why.startswith(f"{tmp_path}/handler.so: cannot open shared object file")


def test_silence() -> None:
    """A cache hears nothing where nothing happens, and listens to other memory afterwards."""
    if lacking := live._missing():
        pytest.skip(lacking)
    first, second = Scratch(Kind.ANONYMOUS), Scratch(Kind.ANONYMOUS)
    with AddressSpace() as mm:
        ear = hooks.Cached(mm)
        ear.listen(first.extent)
        assert not ear.heard()
        ear.listen(second.extent)
        first.call(Syscall.MADVISE, firing.DONTNEED)
        assert not ear.heard()
        second.call(Syscall.MADVISE, firing.DONTNEED)
        assert ear.heard()
    for one in (first, second):
        one.close()


def test_without_direct_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has none is named, and there are no figures that pretend."""
    monkeypatch.setattr(transfers, "_disk", lambda: (Path("/tmp"), "tmpfs"))
    table = transfers.direct(Options(runs=1, quick=True))
    assert not table.rows
    assert table.notes == ["left out: /tmp is tmpfs, in memory, and so is every other"]

    def refuse(folder: Path, flags: int) -> AbstractContextManager[int]:
        assert flags & os.O_DIRECT
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(transfers, "_disk", lambda: (Path("/tmp"), "zfs"))
    monkeypatch.setattr(transfers, "_file", refuse)
    table = transfers.direct(Options(runs=1, quick=True))
    assert not table.rows
    assert table.notes == ["left out: O_DIRECT on zfs at /tmp: Invalid argument"]


def test_file_systems() -> None:
    """What is mounted where, as /proc says it."""
    assert transfers._file_system(Path("/proc/self")) == "proc"
    assert transfers._file_system(Path("/")) not in ("unknown", "rootfs")


def test_without_io_uring(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and the status that says so."""

    def refuse(self: IoUring, buffers: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(IoUring, "__init__", refuse)
    assert live.main([]) == Exit.CANNOT
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("live: io_uring is not to be had here: Operation not permitted")


def test_without_userfaultfd(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line here as well."""

    def refuse(self: AddressSpace) -> None:
        raise DiagnosticError(Diagnostic("E401", None, "userfaultfd is not to be had here: no"))

    if live._missing() is not None:
        pytest.skip("io_uring is asked for first, and is not to be had here")
    monkeypatch.setattr(AddressSpace, "__init__", refuse)
    assert live.main([]) == Exit.CANNOT
    [line] = capsys.readouterr().err.splitlines()
    assert line == "live: userfaultfd is not to be had here: no"


def test_page_is_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    """Figures of a quick run are none for a page."""
    with pytest.raises(SystemExit):
        live.main(["--page", "--quick"])
    assert "--page does not go with --quick" in capsys.readouterr().err


def test_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """There is something to take the median of."""
    with pytest.raises(SystemExit):
        live.main(["--runs", "0"])
    assert "one run at least" in capsys.readouterr().err
