"""Traces of real programs."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mmunotify.errors import CannotError, DiagnosticError
from mmunotify.kernel.session import trace_command, trace_process
from mmunotify.trace.record import Trace

PYTHON = sys.executable
WORK = """
import mmap, os, sys
memory = mmap.mmap(-1, 64 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory[:] = bytes(64 * 4096)
for turn in range(40):
    memory.madvise(mmap.MADV_DONTNEED, turn * 4096, 2 * 4096)
sys.stdout.write("done")
sys.exit(3)
"""
WAIT = """
import mmap, sys, time
memory = mmap.mmap(-1, 64 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
print("ready", flush=True)
while True:
    memory[:4096] = bytes(4096)
    memory.madvise(mmap.MADV_DONTNEED, 0, 4096)
    time.sleep(0.01)
"""


STEPS = """
import mmap, sys
memory = mmap.mmap(-1, 64 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory[:] = bytes(64 * 4096)
print("ready", flush=True)
sys.stdin.readline()
for turn in range(30):
    memory.madvise(mmap.MADV_DONTNEED, 0, 4096)
"""


def traced(command: list[str], *, follow: bool = True, limit: int = 10**5) -> Trace:
    """Trace a command, or skip."""
    try:
        return trace_command(command, follow=follow, limit=limit)[0]
    except CannotError as error:
        pytest.skip(str(error))


def causes(trace: Trace, lane: int = 0) -> collections.Counter[str]:
    """The invalidations of one process."""
    found = (one for one in trace.notified if one.kind == "unmap" and one.lane == lane)
    return collections.Counter(one.cause for one in found)


def test_command(capfd: pytest.CaptureFixture[str]) -> None:
    """All of a Python program's invalidations, by cause; output and status are its own."""
    trace = traced([PYTHON, "-S", "-c", WORK])
    assert capfd.readouterr().out == "done"
    assert trace.activity is not None
    assert (trace.activity.lost, trace.activity.omitted) == (0, [])
    assert "the command exited with 3" in trace.activity.notes
    assert causes(trace)["madvise"] == 40
    pages = {one.end - one.start for one in trace.notified if one.cause == "madvise"}
    assert pages == {2 * 4096}
    assert trace.header.lanes[0].name.startswith(Path(PYTHON).name)


def test_program_that_is_no_python() -> None:
    """Any program gets a notifier, and so do its children."""
    trace = traced(["sh", "-c", "(true); cat /dev/null; true"])
    names = [lane.name.split()[0] for lane in trace.header.lanes]
    assert names == ["sh", "sh", "cat"]
    assert causes(trace, 0)["fork"] > 0
    assert sum(causes(trace, 2).values()) > 0


def test_children_of_threads() -> None:
    """Whichever thread starts a child: it gets a notifier. A thread that executes goes on."""
    program = """
import os, subprocess, threading
def run():
    subprocess.run(["cat", "/dev/null"], check=True)
    pid = os.fork()
    if pid == 0:
        os.execvp("cat", ["cat", "/dev/null"])
    os.waitpid(pid, 0)
threads = [threading.Thread(target=run) for _ in range(4)]
for one in threads: one.start()
for one in threads: one.join()
threading.Thread(target=lambda: os.execvp("true", ["true"])).start()
threading.Event().wait()
"""
    trace = traced([PYTHON, "-S", "-c", program])
    names = collections.Counter(lane.name.split()[0] for lane in trace.header.lanes)
    assert names["cat"] == 8
    assert names["true"] == 1
    assert trace.activity is not None
    assert trace.activity.notes == ["the command exited with 0"]


def test_children_can_be_left_alone() -> None:
    """Without following only the command itself is recorded."""
    trace = traced(["sh", "-c", "cat /dev/null; true"], follow=False)
    assert len(trace.header.lanes) == 1


def test_limit() -> None:
    """What is beyond the limit is counted."""
    trace = traced([PYTHON, "-S", "-c", WORK], limit=50)
    assert trace.activity is not None
    assert len(trace.notified) == 50
    assert trace.activity.omitted[0].calls > 0


def test_no_such_program() -> None:
    """A mistyped command is told at once."""
    with pytest.raises(DiagnosticError, match="no program pyton"):
        trace_command(["pyton"])


def test_running_process_with_an_injected_vm() -> None:
    """A process that runs already is recorded, and is left without the VM."""
    with subprocess.Popen([PYTHON, "-S", "-c", WAIT], stdout=-1, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(DiagnosticError, match="runs no VM"):
                trace_process(process.pid)
            trace, interrupted = trace_process(process.pid, inject=True, seconds=0.5)
            assert not interrupted
            assert causes(trace)["madvise"] > 3
            names = [str(one.readlink()) for one in Path(f"/proc/{process.pid}/fd").iterdir()]
            assert not [name for name in names if "kvm" in name]
            assert process.poll() is None
        except CannotError as error:
            pytest.skip(str(error))
        finally:
            process.kill()


def test_process_with_many_threads() -> None:
    """A VM is put into a process whose other threads go on, again and again."""
    program = """
import os, threading, time
def work():
    while True:
        os.stat("/")
        time.sleep(0.0005)
for _ in range(3): threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""
    with subprocess.Popen([PYTHON, "-S", "-c", program], stdout=-1, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(3):
                trace_process(process.pid, inject=True, seconds=0.05)
                assert process.poll() is None
        except CannotError as error:
            pytest.skip(str(error))
        finally:
            process.kill()


def test_process_with_vms_of_its_own() -> None:
    """Each of its VMs reports each invalidation; it is counted once, and nothing is put in."""
    program = f"from mmunotify.kernel.kvm import Vm; vms = [Vm(), Vm()]\n{STEPS}"
    with subprocess.Popen(
        [PYTHON, "-c", program], stdin=-1, stdout=-1, stderr=-1, text=True
    ) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                pytest.skip("needs KVM")
            threading.Timer(1.0, lambda: print("go", file=process.stdin, flush=True)).start()
            trace, _ = trace_process(process.pid, seconds=20.0)
            assert causes(trace)["madvise"] == 30
        except CannotError as error:
            pytest.skip(str(error))
        finally:
            process.kill()


def test_program_that_creates_a_vm() -> None:
    """With a VM of the program's own beside ours nothing is counted twice for long."""
    program = f"from mmunotify.kernel.kvm import Vm; import time; vm = Vm(); time.sleep(1)\n{WORK}"
    trace = traced([PYTHON, "-c", program], follow=False)
    assert 40 <= causes(trace)["madvise"] < 60


def test_process_that_ends() -> None:
    """The trace ends with the process."""
    with subprocess.Popen(["sleep", "2"]) as process:
        try:
            trace, _ = trace_process(process.pid, inject=True, seconds=20.0)
        except CannotError as error:
            pytest.skip(str(error))
    assert trace.activity is not None
    assert trace.activity.seconds < 15


def test_no_such_process() -> None:
    """Neither is an unknown process."""
    with pytest.raises(DiagnosticError, match="no process"):
        trace_process(2**22 + 1)


def test_killed_tracer_leaves_the_command_running() -> None:
    """The kernel lets the command go, and takes the perf events back."""
    program = f"""
import os, sys
from mmunotify.kernel.session import trace_command
print(os.getpid(), flush=True)
trace_command([sys.executable, "-S", "-c", {WAIT!r}])
"""
    with subprocess.Popen([PYTHON, "-c", program], stdout=-1, stderr=-1, text=True) as tracer:
        assert tracer.stdout is not None
        tracer.stdout.readline()
        if tracer.stdout.readline() != "ready\n":
            tracer.kill()
            pytest.skip("needs KVM and perf events")
        children = Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children")
        child = int(children.read_text().split()[0])
        tracer.send_signal(signal.SIGKILL)
        tracer.wait()
        try:
            time.sleep(0.2)
            state = Path(f"/proc/{child}/status").read_text()
            assert "TracerPid:\t0" in state
            assert "State:\tZ" not in state
            assert "State:\tt" not in state
        finally:
            os.kill(child, signal.SIGKILL)
