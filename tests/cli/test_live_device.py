"""`mmunotify live` with a device: what a driver translates, beside the real page table."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cli.command import BUGGY, COMMAND, RIGHT, mmunotify, written
from tests.cli.test_live import live, python

from mmunotify.drivers import iommu_sva, kvm, odp, odp_rwsem, userptr, xpmem
from mmunotify.trace.file import read_trace

PROGRAM = """
import ctypes, mmap, os, subprocess, threading
PAGES = 77
def work():
    for _ in range(25):
        m = mmap.mmap(-1, PAGES * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for page in range(PAGES):
            m[page * mmap.PAGESIZE] = 7
        m.madvise(mmap.MADV_DONTNEED)
        for page in range(PAGES):
            assert m[page * mmap.PAGESIZE] == 0
            m[page * mmap.PAGESIZE] = 8
        m.close()
threads = [threading.Thread(target=work) for _ in range(2)]
for one in threads: one.start()
for one in threads: one.join()
subprocess.run(["/bin/true"])
if os.fork() == 0:
    work()
    os._exit(0)
os.wait()
print("done")
"""


def numbers(found: subprocess.CompletedProcess[str]) -> list[int]:
    """Return accesses, pages, faults, retries and refusals of the device."""
    text = " ".join(found.stdout.split())
    line = re.search(r"device: (.*?) refused", text)
    assert line is not None, found.stdout
    return [int(one) for one in re.findall(r"[\d,]+\d|\d", line[1].replace(",", "").strip())]


@pytest.mark.parametrize("module", [kvm, odp, odp_rwsem, iommu_sva, userptr, xpmem])
def test_right_driver(module: object, tmp_path: Path) -> None:
    """A driver that a check has proven is coherent on real memory, faults under way included."""
    driver = Path(str(getattr(module, "__file__", "")))
    found = live("--quiet", driver, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stderr == ""
    accesses, pages, faults, *_ = numbers(found)
    assert min(accesses, pages, faults) > 10
    assert "STALE" not in found.stdout


def test_fault_that_a_section_crosses(tmp_path: Path) -> None:
    """Without its retry check KVM installs what is gone; the operations are named, and shown."""
    record = tmp_path / "run.jsonl"
    found = live("--quiet", "--trace", record, BUGGY, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 1
    assert "done" in found.stdout
    assert re.search(r"STALE {2}page 0x[0-9a-f]+ of .*, after madvise", found.stdout)
    assert re.search(r"STALE {2}page 0x[0-9a-f]+ of .*, after munmap", found.stdout)
    assert "its table translates to frame" in " ".join(found.stdout.split())
    assert found.stderr.count("after madvise") == 3
    trace = read_trace(record)
    assert {"madvise", "munmap"} <= {one.cause for one in trace.stale}
    assert all(one.start <= one.page < one.end for one in trace.stale)
    assert all(one.ended >= one.time for one in trace.notified)
    assert mmunotify("show", record).stdout in found.stdout
    mmunotify("show", record, "--html", tmp_path / "page.html")
    assert "STALE  page 0x" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("                self.spte[page] = None\n", "its table translates"),
        ("            self.tlb.flush()\n", "its translation cache translates"),
    ],
)
def test_no_invalidation(line: str, says: str, tmp_path: Path) -> None:
    """A driver without its invalidation, or without its flush, is stale at once."""
    text = RIGHT.read_text()
    assert line in text
    driver = tmp_path / "mutant.py"
    driver.write_text(text.replace(line, line.replace(line.strip(), "pass"), 1))
    found = live("--quiet", driver, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 1
    assert says in " ".join(found.stderr.split())


def test_no_flush_with_the_cpus(tmp_path: Path) -> None:
    """An IOMMU that shares the page table has its own cache all the same."""
    text = Path(iommu_sva.__file__).read_text()
    line = "        self.tlb.flush_range(rng)\n"
    assert line in text
    driver = tmp_path / "mutant.py"
    driver.write_text(text.replace(line, "        pass\n"))
    found = live("--quiet", driver, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 1
    assert "its translation cache translates" in " ".join(found.stderr.split())


def test_release_that_leaves_something(tmp_path: Path) -> None:
    """What is translated when the program has ended is stale, if the driver was told of that."""
    text = RIGHT.read_text()
    line = "            self.spte.fill(None)\n"
    driver = tmp_path / "mutant.py"
    driver.write_text(text.replace(line, "            pass\n"))
    found = live("--quiet", driver, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 1
    assert "after exit" in found.stderr
    assert "after madvise" not in found.stderr


def test_changes_that_nobody_tells_of(tmp_path: Path) -> None:
    """A copy on write is no system call: counted, and not held against the driver."""
    source = """
import ctypes, os, time
libc = ctypes.CDLL(None)
START, SIZE = 0x10000000, 64 * 4096
address, size = ctypes.c_void_p(START), ctypes.c_size_t(SIZE)
libc.mmap(address, size, 3, 0x32, -1, ctypes.c_long(0))
ctypes.memset(START, 1, SIZE)
for number in range(20):
    waits, goes = os.pipe()
    if os.fork() == 0:
        os.close(goes)
        os.read(waits, 1)
        os._exit(0)
    time.sleep(0.05)  # the device reads what is shared now
    ctypes.memset(START, number, SIZE)
    os.close(goes)
    os.wait()
libc.madvise(address, size, 4)
"""
    only = ["--range", "10000000-10040000"]
    found = live("--quiet", *only, Path(kvm.__file__), "--", *python(tmp_path, source))
    assert found.returncode == 0, found.stdout + found.stderr
    untold = re.search(r"nobody was told: ([\d,]+)", found.stdout)
    assert untold is not None
    assert int(untold[1]) > 0


def test_files_are_not_written_to(tmp_path: Path) -> None:
    """A device of a range of a file reads there, and the file stays as it is."""
    data = tmp_path / "data.bin"
    data.write_bytes(b"x" * (64 << 12))
    with data.open("rb") as file:
        os.fsync(file.fileno())  # else it is dirty already
    before = data.stat().st_mtime_ns
    source = f"""
import mmap, time
with open({str(data)!r}, "r+b") as file:
    m = mmap.mmap(file.fileno(), 0)
for at in range(0, len(m), 4096):
    assert m[at] == 120
time.sleep(0.5)
dirty = False
for line in open("/proc/self/smaps"):
    if "-" in line.split()[0]:
        ours = line.rstrip().endswith("data.bin")
    elif ours and line.split(":")[0] in ("Shared_Dirty", "Private_Dirty"):
        dirty = dirty or int(line.split()[1]) > 0
m.close()
raise SystemExit(dirty)
"""
    words = ["--quiet", "--range", "data.bin"]
    found = live(*words, Path(kvm.__file__), "--", *python(tmp_path, source))
    assert found.returncode == 0, found.stdout + found.stderr
    assert "the command exited with 0" in found.stdout
    assert numbers(found)[0] > 10
    assert data.stat().st_mtime_ns == before


def test_fault_that_fails(tmp_path: Path) -> None:
    """What the driver asks for and is not there is said at its line; the hooks go on."""
    body = """
        class Asking(Driver):
            def __init__(self, mm):
                super().__init__(mm)
                self.spte = Table(mm.pages)

            def invalidate_range_start(self, rng):
                pass

            def fault(self, page, write):
                return self.mm.frames[0]
        """
    driver = written(tmp_path / "asking.py", body)
    found = live("--quiet", driver, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 1
    assert "mm.frames is not there: it is a part of the model" in found.stderr
    assert "return self.mm.frames[0]" in found.stderr
    assert "the device did nothing more" in found.stdout
    assert "the command exited with 0" in found.stdout


def test_large_range(tmp_path: Path) -> None:
    """A hook goes through what is there of four gigabytes, and through nothing else."""
    body = """
        class Counting(Driver):
            def __init__(self, mm):
                super().__init__(mm)
                self.spte = Table(mm.pages)

            def invalidate_range_start(self, rng):
                pages = list(rng)
                if rng.size == 1 << 20 and rng.operation == "madvise":
                    assert 3 <= len(pages) <= 3 * 512, len(pages)
                    print("seen")
                for page in pages:
                    self.spte[page] = None
                self.tlb.flush()

            def release(self):
                self.spte.fill(None)
                self.tlb.flush()

            def fault(self, page, write):
                self.spte[page] = self.mm.get_user_page(page, write)
        """
    source = """
import mmap
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
m = mmap.mmap(-1, 4 << 30, flags=flags)
for at in (0, 1 << 30, (4 << 30) - 1):
    m[at] = 1
m.madvise(mmap.MADV_DONTNEED)
m.close()
"""
    driver = written(tmp_path / "counting.py", body)
    found = live("--quiet", driver, "--", *python(tmp_path, source))
    assert "the command exited with 0" in found.stdout
    assert " failed" not in found.stdout, found.stderr
    assert "seen" in found.stdout


def test_hidden_frames(tmp_path: Path) -> None:
    """Who may not see frame numbers finds what is gone, and is told what that misses."""
    drop = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    if shutil.which(drop[0]) is None:
        pytest.skip("needs setpriv (util-linux)")
    for driver, code in ((RIGHT, 0), (BUGGY, 1)):
        command = [
            *drop,
            *COMMAND,
            "live",
            "--quiet",
            str(driver),
            "--",
            *python(tmp_path, PROGRAM),
        ]
        found = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert found.returncode == code, found.stdout + found.stderr
        assert "frame numbers are hidden" in found.stdout
        assert ("translates to a frame that was there" in " ".join(found.stderr.split())) == code


def test_without_device(tmp_path: Path) -> None:
    """Hooks alone find nothing, and that is said."""
    found = live("--quiet", "--no-device", BUGGY, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 0
    assert "no device ran" in found.stdout
    found = live("--quiet", "--no-ptrace", BUGGY, "--", *python(tmp_path, PROGRAM))
    assert found.returncode == 0
    assert "no device ran" in found.stdout
