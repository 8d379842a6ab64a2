"""The guest's program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mmunotify.kernel import guest_program


def test_code_is_the_source_assembled(tmp_path: Path) -> None:
    """CODE and SKIP are what an assembler makes of SOURCE."""
    if not (shutil.which("as") and shutil.which("objcopy") and shutil.which("nm")):
        pytest.skip("needs the GNU assembler")
    (tmp_path / "guest.S").write_text(".text\n" + guest_program.SOURCE)
    for command in ("as guest.S -o guest.o", "objcopy -O binary -j .text guest.o guest.bin"):
        subprocess.run(command.split(), cwd=tmp_path, check=True)
    assert (tmp_path / "guest.bin").read_bytes() == guest_program.CODE
    symbols = subprocess.run(
        ["nm", "guest.o"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert f"{guest_program.SKIP:016x} t store" in symbols


def test_mailbox_fits_into_its_pages() -> None:
    """Accesses and results do not overlap and end within them."""
    end = guest_program.ACCESSES + guest_program.MAX_ACCESSES * guest_program.ACCESS_SIZE
    assert end <= guest_program.RESULTS
    assert guest_program.RESULTS + 8 * guest_program.MAX_ACCESSES <= guest_program.SIZE
    assert guest_program.SIZE % 4096 == 0
