"""`mmunotify live`."""

from __future__ import annotations

import mmap
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest
from tests.cli.command import COMMAND, RIGHT, is_one_error, mmunotify, written

from mmunotify.drivers import odp
from mmunotify.trace.file import read_trace

PAGE = mmap.PAGESIZE
PROGRAM = """
import mmap
m = mmap.mmap(-1, 777 * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
m[:3] = b"old"
for _ in range(20):
    m.madvise(mmap.MADV_DONTNEED)
assert m[:3] == bytes(3)
m.close()
print("done")
raise SystemExit(3)
"""

BREAK = """
import ctypes
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
libc.sbrk(1 << 20)
print(ctypes.c_ulong(libc.sbrk(-(1 << 20))).value)
"""


def python(tmp_path: Path, source: str) -> list[str]:
    """Return the command that runs a program."""
    path = tmp_path / "program.py"
    path.write_text(source)
    return [sys.executable, str(path)]


def live(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `mmunotify live`; skip where a program cannot be stopped."""
    found = mmunotify("live", *words)
    if found.returncode == 4:
        pytest.skip(found.stderr.strip())
    return found


def test_summary_record_and_show(tmp_path: Path) -> None:
    """Every discard of a real program is told once, in pages; the record renders alike."""
    record = tmp_path / "run.jsonl"
    found = live("--trace", record, RIGHT, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("done\nTRACE  minimal on ")
    assert "the command exited with 3" in found.stdout
    assert " failed" not in found.stdout
    trace = read_trace(record)
    assert trace.header.source == "live"
    sizes = Counter((one.cause, one.end - one.start) for one in trace.notified)
    assert sizes["madvise", 777 * PAGE] == 20
    assert sizes["munmap", 777 * PAGE] == 1
    assert len(found.stderr.splitlines()) == len(trace.notified)
    assert f"invalidate_range_start: {len(trace.notified):,} calls" in found.stdout
    shown = mmunotify("show", record)
    assert shown.stdout == found.stdout.removeprefix("done\n")


def test_limit(tmp_path: Path) -> None:
    """What is beyond the limit is counted, and said."""
    record = tmp_path / "run.jsonl.gz"
    command = python(tmp_path, PROGRAM)
    found = live("--quiet", "--limit", "5", "--trace", record, RIGHT, "--", *command)
    trace = read_trace(record)
    assert len(trace.notified) == 5
    assert trace.activity is not None
    [advised] = [one for one in trace.activity.omitted if one.cause == "madvise"]
    assert (advised.calls, advised.pages) == (20, 20 * 777)
    assert "in the totals by cause only" in found.stdout
    assert found.stderr == ""


def test_break(tmp_path: Path) -> None:
    """A heap that grows invalidates nothing; one that shrinks what it loses."""
    record = tmp_path / "run.jsonl"
    found = live("--trace", record, RIGHT, "--", *python(tmp_path, BREAK))
    old_end = int(found.stdout.splitlines()[0])
    ranges = [(one.start, one.end) for one in read_trace(record).notified if one.cause == "brk"]
    end = -(-old_end // PAGE) * PAGE
    assert (end - (1 << 20), end) in ranges


def test_hook_that_raises(tmp_path: Path) -> None:
    """It is reported, the other hooks are called, the program goes on, and the exit code tells."""
    body = """
        class Raising(Driver):
            def invalidate_range_start(self, rng):
                raise RuntimeError("not today")

            def invalidate_range_end(self, rng):
                pass
        """
    driver = written(tmp_path / "raising.py", body)
    found = live("--quiet", driver, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 1
    assert found.stdout.startswith("done\n")
    assert "Raising.invalidate_range_start failed" in found.stderr
    assert "not today" in found.stderr
    lines = [line.split() for line in found.stdout.splitlines() if " calls, " in line]
    calls = {line[0]: line[1] for line in lines}
    assert calls["invalidate_range_start:"] == calls["invalidate_range_end:"]
    [start] = [line for line in lines if line[0] == "invalidate_range_start:"]
    assert start[-2:] == [start[1], "failed"]


def test_refusal(tmp_path: Path) -> None:
    """-EAGAIN where the section may block breaks the protocol, here as in a check."""
    body = """
        from mmunotify.lang import EAGAIN

        class Refusing(Driver):
            def invalidate_range_start(self, rng):
                raise EAGAIN
        """
    driver = written(tmp_path / "refusing.py", body)
    found = live("--quiet", driver, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 1
    assert found.stdout.startswith("done\n")
    assert "context: -EAGAIN although the section may block; nothing later" in found.stdout


def test_interval_notifier(tmp_path: Path) -> None:
    """RDMA's driver has no hook on the list, and is told of each section all the same."""
    record = tmp_path / "run.jsonl"
    driver = Path(odp.__file__)
    found = live("--quiet", "--trace", record, driver, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 0, found.stderr
    assert "invalidate: " in found.stdout
    assert read_trace(record).notified


def test_hook_that_never_returns(tmp_path: Path) -> None:
    """The program goes on after the time, and the record says that it ends there."""
    body = """
        import threading

        class Stuck(Driver):
            def invalidate_range_start(self, rng):
                threading.Event().wait()
        """
    driver = written(tmp_path / "stuck.py", body)
    command = python(tmp_path, PROGRAM)
    found = live("--quiet", "--hook-timeout", "0.2", driver, "--", *command)
    assert found.returncode == 1
    assert found.stdout.startswith("done\n")
    assert "has not returned within 0.2 s; nothing later was told" in found.stdout


def test_interrupt(tmp_path: Path) -> None:
    """After Ctrl-C the program is gone and the record is whole."""
    record = tmp_path / "run.jsonl"
    source = "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"
    command = [*COMMAND, "live", "--trace", str(record), str(RIGHT), "--"]
    command += python(tmp_path, source)
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            pytest.skip(process.communicate()[1].strip())
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "TRACE" in shown
    assert read_trace(record).notified


def test_range(tmp_path: Path) -> None:
    """The driver is told of what was asked for, by name and by address, and of nothing else."""
    record = tmp_path / "run.jsonl"
    program = python(tmp_path, BREAK)
    live("--quiet", "--range", "[heap]", "--trace", record, RIGHT, "--", *program)
    trace = read_trace(record)
    assert {one.name for one in trace.mappings} == {"[heap]"}
    assert "brk" in {one.cause for one in trace.notified}
    fixed = """
        import ctypes
        libc = ctypes.CDLL(None)
        for start in (0x10000000, 0x10002000, 0x20000000):
            address = ctypes.c_void_p(start)
            libc.mmap(address, ctypes.c_size_t(0x3000), 3, 0x32, -1, ctypes.c_long(0))
            libc.munmap(address, ctypes.c_size_t(0x3000))
        """
    program = python(tmp_path, dedent(fixed))
    live("--quiet", "--range", "10001000-10003000", "--trace", record, RIGHT, "--", *program)
    told = {(one.start, one.end) for one in read_trace(record).notified}
    assert told == {(0x10001000, 0x10003000), (0x10002000, 0x10003000)}
    is_one_error(mmunotify("live", "--range", "10001001-10003000", RIGHT, "--", "true"), "E327")


def test_children(tmp_path: Path) -> None:
    """Each process has a driver and a lane of its own; with --no-follow they are counted."""
    record = tmp_path / "run.jsonl"
    source = "import subprocess\nfor _ in range(2): subprocess.run(['/bin/true'])"
    command = python(tmp_path, source)
    live("--quiet", "--trace", record, RIGHT, "--", *command)
    trace = read_trace(record)
    assert [lane.name.split()[0] for lane in trace.header.lanes][1:] == ["true", "true"]
    assert {one.lane for one in trace.notified} == {0, 1, 2}
    found = live("--quiet", "--no-follow", "--trace", record, RIGHT, "--", *command)
    assert "2 children ran unseen" in found.stdout
    assert len(read_trace(record).header.lanes) == 1


def test_without_ptrace(tmp_path: Path) -> None:
    """Ends come late, which is said, and a program may trace."""
    source = """
        import ctypes, os, signal
        libc = ctypes.CDLL(None)
        child = os.fork()
        if child == 0:
            signal.pause()
        traced = libc.ptrace(16, child, 0, 0)  # PTRACE_ATTACH
        os.kill(child, signal.SIGKILL)
        raise SystemExit(7 if traced == 0 else 8)
        """
    command = python(tmp_path, dedent(source))
    found = live("--quiet", "--no-ptrace", RIGHT, "--", *command)
    assert "the command exited with 7" in found.stdout
    assert "told when its thread was heard of again" in found.stdout
    found = live("--quiet", RIGHT, "--", *command)
    assert "the command exited with 8" in found.stdout
    assert "the program used ptrace itself, once, and could not trace" in found.stdout


def test_traced_already(tmp_path: Path) -> None:
    """Inside of a traced program ptrace is not to be had: the ends come late, which is said."""
    inner = [*COMMAND, "live", "--quiet", str(RIGHT), "--", *python(tmp_path, PROGRAM)]
    found = live("--quiet", RIGHT, "--", *inner)
    assert "ptrace is not permitted (Operation not permitted): the end" in join(found.stdout)
    assert "the command exited with 3" in found.stdout
    assert found.stdout.count("TRACE  minimal on") == 2
    assert found.returncode == 0


def join(text: str) -> str:
    """Undo the breaking of lines."""
    return " ".join(text.split())


def test_killed(tmp_path: Path) -> None:
    """Nothing is left when the tracer is killed, neither stopped nor running."""
    source = "import os, time\nos.fork()\nos.write(1, b'%d\\n' % os.getpid())\ntime.sleep(60)\n"
    command = [*COMMAND, "live", "--quiet", str(RIGHT), "--", *python(tmp_path, source)]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        pids = [line.strip() for line in (process.stdout.readline(), process.stdout.readline())]
        if not all(pids):
            rest, errors = process.communicate(timeout=60)
            assert process.returncode == 4, (pids, rest, errors, process.returncode)
            pytest.skip(errors.strip())
        process.kill()
        process.wait()
        deadline = time.monotonic() + 30
        while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(is_alive(pid) for pid in pids)


def is_alive(pid: str) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_wrong_usage(tmp_path: Path) -> None:
    """Each mistake has its code, and nothing is started."""
    mark = tmp_path / "started"
    command = ["touch", str(mark)]
    deaf = written(tmp_path / "deaf.py", "class Deaf(Driver):\n    pass\n")
    asking = written(
        tmp_path / "asking.py",
        """
        class Asking(Driver):
            def __init__(self, mm):
                super().__init__(mm)
                self.frames = mm.frames

            def invalidate_range_start(self, rng):
                pass
        """,
    )
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    cases: list[tuple[list[str | Path], str]] = [
        ([RIGHT], "E327"),
        (["--limit", "-1", RIGHT, "--", *command], "E327"),
        (["--hook-timeout", "nan", RIGHT, "--", *command], "E327"),
        ([tmp_path / "none.py", "--", *command], "E301"),
        ([empty, "--", *command], "E302"),
        ([f"{RIGHT}:Maximal", "--", *command], "E303"),
        ([RIGHT, "--", "no-such-program"], "E321"),
        ([deaf, "--", *command], "E328"),
        (["--trace", "no/such/folder/x.jsonl", RIGHT, "--", *command], "E505"),
    ]
    for words, code in cases:
        is_one_error(mmunotify("live", *words), code)
    text = is_one_error(mmunotify("live", asking, "--", *command), "E328")
    assert "asking.py:7" in text
    assert not mark.exists()
