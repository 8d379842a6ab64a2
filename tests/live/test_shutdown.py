"""The interpreter may end at any moment, with anything still open."""

from __future__ import annotations

import pytest
from tests.live.subject import run

SET_UP = """
import mmap, os, signal, sys, threading, time
from mmunotify import AddressSpace, RegistrationCache
from mmunotify.errors import DiagnosticError
from mmunotify.live import AliasDevice
from tests.live.raw import PAGE, Memory

class Telling:
    def invalidate_range_start(self, rng):
        pass

mm = AddressSpace()
cache = RegistrationCache(mm, AliasDevice(), allow_uncovered=["madv_guard_install"])
memory = mmap.mmap(-1, 16 * PAGE)
held = cache.get(memory)
mm.register(Telling(), ranges=[memory])
"""

CASES = {
    "everything left open": "",
    "held by a cycle": "ring = [mm, cache, held]; ring.append(ring)",
    "closed": "held.release(); cache.close(); mm.close()",
    "closed the wrong way round": "mm.close(); cache.close(); held.release()",
    "everything deleted": "del held, cache, mm, memory",
    "the memory goes last": "sys.last = memory; del memory",
    "a daemon thread at work": (
        "def work():\n"
        "    while True:\n"
        "        m = Memory(4); cache.get(m.span).release(); mm.discard(m.span); m.unmap()\n"
        "for _ in range(3): threading.Thread(target=work, daemon=True).start()\n"
        "time.sleep(0.2)"
    ),
    "an exit handler that uses it": (
        "import atexit\n"
        "def late():\n"
        "    m = Memory(4)\n"
        "    try: cache.get(m.span)\n"
        "    except Exception: pass\n"
        "    m.unmap()\n"
        "atexit.register(late)"
    ),
    "sys.exit in a thread": "threading.Thread(target=sys.exit).start()",
    "a hook that never returns": (
        "class Stuck:\n"
        "    def invalidate_range_start(self, rng): time.sleep(1000)\n"
        "other = Memory(4); mm.register(Stuck(), ranges=[other.span]); other.unmap()\n"
        "time.sleep(0.05)"
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_process_ends(case: str) -> None:
    """It ends by itself, without a complaint."""
    outcome = run(f"{SET_UP}\n{CASES[case]}\n")
    assert (outcome.code, outcome.errors) == (0, ""), outcome


def test_signals() -> None:
    """A timer's signal every few milliseconds, handled in Python: the monitor's thread goes on.

    A handler that comes into the middle of a miss is told so.
    """
    outcome = run(
        SET_UP
        + """
count = 0

def tick(*_):
    global count
    count += 1
    try:
        cache.get(memory).release()
    except DiagnosticError as error:
        assert "a signal's handler needs" in str(error), error

signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
for _ in range(2000):
    m = Memory(4)
    cache.get(m.span).release()
    m.unmap()
    mm.discard(memory)
while count < 50:
    time.sleep(0.001)
signal.setitimer(signal.ITIMER_REAL, 0)
assert not mm.space.dead
print("done")
"""
    )
    assert (outcome.code, outcome.output) == (0, "done\n"), outcome


def test_killed_by_a_signal() -> None:
    """SIGKILL while operations are under way leaves nothing that hangs."""
    outcome = run(
        SET_UP
        + """
def work():
    while True:
        m = Memory(4); cache.get(m.span).release(); m.unmap()
threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    assert outcome.code == -9, outcome
