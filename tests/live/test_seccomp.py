"""The filter: which calls a program is stopped at, and what is said of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.live.subject import unsanitized

from mmunotify.live.memory import MemoryRange
from mmunotify.live.supervised import Supervised

PROGRAM = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
path, what = sys.argv[1].encode(), sys.argv[2]
if what == "open":
    libc.syscall(2, path, os.O_RDWR | int(sys.argv[3]), 0)
elif what == "openat":
    libc.syscall(257, -100, path, os.O_RDWR | int(sys.argv[3]), 0)
elif what == "creat":
    libc.syscall(85, path, 0o600)
elif what == "openat2":
    how = struct.pack("=QQQ", os.O_RDWR | int(sys.argv[3]), 0, 0)
    libc.syscall(437, -100, path, how, ctypes.c_size_t(len(how)))
elif what == "truncate":
    libc.syscall(76, path, ctypes.c_long(1))
print(os.path.getsize(path))
"""


class Heard:
    """Notes what is told of every address."""

    def __init__(self) -> None:
        self.operations: list[str] = []

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        if rng.size > 1 << 30:
            self.operations.append(rng.operation)


@unsanitized
@pytest.mark.parametrize(
    ("what", "flag", "size"),
    [
        ("open", 0o1000, 0),
        ("open", 0, 5),
        ("openat", 0o1000, 0),
        ("openat", 0, 5),
        ("openat2", 0o1000, 0),
        ("openat2", 0, 5),
        ("creat", 0, 0),
        ("truncate", 0, 1),
    ],
)
def test_what_truncates_a_file(what: str, flag: int, size: int, tmp_path: Path) -> None:
    """Every call that does is told of; what only opens it is let through."""
    file = tmp_path / "file"
    file.write_text("12345")
    heard = Heard()
    command = [sys.executable, "-S", "-c", PROGRAM, str(file), what, str(flag)]
    program = Supervised(command, heard, stdout=-1, text=True)
    assert program.process.stdout is not None
    assert int(program.process.stdout.read()) == size
    program.process.stdout.close()
    assert program.wait() == 0
    assert heard.operations == (["ftruncate"] if size < 5 else [])
