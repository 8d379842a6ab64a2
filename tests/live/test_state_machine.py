"""Real devices as state machines: no sequence ends stale; without a cache one does.

Each in a process of its own: to fork the one that runs all tests takes long, and it maps and unmaps
memory for itself.
"""

from __future__ import annotations

import pytest
from tests.live.machines import MACHINES
from tests.live.subject import run


def explored(name: str, examples: int, steps: int, *, remember: bool = False) -> str:
    """Return whether a sequence has ended stale; it is printed with the failure if not expected."""
    missing = MACHINES[name].missing()
    if missing is not None:
        pytest.skip(missing)
    call = f"explore({name!r}, {examples}, {steps}, remember={remember})"
    source = f"from tests.live.machines import explore\nprint({call})"
    outcome = run(source, seconds=60 + examples * steps / 20)
    assert outcome.code == 0, outcome.errors or outcome
    return outcome.output.strip()


@pytest.mark.parametrize("name", MACHINES)
def test_no_sequence_ends_stale(name: str) -> None:
    """Some thousand steps."""
    assert explored(name, 30, 40) == "False"


@pytest.mark.parametrize("name", MACHINES)
def test_stale_bytes_would_be_found(name: str) -> None:
    """Without the cache the same rules find a sequence that does; one in 10 to 100 examples."""
    assert explored(name, 1_000, 40, remember=True) == "True"


@pytest.mark.long
@pytest.mark.parametrize("name", MACHINES)
def test_no_sequence_ends_stale_long(name: str) -> None:
    """A hundred thousand steps and more."""
    assert explored(name, 850, 120) == "False"
